"""Drawing: a campaign's entries, as they lie in Redis, become a draw, and its results are settled.

The draw is kept in the ledger before the first result is settled, so that whoever goes on after a crash settles the
same results; Redis knows how many are. Of two who draw at once the ledger keeps one draw, and each result is settled
once.
"""

import asyncio
import gc
import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from engine import conducting
from engine.clock import Clock
from engine.domain import campaign as documents
from engine.domain import lottery, outcome
from engine.domain.definition import Definition
from engine.domain.lottery import Lottery
from engine.domain.share import NEVER_DRAWN, Share, Summary, weight
from engine.ledger.protocol import Ledger
from engine.live import keys
from engine.live.decisions import CLOSED_OR_LOST, NOT_TAKEN, Decisions
from engine.live.inspection import Inspector, Reading
from engine.live.server import NothingRan, Server

SETTLED_AT_ONCE: Final = 200
"""Results in one call: some three ms of Redis, in which nobody else is served."""
SETTLE_EVERY_S: Final = 0.006
"""Calls come no faster, so that others keep their share of Redis: 100,000 results take three seconds."""

LOOKED_AT_ONCE: Final = 64
NICENESS: Final = 19

T = TypeVar("T")

logger = logging.getLogger(__name__)

_document = msgspec.json.Decoder(documents.Campaign)
_lottery = msgspec.msgpack.Decoder(Lottery)
_encode = msgspec.msgpack.Encoder().encode


class Mine(Struct, frozen=True):
    """A member's part in a draw."""

    pseudonym: str
    weight: int
    """In thousandths: that of the entry that was drawn, before the draw what it would be now."""
    losses: int
    wins: int
    """Campaigns of the unit whose draws gave nothing, and those that gave a seat, besides this draw."""
    share: Share | None = None
    summary: Summary | None = None
    """Both once the draw is over, for one who had an entry."""


class Standing(NamedTuple):
    """How far a campaign's draws have come; None for what is not there."""

    lottery: bytes | None
    """What they rest on, packed."""
    draw_at: bytes | None
    """When the next is due, UTC milliseconds."""
    drawing: bytes | None
    """The number of the one that is being settled."""


class Progress(NamedTuple):
    """The draw under way."""

    number: int
    """0 for none."""
    settled: int
    """How many of its results are."""


