"""Disks: how much room is left where this deployment writes, so that sales stop before a write fails."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.clock import Clock

LOOK_EVERY_S: Final = 0.25
"""At 20,000 sign-ups a second, the log of Redis and the ledger's grow by some MB meanwhile."""

logger = logging.getLogger(__name__)


class Disk:
    """The disks under some directories; no directories for a process that writes on another machine's.

    Whoever asks looks, so that no process depends on another one to tell it.
    """

    def __init__(self, directories: Sequence[Path], free_min_bytes: int, clock: Clock) -> None:
        self.free_min_bytes = free_min_bytes
        self._directories = directories
        self._clock = clock
        self._look_at_s = 0.0
        self._short: set[Path] = set()

    def free_bytes(self) -> dict[Path, int]:
        """What is left under each directory; 0 where it cannot be asked."""
        return {directory: _free_bytes(directory) for directory in self._directories}

    def is_short(self) -> bool:
        """Whether less is left than has to be, as of `LOOK_EVERY_S` ago at most."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + LOOK_EVERY_S
            for directory, free in self.free_bytes().items():
                self._note(directory, free)
        return bool(self._short)

    def _note(self, directory: Path, free: int) -> None:
        if free < self.free_min_bytes and directory not in self._short:
            self._short.add(directory)
            logger.error(
                "%s has %d bytes left, less than SEATRUSH_DISK_FREE_MIN: sales stop", directory, free
            )
        elif free >= self.free_min_bytes and directory in self._short:
            self._short.remove(directory)
            logger.warning("%s has %d bytes left, enough again", directory, free)


def _free_bytes(directory: Path) -> int:
    try:
        found = os.statvfs(directory)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize
