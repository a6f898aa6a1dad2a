"""From `scripts/run` to ready, and from SIGTERM to a clean end.

    scripts/bench start [--rounds N]

The second start counts: the first one of a fresh clone installs what is pinned.
"""

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from loadtests.bench import machine

ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print: 1 when an end was not clean."""
    parser = argparse.ArgumentParser(prog="scripts/bench start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parsed = parser.parse_args(arguments)
    starts, ends, clean = [], [], True
    with tempfile.TemporaryDirectory(prefix="seatrush-") as directory:
        for _ in range(parsed.rounds + 1):
            started_s, ended_s, ended_clean = once(Path(directory) / "data")
            starts.append(started_s)
            ends.append(ended_s)
            clean = clean and ended_clean
    print(f"ready after {statistics.median(starts[1:]):.2f} s, ended after {statistics.median(ends[1:]):.2f} s "
          f"(medians of {parsed.rounds}); exit 0 and no process left: {'yes' if clean else 'NO'}")  # fmt: skip
    return 0 if clean else 1


def once(data: Path) -> tuple[float, float, bool]:
    """Seconds from `scripts/run` to ready, seconds from SIGTERM to the end, and whether that was clean."""
    began = time.perf_counter()
    run = subprocess.Popen(
        [ROOT / "scripts" / "run", "--port", "0", "--data", data], stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    said = run.stdout.readline()
    started_s = time.perf_counter() - began
    children = machine.processes_below(run.pid)
    began = time.perf_counter()
    run.send_signal(signal.SIGTERM)
    status = run.wait()
    ended_s = time.perf_counter() - began
    run.stdout.close()
    left = [pid for pid in children if Path(f"/proc/{pid}").exists()]
    return started_s, ended_s, said.startswith("ready on ") and status == 0 and not left


if __name__ == "__main__":
    sys.exit(main())
