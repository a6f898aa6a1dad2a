"""A roll, read from its file alone: whether the chain leads to its head, and what it says of the seats.

A roll has a line for each event of a campaign, between a heading and the signed head. docs/roll.md says the same for
those who write it anew.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from engine.domain import chain
from engine.domain.chain import Entry, Heading
from engine.domain.draw import Mismatch
from engine.domain.enrollment import LIVE, SEATED
from engine.domain.instants import iso
from engine.domain.receipt import Bound, Head, Receipt

MISMATCHES_MAX: Final = 100
"""That are named one by one."""

Place = tuple[str, str]
"""An offering and a pool."""
Facts = dict[str, str | int]

_encode = msgspec.json.Encoder().encode
_heading = msgspec.json.Decoder(Heading)
_entry = msgspec.json.Decoder(Entry)
_head = msgspec.json.Decoder(Head)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class NotARoll(ValueError):
    """The file does not begin as a roll does."""


class Verdict(Struct):
    """What a roll says, and what in it is not as it must be."""

    campaign: str
    seq: int = 0
    """Of the last line."""
    digest: str = ""
    """That its lines lead to."""
    head: Head | None = None
    """As the roll has it; None for one that is cut off."""
    seats: int = 0
    """Held at the end, of which `confirmed` are."""
    confirmed: int = 0
    dead_letters: int = 0
    """Events that could not be applied."""
    receipts: list[bool] = []
    """Of each receipt that matches: whether its seat is still held at the end."""
    mismatches: list[Mismatch] = []
    more: int = 0
    """Mismatches beside those that are named."""


def verify(lines: Iterable[bytes], heads: Sequence[Head] = (), receipts: Sequence[Receipt] = ()) -> Verdict:
    """Read a roll, line by line without their line feeds.

    `heads` were noted down earlier, `receipts` are of seats that must be in it. Signatures are not looked at.
    Raises NotARoll.
    """
    reading = iter(lines)
    first = next(reading, b"")
    try:
        heading = _heading.decode(first)
    except _UNREADABLE as error:
        raise NotARoll(str(error)) from error
    if chain.heading(heading.campaign) != first:
        raise NotARoll("the first line")
    reader = _Reader(heading.campaign, heads, receipts)
    for line in reading:
        reader.add(line)
    return reader.end()


class _Held(Struct, frozen=True, gc=False):
    """What an enrollment has: as little of its newest line as a million of them need."""

    member: str
    offering: str
    pool: str
    seat: int
    status: str


class _Reader:
    """A roll as far as it has been read."""

    def __init__(self, campaign: str, heads: Sequence[Head], receipts: Sequence[Receipt]) -> None:
        self.verdict = Verdict(campaign)
        self._heads = heads
        self._receipts = receipts
        self._link = chain.begin(campaign)
        self._seats = _Seats({each.seq for each in receipts}, self._differs)
        wanted = {each.seq for each in heads} | {each.chain.seq for each in receipts}
        self._wanted: dict[int, str | None] = dict.fromkeys(wanted)
        """The digest after each seq that a head or a receipt names, once it has been read."""
        self._asked: dict[int, list[int]] = {}
        for number, each in enumerate(receipts):
            self._asked.setdefault(each.chain.seq, []).append(number)
        self._held: dict[int, _Held | None] = {}
        """What the sign-up of each receipt had at the seq that the receipt names."""
        self._note(0)

    def add(self, line: bytes) -> None:
        if self.verdict.head is not None:
            self._differs("after_head", {"seq": self._link.seq})
            return
        if line.startswith(b'{"format":'):
            self._take_head(line)
            return
        entry = _read(line)
        due = self._link.seq + 1
        if entry is None:
            self._differs("unreadable", {"seq": due})
            seq = due
        else:
            seq = entry.seq
            if seq != due:
                self._differs("out_of_order", {"expected": due, "seq": seq})
        self._link = chain.extend(self._link, [line], seq)
        if entry is not None:
            self._seats.apply(entry)
        self._note(seq)

    def end(self) -> Verdict:
        verdict, seats = self.verdict, self._seats
        verdict.seq, verdict.digest = self._link.seq, self._link.digest
        verdict.seats = sum(map(len, seats.taken.values()))
        verdict.confirmed = sum(each.status == "confirmed" for each in seats.held.values())
        verdict.dead_letters = seats.dead_letters
        if verdict.head is None:
            self._differs("cut_off", {"seq": verdict.seq})
        elif (verdict.head.seq, verdict.head.digest) != (self._link.seq, self._link.digest):
            self._differs("head", {"seq": verdict.head.seq})
        for noted in self._heads:
            self._compare(noted.campaign, Bound(noted.seq, noted.digest), "head")
        for number, receipt in enumerate(self._receipts):
            if self._compare(receipt.campaign, receipt.chain, "receipt"):
                self._look(receipt, self._held.get(number))
        return verdict

    def _take_head(self, line: bytes) -> None:
        try:
            head = _head.decode(line)
        except _UNREADABLE:
            head = None
        if head is None or head.campaign != self.verdict.campaign or _encode(head) != line:
            self._differs("unreadable", {"seq": self._link.seq + 1})
        else:
            self.verdict.head = head

    def _note(self, seq: int) -> None:
        if seq in self._wanted and self._wanted[seq] is None:
            self._wanted[seq] = self._link.digest
            for number in self._asked.get(seq, ()):
                self._held[number] = self._seats.held.get(self._receipts[number].seq)

    def _compare(self, campaign: str, bound: Bound, what: str) -> bool:
        """Whether the roll has all that a head or a receipt binds, as it was."""
        facts: Facts = {"seq": bound.seq}
        if campaign != self.verdict.campaign:
            self._differs(f"{what}_of_another", {"campaign": campaign})
        elif bound.seq > self._link.seq:
            self._differs(f"{what}_beyond", facts | {"last": self._link.seq})
        elif self._wanted[bound.seq] != bound.digest:
            self._differs(f"{what}_before", facts)
        else:
            return True
        return False

    def _look(self, receipt: Receipt, held: _Held | None) -> None:
        signed_up = self._seats.signed_up_at.get(receipt.seq)
        stated = (receipt.offering, receipt.pool, receipt.seat, receipt.member, receipt.decided_at)
        if (
            held is None
            or signed_up is None
            or held.status != "confirmed"
            or (held.offering, held.pool, held.seat, held.member, iso(signed_up)) != stated
        ):
            facts: Facts = {"seq": receipt.seq, "seat": receipt.seat}
            self._differs("receipt_seat", facts | {"place": f"{receipt.offering}/{receipt.pool}"})
            return
        now = self._seats.held[receipt.seq]
        self.verdict.receipts.append((now.status, now.pool, now.seat) == (held.status, held.pool, held.seat))

    def _differs(self, code: str, facts: Facts) -> None:
        if len(self.verdict.mismatches) < MISMATCHES_MAX:
            self.verdict.mismatches.append(Mismatch(code, facts))
        else:
            self.verdict.more += 1


class _Seats:
    """Who holds which seat, by what the lines say."""

    def __init__(self, asked: Collection[int], differs: Callable[[str, Facts], None]) -> None:
        self.held: dict[int, _Held] = {}
        """By the sign-up."""
        self.signed_up_at: dict[int, int] = {}
        """Of those that are asked for."""
        self.taken: dict[Place, dict[int, int]] = {}
        """The sign-up that holds each seat of a pool."""
        self.dead_letters = 0
        self._asked = asked
        self._capacities: dict[Place, int] = {}
        self._live: dict[tuple[str, str], int] = {}
        """The live enrollment of a member for an offering."""
        self._differs = differs

    def apply(self, entry: Entry) -> None:
        if entry.type == "dead_letter":
            self.dead_letters += 1
        elif entry.type == "published":
            self._publish(entry)
        elif entry.sign_up:
            self._change(entry)

    def _publish(self, entry: Entry) -> None:
        self._capacities = {
            (offering, pool): capacity
            for offering, pools in entry.capacities.items()
            for pool, capacity in pools.items()
        }
        for place, seats in self.taken.items():
            if seats and max(seats) > self._capacities.get(place, 0):
                self._differs("above_capacity", _seat_facts(entry.seq, place, max(seats)))

    def _change(self, entry: Entry) -> None:
        before = self.held.get(entry.sign_up)
        first = entry.type in ("enrolled", "advanced")
        if (entry.sign_up == entry.seq) != first or (before is None) != first:
            self._differs("unknown_sign_up", {"seq": entry.seq, "sign_up": entry.sign_up})
        elif before is not None and (before.member, before.offering) != (entry.member, entry.offering):
            self._differs("another_sign_up", {"seq": entry.seq, "sign_up": entry.sign_up})
        elif (entry.status in SEATED) != (entry.seat > 0):
            self._differs("seat_and_status", {"seq": entry.seq, "status": entry.status, "seat": entry.seat})
        if before is not None:
            self._leave(entry.sign_up, before)
        elif entry.sign_up in self._asked:
            self.signed_up_at[entry.sign_up] = entry.at
        offering, pool, status = map(sys.intern, (entry.offering, entry.pool, entry.status))
        self.held[entry.sign_up] = _Held(entry.member, offering, pool, entry.seat, status)
        if entry.seat:
            self._seat(entry)
        if entry.status in LIVE:
            other = self._live.setdefault((entry.member, offering), entry.sign_up)
            if other != entry.sign_up:
                facts: Facts = {"seq": entry.seq, "sign_up": other}
                self._differs("member_twice", facts | {"offering": entry.offering})

    def _seat(self, entry: Entry) -> None:
        place = (entry.offering, entry.pool)
        holder = self.taken.setdefault(place, {}).setdefault(entry.seat, entry.sign_up)
        if holder != entry.sign_up:
            self._differs("seat_twice", _seat_facts(entry.seq, place, entry.seat) | {"sign_up": holder})
        if entry.seat > self._capacities.get(place, 0):
            self._differs("above_capacity", _seat_facts(entry.seq, place, entry.seat))

    def _leave(self, sign_up: int, before: _Held) -> None:
        seats = self.taken.get((before.offering, before.pool), {})
        if before.seat and seats.get(before.seat) == sign_up:
            del seats[before.seat]
        if self._live.get((before.member, before.offering)) == sign_up:
            del self._live[before.member, before.offering]


def _seat_facts(seq: int, place: Place, seat: int) -> Facts:
    return {"seq": seq, "place": "/".join(place), "seat": seat}


def _read(line: bytes) -> Entry | None:
    """A line as the engine would write it; None for any other, of which two readers could think differently."""
    try:
        entry = _entry.decode(line)
    except _UNREADABLE:
        return None
    return entry if _encode(entry) == line else None
