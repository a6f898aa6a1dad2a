"""A refusal, explained from what was recorded: the guard that applied as of a seq, and the numbers that it looked at.

The guards are those of `engine/lua/sign_up.lua`, in their order, on a campaign's history instead of its live state. The
time is that of the seq: whatever a clock brings about has a seq of its own, so that nothing is between the two. What
the log does not have is the member's own: the attributes are those of whoever asks why.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from engine.domain import campaign as documents
from engine.domain import definition, eligibility
from engine.domain.definition import PackedOffering, PackedPool
from engine.domain.enrollment import Status
from engine.domain.history import History
from engine.domain.person import Person
from engine.domain.policies import ballot, poll

Code = Literal[
    "closed",
    "not_open",
    "not_eligible",
    "already_in",
    "not_ready",
    "limit_reached",
    "overlap",
    "sold_out",
    "none",
]
"""An outcome of the engine; `none` where nothing stood against a sign-up."""
ChanceKind = Literal[
    "opens",  # sign-up begins
    "demand",  # it opens once enough wait for the offering that is named
    "release",  # a pool is opened to the member too
    "merge",  # a stage of a pool's merges admits the member
    "cancellation",  # there is no waitlist for the member: a seat that comes free goes to whoever asks first
    "waitlist",  # a place on it comes free when somebody ahead gets a seat or leaves
    "other_pool",  # of the same offering, with a free seat
    "other_offering",  # of the same campaign, with a free seat that the member may have
    "own_cancellation",  # of what counts for a limit, or meets at the same time
    "draw",  # its result
    "queue",  # one's turn on the waitlist
    "confirm",  # the seat is there, and has to be taken
    "sign_up_again",
]

OTHERS_MAX: Final = 5
"""Other offerings that are named as a next chance."""
MEETINGS_MAX: Final = 10
"""Pairs of sessions that are named as overlapping."""

_offerings = msgspec.msgpack.Decoder(list[tuple[str, PackedOffering]])


class Terms(Struct, frozen=True):
    """A version of a campaign document, as the guards read it."""

    version: int
    document: documents.Campaign
    offerings: dict[str, PackedOffering]
    places: dict[str, int]
    """Where each offering stands in the document."""
    masks: dict[str, Callable[[Person], str]]
    """As in `definition.OfferingDefinition`, by offering."""


class Mine(Struct, frozen=True):
    """One of the member's own enrollments that was live."""

    enrollment: str
    offering: str
    status: Status
    seq: int


class Asked(Struct, frozen=True):
    """A sign-up that was refused: what is recorded as of `seq`, and who asks."""

    history: History
    terms: Terms
    seq: int
    person: Person
    mine: Sequence[Mine]
    """Live as of `seq`, in the order of sign-up."""
    offering: str
    wanted: str = ""
    """The one pool that was asked for, or ""."""

    later: int = 0
    """A moment between the seq and the next one, at which the question is asked; 0 for the time of the seq."""

    @property
    def now(self) -> int:
        """UTC milliseconds."""
        return self.later or self.history.at(self.seq)


class PoolFact(Struct, frozen=True):
    """A pool of the offering, as of the seq."""

    pool: str
    capacity: int
    taken: int
    may_take: bool
    """Whether the member may have a seat of it, by attributes, by its release, and by what was asked for."""
    eligible: documents.Eligible | None
    lacking: list[str]
    """The lists of `eligible` that the member's attributes do not match."""
    codes: bool
    """Whether invitation codes open it."""
    releases: int
    """UTC milliseconds; 0 for never."""
    last_given: int
    """The seq at which the last seat was given, 0 for none."""
    last_given_at: int


class Meeting(Struct, frozen=True):
    """Two sessions at the same time."""

    mine: documents.Session
    other: documents.Session


class Chance(Struct, frozen=True):
    """What may come next. Times are UTC milliseconds, 0 for none."""

    kind: ChanceKind
    offering: str
    pool: str = ""
    since: int = 0
    """From when on."""
    until: int = 0
    """Until when."""
    free: int = 0
    """Seats that were free, as of the seq."""


class Refusal(Struct, frozen=True):
    """Why a sign-up was refused. Lists are empty, and numbers 0, where they have no part in it."""

    code: Code
    offering: str
    seq: int
    at: int
    version: int
    rule: str
    """A JSON Pointer into that version of the document, "" where it is none of its rules."""
    opens: int
    closes: int
    pools: list[PoolFact]
    waiting: int
    waiting_max: int
    sign_ups: int
    """That had succeeded for this offering."""
    mine: list[Mine]
    """Own enrollments that count: for a limit all that it counts, else the one that stands in the way.

    Of `sold_out`: the place in the queue for the first class, which is not given up for one in that for the second.
    """
    limit: documents.Limit | None
    votes_max: int
    """Of a limit of votes, else 0."""
    meetings: list[Meeting]
    chances: list[Chance]


