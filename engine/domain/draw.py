"""A draw: who of those who entered some offerings of a campaign gets what, and whether a published one is right.

Everything follows from what the published file has: `decide` from the seed, the rules and the entries. docs/draws.md
says the same for those who write it anew.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, zip_longest
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from engine.domain import lottery
from engine.domain.campaign import Id, Kind, Limit

FORMAT: Final = "seatrush-draw-1"
WEIGHT_MAX: Final = 1_000_000

Order = Literal["lottery", "votes"]
Status = Literal["confirmed", "waitlisted", "not_drawn"]
Digits32 = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Digits64 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0)]


class Part(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base of every part of a draw that is new here. All fields are always written."""


class DrawnPool(Part, frozen=True, gc=False):
    """A pool and its seats that are free at the draw."""

    pool: Id
    free: Count


class DrawnOffering(Part, frozen=True, gc=False):
    """An offering of the campaign, as the draw needs it; one outside the draw has no pools."""

    offering: Id
    kind: Kind
    days: list[int]
    """The local days of the sessions, as proleptic Gregorian ordinals; 1 is 0001-01-01."""
    overlaps: list[Id]
    """The offerings with a session at the same time; empty where overlaps are allowed."""
    waitlist: Count
    """The waiting places that are free at the draw."""
    pools: list[DrawnPool]


class Wish(Part, frozen=True, gc=False):
    """An offering that a member would like, and its pools whose seats the member may take, in the document's order."""

    offering: Id
    pools: list[Id]


class Entry(Part, frozen=True, gc=False):
    """What one member put into the draw."""

    member: Digits32
    """The pseudonym."""
    weight: Annotated[int, Meta(ge=1, le=WEIGHT_MAX)]
    """In thousandths: 1000 for a weight of 1."""
    holds: list[Id]
    """The offerings of the campaign that the member has a seat or a waiting place in before the draw."""
    wishes: Annotated[list[Wish], Meta(min_length=1)]
    """By rank, the dearest first."""
    asked: Count = 0
    """In the order `votes`, the seq of the vote; else 0."""


class Result(Part, frozen=True, gc=False):
    """What became of one wish."""

    member: Digits32
    offering: Id
    status: Status
    pool: str
    """Where the seat is; "" without one."""


class Draw(Part, frozen=True, gc=False):
    """A draw as it is published: what is needed to repeat it, and what came of it."""

    format: Literal["seatrush-draw-1"]
    campaign: Id
    number: Annotated[int, Meta(ge=1, le=lottery.DRAWS_MAX)]
    """Among the draws of the campaign, from 1."""
    commitment: Digits64
    seed: Digits64
    order: Order
    """How the members are ordered: by lot, or by their votes."""
    limits: list[Limit]
    offerings: list[DrawnOffering]
    entries: list[Entry]
    """By pseudonym."""
    entries_digest: Digits64
    results: list[Result]
    """In the order in which they are settled."""


class Mismatch(Struct, frozen=True):
    """One thing in a draw that is not as it must be: a code, and the facts that its sentence needs."""

    code: str
    facts: Mapping[str, str | int] = {}


def conduct(
    campaign: str,
    number: int,
    seed: bytes,
    limits: Sequence[Limit],
    offerings: Sequence[DrawnOffering],
    entries: Iterable[Entry],
    order: Order = "lottery",
    ordered: Sequence[str] | None = None,
    blocked: set[tuple[str, str]] | None = None,
) -> Draw:
    """Decide, and put together what is published. The entries may come in any order.

    `ordered` is what `in_order` gives, for those who have it already; `blocked` as for `decide`.
    """
    entries = _canonical(entries)
    if ordered is None:
        ordered = in_order(order, seed, entries)
    return Draw(
        format=FORMAT,
        campaign=campaign,
        number=number,
        commitment=lottery.commitment(seed, number),
        seed=seed.hex(),
        order=order,
        limits=list(limits),
        offerings=list(offerings),
        entries=entries,
        entries_digest=entries_digest(entries),
        results=decide(seed, limits, offerings, entries, ordered, blocked),
    )


