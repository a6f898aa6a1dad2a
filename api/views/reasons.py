"""Why: a refusal and an enrollment explained."""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Annotated

from msgspec import Meta, Struct

from api.views.values import Count, Moment, moment
from engine.domain import campaign as documents
from engine.domain.enrollment import Status
from engine.domain.events import EventType
from engine.domain.faults import Language
from engine.domain.instants import iso
from engine.domain.why import guards, texts
from engine.domain.why.account import Account, By, Cause
from engine.domain.why.chances import Chance, ChanceKind
from engine.domain.why.refusal import Refusal
from engine.why import Explained


class ReasonPool(Struct, frozen=True):
    """A pool of the offering, as of the seq."""

    pool: str
    capacity: Count
    taken: Count
    """Confirmed, held or offered."""
    may_take: bool
    """Whether a seat of it may be the member's, by attributes, by its release, and by what was asked for."""
    eligible: documents.Eligible | None
    """Whom it is kept for; null for everyone."""
    lacking: list[str]
    """The lists of `eligible` that the caller's token does not match: units, industries, tags."""
    codes: bool
    """Whether invitation codes open it."""
    releases: Moment | None
    last_given_seq: Count | None
    """At which its last seat was given."""
    last_given_at: Moment | None


class ReasonMine(Struct, frozen=True):
    """An enrollment of the member's own, as it stood."""

    enrollment: str
    offering: str
    status: Status
    seq: Count


class ReasonMeeting(Struct, frozen=True):
    """A session of the offering, and one of the member's own at the same time."""

    session: documents.Session
    other: documents.Session


class ReasonChance(Struct, frozen=True):
    """What may come next, as of the seq."""

    kind: ChanceKind
    offering: str
    pool: str | None
    since: Moment | None
    until: Moment | None
    free: Count | None
    """Seats that were free: of a release and of what else there is."""
    detail: str
    """The same in words."""


class RefusalReason(Struct, frozen=True):
    """Why a sign-up was refused: the guard that applied as of a seq, and what it looked at."""

    campaign: str
    offering: str
    code: guards.Code
    """As it was answered; `none` where by the records nothing stood against it."""
    detail: str
    """The same in words."""
    as_of_seq: Count
    at: Moment
    """When that seq was decided."""
    version: Count
    """Of the document in force."""
    rule: str | None
    """A JSON Pointer into that version of the document; null where it is none of its rules."""
    opens: Moment
    closes: Moment
    pools: list[ReasonPool]
    sign_ups: Count
    """For the offering that had succeeded."""
    waiting: Count
    waiting_max: Count
    limit: documents.Limit | None
    """Of `limit_reached`."""
    votes_max: Count | None
    """Of `limit_reached` in a poll."""
    mine: list[ReasonMine]
    """Of `limit_reached` those that count, else the one that stands in the way."""
    meetings: list[ReasonMeeting]
    """Of `overlap`; ten at most."""
    next: list[ReasonChance]


class ReasonStep(Struct, frozen=True):
    """One change of an enrollment."""

    seq: Count
    at: Moment
    type: EventType
    status: Status
    pool: str | None
    seats: list[int]
    by: By
    position: Count | None
    """Of one that begins to wait: its place in the queue."""
    expires_at: Moment | None
    cause: Cause | None
    """Of a promotion: what set the seat free, where the log tells."""
    detail: str
    """The same in words."""


class ReasonQueue(Struct, frozen=True):
    """One who waits: the place now, and what went to others since; counts only."""

    position: Count
    given_ahead: Count
    """Seats that went to those who waited ahead."""
    given_behind: Count
    """Seats that went to those who wait behind: of pools that are not for this member."""
    left_ahead: Count
    """Those ahead who left without a seat."""


class ReasonDraw(Struct, frozen=True):
    """An entry's part in its draw."""

    place: Count
    """In the order of the draw, from 1."""
    members: Count
    """How many were drawn."""
    weight: Annotated[float, Meta(ge=0)]
    """1 is usual, 0 where the order was that of votes."""
    entries: Count
    """Members who wished for this offering, or voted for it."""
    free: Count
    """Seats that there were to be given."""
    seats: Count
    """Of these, that were given."""
    last_place: Count | None
    """The last place in the order that got one of them; null when there were none."""
    blocked: bool
    """Whether there was a seat for one, and what one had in the campaign stood against it: a limit, or an overlap."""


