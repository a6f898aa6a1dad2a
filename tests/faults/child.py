"""One process of a deployment of `tests.faults.serve`: a worker has failpoints, an api is as it is."""

import os
import sys
from pathlib import Path

from engine.commands import child
from tests.faults import failpoints

if __name__ == "__main__":
    if "work" in sys.argv:
        failpoints.install(Path(os.environ["SEATRUSH_DATA"]))
    sys.exit(child.main())
