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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from engine.clock import Clock
from engine.domain import campaign as documents
from engine.domain import draw, lottery, outcome
from engine.domain.definition import Definition, PackedOffering
from engine.domain.draw import Draw, DrawnOffering, DrawnPool, Entry, Wish
from engine.domain.enrollment import Record
from engine.domain.policies import ballot
from engine.domain.policies.ballot import Cut, Share, Summary, Wished
from engine.ledger.protocol import Ledger
from engine.live import keys, members
from engine.live.decisions import Decisions
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
_draw = msgspec.json.Decoder(Draw)
_lottery = msgspec.msgpack.Decoder(ballot.Lottery)
_offering = msgspec.msgpack.Decoder(PackedOffering)
_record = msgspec.msgpack.Decoder(Record)
_encode = msgspec.msgpack.Encoder().encode


class Mine(Struct, frozen=True):
    """A member's part in a draw."""

    pseudonym: str
    weight: int
    """In thousandths: that of the entry that was drawn, before the draw what it would be now."""
    losses: int
    wins: int
    """Of other draws of the campaign's unit, so far."""
    share: Share | None = None
    summary: Summary | None = None
    """Both once the draw is over, for one who had an entry."""


class Standing(NamedTuple):
    """How far a campaign's draw has come; None for what is not there."""

    lottery: bytes | None
    """What it rests on, packed."""
    draw_at: bytes | None
    """When the ballots of the document in force close, UTC milliseconds."""
    state: bytes | None
    """`drawing` while it is settled, `done` after it."""


class Drawing:
    """The draws of all campaigns."""

    def __init__(
        self, server: Server, ledger: Ledger, decisions: Decisions, clock: Clock, backlog_entries_max: int
    ) -> None:
        self._server = server
        self._ledger = ledger
        self._decisions = decisions
        self._clock = clock
        self._backlog = backlog_entries_max
        self._inspector = Inspector(server)
        self._last: tuple[str, bytes | None] = ("", None)

    async def is_over(self, campaign: str) -> bool:
        """Whether a campaign's draw was held, to its last result. Raises NothingRan."""
        return (await self._standing(campaign)).state == b"done"

    async def read(self, campaign: str) -> bytes | None:
        """The public file of a draw that is over, None before. Raises NothingRan or Unavailable."""
        if not await self.is_over(campaign):
            return None
        if self._last[0] != campaign:
            # A large draw has 20 MB, and everybody looks at the same one.
            self._last = campaign, await self._ledger.draw(campaign)
        return self._last[1]

    async def mine(self, definition: Definition, drawn: ballot.Lottery, member: str) -> Mine:
        """A member's part in a campaign's draw. Raises NothingRan or Unavailable."""
        campaign = definition.campaign
        pseudonym = lottery.pseudonym(campaign, drawn.salt, member)
        share = await self._ledger.share(campaign, member)
        records = await self._ledger.draw_records(definition.unit, campaign, member)
        record = records.get(member, ballot.NEVER_DRAWN)
        weight = share.weight if share else ballot.weight(definition.document.weights, record)
        if share is None or not await self.is_over(campaign):
            return Mine(pseudonym, weight, record.losses, record.wins)
        return Mine(
            *(pseudonym, weight, record.losses, record.wins),
            share,
            await self._ledger.summary(campaign),
        )

    async def due(self, campaigns: Sequence[str]) -> list[str]:
        """Those whose draw is due and not over; a campaign whose shard does not answer is left out."""
        found: list[str] = []
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
        return found

    async def draw_if_due(self, campaign: str) -> bool:
        """Hold a campaign's draw, or end one that was begun; False when there is none to hold now.

        Raises NothingRan, Unknown or Unavailable; called again, it goes on where it was.
        """
        standing = await self._standing(campaign)
        if standing.lottery is None or not self._is_due(standing):
            return False
        if await self._call("draw", campaign, "begin", 0) is None:
            return False
        reading = await self._inspector.read(campaign)
        if reading is None:
            raise NothingRan("the campaign's state is not in Redis")
        file = await self._ledger.draw(campaign)
        if file is None:
            drawn = await self._conduct(reading, _lottery.decode(standing.lottery))
            file = await self._ledger.keep_draw(campaign, *drawn)
        # Another may have settled some since: whatever is still to be settled now was entered when it was read.
        begun = await self._call("draw", campaign, "begin", 0)
        assert begun is not None, "a draw that was begun does not un-begin"
        results = await self._aside(_results, reading, file)
        await self._settle(campaign, results, begun)
        logger.info("%s: a draw of %d results was settled", campaign, len(results))
        return True

    async def _conduct(self, reading: Reading, drawn: ballot.Lottery) -> tuple[bytes, Summary, list[Share]]:
        document = _document.decode(reading.document)
        records = {}
        if document.weights:
            records = await self._ledger.draw_records(document.unit, reading.campaign)
        return await self._aside(conduct, reading, document, bytes.fromhex(drawn.seed), records, reading.at)

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

    async def _settle(self, campaign: str, results: Sequence[tuple[str, str, str]], settled: int) -> None:
        while settled < len(results):
            part = _encode(results[settled : settled + SETTLED_AT_ONCE])
            now, _ = await asyncio.gather(
                self._call("settle", campaign, settled, part, self._backlog), asyncio.sleep(SETTLE_EVERY_S)
            )
            if now is None or now <= settled:
                # Another has been faster, and has ended it.
                return
            settled = now
        await self._call("draw", campaign, "end", settled)

    def _is_due(self, standing: Standing) -> bool:
        return (
            standing.lottery is not None
            and standing.state != b"done"
            and standing.draw_at is not None
            and int(standing.draw_at) <= self._clock.now_ms()
        )

    async def _standing(self, campaign: str) -> Standing:
        meta = keys.of(campaign, "META")
        return Standing(*await self._server.command(meta, "HMGET", meta, "lottery", "draw_at", "draw"))

    async def _call(self, verb: str, campaign: str, *arguments: str | int | bytes) -> int | None:
        """How many results are settled; None while the draw may not begin."""
        while True:
            status, *values = await self._server.call(verb, campaign, arguments)
            match status.decode():
                case outcome.DECIDED:
                    settled, seq = values
                    self._decisions.hear(campaign, seq)
                    return int(settled)
                case outcome.BEHIND:
                    await self._decisions.advance(campaign)
                case "wrong_state":
                    return None
                case _:
                    raise NothingRan("the campaign's state is closed or not in Redis")


