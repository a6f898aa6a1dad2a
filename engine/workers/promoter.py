"""The promoter: makes time pass in every campaign.

Windows open and close, pools are released, holds and offers lapse and their seats go to those who wait. The
scripts do all of it by themselves whenever they are called; the promoter calls when nobody else does. Several may
run: a call that finds nothing due changes nothing.
"""

import asyncio
from typing import ClassVar, Final

from engine.clock import Clock
from engine.ledger.protocol import Ledger
from engine.live.decisions import Decisions
from engine.live.server import NothingRan

LOOK_S_MAX: Final = 1.0
"""A hold may be made at any moment, so a campaign is looked at this often even when nothing is due."""
TOGETHER_MAX: Final = 32
"""Campaigns that are advanced at once: their calls share a trip to Redis."""


class Promoter:
    """Advances each campaign when something is due."""

    name: ClassVar[str] = "promoter"

    def __init__(self, decisions: Decisions, ledger: Ledger, clock: Clock) -> None:
        self._decisions = decisions
        self._ledger = ledger
        self._clock = clock

    async def run_once(self) -> float:
        """Advance every campaign; a campaign that is not ready does not keep the others from it."""
        created = [each.campaign for each in await self._ledger.campaigns() if each.created]
        idle_s = LOOK_S_MAX
        failure: NothingRan | None = None
        for first in range(0, len(created), TOGETHER_MAX):
            for due in await asyncio.gather(*map(self._advance, created[first : first + TOGETHER_MAX])):
                if isinstance(due, NothingRan):
                    failure = due
                elif due is not None:
                    idle_s = min(idle_s, due / 1000)
        if failure is not None:
            raise failure
        return idle_s

    async def _advance(self, campaign: str) -> int | NothingRan | None:
        """The ms until something is due next, None for never; a failure is returned."""
        try:
            return await self._decisions.advance(campaign)
        except NothingRan as error:
            return error

    async def close(self) -> None:
        """Nothing is held."""
