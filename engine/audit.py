"""The audit: what Redis holds of a campaign against what the ledger holds of it, and each against itself.

Sales may go on. Where nothing was decided during the reading, both sides are of one moment and everything is
compared. Where something was, enrollments that differ are read again until they agree, or stand still and differ.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final

from msgspec import Struct

from engine.clock import Clock
from engine.domain import difference, events
from engine.domain.difference import Difference, Seating
from engine.domain.enrollment import Record
from engine.fork import Fork
from engine.ledger.consistency import Log
from engine.ledger.protocol import Ledger, Registration, Row
from engine.live.codes import Codes
from engine.live.consistency import Consistency, decode
from engine.live.draws import Draws
from engine.live.inspection import Inspector, Reading
from engine.live.requests import Requests
from engine.live.server import Server
from engine.live.streams import State, Streams

READINGS_MAX: Final = 3
ROUNDS_MAX: Final = 10
PAGE_ENTRIES: Final = 2_000
POLL_S: Final = 0.05

MOVING: Final = (
    "sales went on: counters, indexes, queues, timers, codes and remembered requests were not compared"
)


def lost(campaign: str) -> Difference:
    """A campaign of which Redis has nothing."""
    return Difference("", f"has no state in Redis: it is lost until `seatrush rebuild {campaign}`")


class Result(Struct):
    """What the audit of one campaign found; `notes` are no differences."""

    campaign: str
    seq: int = 0
    recorded_seq: int = 0
    enrollments: int = 0
    differences: list[Difference] = []
    notes: list[str] = []


class Suspect(Struct, frozen=True):
    """An enrollment that was read differently on the two sides."""

    seq: int
    """Its sign-up's: the ledger finds it by this."""
    differences: list[Difference]


class Unrecorded(Struct, frozen=True):
    """What the events are about that the ledger does not have."""

    enrollments: frozenset[str] = frozenset()
    publishes: bool = False


class Sides(Struct, frozen=True):
    """What was read of both sides."""

    reading: Reading
    registration: Registration
    unrecorded: Unrecorded
    consistency: Consistency
    suspects: dict[str, Suspect]
    differences: list[Difference]
    """What the ledger's enrollments and its table of seats say against each other."""


async def known(server: Server, ledger: Ledger) -> list[str]:
    """Every campaign that the ledger or Redis knows, in order."""
    registered = {registration.campaign for registration in await ledger.campaigns()}
    return sorted(registered.union(await Inspector(server).campaigns()))