class _Found(Struct, frozen=True):
    """The guard that applied."""

    code: Code
    rule: str = ""
    mine: list[Mine] = []
    limit: documents.Limit | None = None
    pool: str = ""
    """Where nothing stands against a sign-up: the pool with a free seat."""


def terms(document: documents.Campaign, version: int) -> Terms:
    """Prepare a version of a document; a large one takes tens of milliseconds."""
    names = [offering.offering for offering in document.offerings]
    packed = dict(_offerings.decode(definition.pack_offerings(document)))
    return Terms(
        version,
        document,
        packed,
        {name: place for place, name in enumerate(names)},
        {offering.offering: eligibility.compile_mask(offering) for offering in document.offerings},
    )


def explain(asked: Asked, code: str = "") -> Refusal:
    """Why. The offering, and the pool if one was asked for, are in the document.

    Nearly all that time brings about has a seq. Where a moment that has none lies between the seq and the next, more
    than one answer may be right: then it is the one with the `code`, if there is one.
    """
    candidates = [(each, _guards(each)) for each in (asked, *_moments(asked))]
    asked, found = next((candidate for candidate in candidates if candidate[1].code == code), candidates[0])
    offering = asked.terms.offerings[asked.offering]
    history, seq = asked.history, asked.seq
    return Refusal(
        code=found.code,
        offering=asked.offering,
        seq=seq,
        at=history.at(seq),
        version=asked.terms.version,
        rule=found.rule,
        opens=_takes_from(offering),
        closes=offering.closes,
        pools=_pools(asked),
        waiting=history.waiting(asked.offering, seq),
        waiting_max=offering.waiting_max,
        sign_ups=history.sign_ups(asked.offering, seq),
        mine=found.mine,
        limit=found.limit,
        votes_max=asked.terms.document.rules.votes_max or 0 if found.rule == "/rules/votes_max" else 0,
        meetings=_meetings(asked, found.mine[0].offering) if found.code == "overlap" else [],
        chances=list(_chances(asked, found)),
    )


def _guards(asked: Asked) -> _Found:
    offering, now = asked.terms.offerings[asked.offering], asked.now
    path = f"/offerings/{asked.terms.places[asked.offering]}"
    draw = asked.history.draw(asked.offering, asked.seq)
    if offering.closes <= now or has_had_its_draw(asked.history, asked.offering, offering, asked.seq):
        return _Found("closed", f"{path}/closes")
    if _takes_from(offering) > now:
        return _Found("not_open", f"{path}/policy/intents_open" if offering.intents_open else f"{path}/opens")
    if offering.of and _opens_to(asked, offering) > now:
        return _Found("not_open", f"{path}/policy")
    may_take = _may_take(asked, asked.offering, asked.wanted)
    if not may_take:
        return _Found("not_eligible", f"{path}/pools")
    for each in asked.mine:
        if each.offering == asked.offering:
            return _Found("already_in", mine=[each])
    collecting = bool(offering.collects) and not draw.number
    being_drawn = [
        each
        for each in asked.mine
        if each.status == "entered" and asked.history.draw(each.offering, asked.seq).is_settling
    ]
    if (collecting and offering.collects <= now) or draw.is_settling or being_drawn:
        return _Found("not_ready", mine=being_drawn)
    twin = next((each for each in asked.mine if each.offering in (offering.of, offering.second)), None)
    # The place in the queue for the first class goes with a seat in the second.
    left = twin if twin and offering.of and twin.status == "waitlisted" else None
    others = msgspec.structs.replace(asked, mine=[each for each in asked.mine if each is not left])
    refused = _votes(others, offering) if collecting else None
    refused = refused or _limit(others, offering)
    if not refused and twin and not left:
        second = asked.offering if offering.of else twin.offering
        refused = _Found("overlap", f"/offerings/{asked.terms.places[second]}/policy/of", [twin])
    refused = refused or _overlap(others, offering)
    if refused or collecting:
        return refused or _Found("none")
    return _seat(asked, offering, path, may_take, left)