def in_order(order: Order, seed: bytes, entries: Sequence[Entry]) -> list[str]:
    """The members in the order in which they are served."""
    if order == "votes":
        return [entry.member for entry in sorted(entries, key=lambda entry: (entry.asked, entry.member))]
    return lottery.order(seed, {entry.member: entry.weight for entry in entries})


def entries_digest(entries: Iterable[Entry]) -> str:
    """SHA-256, in hex, over the JSON of the entries by pseudonym: fields in the order above, no white space."""
    return hashlib.sha256(msgspec.json.encode(_canonical(entries))).hexdigest()


def _canonical(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.member)


def decide(
    seed: bytes,
    limits: Sequence[Limit],
    offerings: Sequence[DrawnOffering],
    entries: Iterable[Entry],
    ordered: Sequence[str] | None = None,
    blocked: set[tuple[str, str]] | None = None,
) -> list[Result]:
    """One result for each wish, in the order of settlement; `ordered` is what `in_order` gives, if not the lottery's.

    Into `blocked` go the wishes, as {member, offering}, that a free seat could have met but for what the member had.

    First the seats, in rounds: in each, every member in order gets one seat at most. Then the
    waiting places in the same way; their order here is that of waiting. Then what is left, not drawn.

    A member enters once and names an offering once; every offering and pool that an entry names is in `offerings`,
    else KeyError.
    """
    by_member = {entry.member: entry for entry in entries}
    if ordered is None:
        ordered = in_order("lottery", seed, list(by_member.values()))
    claims = [_Claim(by_member[member]) for member in ordered]
    stock = _Stock(limits, offerings, set() if blocked is None else blocked)
    results = _in_rounds(claims, stock.seat)
    results += _in_rounds(claims, stock.place)
    results += (
        Result(claim.member, wish.offering, "not_drawn", "") for claim in claims for wish in claim.wishes
    )
    return results


class _Claim:
    """A member during the draw: what was there or was given already, and the wishes that were not met."""

    def __init__(self, entry: Entry) -> None:
        self.member = entry.member
        self.holding = list(entry.holds)
        self.wishes: Iterable[Wish] = entry.wishes


def _in_rounds(claims: Sequence[_Claim], give: Callable[[_Claim, Wish], Result | None]) -> list[Result]:
    """Let `give` meet wishes until a round meets none; each claim keeps those that were not met.

    A wish that cannot be met is not tried again: what is free only gets less, and what a member has only more.
    """
    results: list[Result] = []
    turns: list[tuple[_Claim, Iterator[Wish], list[Wish]]] = []
    for claim in claims:
        unmet: list[Wish] = []
        turns.append((claim, iter(claim.wishes), unmet))
        claim.wishes = unmet
    while turns:
        next_turns = []
        for turn in turns:
            claim, wishes, unmet = turn
            for wish in wishes:
                result = give(claim, wish)
                if result is not None:
                    claim.holding.append(wish.offering)
                    results.append(result)
                    next_turns.append(turn)
                    break
                unmet.append(wish)
        turns = next_turns
    return results


class _Stock:
    """The seats and waiting places that are left, and the rules under which they are given."""

    def __init__(
        self, limits: Sequence[Limit], offerings: Sequence[DrawnOffering], blocked: set[tuple[str, str]]
    ) -> None:
        self._blocked = blocked
        self._seats = {(each.offering, pool.pool): pool.free for each in offerings for pool in each.pools}
        self._places = {each.offering: each.waitlist for each in offerings}
        self._overlaps = {each.offering: frozenset(each.overlaps) for each in offerings}
        self._days = {each.offering: frozenset(each.days) for each in offerings}
        self._limits = [
            (limit, {each.offering for each in offerings if limit.kinds is None or each.kind in limit.kinds})
            for limit in limits
        ]

    def seat(self, claim: _Claim, wish: Wish) -> Result | None:
        """A seat in the first of the wish's pools that has one."""
        for pool in wish.pools:
            if self._seats[wish.offering, pool] > 0:
                if not self._may_have(claim.holding, wish.offering):
                    self._blocked.add((claim.member, wish.offering))
                    return None
                self._seats[wish.offering, pool] -= 1
                return Result(claim.member, wish.offering, "confirmed", pool)
        return None

    def place(self, claim: _Claim, wish: Wish) -> Result | None:
        """A place on the waitlist, for those to whom a seat may come."""
        if not wish.pools or self._places[wish.offering] == 0:
            return None
        if not self._may_have(claim.holding, wish.offering):
            return None
        self._places[wish.offering] -= 1
        return Result(claim.member, wish.offering, "waitlisted", "")

    def _may_have(self, holding: Sequence[str], offering: str) -> bool:
        """Whether neither an overlap nor a limit is against it; `engine/lua/sign_up.lua` has the same rules."""
        if not holding:
            return True
        if offering in holding or not self._overlaps[offering].isdisjoint(holding):
            return False
        return not any(
            self._is_reached(limit, [other for other in holding if other in counted], offering)
            for limit, counted in self._limits
            if offering in counted
        )

    def _is_reached(self, limit: Limit, counting: Sequence[str], offering: str) -> bool:
        if len(counting) < limit.max or limit.per == "campaign":
            return len(counting) >= limit.max
        return any(
            sum(day in self._days[other] for other in counting) >= limit.max for day in self._days[offering]
        )


