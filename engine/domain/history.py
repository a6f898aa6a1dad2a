"""A campaign's history: its log, folded into a few numbers an event, so that a question as of any seq is a bisect.

Nothing is decided here: what is counted is what the records of the events say. A seq that is not in the log (a dead
letter) changes nothing.
"""

from array import array
from bisect import bisect_left, bisect_right
from datetime import datetime
from typing import Final, get_args

import msgspec
from msgspec import Struct

from engine.domain import campaign as documents
from engine.domain import policies
from engine.domain.enrollment import NOT_OVER, SEATED, Record, Status
from engine.domain.events import Event, EventType
from engine.domain.policies import second_class

QUEUE_BLOCK: Final = 1_024

_TYPES: Final[tuple[EventType, ...]] = get_args(EventType)
_STATUSES: Final[tuple[Status, ...]] = get_args(Status)
_TYPE_NUMBERS: Final = {kind: number for number, kind in enumerate(_TYPES, 1)}
_PROMOTED: Final = _TYPE_NUMBERS["promoted"]
_STATUS_NUMBERS: Final = {status: number for number, status in enumerate(_STATUSES, 1)}


class Given(Struct, frozen=True):
    """How seats and waiting places were given to others while somebody waited: counts, and nobody's name."""

    ahead: int
    """Seats that went to those who waited ahead."""
    behind: int
    """Seats that went to those who waited behind: of pools for which only they were eligible."""
    left: int
    """Those ahead who left the waitlist without a seat."""


class Draw(Struct, frozen=True):
    """A draw of an offering's entries."""

    number: int
    """Among those of the campaign; 0 for none."""
    is_over: bool = False

    @property
    def is_settling(self) -> bool:
        """Whether it has begun, and not every entry has its result."""
        return self.number > 0 and not self.is_over


NO_DRAW: Final = Draw(0)


class _Collecting(Struct):
    """As much of an offering as says whether it collects entries for a draw."""

    offering: str
    opens: datetime | None = None
    closes: datetime | None = None
    policy: documents.PolicyChoice = documents.PolicyChoice()


class _Document(Struct):
    offerings: list[_Collecting] = []


_document = msgspec.json.Decoder(_Document)


