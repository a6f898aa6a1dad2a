"""The lock of a data directory: one `serve` or `work` at a time, for as long as any process of it lives.

It is an flock on DIR/lock. It belongs to the open file, not to the process: the embedded Redis inherits the file, so a
Redis that outlives its parent keeps the directory locked until it is gone.
"""

import fcntl
import os
import stat
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ORPHANS_GONE_S: Final = 5.0
"""How long to wait for what a killed owner left behind: its Redis goes at once, a Redis rewriting its AOF soon."""

_RETRY_S: Final = 0.02


class Unavailable(Exception):
    """The directory is in use, or cannot be a data directory. The message is one line for the operator."""


class DirectoryLock:
    """A held lock; `acquire` takes it. Closing is all there is to a release: see the module's text."""

    def __init__(self, file: int) -> None:
        self._file = file

    def fileno(self) -> int:
        """The open file, to be passed on to children that shall keep the directory locked."""
        return self._file

    def close(self) -> None:
        """Let go; safe to call twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def acquire(directory: Path) -> DirectoryLock:
    """Make the directory with mode 0700 where it is missing, and lock it.

    Raises Unavailable at once when its owner lives, and after ORPHANS_GONE_S when only the owner's children do.
    """
    try:
        _prepare(directory)
        file = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Unavailable(f"data directory {directory}: {error.strerror}") from None
    try:
        _lock(file, directory)
        os.ftruncate(file, 0)
        os.pwrite(file, b"%d\n" % os.getpid(), 0)
    except BaseException:
        os.close(file)
        raise
    return DirectoryLock(file)


def _prepare(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not stat.S_IMODE(directory.stat().st_mode) & 0o077:
        return
    # Closing a directory to others must not hit one that is shared, such as /tmp.
    if not (directory / "lock").exists() and any(directory.iterdir()):
        raise Unavailable(f"data directory {directory}: others can enter it, and it holds something else")
    directory.chmod(0o700)


def _lock(file: int, directory: Path) -> None:
    deadline = time.monotonic() + ORPHANS_GONE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            owner = os.pread(file, 20, 0).decode().strip()
        if _lives(owner):
            raise Unavailable(f"data directory {directory}: in use by process {owner}")
        if time.monotonic() > deadline:
            raise Unavailable(f"data directory {directory}: in use by what process {owner} left behind")
        time.sleep(_RETRY_S)


def _lives(owner: str) -> bool:
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except ValueError:
        # The owner has not written its id yet.
        return False
    return True
