"""The feed: what happens in the campaigns, as it happens, for those who look on in this process.

One reader for all of them, however many look on. It keeps no place of its own in Redis: it begins where a campaign
stands when it is first followed, and what it misses is not lost, since the ledger has it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from engine.domain import events
from engine.live.server import NothingRan
from engine.live.streams import Entry, Streams

logger = logging.getLogger(__name__)

ENTRIES_MAX: Final = 4_000
"""Entries of all campaigns in one reading."""
IDLE_MS_MAX: Final = 200
"""How long a reading waits for the first event; a campaign that is new is followed after that."""
GATHER_S: Final = 0.02
"""A pause after each reading, in which the events of a rush gather."""
RETRY_S: Final = 0.5


class Feed:
    """Tells of each campaign's new events, in order.

    `campaigns` are those to follow, and `tell` gets their events as they lie in the stream.
    """

    def __init__(
        self,
        streams: Streams,
        campaigns: Callable[[], Iterable[str]],
        tell: Callable[[str, Sequence[Entry]], None],
    ) -> None:
        self._streams = streams
        self._campaigns = campaigns
        self._tell = tell
        self._after: dict[str, tuple[int, int]] = {}
        self._wanted = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin in the background; nothing is read before somebody follows."""
        self._running = asyncio.create_task(self._run(), name="feed")

    async def stop(self) -> None:
        """End after the reading in progress."""
        self._stopping = True
        self._wanted.set()
        if self._running is not None:
            await self._running

    async def follow(self, campaign: str) -> None:
        """Tell of what happens in the campaigns from now on, in this one from before the return.

        Raises NothingRan.
        """
        self._wanted.set()
        if campaign not in self._after:
            await self._begin(campaign)

    def rest(self) -> None:
        """Nobody looks on any more."""
        self._wanted.clear()
        self._after.clear()

    async def _begin(self, campaign: str) -> None:
        state = await self._streams.state(campaign)
        if state is not None and self._wanted.is_set():
            self._after.setdefault(campaign, (state.epoch, state.seq))

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            if self._stopping:
                return
            try:
                await self._read()
                await asyncio.sleep(GATHER_S)
            except NothingRan as error:
                logger.warning("the feed stands still: %s", error)
                await asyncio.sleep(RETRY_S)

    async def _read(self) -> None:
        for campaign in self._campaigns():
            if campaign not in self._after:
                await self._begin(campaign)
        if not self._after:
            await asyncio.sleep(IDLE_MS_MAX / 1000)
            return
        after = dict(self._after)
        found = await self._streams.next(after, max(1, ENTRIES_MAX // len(after)), IDLE_MS_MAX)
        for campaign, entries in found.items():
            # Somebody may have gone, and another come, meanwhile: each is told from when it came.
            if self._after.get(campaign) == after[campaign]:
                self._after[campaign] = events.parse_id(entries[-1].id)
                self._tell(campaign, entries)
