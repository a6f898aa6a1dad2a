"""Consistency: whether a campaign's state in Redis agrees with itself.

The records of the enrollments and the document say it all; counters, free numbers, indexes, queues and timers only
repeat it, so that a decision is fast.
"""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from engine.domain import campaign as documents
from engine.domain import definition, enrollment
from engine.domain.definition import PackedOffering, Timer
from engine.domain.difference import Difference, Seating
from engine.domain.enrollment import Record
from engine.live import members
from engine.live.inspection import Reading

_document = msgspec.json.Decoder(documents.Campaign)
_offering = msgspec.msgpack.Decoder(PackedOffering)
_offerings = msgspec.msgpack.Decoder(list[tuple[str, PackedOffering]])
_timers = msgspec.msgpack.Decoder(list[Timer])
_record = msgspec.msgpack.Decoder(Record)


def decode(packed: bytes) -> Record | None:
    """A record from ENROLLMENTS, None when it is not one."""
    try:
        return _record.decode(packed)
    except msgspec.DecodeError:
        return None


def _decode_offering(packed: bytes) -> PackedOffering | None:
    try:
        return _offering.decode(packed)
    except msgspec.DecodeError:
        return None


def _decode_document(document: bytes) -> documents.Campaign | None:
    try:
        return _document.decode(document)
    except msgspec.DecodeError:
        return None