class Audit:
    """The audit of one campaign, which waits up to `wait_s` for what is on its way to the ledger.

    `gate` is what the campaign's gate should be.
    """

    def __init__(
        self, server: Server, ledger: Ledger, clock: Clock, campaign: str, wait_s: float, gate: str = "open"
    ) -> None:
        self._inspector = Inspector(server)
        self._streams = Streams(server)
        self._ledger = ledger
        self._clock = clock
        self._campaign = campaign
        self._patience_s = wait_s
        self._gate = gate

    async def run(self) -> Result:
        """Compare. Raises live.server.NothingRan or ledger.protocol.Unavailable when a side cannot be asked."""
        result = Result(self._campaign)
        state, registration = await self._published()
        if registration is None:
            result.differences.append(Difference("", "is in Redis, and unknown to the ledger"))
        elif state is not None:
            await self._recorded(state.seq)
            await self._compare(result)
        elif registration.created:
            result.recorded_seq = registration.recorded_seq
            result.differences.append(lost(self._campaign))
        else:
            result.notes.append("registered, not published")
        return result

    async def _published(self) -> tuple[State | None, Registration | None]:
        """Where both sides stand, once no publication is under way between them."""
        deadline_s = self._clock.monotonic_s() + self._patience_s
        while True:
            state, registration = await self._inspector.state(self._campaign), await self._registration()
            if state is None and registration is not None and registration.created:
                # It may have been made between the two readings.
                state = await self._inspector.state(self._campaign)
            if state is None or registration is None:
                return state, registration
            under_way = not registration.created or state.gate == "new"
            if not under_way or self._clock.monotonic_s() >= deadline_s:
                return state, registration
            await asyncio.sleep(POLL_S)

    async def _registration(self) -> Registration | None:
        campaigns = await self._ledger.campaigns()
        return next((each for each in campaigns if each.campaign == self._campaign), None)

    async def _recorded(self, seq: int) -> Registration:
        """Where the ledger stands, once it has recorded `seq` or the patience is at its end, for good."""
        deadline_s = self._clock.monotonic_s() + self._patience_s
        while True:
            registration = await self._registration()
            assert registration is not None, "the ledger never forgets a campaign"
            if registration.recorded_seq >= seq:
                return registration
            if self._clock.monotonic_s() >= deadline_s:
                self._patience_s = 0
                return registration
            await asyncio.sleep(POLL_S)

    async def _compare(self, result: Result) -> None:
        sides = await self._sides()
        if sides is None:
            result.differences.append(lost(self._campaign))
            return
        reading, registration = sides.reading, sides.registration
        result.seq, result.recorded_seq = reading.state.seq, registration.recorded_seq
        result.enrollments = len(reading.enrollments)
        log = Log(self._ledger, self._campaign, registration.recorded_seq)
        requests, codes, draws = Requests(reading), Codes(reading), Draws(reading)
        fork = Fork(self._streams, self._campaign, await self._inspector.log(self._campaign))
        async for page in log.pages():
            requests.compare(page)
            codes.compare(page)
            draws.compare(page)
            # Of what was recorded since, the stream may have lost more than it had when it was looked at.
            await fork.compare([event for event in page if event.seq <= registration.recorded_seq])
        found = result.differences
        found += await self._standing(sides)
        found += log.differences + fork.altered + await fork.differences(registration.recorded_seq)
        if not await self._stands_still(reading, registration):
            found += await self._persisting(sides.suspects, result.notes)
            result.notes.append(MOVING)
            return
        for name, suspect in sides.suspects.items():
            if name not in sides.unrecorded.enrollments:
                found += suspect.differences
        found += sides.differences
        found += sides.consistency.differences()
        if log.is_readable:
            found += requests.differences(sides.unrecorded.enrollments)
            if registration.recorded_seq == reading.state.seq:
                found += codes.differences()
                found += draws.differences()

    async def _sides(self) -> Sides | None:
        """Both sides, of one moment if they stand still for it; None when Redis has no state."""
        for reading_number in range(1, READINGS_MAX + 1):
            reading = await self._inspector.read(self._campaign)
            if reading is None:
                return None
            registration = await self._recorded(reading.state.seq)
            unrecorded = await self._unrecorded(registration, reading.state.seq)
            consistency = Consistency(reading)
            suspects, differences = await self._rows(reading, consistency.capacities)
            if reading_number == READINGS_MAX or await self._stands_still(reading, registration):
                return Sides(reading, registration, unrecorded, consistency, suspects, differences)
        raise AssertionError("the last reading returns")

    async def _stands_still(self, reading: Reading, registration: Registration) -> bool:
        """Whether both sides are still as they were read."""
        state = await self._inspector.state(self._campaign)
        return state == reading.state and await self._registration() == registration

    async def _unrecorded(self, registration: Registration, seq: int) -> Unrecorded:
        """What the stream has after the ledger's cursor; nothing where the ledger has recorded `seq`."""
        enrollments, publishes, after_seq = set(), False, registration.recorded_seq
        while after_seq < seq:
            entries = await self._streams.read(self._campaign, registration.epoch, after_seq, PAGE_ENTRIES)
            if not entries:
                break
            for entry in entries:
                try:
                    header = events.decode(self._campaign, entry.id, entry.fields).header
                except events.Undecodable:
                    continue
                enrollments.add(header.enrollment)
                publishes = publishes or header.type == "published"
            after_seq = events.parse_id(entries[-1].id)[1]
        return Unrecorded(frozenset(enrollments), publishes)

    # The ledger's enrollments

    async def _rows(
        self, reading: Reading, capacities: Mapping[tuple[str, str], int]
    ) -> tuple[dict[str, Suspect], list[Difference]]:
        """The ledger's enrollments, held against the reading and against the ledger's table of seats."""
        suspects: dict[str, Suspect] = {}
        seating = Seating(capacities, "the ledger")
        unseen = set(reading.enrollments)
        async for row in self._pages():
            name = row.enrollment
            unseen.discard(name)
            seating.add(name, row.record)
            if found := _differences(name, reading.enrollments.get(name), row.record):
                suspects[name] = Suspect(row.record.seq, found)
        for name in unseen:
            packed = reading.enrollments[name]
            record = decode(packed)
            suspects[name] = Suspect(record.seq if record else 0, _differences(name, packed, None))
        seats = await self._ledger.seats(self._campaign)
        differences = list(seating.differences())
        for place in sorted(seats.keys() | seating.taken.keys()):
            number, taken = seats.get(place, 0), seating.taken.get(place, 0)
            if number != taken:
                what = f"the ledger's table of seats has {number}, its enrollments hold {taken}"
                differences.append(Difference("/".join(place), what))
        return suspects, differences

    async def _pages(self) -> AsyncIterator[Row]:
        after_seq = 0
        while rows := await self._ledger.enrollments(self._campaign, PAGE_ENTRIES, after_seq):
            for row in rows:
                yield row
            after_seq = rows[-1].record.seq

    async def _row(self, name: str, seq: int) -> Record | None:
        rows = await self._ledger.enrollments(self._campaign, 1, seq - 1)
        return rows[0].record if rows and rows[0].enrollment == name else None

    async def _persisting(self, suspects: dict[str, Suspect], notes: list[str]) -> list[Difference]:
        """The differences that are real: Redis did not change the enrollment while the ledger was asked."""
        found: list[Difference] = []
        for _ in range(ROUNDS_MAX):
            if not suspects:
                return found
            names = list(suspects)
            seq, before = await self._inspector.records(self._campaign, names)
            registration = await self._recorded(seq)
            unrecorded = await self._unrecorded(registration, seq)
            rows = [await self._row(name, suspects[name].seq) for name in names]
            _, after = await self._inspector.records(self._campaign, names)
            moved: dict[str, Suspect] = {}
            for name, first, row, second in zip(names, before, rows, after, strict=True):
                if name in unrecorded.enrollments:
                    continue
                if first != second:
                    moved[name] = suspects[name]
                else:
                    found += _differences(name, first, row)
            suspects = moved
        notes.append(f"{len(suspects)} enrollments changed each time they were read, and were not compared")
        return found

    # What holds while sales go on

    async def _standing(self, sides: Sides) -> list[Difference]:
        registration, recorded_seq = sides.registration, sides.registration.recorded_seq
        state, log = await self._inspector.state(self._campaign), await self._inspector.log(self._campaign)
        trimmed = await self._registration()
        if state is None or trimmed is None:
            return [lost(self._campaign)]
        found = []
        if state.gate != self._gate:
            found.append(f"its gate is {state.gate}")
        if not registration.created:
            found.append("has a state in Redis that the ledger does not know of")
        if state.epoch != registration.epoch:
            found.append(f"epoch is {state.epoch} in Redis, {registration.epoch} in the ledger")
        if state.seq < recorded_seq:
            found.append(f"seq is {state.seq} in Redis, {recorded_seq} in the ledger")
        if (late := sides.reading.state.seq - recorded_seq) > 0:
            found.append(f"{late} events are not in the ledger, which has recorded {recorded_seq}")
        if log.length and log.last != log.seq:
            found.append(f"seq is {log.seq}, and the stream ends with event {log.last}")
        if log.length and log.length != log.last - log.first + 1:
            found.append(f"the stream has {log.length} of the events {log.first} to {log.last}")
        # Read after the stream: the recorder drops nothing that the ledger does not have.
        if log.first > trimmed.recorded_seq + 1:
            found.append(f"the stream begins with event {log.first}: the ledger needs those before")
        if not sides.unrecorded.publishes:
            found += await self._definition(sides.reading)
        return [Difference("", what) for what in found]

    async def _definition(self, reading: Reading) -> list[str]:
        version = reading.state.version
        newest = await self._ledger.definition(self._campaign)
        same = await self._ledger.definition(self._campaign, version)
        # A version may have been published since the reading.
        now = await self._inspector.state(self._campaign)
        if newest is None or same is None or (now is not None and now.version < newest.version):
            recorded = newest.version if newest else 0
            return [f"the definition is version {version} in Redis, {recorded} in the ledger"]
        return [] if same.document == reading.document else [f"the documents of version {version} differ"]


def _differences(name: str, packed: bytes | None, recorded: Record | None) -> list[Difference]:
    """Where an enrollment in Redis and in the ledger differ, None where it is not there."""
    record = None if packed is None else decode(packed)
    if packed is not None and record is None:
        return [Difference(name, "its record in Redis cannot be read")]
    return list(difference.between(name, record, recorded))
