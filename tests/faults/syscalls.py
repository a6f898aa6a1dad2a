"""What Redis asked of the kernel, in order, by strace: whether a reply ever left before its write was on disk.

With `appendfsync always` a server writes what a turn of its loop decided to the AOF, has it brought to disk, and only
then answers. So whatever it writes to a connection while some of the AOF is not on disk breaks the promise.
"""

import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Final

import pytest

from loadtests.exchange import Violation
from tests import redis_servers

CALLS: Final = "write,writev,sendto,sendmsg,fdatasync,fsync"
LOOK_S: Final = 0.01

_CALL: Final = re.compile(r"^(\w+)\(\d+<(.*?)>(?:, |\))(.*)$")
_RESULT: Final = re.compile(r"= (\d+)$")


class Trace:
    """A trace so far, read line by line."""

    def __init__(self) -> None:
        self.synced = 0
        """How often the AOF was brought to disk."""
        self.replies = 0
        """Writes to connections."""
        self.written_bytes = 0
        """What was written to the AOF since the trace began."""
        self.unsynced_bytes = 0
        """What of it is not on disk."""
        self.early: list[Violation] = []
        """Replies before their fdatasync."""

    def read(self, lines: Iterable[str]) -> "Trace":
        """Take lines of strace into account, in order."""
        for line in lines:
            call = _CALL.match(line.strip())
            if call is not None:
                self._take(call[1], call[2], line.strip())
        return self

    def _take(self, name: str, file: str, line: str) -> None:
        result = _RESULT.search(line)
        if file.endswith(".aof"):
            if name.endswith("sync"):
                if result is not None:
                    self.synced += 1
                    self.unsynced_bytes = 0
            elif result is not None:
                self.written_bytes += int(result[1])
                self.unsynced_bytes += int(result[1])
        elif file.startswith(("socket:", "UNIX", "TCP")) and not name.endswith("sync"):
            self.replies += 1
            if self.unsynced_bytes:
                self.early.append(
                    Violation("fsync", f"a reply left while {self.unsynced_bytes} bytes were not on disk")
                )


class Tracer:
    """strace on a server, for as long as the block of `tracing`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def trace(self) -> Trace:
        """What was traced so far."""
        return Trace().read(self._path.read_text(errors="replace").splitlines())

    def base_bytes(self, aof: Path) -> int:
        """How long the AOF was when the trace began: found at moments in which nothing is written."""
        last = None
        while True:
            before = self.trace().written_bytes
            base = aof.stat().st_size - before
            if before == self.trace().written_bytes and base == last:
                return base
            last = base
            time.sleep(LOOK_S)


@contextmanager
def tracing(pid: int, path: Path) -> Iterator[Tracer]:
    """Trace the main thread of a process, which is the one that answers, into a file."""
    strace = which("strace") or redis_servers.absent("there is no strace")
    command = [strace, "-y", "-s", "0", "-e", f"trace={CALLS}", "-o", str(path), "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        if "attached" not in said:
            pytest.skip(f"no process may be traced here: {said.strip()}")
        yield Tracer(path)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