def verify(draw: Draw) -> list[Mismatch]:
    """Everything that does not match in a published draw; nothing when it is right.

    Results are compared only where the rest says in one way what they must be.
    """
    seed = bytes.fromhex(draw.seed)
    found = []
    if draw.commitment != lottery.commitment(seed, draw.number):
        found.append(Mismatch("commitment"))
    if draw.entries_digest != entries_digest(draw.entries):
        found.append(Mismatch("entries_digest"))
    for one, other in pairwise(draw.entries):
        if one.member > other.member:
            found.append(Mismatch("entries_unsorted", {"member": other.member}))
    ambiguous = [*_repeated(draw), *_unknown(draw)]
    return [*found, *ambiguous] if ambiguous else found + _compare(draw)


def _repeated(draw: Draw) -> Iterator[Mismatch]:
    """What is there twice and may be there once."""
    for member in _twice(entry.member for entry in draw.entries):
        yield Mismatch("member_twice", {"member": member})
    for name in _twice(each.offering for each in draw.offerings):
        yield Mismatch("offering_twice", {"offering": name})
    for each in draw.offerings:
        for pool in _twice(pool.pool for pool in each.pools):
            yield Mismatch("pool_twice", {"offering": each.offering, "pool": pool})
    for entry in draw.entries:
        for name in _twice(wish.offering for wish in entry.wishes):
            yield Mismatch("wish_twice", {"member": entry.member, "offering": name})


def _twice(names: Iterable[str]) -> Iterator[str]:
    seen = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


def _unknown(draw: Draw) -> Iterator[Mismatch]:
    """What entries name and the draw does not have."""
    pools = {each.offering: {pool.pool for pool in each.pools} for each in draw.offerings}
    for entry in draw.entries:
        for name in (*entry.holds, *(wish.offering for wish in entry.wishes)):
            if name not in pools:
                yield Mismatch("unknown_offering", {"member": entry.member, "offering": name})
        for wish in entry.wishes:
            for pool in wish.pools:
                if pool not in pools.get(wish.offering, wish.pools):
                    facts = {"member": entry.member, "offering": wish.offering, "pool": pool}
                    yield Mismatch("unknown_pool", facts)


def _compare(draw: Draw) -> list[Mismatch]:
    """The results against those that follow from the rest."""
    seed = bytes.fromhex(draw.seed)
    ordered = in_order(draw.order, seed, draw.entries)
    due = decide(seed, draw.limits, draw.offerings, draw.entries, ordered)
    differing = [
        (place, expected, given)
        for place, (expected, given) in enumerate(zip_longest(due, draw.results), 1)
        if expected != given
    ]
    if not differing:
        return []
    place, expected, given = differing[0]
    facts = {"expected": _line(expected), "given": _line(given)}
    return [Mismatch("results", {"count": len(differing), "place": place, **facts})]


def _line(result: Result | None) -> str:
    if result is None:
        return "-"
    return " ".join(filter(None, (result.member, result.offering, result.status, result.pool)))
