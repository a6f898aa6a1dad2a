"""The overview: how every campaign stands in Redis and how far the ledger has followed, for ops."""

import logging
from collections.abc import Mapping

from msgspec import Struct

from engine.backlog import Backlog
from engine.clock import Clock
from engine.ledger.protocol import Ledger, Registration, Unavailable
from engine.live.catalog import Catalog
from engine.live.server import Server
from engine.live.standing import Standing, StandingReader

logger = logging.getLogger(__name__)


class CampaignOverview(Struct, frozen=True):
    """One campaign."""

    campaign: str
    standing: Standing | None
    """None for a campaign whose state is not in Redis, or whose shard does not answer."""
    is_lost: bool
    """Whether its state is not in Redis."""
    pending_entries: int
    """Events that are not in the ledger yet; it may have come a little further since it was asked."""
    pending_s: float | None
    """The age of the oldest of them when the ledger was asked, 0 for none; None when it is not known."""
    backlog_share: float
    """The part of the events that may wait for the ledger which do; at 1.0 sales have stopped."""
    dead_letters: int


class Overview(Struct, frozen=True):
    """All campaigns that were published, in order of their name."""

    campaigns: list[CampaignOverview]
    ledger_ready: bool
    """Whether the ledger answered. If not, what it said last is shown, and what Redis was told of it since."""


class OverviewReader:
    """Reads the overview: two queries of the ledger and one call of Redis for each campaign."""

    def __init__(
        self, server: Server, ledger: Ledger, catalog: Catalog, clock: Clock, backlog: Backlog
    ) -> None:
        self._standings = StandingReader(server, clock)
        self._ledger = ledger
        self._catalog = catalog
        self._backlog = backlog
        self._registrations: list[Registration] = []
        self._dead_letters: dict[str, int] = {}

    async def look(self) -> list[Registration]:
        """The campaigns that the ledger has now; `read` goes on from this while it is away. Raises Unavailable."""
        registrations = await self._ledger.campaigns()
        self._dead_letters = await self._ledger.dead_letter_counts()
        self._registrations = registrations
        return registrations

    async def read(self) -> Overview:
        """Read it. Raises NothingRan when Redis is away."""
        ledger_ready = await self._ask_the_ledger()
        recorded = {
            each.campaign: (each.epoch, each.recorded_seq) for each in self._registrations if each.created
        }
        if not ledger_ready:
            # Those that were published since the ledger was last asked; Redis knows how far they were recorded.
            recorded = dict.fromkeys(self._catalog.names(), (0, 0)) | recorded
        standings = await self._standings.read(recorded)
        return Overview([self._campaign(name, standings) for name in sorted(recorded)], ledger_ready)

    async def _ask_the_ledger(self) -> bool:
        try:
            await self.look()
        except Unavailable as error:
            logger.warning("the ledger does not answer, what it last said is shown: %s", error)
            return False
        return True

    def _campaign(self, name: str, standings: Mapping[str, Standing | None]) -> CampaignOverview:
        standing, pending, age_s = standings.get(name), 0, None
        is_lost = standing is None and name in standings
        if standing is not None:
            pending = max(0, standing.seq - standing.recorded_seq)
            if not pending:
                age_s = 0.0
            elif standing.pending_ms is not None:
                age_s = standing.pending_ms / 1000
        share, letters = self._backlog.share(pending), self._dead_letters.get(name, 0)
        return CampaignOverview(name, standing, is_lost, pending, age_s, share, letters)