class History:
    """A campaign up to `seq`. Some 36 bytes an event; `apply` takes the events in order."""

    def __init__(self) -> None:
        # By seq; the number 0 of each stands before the first event.
        self._at = array("Q", [0])
        self._types = bytearray(1)
        self._statuses = bytearray(1)
        """The status of the enrollment that the event is about, after it."""
        self._next = array("I", [0])
        """The next event about the same enrollment, 0 for none."""
        self._last = array("I", [0])
        """By the seq of a sign-up: the newest event about its enrollment, 0 for what is no sign-up."""
        self._offerings: dict[str, _Offering] = {}
        self._publications: list[tuple[int, int]] = []
        self._second_classes: set[str] = set()
        """Of the newest document."""

    @property
    def seq(self) -> int:
        """Of the newest event, 0 for none."""
        return len(self._at) - 1

    def apply(self, event: Event) -> None:
        """Add the next event."""
        while self.seq < event.seq - 1:
            self._append(self._at[-1], 0, 0)
        header, record = event.header, event.record
        status = _STATUS_NUMBERS[record.status] if record else 0
        self._append(header.at, _TYPE_NUMBERS[header.type], status)
        if record is not None:
            self._change(event.seq, header.type, record)
        elif header.type == "published":
            self._publications.append((event.seq, header.version))
            self._publish(event.seq, _document.decode(event.document or b"{}"))
        elif header.type in ("draw_began", "draw_ended"):
            draw = Draw(header.version, is_over=header.type == "draw_ended")
            self._offering(header.offering).draws.append((event.seq, draw))
        elif header.type == "threshold_met" or (
            header.type == "opened" and header.offering in self._second_classes
        ):
            self._offering(header.offering).met.append((event.seq, header.at))

    def _publish(self, seq: int, document: "_Document") -> None:
        """Where nothing is drawn and no demand counted any more, what was is left behind: there may be another."""
        self._second_classes = {
            each.offering for each in document.offerings if each.policy.name == second_class.POLICY.name
        }
        collecting = {each.offering for each in document.offerings if policies.collects_until(each)}
        for name, offering in self._offerings.items():
            if name not in collecting | self._second_classes:
                if offering.draws:
                    offering.draws.append((seq, NO_DRAW))
                if offering.met:
                    offering.met.append((seq, 0))

    def _offering(self, name: str) -> "_Offering":
        found = self._offerings.get(name)
        if found is None:
            found = self._offerings[name] = _Offering()
        return found

    def _append(self, at: int, kind: int, status: int) -> None:
        self._at.append(at)
        self._types.append(kind)
        self._statuses.append(status)
        self._next.append(0)
        self._last.append(0)

    def _change(self, seq: int, kind: EventType, record: Record) -> None:
        offering = self._offering(record.offering)
        before: Status | None = None
        if record.seq != seq:
            last = self._last[record.seq] or record.seq
            before = self._status(last)
            self._next[last] = seq
        self._last[record.seq] = seq
        offering.change(seq, kind, before, record)

    def _status(self, seq: int) -> Status | None:
        number = self._statuses[seq]
        return _STATUSES[number - 1] if number else None

    # As of a seq

    def at(self, seq: int) -> int:
        """When it was decided, UTC milliseconds."""
        return self._at[seq]

    def version(self, seq: int) -> int:
        """The version of the document in force, 0 before the first."""
        place = bisect_right(self._publications, seq, key=lambda each: each[0])
        return self._publications[place - 1][1] if place else 0

    def draw(self, offering: str, seq: int) -> Draw:
        """The draw that an offering was in last, of those that still count."""
        found = self._offerings.get(offering)
        place = bisect_right(found.draws, seq, key=lambda each: each[0]) if found else 0
        return found.draws[place - 1][1] if found and place else NO_DRAW

    def met(self, offering: str, seq: int) -> int:
        """When as many had asked as a poll or a second class needs to open, UTC milliseconds; 0 before."""
        found = self._offerings.get(offering)
        place = bisect_right(found.met, seq, key=lambda each: each[0]) if found else 0
        return found.met[place - 1][1] if found and place else 0

    def taken(self, offering: str, pool: str, seq: int) -> int:
        """Seats of a pool that were confirmed, held or offered."""
        found = self._pool(offering, pool)
        return found.taken.at(seq) if found else 0

    def last_given(self, offering: str, pool: str, seq: int) -> int:
        """The seq at which the last seat of a pool was given, 0 for none."""
        found = self._pool(offering, pool)
        place = bisect_right(found.given, seq) if found else 0
        return found.given[place - 1] if found and place else 0

    def waiting(self, offering: str, seq: int) -> int:
        """Members on the waitlist."""
        found = self._offerings.get(offering)
        return found.waiting.at(seq) if found else 0

    def entered(self, offering: str, seq: int) -> int:
        """Entries in a draw that had no result yet."""
        found = self._offerings.get(offering)
        return found.entered.at(seq) if found else 0

    def sign_ups(self, offering: str, seq: int) -> int:
        """Enrollments that had been made, whatever became of them."""
        found = self._offerings.get(offering)
        return bisect_right(found.sign_ups, seq) if found else 0

    # As of the newest seq

    def ahead(self, offering: str, order: int) -> int:
        """How many wait ahead of a place in the waiting order (`Record.order`)."""
        return self._offerings[offering].queue.ahead(order)

    def given_since(self, offering: str, order: int) -> Given:
        """What went to others since the moment when `order` began to wait, which it still does."""
        found = self._offerings[offering]
        first = bisect_right(found.promoted, order)
        orders = found.promoted_orders[first:]
        ahead = sum(each < order for each in orders)
        were_ahead = found.waiting.at(order) - 1
        return Given(
            ahead=ahead,
            behind=len(orders) - ahead,
            left=max(0, were_ahead - found.queue.ahead(order) - ahead),
        )

    # Of one enrollment, named by the seq of its sign-up

    def changes(self, sign_up: int) -> list[int]:
        """The seqs of all events about it, in order; none when there is no such sign-up."""
        if sign_up > self.seq or not self._last[sign_up]:
            return []
        found = [sign_up]
        while following := self._next[found[-1]]:
            found.append(following)
        return found

    def live_status(self, sign_up: int, seq: int) -> Status | None:
        """Its status as of a seq, where that is a live one; else None."""
        status: Status | None = None
        for change in self.changes(sign_up):
            if change > seq:
                break
            status = self._status(change)
        return status if status in NOT_OVER else None

    def cause(self, promotion: int) -> int:
        """The event right before a run of promotions: as a rule what set their seats free."""
        seq = promotion
        while self._types[seq] == _PROMOTED:
            seq -= 1
        return seq

    def _pool(self, offering: str, pool: str) -> "_Pool | None":
        found = self._offerings.get(offering)
        return found.pools.get(pool) if found else None


