"""Commands as a user runs them, in processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TIMEOUT_S: Final = 60


def environment(**changed: str) -> dict[str, str]:
    """This environment without settings of its own."""
    return {name: text for name, text in os.environ.items() if not name.startswith("SEATRUSH_")} | changed


def run(*arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run `seatrush` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "engine", *arguments],
        cwd=ROOT,
        env=environment(**changed),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


class Served:
    """A `serve` that is ready."""

    def __init__(self, process: subprocess.Popen[str], data: Path) -> None:
        self.process = process
        self.data = data
        assert process.stdout is not None
        self.said = process.stdout.readline().strip()
        assert self.said.startswith("ready on http://"), self.said
        self.url = self.said.removeprefix("ready on ")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT_S)


@contextmanager
def serve(data: Path, *arguments: str) -> Iterator[Served]:
    """`seatrush serve` on a free port."""
    command = [sys.executable, "-m", "engine", "serve", "--port", "0", "--data", str(data), *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        yield Served(process, data)
    finally:
        process.kill()
        process.communicate()
