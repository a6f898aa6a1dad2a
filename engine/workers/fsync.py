"""The fsync worker: looks every few seconds how long a write waits for Redis's disk."""

from typing import ClassVar, Final

from engine import metrics
from engine.live.fsync import FsyncProbe

EVERY_S: Final = 5.0


class Fsync:
    """Measures and counts; several may run."""

    name: ClassVar[str] = "fsync"

    def __init__(self, probe: FsyncProbe) -> None:
        self._probe = probe

    async def run_once(self) -> float:
        """Measure once."""
        metrics.FSYNC_DURATION.observe(await self._probe.measure())
        return EVERY_S

    async def close(self) -> None:
        """Nothing is held."""
