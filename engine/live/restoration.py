"""Restoration: a campaign's log, folded into its keys as the scripts would have left them.

The records of the events are kept as they came. What the scripts keep beside them, so that a decision is fast, is made
of them anew. A timer that is due may be there again: the scripts find that it has nothing to do.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.domain import definition
from engine.domain.enrollment import NOT_OVER, SEATED, Record
from engine.domain.events import Event
from engine.domain.progress import Progress
from engine.live.codes import LISTED, Entry

VALUES_MAX: Final = 4_000
"""Values of one call: some five ms of Redis, in which nobody else is served."""

_encode = msgspec.msgpack.Encoder().encode
_record = msgspec.msgpack.Decoder(Record).decode


class _Enrolled(Struct, gc=False):
    """An enrollment."""

    packed: bytes
    """Its newest record, as it came."""
    key: str = ""
    """Of its sign-up, as are the others; "" once its first answer is in REQUESTS."""
    wanted: str = ""
    position: int = 0


class _Places:
    """The seat numbers of a pool."""

    def __init__(self) -> None:
        self.mark = 0
        """The highest that was ever given, as far as capacity was not lowered since."""
        self.held = bytearray(1)
        """By number: 1 for one that is held."""

    def take(self, seat: int) -> None:
        if seat >= len(self.held):
            # Pools fill from below, so that doubling costs little.
            self.held.extend(bytes(max(seat + 1, 2 * len(self.held)) - len(self.held)))
        self.held[seat] = 1
        self.mark = max(self.mark, seat)

    def free(self) -> Iterator[int]:
        """The numbers below the mark that nobody holds."""
        return (seat for seat in range(1, self.mark + 1) if not self.held[seat])


class Restoration:
    """A campaign up to the last event that was added; `apply` takes its log in order.

    Some 500 bytes for each enrollment.
    """

    def __init__(self) -> None:
        self._progress = Progress()
        self.renamed: set[str] = set()
        """Members whose enrollments go on under another id: Redis had forgotten them, and the ledger has not yet."""
        self._enrolled: dict[str, _Enrolled] = {}
        """In the order of their sign-ups."""
        self._requests: dict[str, bytes] = {}
        self._places: dict[tuple[str, str], _Places] = {}
        self._codes: dict[str, Entry] = {}
        """As if nobody had used them."""
        self._lists: dict[str, list[str]] = {}
        """The codes of each offering, in the order in which they were issued."""

    @property
    def enrollments(self) -> int:
        """How many there are, live or not."""
        return len(self._enrolled)

    def apply(self, event: Event) -> None:
        """Add the next event. Raises events.Undecodable or msgspec.DecodeError for one that cannot be read."""
        record, header = event.record, event.header
        self._progress.apply(event)
        if record is not None:
            self._change(event, record)
        elif header.type == "published":
            self._fit_places()
        elif header.type == "codes_issued":
            issue = event.issue
            code = Entry(header.offering, header.pool, issue.uses, 0, issue.member, issue.expires_at, 0)
            self._codes |= dict.fromkeys(issue.ids, code)
            self._lists.setdefault(header.offering, []).extend(issue.ids)
        elif header.type == "code_revoked" and event.revoked in self._codes:
            self._codes[event.revoked] = msgspec.structs.replace(self._codes[event.revoked], revoked=1)

    def _change(self, event: Event, record: Record) -> None:
        header = event.header
        known = self._enrolled.get(header.enrollment)
        if known is None:
            known = _Enrolled(event.fields[b"r"], header.key, header.wanted, header.position)
            self._enrolled[header.enrollment] = known
        else:
            before = _record(known.packed)
            if before.member != record.member:
                self.renamed.add(before.member)
            if known.key:
                first = (before.status, before.pool, before.seat, before.expires_at)
                answer = (header.enrollment, known.wanted, *first, known.position)
                self._requests[f"{before.member} {known.key}"] = _encode(answer)
                known.key = ""
            if before.seat:
                self._places[before.offering, before.pool].held[before.seat] = 0
            known.packed = event.fields[b"r"]
        if record.seat and record.status in SEATED:
            place = record.offering, record.pool
            places = self._places.get(place)
            if places is None:
                places = self._places[place] = _Places()
            places.take(record.seat)

    def _fit_places(self) -> None:
        """A document came into force: a mark above its pool's capacity came down to the highest seat that is held."""
        capacities = {
            (name, pool.pool): pool.capacity
            for name, offering in self._progress.offerings.items()
            for pool in offering.pools
        }
        for place, places in list(self._places.items()):
            if place not in capacities:
                del self._places[place]
            elif capacities[place] < places.mark:
                places.mark = max(0, places.held.rfind(1))

    # The keys

    def due(self) -> list[str]:
        """Timers that are due as soon as the state is made.

        The log may end within the events of one call: whoever should have been promoted then is.
        """
        return [f"promote/{name}" for name in self._progress.offerings]

    def meta(self, epoch: int, seq: int) -> dict[str, bytes | str | int]:
        """META, but for its gate. Raises ValueError when nothing was published."""
        progress = self._progress
        if progress.document is None:
            raise ValueError("no document was published")
        meta: dict[str, bytes | str | int] = {
            "epoch": epoch,
            "seq": seq,
            "recorded": seq,
            "version": progress.version,
            "rules": definition.pack_rules(progress.document),
            "document": progress.canonical,
        }
        if progress.lottery:
            meta["lottery"] = progress.lottery
        if (draw_at := progress.draw_at()) is not None:
            meta["draw_at"] = draw_at
        if progress.draws:
            meta |= {"draws": progress.draws, "settled": progress.settled}
        if progress.drawing:
            meta["drawing"] = progress.drawing
        return meta

    def parts(self) -> Iterator[tuple[str, list[Any]]]:
        """Every other key but the stream, in pieces: its part (live/keys.py), and what HSET or ZADD take."""
        tally = _Tally()
        yield from _pieces("ENROLLMENTS", self._fields_of_enrollments(tally))
        yield from _pieces("MEMBERS", tally.members())
        yield from _pieces("REQUESTS", self._requests.items())
        yield from _pieces("WAITING", ((0, name) for name in tally.waiting))
        yield from _pieces("QUEUES", ((0, name) for name in tally.queues))
        yield from _pieces("TIMERS", chain(tally.timers, self._moments()))
        yield from _pieces("CODES", self._fields_of_codes(tally))
        yield from _pieces("FREE", self._free())
        yield from _pieces("COUNTS", self._counts(tally))
        offerings = self._progress.offerings.items()
        yield from _pieces("OFFERINGS", ((name, _encode(offering)) for name, offering in offerings))

    def _fields_of_enrollments(self, tally: "_Tally") -> Iterator[tuple[str, bytes]]:
        for name, enrolled in self._enrolled.items():
            tally.add(name, enrolled, _record(enrolled.packed))
            yield name, enrolled.packed

    def _moments(self) -> Iterator[tuple[int, str]]:
        return ((at, name) for name, at in self._progress.moments.items())

    def _fields_of_codes(self, tally: "_Tally") -> Iterator[tuple[str, bytes | str | int]]:
        for name, code in self._codes.items():
            yield name, _encode(msgspec.structs.replace(code, used=tally.codes.get(name, 0)))
        for offering, names in self._lists.items():
            yield f"{LISTED}{offering}", len(names)
            yield from ((f"{LISTED}{offering}/{number}", name) for number, name in enumerate(names, 1))

    def _free(self) -> Iterator[tuple[int, str]]:
        for (offering, pool), places in self._places.items():
            yield from ((0, f"{offering}/{pool}/{seat:08d}") for seat in places.free())

    def _counts(self, tally: "_Tally") -> Iterator[tuple[str, int]]:
        yield from tally.counts.items()
        for (offering, pool), places in self._places.items():
            yield f"taken/{offering}/{pool}", places.held.count(1)
            yield f"mark/{offering}/{pool}", places.mark
        yield from ((f"draw/{name}", number) for name, number in self._progress.drawn.items())
        yield from ((f"met/{name}", at) for name, at in self._progress.met.items())


