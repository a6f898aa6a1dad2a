"""Retention: everybody in a campaign is forgotten once it is as long over as its document says."""

import logging
from typing import ClassVar, Final

from engine.clock import Clock
from engine.domain.campaign import Campaign
from engine.domain.definition import milliseconds
from engine.forgetting import Forgetter, Stopped
from engine.ledger.protocol import Ledger, Registration, Unavailable
from engine.live.catalog import Catalog
from engine.live.server import NothingRan, Unknown

LOOK_EVERY_S: Final = 60.0
PATIENCE_S: Final = 30.0
DAY_MS: Final = 24 * 3600 * 1000
ACTOR: Final = ("system", "engine")

logger = logging.getLogger(__name__)


class Retention:
    """Forgets everybody in campaigns whose retention is over. Several may run: see `Forgetter`."""

    name: ClassVar[str] = "retention"

    def __init__(self, forgetter: Forgetter, catalog: Catalog, ledger: Ledger, clock: Clock) -> None:
        self._forgetter = forgetter
        self._catalog = catalog
        self._ledger = ledger
        self._clock = clock
        self._warned: set[str] = set()

    async def run_once(self) -> float:
        """Look at every campaign; one that cannot be done now does not keep the others from it."""
        forgotten = await self._ledger.forgotten()
        is_done = False
        for registration in await self._ledger.campaigns():
            if forgotten.get(registration.campaign, -1) >= registration.recorded_seq:
                continue
            if await self._is_over(registration):
                is_done |= await self._forget(registration.campaign)
        if is_done:
            for note in await self._forgetter.scrub():
                logger.warning("%s", note)
        return LOOK_EVERY_S

    async def _is_over(self, registration: Registration) -> bool:
        definition = await self._catalog.find(registration.campaign) if registration.created else None
        over = ends_at(definition.document) if definition else None
        return over is not None and over <= self._clock.now_ms()

    async def _forget(self, campaign: str) -> bool:
        try:
            done = await self._forgetter.forget_everybody(campaign, *ACTOR, PATIENCE_S)
        except (Stopped, NothingRan, Unknown, Unavailable) as reason:
            if campaign not in self._warned:
                self._warned.add(campaign)
                logger.warning("%s: its retention is over, and it cannot be forgotten: %s", campaign, reason)
            return False
        self._warned.discard(campaign)
        logger.info("%s: its retention is over: %d enrollments are forgotten", campaign, done.enrollments)
        return not done.is_nothing

    async def close(self) -> None:
        """Nothing is held."""


def ends_at(campaign: Campaign) -> int | None:
    """When everybody in a campaign is to be forgotten, UTC milliseconds; None for never."""
    if campaign.retention_days is None:
        return None
    last = max(session.ends for offering in campaign.offerings for session in offering.sessions)
    return milliseconds(last) + campaign.retention_days * DAY_MS