class Consistency:
    """A reading of one moment, held against itself. Records that cannot be read are left out."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._offerings = {name: _decode_offering(packed) for name, packed in reading.offerings.items()}
        self._document = _decode_document(reading.document)
        self.capacities = {
            (name, pool.pool): pool.capacity
            for name, offering in self._offerings.items()
            if offering is not None
            for pool in offering.pools
        }
        """The seats of each (offering, pool), as the scripts see them."""
        self._seating = Seating(self.capacities, "Redis")
        self._counts = dict.fromkeys([f"waiting/{name}" for name in reading.offerings], 0)
        for name, offering in self._offerings.items():
            if offering is not None and (offering.collects or offering.of):
                self._counts[f"entered/{name}"] = 0
        self._waiting: dict[str, float] = {}
        self._queues: dict[str, float] = {}
        self._timers: dict[str, float] = {}
        self._live: set[str] = set()

    def differences(self) -> Iterator[Difference]:
        """Everything that the records and the document do not say."""
        for name, packed in self._reading.enrollments.items():
            record = decode(packed)
            if record is not None:
                self._add(name, record)
        yield from self._definition()
        yield from self._seating.differences()
        yield from self._counters()
        yield from self._marks()
        yield from _index("FREE", self._free(), self._reading.free, _pool)
        yield from _index("WAITING", self._waiting, self._reading.waiting, _enrollment)
        yield from _index("QUEUES", self._queues, self._reading.queues, _enrollment)
        yield from self._clock()
        yield from self._members()

    def _add(self, name: str, record: Record) -> None:
        """Note what an enrollment leads one to expect elsewhere."""
        self._seating.add(name, record)
        age = f"{record.order:016d}/{name}"
        if record.status == "waitlisted":
            count = f"waiting/{record.offering}"
            self._counts[count] = self._counts.get(count, 0) + 1
            self._waiting[f"{record.offering}/{age}"] = 0
            for queue in record.queues:
                self._queues[f"{record.offering}/{queue}/{age}"] = 0
        if record.status == "entered":
            count = f"entered/{record.offering}"
            self._counts[count] = self._counts.get(count, 0) + 1
            self._live.add(name)
        if record.expires_at:
            self._timers[f"expires/{name}"] = record.expires_at
        if record.status in enrollment.LIVE:
            self._live.add(name)

    def _definition(self) -> Iterator[Difference]:
        if self._document is None:
            yield Difference("", "the document in Redis cannot be read")
            return
        if self._reading.rules != definition.pack_rules(self._document):
            yield Difference("", "its limits in Redis are not those of its document")
        stated = dict(_offerings.decode(definition.pack_offerings(self._document)))
        for name in sorted(stated.keys() | self._offerings.keys()):
            if name not in stated:
                yield Difference(name, "is in OFFERINGS and not in the document")
            elif self._offerings.get(name) != stated[name]:
                yield Difference(name, "its entry in OFFERINGS is not what the document says")

    def _counters(self) -> Iterator[Difference]:
        for place in self.capacities:
            self._counts[f"taken/{'/'.join(place)}"] = self._seating.taken.get(place, 0)
        for name in sorted(self._counts.keys() | self._reading.counts.keys()):
            kind, _, subject = name.partition("/")
            count = self._reading.counts.get(name, 0)
            if kind in ("mark", "draw", "met"):
                continue
            if name not in self._counts:
                yield Difference(subject, f"has the count {kind}, {count}, and is not in the document")
            elif count != self._counts[name]:
                yield Difference(subject, f"{kind} is {count}, {self._counts[name]} by the records")

    def _marks(self) -> Iterator[Difference]:
        for place, capacity in self.capacities.items():
            mark, highest = self._mark(place), max(self._seating.held.get(place, {0: ""}))
            if not highest <= mark <= capacity:
                what = (
                    f"mark is {mark}, at least {highest} by the records, at most {capacity} by its capacity"
                )
                yield Difference("/".join(place), what)

    def _mark(self, place: tuple[str, str]) -> int:
        return self._reading.counts.get(f"mark/{'/'.join(place)}", 0)

    def _free(self) -> dict[str, float]:
        """The numbers up to each pool's mark that nobody holds."""
        return {
            f"{'/'.join(place)}/{seat:08d}": 0
            for place in self.capacities
            for seat in range(1, self._mark(place) + 1)
            if seat not in self._seating.held.get(place, {})
        }

    def _clock(self) -> Iterator[Difference]:
        """TIMERS; a moment that is due stays in it until somebody asks, and then goes."""
        now = self._reading.at
        moments: list[Timer] = []
        if self._document is not None:
            moments = _timers.decode(definition.pack_timers(self._document))
        due = {moment.name for moment in moments if moment.at <= now}
        due.update(f"promote/{name}" for name in self._offerings)
        to_come = self._timers | {moment.name: moment.at for moment in moments if moment.at > now}
        standing = {name: at for name, at in self._reading.timers.items() if not (name in due and at <= now)}
        yield from _index("TIMERS", to_come, standing, _about)

    def _members(self) -> Iterator[Difference]:
        missing = set(self._live)
        for member, packed in self._reading.members.items():
            entries = members.decode(packed)
            if entries is None:
                yield Difference("", "an entry of MEMBERS cannot be read")
                continue
            newest = 0
            for entry in entries:
                name = entry.enrollment
                record = decode(self._reading.enrollments.get(name, b""))
                mine = record is not None and (record.member, record.offering) == (member, entry.offering)
                if record is None or not mine or name not in missing:
                    yield Difference(name, "is in MEMBERS where it should not be")
                    continue
                missing.remove(name)
                if entry.wish != (record.wish if record.status == "entered" else 0):
                    yield Difference(name, "its wish in MEMBERS is not that of its record")
                if record.seq < newest:
                    yield Difference(name, "is in MEMBERS out of order")
                newest = record.seq
            if len({entry.offering for entry in entries}) < len(entries):
                yield Difference(entries[0].enrollment, "its member is in one offering twice")
        for name in missing:
            yield Difference(name, "is live and not in MEMBERS")


def _index(
    part: str, expected: Mapping[str, float], found: Mapping[str, float], subject: Callable[[str], str]
) -> Iterator[Difference]:
    for name in expected.keys() - found.keys():
        yield Difference(subject(name), f"{name} is not in {part}")
    for name, score in found.items():
        if name not in expected:
            yield Difference(subject(name), f"{name} is in {part} and should not be")
        elif score != expected[name]:
            what = f"{name} is in {part} at {score:.0f}, not at {expected[name]:.0f}"
            yield Difference(subject(name), what)


def _pool(free: str) -> str:
    """`soap/own/00000003` to `soap/own`."""
    return free.rpartition("/")[0]


def _enrollment(waiting: str) -> str:
    """`soap/*/0000000000000017/k3J9…` to `k3J9…`."""
    return waiting.rpartition("/")[2]


def _about(timer: str) -> str:
    """`releases/soap/own` to `soap/own`, `expires/k3J9…` to `k3J9…`."""
    return timer.partition("/")[2]
