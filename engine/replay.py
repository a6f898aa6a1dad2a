"""Replay: histories of campaigns, folded from the ledger's log and kept, so that all who ask share one fold.

A fold reads a page of events, adds it, and then rests for as long as that took: a page is some two milliseconds of the
loop, so that sign-ups which this process decides meanwhile hardly notice, whatever the campaign's length. What was
folded once goes on from there.
"""

import asyncio
from collections import OrderedDict
from typing import Final

from engine.clock import Clock
from engine.domain.history import History
from engine.ledger.protocol import Ledger

PAGE_EVENTS: Final = 250
EVENTS_MAX: Final = 4_000_000
"""Of one campaign, some 140 MB; a longer one is not explained."""
KEPT_EVENTS_MAX: Final = 6_000_000
"""Of all campaigns that are kept; the least recently asked for is forgotten first."""


class TooLong(Exception):
    """The campaign has more events than are folded."""


class Replay:
    """Histories by campaign, one fold at a time."""

    def __init__(self, ledger: Ledger, clock: Clock, events_max: int = EVENTS_MAX) -> None:
        self._ledger = ledger
        self._clock = clock
        self._events_max = events_max
        self._histories: OrderedDict[str, History] = OrderedDict()
        self._too_long: set[str] = set()
        self._folding: dict[str, asyncio.Task[History]] = {}
        self._turn = asyncio.Lock()

    def known(self, campaign: str) -> History | None:
        """The history as it was last folded."""
        return self._histories.get(campaign)

    async def fold(self, campaign: str) -> History:
        """The history up to what the ledger has recorded; those who ask at once share a fold.

        A caller that goes away does not end it. Raises TooLong or Unavailable.
        """
        if campaign in self._too_long:
            raise TooLong(campaign)
        task = self._folding.get(campaign)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._fold(campaign))
            self._folding[campaign] = task
            task.add_done_callback(lambda done: self._ended(campaign, done))
        return await asyncio.shield(task)

    def _ended(self, campaign: str, done: "asyncio.Task[History]") -> None:
        self._folding.pop(campaign, None)
        if not done.cancelled():
            # Whoever still waits is told; when nobody does, it was not lost on anybody.
            done.exception()

    async def _fold(self, campaign: str) -> History:
        async with self._turn:
            history = self._histories.setdefault(campaign, History())
            self._histories.move_to_end(campaign)
            self._forget()
            while True:
                page = await self._ledger.events(campaign, history.seq, PAGE_EVENTS)
                began_s = self._clock.monotonic_s()
                for event in page:
                    history.apply(event)
                if history.seq > self._events_max:
                    del self._histories[campaign]
                    self._too_long.add(campaign)
                    raise TooLong(campaign)
                if len(page) < PAGE_EVENTS:
                    return history
                await asyncio.sleep(self._clock.monotonic_s() - began_s)

    def _forget(self) -> None:
        kept = sum(history.seq for history in self._histories.values())
        while kept > KEPT_EVENTS_MAX and len(self._histories) > 1:
            _, oldest = self._histories.popitem(last=False)
            kept -= oldest.seq