class _Series:
    """A count that changes, by seq."""

    __slots__ = ("counts", "seqs")

    def __init__(self) -> None:
        self.seqs = array("I")
        self.counts = array("I")

    def add(self, seq: int, difference: int) -> None:
        before = self.counts[-1] if self.counts else 0
        self.seqs.append(seq)
        self.counts.append(max(0, before + difference))

    def at(self, seq: int) -> int:
        place = bisect_right(self.seqs, seq)
        return self.counts[place - 1] if place else 0


class _Queue:
    """Who waits, by waiting order; counted by blocks too, so that a place is found without going through all of it."""

    __slots__ = ("blocks", "joined", "waits")

    def __init__(self) -> None:
        self.joined = array("I")
        """The orders of all who ever waited; each is the seq at which they began to, so that they ascend."""
        self.waits = bytearray()
        """Beside `joined`: 1 while they wait."""
        self.blocks = array("I")
        """How many wait of each QUEUE_BLOCK."""

    def join(self, order: int) -> None:
        if len(self.joined) % QUEUE_BLOCK == 0:
            self.blocks.append(0)
        self.joined.append(order)
        self.waits.append(1)
        self.blocks[-1] += 1

    def leave(self, order: int) -> None:
        place = bisect_left(self.joined, order)
        if place < len(self.joined) and self.joined[place] == order and self.waits[place]:
            self.waits[place] = 0
            self.blocks[place // QUEUE_BLOCK] -= 1

    def ahead(self, order: int) -> int:
        place = bisect_left(self.joined, order)
        block = place // QUEUE_BLOCK
        return sum(self.blocks[:block]) + sum(self.waits[block * QUEUE_BLOCK : place])


class _Pool:
    __slots__ = ("given", "taken")

    def __init__(self) -> None:
        self.taken = _Series()
        self.given = array("I")
        """The seqs at which a seat was given."""


class _Offering:
    __slots__ = (
        "draws",
        "entered",
        "met",
        "pools",
        "promoted",
        "promoted_orders",
        "queue",
        "sign_ups",
        "waiting",
    )

    def __init__(self) -> None:
        self.pools: dict[str, _Pool] = {}
        self.draws: list[tuple[int, Draw]] = []
        self.met: list[tuple[int, int]] = []
        self.waiting = _Series()
        self.entered = _Series()
        self.sign_ups = array("I")
        self.queue = _Queue()
        self.promoted = array("I")
        self.promoted_orders = array("I")
        """Beside `promoted`: the waiting order of who got the seat."""

    def change(self, seq: int, kind: EventType, before: Status | None, record: Record) -> None:
        after = record.status
        if before is None:
            self.sign_ups.append(seq)
        elif kind == "promoted":
            self.promoted.append(seq)
            self.promoted_orders.append(record.order)
        if (before in SEATED) != (after in SEATED):
            pool = self.pools.get(record.pool)
            if pool is None:
                pool = self.pools[record.pool] = _Pool()
            pool.taken.add(seq, 1 if after in SEATED else -1)
            if after in SEATED:
                pool.given.append(seq)
        if (before == "entered") != (after == "entered"):
            self.entered.add(seq, 1 if after == "entered" else -1)
        if after == "waitlisted" and before != "waitlisted":
            self.waiting.add(seq, 1)
            self.queue.join(record.order)
        elif before == "waitlisted" and after != "waitlisted":
            self.waiting.add(seq, -1)
            self.queue.leave(record.order)