class Drawing:
    """The draws of all campaigns."""

    def __init__(
        self,
        server: Server,
        ledger: Ledger,
        decisions: Decisions,
        clock: Clock,
        backlog_entries_max: Callable[[], int],
    ) -> None:
        self._server = server
        self._ledger = ledger
        self._decisions = decisions
        self._clock = clock
        self._backlog_entries_max = backlog_entries_max
        self._inspector = Inspector(server)
        self._last: tuple[str, int, bytes | None] = ("", 0, None)

    async def number(self, campaign: str, offering: str) -> int:
        """The number of the draw that an offering was in, once it is over; 0 before. Raises NothingRan."""
        number, drawing = await self._inspector.draw(campaign, offering)
        return 0 if drawing == number else number

    async def read(self, campaign: str, number: int) -> bytes | None:
        """The public file of a draw that is over, None when there is none. Raises Unavailable."""
        if self._last[:2] != (campaign, number):
            # A large draw has 20 MB, and everybody looks at the same one.
            self._last = campaign, number, await self._ledger.draw(campaign, number)
        return self._last[2]

    async def mine(self, definition: Definition, drawn: Lottery, offering: str, member: str) -> Mine:
        """A member's part in an offering's draw. Raises NothingRan or Unavailable."""
        campaign = definition.campaign
        number = await self.number(campaign, offering)
        pseudonym = lottery.pseudonym(campaign, drawn.commitment, member)
        histories = await self._ledger.histories(definition.unit, (campaign, number), member)
        history = histories.get(member, NEVER_DRAWN)
        share = await self._ledger.share(campaign, number, member) if number else None
        if share is None:
            now = weight(definition.document.weights, history)
            return Mine(pseudonym, now, history.losses, history.wins)
        summary = await self._ledger.summary(campaign, number)
        return Mine(pseudonym, share.weight, history.losses, history.wins, share, summary)

    async def due(self, campaigns: Sequence[str]) -> tuple[list[str], int | None]:
        """Those with a draw that is due and not over, and when the next of others is, UTC milliseconds.

        A campaign whose shard does not answer is left out.
        """
        found: list[str] = []
        moments: list[int] = []
        for first in range(0, len(campaigns), LOOKED_AT_ONCE):
            names = campaigns[first : first + LOOKED_AT_ONCE]
            standings = await asyncio.gather(*map(self._standing, names), return_exceptions=True)
            for name, standing in zip(names, standings, strict=True):
                if isinstance(standing, NothingRan):
                    logger.warning("%s: whether there is a draw is not known: %s", name, standing)
                elif isinstance(standing, BaseException):
                    raise standing
                elif self._is_due(standing):
                    found.append(name)
                elif standing.draw_at is not None:
                    moments.append(int(standing.draw_at))
        return found, min(moments, default=None)

    async def draw_if_due(self, campaign: str) -> bool:
        """Hold a campaign's next draw, or end one that was begun; False when there is none to hold now.

        Raises NothingRan, Unknown or Unavailable; called again, it goes on where it was.
        """
        standing = await self._standing(campaign)
        if standing.lottery is None or not self._is_due(standing):
            return False
        begun = await self._call("draw", campaign, "begin", "", "", self._backlog_entries_max())
        if begun is None:
            return False
        number = begun.number
        reading = await self._inspector.read(campaign)
        if reading is None or not await self._inspector.is_still(reading):
            raise NothingRan(CLOSED_OR_LOST)
        file = await self._ledger.draw(campaign, number)
        if file is None:
            drawn = await self._conduct(reading, number, _lottery.decode(standing.lottery))
            file = await self._ledger.keep_draw(campaign, number, *drawn)
        # Another may have settled some since: whatever is still to be settled now was entered when it was read.
        now = await self._call("draw", campaign, "progress")
        assert now is not None, "only a begin can be refused"
        if now.number == number:
            results = await self._aside(conducting.results, reading, file)
            await self._settle(campaign, number, results, now.settled)
        logger.info("%s: draw %d was settled", campaign, number)
        return True

    async def _conduct(
        self, reading: Reading, number: int, drawn: Lottery
    ) -> tuple[bytes, Summary, list[Share]]:
        document = _document.decode(reading.document)
        histories = {}
        if document.weights:
            histories = await self._ledger.histories(document.unit, (reading.campaign, number))
        return await self._aside(conducting.conduct, reading, number, document, drawn, histories)

    async def _aside(self, work: Callable[..., T], *arguments: object) -> T:
        """Do what takes seconds in a thread that leaves the processor to those who decide sign-ups."""
        thread = ThreadPoolExecutor(1, "draw", _give_way)
        # All of it is needed until the end: to look for what is not takes a third of the time.
        gc.disable()
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, work, *arguments)
        finally:
            gc.enable()
            thread.shutdown(wait=False)

    async def _settle(
        self, campaign: str, number: int, results: Sequence[tuple[str, str, str]], settled: int
    ) -> None:
        while settled < len(results):
            part = _encode(results[settled : settled + SETTLED_AT_ONCE])
            now, _ = await asyncio.gather(
                self._call("settle", campaign, number, settled, part, self._backlog_entries_max()),
                asyncio.sleep(SETTLE_EVERY_S),
            )
            if now is None or now.number != number or now.settled <= settled:
                # Another has been faster, and has ended it.
                return
            settled = now.settled
        await self._call("draw", campaign, "end", number, settled)

    def _is_due(self, standing: Standing) -> bool:
        return standing.drawing is not None or (
            standing.draw_at is not None and int(standing.draw_at) <= self._clock.now_ms()
        )

    async def _standing(self, campaign: str) -> Standing:
        meta = keys.of(campaign, "META")
        return Standing(*await self._server.command(meta, "HMGET", meta, "lottery", "draw_at", "drawing"))

    async def _call(self, verb: str, campaign: str, *arguments: str | int | bytes) -> Progress | None:
        """How far the draw under way is; None when none may begin."""
        status, facts = await self._decisions.command(verb, campaign, *arguments)
        if status == "wrong_state":
            return None
        if status != outcome.DECIDED:
            raise NothingRan(NOT_TAKEN)
        number, settled, seq = facts
        self._decisions.hear(campaign, seq)
        return Progress(int(number), int(settled))


def _give_way() -> None:
    # Of this thread alone, as Linux has it; elsewhere it may not be possible, and is not needed.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
