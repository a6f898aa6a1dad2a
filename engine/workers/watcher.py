"""The watcher: shows how the deployment stands, also while other workers stand still or are dead.

A gauge that the recorder moves would stay where it was when it died. Several may watch; each sees the same.
"""

from typing import ClassVar, Final

from engine import metrics
from engine.clock import Clock
from engine.disk import Disk
from engine.live.condition import ConditionReader
from engine.live.server import NothingRan
from engine.overview import CampaignOverview, OverviewReader

EVERY_S: Final = 5.0


class Watcher:
    """Puts the overview, the condition of Redis and the room on the disks into gauges."""

    name: ClassVar[str] = "watcher"

    def __init__(
        self, overview: OverviewReader, conditions: ConditionReader, disk: Disk, clock: Clock
    ) -> None:
        self._overview = overview
        self._conditions = conditions
        self._disk = disk
        self._clock = clock

    async def run_once(self) -> float:
        """Look once."""
        metrics.WATCHED.set(self._clock.now_ms() / 1000)
        for directory, free in self._disk.free_bytes().items():
            metrics.DISK_FREE.labels(directory).set(free)
            metrics.DISK_FREE_MIN.labels(directory).set(self._disk.free_min_bytes)
        await self._look_at_redis()
        await self._look_at_campaigns()
        return EVERY_S

    async def _look_at_redis(self) -> None:
        reachable = metrics.REACHABLE.labels("redis")
        try:
            conditions = await self._conditions.read()
        except NothingRan:
            reachable.set(0)
            raise
        reachable.set(1)
        for node, condition in conditions.items():
            metrics.REDIS_MEMORY.labels(node).set(condition.memory_share)
            metrics.REDIS_AOF.labels(node).set(condition.aof_bytes)
            metrics.REDIS_PERSISTS.labels(node).set(condition.persists)
            metrics.REDIS_UPTIME.labels(node).set(condition.up_s)

    async def _look_at_campaigns(self) -> None:
        overview = await self._overview.read()
        metrics.REACHABLE.labels("ledger").set(overview.ledger_ready)
        for each in overview.campaigns:
            _show(each)

    async def close(self) -> None:
        """Nothing is held."""


def _show(overview: CampaignOverview) -> None:
    campaign, standing = overview.campaign, overview.standing
    metrics.CAMPAIGN_READY.labels(campaign).set(standing is not None and standing.gate == "open")
    metrics.CAMPAIGN_LOST.labels(campaign).set(overview.is_lost)
    metrics.PENDING_ENTRIES.labels(campaign).set(overview.pending_entries)
    metrics.BACKLOG_SHARE.labels(campaign).set(overview.backlog_share)
    if overview.pending_s is not None:
        metrics.PENDING_AGE.labels(campaign).set(overview.pending_s)
    if standing is not None:
        metrics.OVERDUE.labels(campaign).set(standing.overdue_ms / 1000)
        metrics.DRAW_OVERDUE.labels(campaign).set(standing.draw_overdue_ms / 1000)
        metrics.DRAW_UNDER_WAY.labels(campaign).set(standing.drawing > 0)
