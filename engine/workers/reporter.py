"""The reporter: puts what a process knows of its own queues into the metrics.

It runs in every process that answers. A queue counts for itself, since one that is full must say so as cheaply as it
can, and one that stands still has nobody else to tell of it.
"""

from typing import ClassVar, Final

from engine import metrics
from engine.live.decisions import Decisions

EVERY_S: Final = 0.5


class Reporter:
    """Reports how many requests wait, and how many were refused as overloaded."""

    name: ClassVar[str] = "reporter"

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self._reported: dict[tuple[str, str], int] = {}

    async def run_once(self) -> float:
        """Report."""
        metrics.QUEUE_ENTRIES.set(self._decisions.waiting)
        for name, refused in self._decisions.overloaded.items():
            verb, campaign = name
            new = refused - self._reported.get(name, 0)
            metrics.DECISIONS.labels(campaign, verb, "overloaded").inc(new)
            self._reported[name] = refused
        return EVERY_S

    async def close(self) -> None:
        """Report for the last time."""
        await self.run_once()