class EnrollmentReason(Struct, frozen=True):
    """How an enrollment came to what it is, by the ledger's log up to a seq."""

    campaign: str
    offering: str
    enrollment: str
    status: Status
    detail: str
    """The same in words."""
    as_of_seq: Count
    at: Moment
    """When that seq was decided."""
    number: Count
    """It was the n-th sign-up for its offering that succeeded."""
    steps: list[ReasonStep]
    queue: ReasonQueue | None
    """Of one that waits."""
    draw: ReasonDraw | None
    """Of one that was drawn."""
    next: list[ReasonChance]


def refusal_reason(campaign: str, explained: Explained[Refusal], language: Language) -> RefusalReason:
    """Why a sign-up was refused."""
    told, zone = explained.told, explained.zone
    return RefusalReason(
        campaign=campaign,
        offering=told.offering,
        code=told.code,
        detail=texts.refusal(told, zone, language),
        as_of_seq=told.seq,
        at=iso(told.at),
        version=told.version,
        rule=told.rule or None,
        opens=iso(told.opens),
        closes=iso(told.closes),
        pools=[
            ReasonPool(
                *(
                    pool.pool,
                    pool.capacity,
                    pool.taken,
                    pool.may_take,
                    pool.eligible,
                    pool.lacking,
                    pool.codes,
                ),
                releases=moment(pool.releases),
                last_given_seq=pool.last_given or None,
                last_given_at=moment(pool.last_given_at),
            )
            for pool in told.pools
        ],
        sign_ups=told.sign_ups,
        waiting=told.waiting,
        waiting_max=told.waiting_max,
        limit=told.limit,
        votes_max=told.votes_max or None,
        mine=[ReasonMine(each.enrollment, each.offering, each.status, each.seq) for each in told.mine],
        meetings=[ReasonMeeting(meeting.mine, meeting.other) for meeting in told.meetings],
        next=_chances(told.chances, zone, language),
    )


def enrollment_reason(campaign: str, explained: Explained[Account], language: Language) -> EnrollmentReason:
    """How an enrollment came to what it is."""
    told, zone = explained.told, explained.zone
    given, drawn = told.given, told.drawn
    return EnrollmentReason(
        campaign=campaign,
        offering=told.offering,
        enrollment=told.enrollment,
        status=told.status,
        detail=texts.account(told, zone, language),
        as_of_seq=told.seq,
        at=iso(told.at),
        number=told.number,
        steps=[
            ReasonStep(
                seq=step.seq,
                at=iso(step.at),
                type=step.type,
                status=step.status,
                pool=step.pool or None,
                seats=[step.seat] if step.seat else [],
                by=step.by,
                position=step.position or None,
                expires_at=moment(step.expires_at),
                cause=step.cause,
                detail=texts.step(step, zone, language),
            )
            for step in told.steps
        ],
        queue=ReasonQueue(told.position, given.ahead, given.behind, given.left) if given else None,
        draw=(
            ReasonDraw(
                *(drawn.place, drawn.members, drawn.weight / 1_000, drawn.cut.entries, drawn.cut.free),
                *(drawn.cut.seats, drawn.cut.last_place or None, drawn.blocked),
            )
            if drawn
            else None
        ),
        next=_chances(told.chances, zone, language),
    )


def _chances(chances: Sequence[Chance], zone: tzinfo, language: Language) -> list[ReasonChance]:
    return [
        ReasonChance(
            kind=chance.kind,
            offering=chance.offering,
            pool=chance.pool or None,
            since=moment(chance.since),
            until=moment(chance.until),
            free=chance.free if chance.kind in ("release", "merge", "other_pool", "other_offering") else None,
            detail=texts.chance(chance, zone, language),
        )
        for chance in chances
    ]
