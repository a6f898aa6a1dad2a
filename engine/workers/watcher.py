"""The watcher: shows how far the ledger is behind, also while the recorder stands still or is dead.

A gauge that the recorder moves would stay where it was when it died. Several may watch; each sees the same.
"""

from typing import ClassVar, Final

from engine import metrics
from engine.overview import OverviewReader

EVERY_S: Final = 5.0


class Watcher:
    """Puts the overview into gauges."""

    name: ClassVar[str] = "watcher"

    def __init__(self, overview: OverviewReader) -> None:
        self._overview = overview

    async def run_once(self) -> float:
        """Look once."""
        for each in (await self._overview.read()).campaigns:
            ready = each.standing is not None and each.standing.gate == "open"
            metrics.CAMPAIGN_READY.labels(each.campaign).set(ready)
            metrics.PENDING_ENTRIES.labels(each.campaign).set(each.pending_entries)
            if each.pending_s is not None:
                metrics.PENDING_AGE.labels(each.campaign).set(each.pending_s)
        return EVERY_S

    async def close(self) -> None:
        """Nothing is held."""
