"""`python -m tests.faults.serve serve …`: as `seatrush serve`, with failpoints in its worker."""

import sys

from engine import __main__
from engine.commands import supervisor

if __name__ == "__main__":
    vars(supervisor)["CHILD"] = "tests.faults.child"
    sys.exit(__main__.main())