def _give_way() -> None:
    # Of this thread alone, as Linux has it; elsewhere it may not be possible, and is not needed.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def conduct(
    reading: Reading,
    document: documents.Campaign,
    seed: bytes,
    records: Mapping[str, ballot.Record],
    now_ms: int,
) -> tuple[bytes, Summary, list[Share]]:
    """The draw of a campaign whose entries do not change any more: the file that is published, and each one's share."""
    offerings = {name: _offering.decode(packed) for name, packed in reading.offerings.items()}
    salt = lottery.derive_salt(seed)
    wishes: dict[str, list[Record]] = {}
    for _, record in _entries(reading):
        wishes.setdefault(record.member, []).append(record)
    weights = {
        member: ballot.weight(document.weights, records.get(member, ballot.NEVER_DRAWN)) for member in wishes
    }
    pseudonyms = {member: lottery.pseudonym(reading.campaign, salt, member) for member in wishes}
    entries = (
        Entry(
            pseudonyms[member],
            weights[member],
            _holds(reading, member),
            [
                Wish(record.offering, list(_pools(offerings[record.offering], record.queues, now_ms)))
                for record in sorted(entered, key=lambda record: (record.wish, record.seq))
            ],
        )
        for member, entered in wishes.items()
    )
    names = {pseudonym: member for member, pseudonym in pseudonyms.items()}
    order = lottery.order(seed, {pseudonym: weights[member] for pseudonym, member in names.items()})
    drawn = draw.conduct(
        reading.campaign,
        seed,
        document.rules.limits,
        [_drawn(name, offering, reading.counts) for name, offering in offerings.items()],
        entries,
        order,
    )
    shares = list(_shares(drawn, order, names))
    return msgspec.json.encode(drawn), _summary(drawn, shares), shares


def _shares(drawn: Draw, order: Sequence[str], names: Mapping[str, str]) -> Iterator[Share]:
    """What each member had, in the order of the draw; `names` has the ids by pseudonym."""
    entries = {entry.member: entry for entry in drawn.entries}
    became = {(result.member, result.offering): result for result in drawn.results}
    for place, pseudonym in enumerate(order, start=1):
        entry = entries[pseudonym]
        mine = [became[pseudonym, wish.offering] for wish in entry.wishes]
        yield Share(
            names[pseudonym],
            entry.weight,
            place,
            any(result.status == "confirmed" for result in mine),
            [Wished(result.offering, result.status, result.pool) for result in mine],
        )


def _summary(drawn: Draw, shares: Sequence[Share]) -> Summary:
    """Each offering's entries and seats, and how far in the order the seats went."""
    cuts: dict[str, list[int]] = {}
    for share in shares:
        for wish in share.wishes:
            cut = cuts.setdefault(wish.offering, [0, 0, 0])
            cut[0] += 1
            if wish.status == "confirmed":
                cut[1:] = cut[1] + 1, share.place
    return Summary(len(drawn.entries), {name: Cut(*cut) for name, cut in cuts.items()})


def _results(reading: Reading, file: bytes) -> list[tuple[str, str, str]]:
    """A kept draw as it is settled: {enrollment, status, pool} of each result, "" for one that is not entered here."""
    drawn = _draw.decode(file)
    names = {
        (lottery.pseudonym(drawn.campaign, drawn.salt, record.member), record.offering): name
        for name, record in _entries(reading)
    }
    return [
        (names.get((result.member, result.offering), ""), result.status, result.pool)
        for result in drawn.results
    ]


def _entries(reading: Reading) -> Iterator[tuple[str, Record]]:
    for name, packed in reading.enrollments.items():
        record = _record.decode(packed)
        if record.status == "entered":
            yield name, record


def _holds(reading: Reading, member: str) -> list[str]:
    """The offerings that a member is live in, in the order of sign-up."""
    entries = members.decode(reading.members[member]) or []
    return [entry.offering for entry in entries if not entry.wish]


def _pools(offering: PackedOffering, queues: Sequence[str], now_ms: int) -> Iterator[str]:
    """The pools whose seats an entry may take, in the document's order."""
    for pool in offering.pools:
        to_all = pool.open or 0 < pool.releases <= now_ms
        if pool.pool in queues or (to_all and "*" in queues):
            yield pool.pool


def _drawn(name: str, offering: PackedOffering, counts: Mapping[str, int]) -> DrawnOffering:
    is_drawn = offering.policy == ballot.POLICY.name
    pools = [
        DrawnPool(pool.pool, max(0, pool.capacity - counts.get(f"taken/{name}/{pool.pool}", 0)))
        for pool in offering.pools
    ]
    places = max(0, offering.waiting_max - counts.get(f"waiting/{name}", 0))
    return DrawnOffering(
        name, offering.kind, offering.days, offering.overlaps, places, pools if is_drawn else []
    )