class _Tally:
    """What the newest records say, gathered while they are written."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.codes: dict[str, int] = {}
        """By how many enrollments that are not over each is used."""
        self.waiting: list[str] = []
        self.queues: list[str] = []
        self.timers: list[tuple[int, str]] = []
        self._members: dict[str, list[bytes]] = {}

    def add(self, name: str, enrolled: _Enrolled, record: Record) -> None:
        entries = self._members.setdefault(record.member, [])
        status = record.status
        if status not in NOT_OVER:
            return
        entry: tuple[Any, ...] = (record.offering, name, enrolled.key, enrolled.wanted, enrolled.position)
        # For a script 0 is as true as a wish.
        entries.append(_encode((*entry, record.wish) if status == "entered" else entry))
        if record.code:
            self.codes[record.code] = self.codes.get(record.code, 0) + 1
        if record.expires_at:
            self.timers.append((record.expires_at, f"expires/{name}"))
        if status == "entered":
            count = f"entered/{record.offering}"
            self.counts[count] = self.counts.get(count, 0) + 1
        elif status == "waitlisted":
            count = f"waiting/{record.offering}"
            self.counts[count] = self.counts.get(count, 0) + 1
            age = f"{record.order:016d}/{name}"
            self.waiting.append(f"{record.offering}/{age}")
            self.queues += [f"{record.offering}/{queue}/{age}" for queue in record.queues]

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Fields of MEMBERS."""
        for member, entries in self._members.items():
            yield member, _encode([msgspec.Raw(entry) for entry in entries])


def _pieces(part: str, pairs: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, list[Any]]]:
    piece: list[Any] = []
    for pair in pairs:
        piece += pair
        if len(piece) == VALUES_MAX:
            yield part, piece
            piece = []
    if piece:
        yield part, piece