def has_had_its_draw(history: History, name: str, offering: PackedOffering, seq: int) -> bool:
    """Whether nothing is given any more: a ballot was drawn, or a poll had too few votes."""
    if not history.draw(name, seq).number:
        return False
    is_failed = offering.policy == poll.POLICY.name and not history.met(name, seq)
    return is_failed or offering.policy == ballot.POLICY.name


def _opens_to(asked: Asked, offering: PackedOffering) -> float:
    """When a second class opens to the member: first to those who wait for the other; infinite where nobody knows."""
    met = asked.history.met(asked.offering, asked.seq)
    if not met:
        return math.inf
    waits = any(each.offering == offering.of for each in asked.mine)
    return met if waits else met + offering.kept_ms


def _takes_from(offering: PackedOffering) -> int:
    return offering.intents_open or offering.opens


def _moments(asked: Asked) -> Iterator[Asked]:
    """The same question at the moments that have no seq, between this one and the next."""
    offering, history = asked.terms.offerings[asked.offering], asked.history
    after = history.at(asked.seq + 1) if asked.seq < history.seq else math.inf
    moments = {offering.intents_open, offering.collects}
    if offering.of and (met := history.met(asked.offering, asked.seq)):
        moments.add(met + offering.kept_ms)
    for moment in sorted(moments):
        # What ends at the close has the seq of that.
        if asked.now < moment <= after and moment != offering.closes:
            yield msgspec.structs.replace(asked, later=moment)


def _limit(asked: Asked, offering: PackedOffering) -> _Found | None:
    for place, limit in enumerate(asked.terms.document.rules.limits):
        if limit.kinds and offering.kind not in limit.kinds:
            continue
        counted = [
            each
            for each in asked.mine
            if each.status != "entered"
            and (not limit.kinds or asked.terms.offerings[each.offering].kind in limit.kinds)
        ]
        days: list[int | None] = [None] if limit.per == "campaign" else [*offering.days]
        for day in days:
            same = [
                each for each in counted if day is None or day in asked.terms.offerings[each.offering].days
            ]
            if len(same) >= limit.max:
                return _Found("limit_reached", f"/rules/limits/{place}", same, limit)
    return None


def _votes(asked: Asked, offering: PackedOffering) -> _Found | None:
    votes_max = asked.terms.document.rules.votes_max
    votes = [
        each
        for each in asked.mine
        if each.status == "entered" and asked.terms.offerings[each.offering].threshold
    ]
    if votes_max and offering.threshold and len(votes) >= votes_max:
        return _Found("limit_reached", "/rules/votes_max", votes)
    return None


def _overlap(asked: Asked, offering: PackedOffering) -> _Found | None:
    for each in asked.mine:
        if each.offering in offering.overlaps and each.status != "entered":
            return _Found("overlap", "/rules/overlaps_allowed", [each])
    return None


def _seat(
    asked: Asked, offering: PackedOffering, path: str, may_take: Sequence[PackedPool], left: Mine | None
) -> _Found:
    """`left` is the place in the queue for the first class, which is not given up for one in another queue."""
    for pool in may_take:
        if _free(asked, asked.offering, pool):
            return _Found("none", pool=pool.pool)
    if left:
        return _Found("sold_out", f"{path}/pools", [left])
    if asked.history.waiting(asked.offering, asked.seq) < offering.waiting_max:
        return _Found("none")
    return _Found("sold_out", f"{path}/pools")


def _may_take(asked: Asked, name: str, wanted: str = "") -> list[PackedPool]:
    """The pools whose seats the member may have, in the document's order."""
    admitted = _admitted(asked, name)
    return [
        pool
        for pool in asked.terms.offerings[name].pools
        if wanted in ("", pool.pool)
        and (pool.pool in admitted or (admitted and (pool.open or 0 < pool.releases <= asked.now)))
    ]


def _admitted(asked: Asked, name: str) -> set[str]:
    """The pools that are for the member by attributes, of the stages that have begun."""
    return {pool for pool, since in _stages(asked, name).items() if since <= asked.now}


def _stages(asked: Asked, name: str) -> dict[str, int]:
    """From when on a pool is for the member by attributes, UTC milliseconds; those that never are are left out."""
    mask = asked.terms.masks[name](asked.person)
    return {
        pool.pool: 0 if stage == "1" else pool.merges[int(stage) - 2]
        for pool, stage in zip(asked.terms.offerings[name].pools, mask, strict=True)
        if stage != eligibility.NEVER
    }


def _free(asked: Asked, name: str, pool: PackedPool) -> int:
    return max(0, pool.capacity - asked.history.taken(name, pool.pool, asked.seq))


def _pools(asked: Asked) -> list[PoolFact]:
    may_take = {pool.pool for pool in _may_take(asked, asked.offering, asked.wanted)}
    admitted = _admitted(asked, asked.offering)
    document = asked.terms.document.offerings[asked.terms.places[asked.offering]]
    found = []
    for pool, packed in zip(document.pools, asked.terms.offerings[asked.offering].pools, strict=True):
        last = asked.history.last_given(asked.offering, pool.pool, asked.seq)
        found.append(
            PoolFact(
                pool=pool.pool,
                capacity=pool.capacity,
                taken=asked.history.taken(asked.offering, pool.pool, asked.seq),
                may_take=pool.pool in may_take,
                eligible=pool.eligible,
                lacking=[] if pool.pool in admitted else eligibility.lacking(pool.eligible, asked.person),
                codes=pool.codes,
                releases=packed.releases,
                last_given=last,
                last_given_at=asked.history.at(last) if last else 0,
            )
        )
    return found


def _meetings(asked: Asked, other: str) -> list[Meeting]:
    offerings, places = asked.terms.document.offerings, asked.terms.places
    return [
        Meeting(mine, theirs)
        for mine in offerings[places[asked.offering]].sessions
        for theirs in offerings[places[other]].sessions
        if mine.starts < theirs.ends and theirs.starts < mine.ends
    ][:MEETINGS_MAX]


# What may come next


def _chances(asked: Asked, found: _Found) -> Iterator[Chance]:
    offering = asked.terms.offerings[asked.offering]
    match found.code:
        case "not_open":
            opens = _takes_from(offering)
            since = _opens_to(asked, offering) if offering.of else opens
            if opens > asked.now or since < math.inf:
                at = opens if opens > asked.now else int(since)
                yield Chance("opens", asked.offering, since=at, until=offering.closes)
            if since == math.inf:
                yield Chance("demand", offering.of, until=offering.closes)
        case "not_eligible":
            yield from _releases(asked)
            yield from _other_pools(asked)
        case "limit_reached" | "overlap":
            for each in found.mine:
                other = asked.terms.offerings[each.offering]
                until = (
                    min(other.cancel_until, other.collects)
                    if each.status == "entered"
                    else other.cancel_until
                )
                if until > asked.now:
                    yield Chance("own_cancellation", each.offering, until=until)
        case "not_ready":
            yield Chance("draw", asked.offering)
        case "sold_out":
            yield from _releases(asked)
            yield from _other_pools(asked)
            kind: ChanceKind = "waitlist" if offering.waiting_max and not found.mine else "cancellation"
            yield Chance(kind, asked.offering, until=offering.closes)
        case "already_in" | "none":
            return
    if found.code != "not_open":
        yield from _other_offerings(asked)


def _releases(asked: Asked) -> Iterator[Chance]:
    """Pools that will be open to the member too: by a stage of their merges, or to all."""
    may_take = {pool.pool for pool in _may_take(asked, asked.offering)}
    stages = _stages(asked, asked.offering)
    for pool in asked.terms.offerings[asked.offering].pools:
        if pool.pool in may_take or asked.wanted not in ("", pool.pool):
            continue
        free = _free(asked, asked.offering, pool)
        if pool.pool in stages:
            yield Chance("merge", asked.offering, pool.pool, since=stages[pool.pool], free=free)
        if stages and pool.releases > asked.now:
            yield Chance("release", asked.offering, pool.pool, since=pool.releases, free=free)


def _other_pools(asked: Asked) -> Iterator[Chance]:
    """Where one pool was asked for: the others that the member may take."""
    if not asked.wanted:
        return
    for pool in _may_take(asked, asked.offering):
        free = _free(asked, asked.offering, pool)
        if pool.pool != asked.wanted and free:
            yield Chance("other_pool", asked.offering, pool.pool, free=free)


def _other_offerings(asked: Asked) -> Iterator[Chance]:
    """Offerings of the campaign for which the member would have got a seat."""
    left = OTHERS_MAX
    for name, offering in asked.terms.offerings.items():
        if not left:
            return
        if name == asked.offering:
            continue
        other = msgspec.structs.replace(asked, offering=name, wanted="")
        found = _guards(other)
        if found.code == "none" and found.pool:
            left -= 1
            free = sum(_free(other, name, pool) for pool in _may_take(other, name))
            yield Chance("other_offering", name, until=offering.closes, free=free)
