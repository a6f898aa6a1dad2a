"""What clients see: the engine's values as JSON documents. The OpenAPI document takes its schemas from here."""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from engine.config import Durability
from engine.domain import campaign as documents
from engine.domain import policies, refusal, why_texts
from engine.domain.account import Account, By, Cause
from engine.domain.definition import Definition, milliseconds
from engine.domain.enrollment import Record, Status
from engine.domain.events import EventType
from engine.domain.faults import Language
from engine.domain.instants import iso
from engine.domain.invitation import Terms
from engine.domain.ladder import Cut, Going, Line, Round
from engine.domain.policies import poll, second_class
from engine.domain.refusal import Chance, ChanceKind, Refusal
from engine.drawing import Mine
from engine.invitations import Listed, Secret
from engine.ledger import protocol
from engine.live.counts import Counts
from engine.why import Explained

OPENED_BY_DEMAND: Final = frozenset({poll.POLICY.name, second_class.POLICY.name})
"""The policies of offerings that open when enough members ask."""

Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class Enrollment(Struct, frozen=True):
    """One member's claim on one offering. `seq` is its sign-up's and never changes; `version` counts its changes."""

    enrollment: str
    campaign: str
    offering: str
    member: str
    pool: str | None
    status: Status
    seats: list[int]
    seq: int
    version: int
    position: int | None
    expires_at: Moment | None
    decided_at: Moment
    wish: Count | UnsetType = UNSET
    """Of an entry in a draw: its rank among the member's wishes, 1 first."""


class EnrollmentList(Struct, frozen=True):
    """A page of enrollments; `next` is the cursor of the page after it."""

    enrollments: list[Enrollment]
    next: str | None


class Code(Struct, frozen=True):
    """An invitation code, as everybody but its holder knows it."""

    id: str
    pool: str
    uses: Count
    """How many enrollments it is good for at a time."""
    used: Count
    """How many enrollments that are not over came in by it."""
    member: str | None
    """Whose it is; null for whoever has it."""
    expires: Moment | None
    revoked: bool


class CodeList(Struct, frozen=True):
    """A page of invitation codes in the order of issue; `next` is the cursor of the page after it."""

    codes: list[Code]
    next: str | None


class IssuedCode(Struct, frozen=True):
    """An invitation code as it is handed out, and the id by which it is listed and revoked."""

    code: str
    id: str


class IssuedCodes(Struct, frozen=True):
    """Invitation codes that were issued just now, all alike. They are not kept: this is the only time to read them."""

    codes: list[IssuedCode]
    pool: str
    uses: Count
    member: str | None
    expires: Moment | None


class PoolView(documents.Pool, frozen=True, kw_only=True):
    """A pool with the number of its seats that are confirmed, held or offered."""

    taken: Count


class DrawView(Struct, frozen=True):
    """What the campaign's draws rest on, public before the first entry; docs/draws.md says how."""

    commitment: str
    """To the seeds of all draws, each of which is told after its draw."""


class DrawWish(Struct, frozen=True):
    """What a draw made of one wish, and how far the seats went."""

    offering: str
    status: Status
    pool: str | None
    entries: Count
    """Members who wished for this offering."""
    seats: Count
    """That the draw gave."""
    last_place: Count | None
    """The last place in the order that got one of them; null when there were none."""


class DrawShare(Struct, frozen=True):
    """A member's own part in a draw."""

    member: str
    """The pseudonym, as in the draw's file."""
    weight: Annotated[float, Meta(ge=0)]
    """1 is usual: of the entry that was drawn, before the draw what it would be now. 0 where votes made the order."""
    losses: Count
    """Of other draws of the unit, so far: those that gave no seat."""
    wins: Count
    """Those that gave one."""
    place: Count | None
    """In the order of the draw, from 1; null until it is over, and for one who had no entry."""
    members: Count | None
    """How many were drawn."""
    wishes: list[DrawWish]
    """What became of one's own, by rank."""


class ResultLine(Struct, frozen=True):
    """One of the ranking of a round."""

    place: Count
    """From 1; no two are the same."""
    member: str
    pool: str
    pool_place: Count
    """Among those of the same pool."""
    by_lot: bool
    """Whether another has the same values, so that lots decided; docs/ladder.md says how."""
    values: dict[str, float]
    """The score and the columns of the ties, in the order in which they decide."""
    going: Literal["seat", "substitute"] | None
    """To the next round; null for one who stays, and before it is decided."""


class ResultCut(Struct, frozen=True):
    """How far the seats of the next round went in a pool."""

    seats: Count
    substitutes: Count
    pool_place: Count | None
    """The last that got a seat; null when there were none."""
    values: dict[str, float] | None
    """What that one achieved."""


RoundState = Literal["none", "imported", "advancing", "advanced"]


class ResultList(Struct, frozen=True):
    """A page of a ranking; `next` is the cursor of the page after it."""

    campaign: str
    offering: str
    state: RoundState
    """`none` before results were imported; `advancing` from the decision until all are enrolled."""
    lines: Count
    next_round: str | None
    """Null before it is decided who goes on to it."""
    cuts: dict[str, ResultCut]
    """By pool; empty before."""
    results: list[ResultLine]
    next: str | None


class ResultsImport(Struct, frozen=True):
    """Results as they rank, and who would go on by them; kept unless it was a dry run."""

    campaign: str
    offering: str
    dry_run: bool
    lines: Count
    absent: Count
    """Seats of the round without a row: these members count as not having taken part."""
    next_round: str | None
    """Null for the last round."""
    cuts: dict[str, ResultCut]
    results: list[ResultLine]


class OwnResult(Struct, frozen=True):
    """A member's own line in a ranking."""

    state: RoundState
    lines: Count
    result: ResultLine
    next_round: str | None
    enrollment: str | None
    """In the next round, of one who goes on to it."""
    cut: ResultCut | None
    """How far the seats went in the member's pool; null before it is decided."""


class RoundAdvance(Struct, frozen=True):
    """It is decided who goes on to the next round."""

    campaign: str
    offering: str
    next_round: str
    state: RoundState
    seats: Count
    substitutes: Count
    cuts: dict[str, ResultCut]


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
    code: refusal.Code
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
    """1 is usual."""
    entries: Count
    """Members who wished for this offering."""
    seats: Count
    """That the draw gave."""
    last_place: Count | None
    """The last place in the order that got one of them; null when there were none."""


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


class OfferingView(documents.Offering, frozen=True, kw_only=True):
    """An offering with the number of members who wait."""

    pools: Sequence[PoolView]
    waiting: Count
    entered: Count | UnsetType = UNSET
    """Of an offering with a draw: the entries that have no result yet."""
    draw: Count | UnsetType = UNSET
    """The number of its draw, 0 before it has begun."""
    met_at: Moment | UnsetType | None = UNSET
    """When as many had voted, or waited, as a poll or a second class needs; null before."""


class CampaignView(documents.Campaign, frozen=True, kw_only=True):
    """A definition in force, with the counts as they were after `seq`."""

    offerings: Sequence[OfferingView]
    version: Count
    seq: Count
    draw: DrawView | UnsetType = UNSET
    """Of a campaign with draws."""


class CampaignList(Struct, frozen=True):
    """A page of campaigns; `next` is the cursor of the page after it."""

    campaigns: list[CampaignView]
    next: str | None


class Publication(Struct, frozen=True):
    """A document is in force; `changed` is false when the same one was before."""

    campaign: str
    version: Count
    changed: bool


class HeadcountReport(Struct, frozen=True):
    """Headcounts were reported."""

    changed: Count
    """Units whose headcount is not what it was."""


class HeadcountView(Struct, frozen=True):
    """How many people a unit has, as it was last reported."""

    unit: str
    headcount: Count
    reported_at: Moment


class HeadcountList(Struct, frozen=True):
    """A page of headcounts; `next` is the cursor of the page after it."""

    headcounts: list[HeadcountView]
    next: str | None


class ProblemError(Struct, frozen=True):
    """One bad path of a request: a JSON Pointer into the body, or the name of a header or parameter."""

    path: str
    code: str
    detail: str


class Problem(Struct, frozen=True):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[ProblemError] | UnsetType = UNSET
    """Of `invalid`: every bad path."""
    as_of_seq: Count | UnsetType = UNSET
    """Of a refusal by the engine: the last seq of the campaign when it was decided."""
    opens_at: Moment | UnsetType = UNSET
    """Of `not_open`."""
    offering: str | UnsetType = UNSET
    """Of `overlap`: the other offering."""
    per: str | UnsetType = UNSET
    """Of `limit_reached`: which limit, campaign or day."""
    reason: str | UnsetType = UNSET
    """Of `not_eligible`: why the invitation code opens nothing.

    `code_unknown` (also for a code of another offering, pool or member), `code_revoked`, `code_expired` or
    `code_used_up`.
    """
    request_id: str | UnsetType = UNSET
    """Of `internal`: what to quote."""


class CampaignStatus(Struct, frozen=True):
    """How a campaign does, for ops."""

    campaign: str
    ready: bool
    """False for a campaign whose state in Redis is closed, lost, or out of reach: then its numbers are 0."""
    version: Count
    seq: Count
    decisions: dict[str, int]
    """By outcome, over all processes of this machine since they started."""
    taken: Count
    waiting: Count
    stream_entries: Count
    pending_entries: Count
    """Events that are not in the ledger yet."""
    lag_s: Seconds | None
    """The age of the oldest of them, 0 for none; null when it is not known."""
    dead_letters: Count


class BatchStatus(Struct, frozen=True):
    """The batches of a verb, over all processes of this machine since they started."""

    calls: Count
    """Calls of Redis."""
    entries: Count
    """Requests that they decided."""
    entries_mean: float


class OpsStatus(Struct, frozen=True):
    """How the deployment does, for ops."""

    campaigns: list[CampaignStatus]
    queue_entries: Count
    """Requests that wait to be sent to Redis, over all processes of this machine."""
    batches: dict[str, BatchStatus]
    """By verb."""
    fsync_s: Seconds | None
    """How long a write waits for Redis's disk, the median of the last minute; null with durability memory."""
    durability: Durability
    ledger_ready: bool
    """False while the ledger does not answer: what is said of it is then what it said last."""
    build: str


def enrollment(campaign: str, enrollment_id: str, record: Record, position: int) -> Enrollment:
    """A record as its member sees it."""
    return Enrollment(
        enrollment=enrollment_id,
        campaign=campaign,
        offering=record.offering,
        member=record.member,
        pool=record.pool or None,
        status=record.status,
        seats=[record.seat] if record.seat else [],
        seq=record.seq,
        version=record.version,
        position=position or None,
        expires_at=iso(record.expires_at) if record.expires_at else None,
        decided_at=iso(record.decided_at),
        wish=record.wish or UNSET,
    )


def code(listed: Listed) -> Code:
    """An invitation code as those who manage it see it."""
    entry = listed.entry
    return Code(
        id=listed.id,
        pool=entry.pool,
        uses=entry.uses,
        used=entry.used,
        member=entry.member or None,
        expires=iso(entry.expires_at) if entry.expires_at else None,
        revoked=bool(entry.revoked),
    )


def issued_codes(terms: Terms, secrets: Sequence[Secret]) -> IssuedCodes:
    """Codes as they are handed out."""
    return IssuedCodes(
        codes=[IssuedCode(secret.code, secret.id) for secret in secrets],
        pool=terms.pool,
        uses=terms.uses,
        member=terms.member,
        expires=iso(milliseconds(terms.expires)) if terms.expires else None,
    )


def headcount(row: protocol.Headcount) -> HeadcountView:
    """A unit's headcount as organizers see it."""
    return HeadcountView(row.unit, row.headcount, iso(row.reported_at))


def draw_share(mine: Mine) -> DrawShare:
    """A member's own part in a draw."""
    share, summary = mine.share, mine.summary
    wishes: list[DrawWish] = []
    if share and summary:
        for wished in share.wishes:
            cut = summary.cuts[wished.offering]
            wishes.append(
                DrawWish(
                    wished.offering,
                    wished.status,
                    wished.pool or None,
                    cut.entries,
                    cut.seats,
                    cut.last_place or None,
                )
            )
    return DrawShare(
        member=mine.pseudonym,
        weight=mine.weight / 1_000,
        losses=mine.losses,
        wins=mine.wins,
        place=share.place if share else None,
        members=summary.members if summary else None,
        wishes=wishes,
    )


def result_line(line: Line, columns: Sequence[str], going: Going) -> ResultLine:
    """One of a ranking, and where it leads."""
    values = dict(zip(columns, line.values, strict=True))
    return ResultLine(
        *(line.place, line.member, line.pool, line.pool_place, line.by_lot, values), going=going or None
    )


def result_cuts(cuts: Mapping[str, Cut], columns: Sequence[str]) -> dict[str, ResultCut]:
    """How far the seats went in each pool."""
    return {
        pool: ResultCut(
            cut.seats,
            cut.substitutes,
            cut.pool_place or None,
            dict(zip(columns, cut.values, strict=True)) if cut.pool_place else None,
        )
        for pool, cut in cuts.items()
    }


def round_state(known: Round) -> RoundState:
    """How far a round has come whose results were imported."""
    if not known.next:
        return "imported"
    return "advanced" if known.done else "advancing"


def refusal_reason(campaign: str, explained: Explained[Refusal], language: Language) -> RefusalReason:
    """Why a sign-up was refused."""
    told, zone = explained.told, explained.zone
    return RefusalReason(
        campaign=campaign,
        offering=told.offering,
        code=told.code,
        detail=why_texts.refusal(told, zone, language),
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
                releases=_moment(pool.releases),
                last_given_seq=pool.last_given or None,
                last_given_at=_moment(pool.last_given_at),
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
        detail=why_texts.account(told, zone, language),
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
                expires_at=_moment(step.expires_at),
                cause=step.cause,
                detail=why_texts.step(step, zone, language),
            )
            for step in told.steps
        ],
        queue=ReasonQueue(told.position, given.ahead, given.behind, given.left) if given else None,
        draw=(
            ReasonDraw(
                *(drawn.place, drawn.members, drawn.weight / 1_000, drawn.cut.entries, drawn.cut.seats),
                drawn.cut.last_place or None,
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
            since=_moment(chance.since),
            until=_moment(chance.until),
            free=chance.free if chance.kind in ("release", "merge", "other_pool", "other_offering") else None,
            detail=why_texts.chance(chance, zone, language),
        )
        for chance in chances
    ]


def _moment(at: int) -> str | None:
    return iso(at) if at else None


def _fields(document: Struct) -> dict[str, Any]:
    return {name: getattr(document, name) for name in document.__struct_fields__}


def offering(document: documents.Offering, counts: Counts) -> OfferingView:
    """An offering with its counts."""
    fields = _fields(document)
    fields["pools"] = [
        PoolView(**_fields(pool), taken=counts.taken(document.offering, pool.pool)) for pool in document.pools
    ]
    fields["waiting"] = counts.waiting(document.offering)
    if policies.collects_until(document):
        fields |= {"entered": counts.entered(document.offering), "draw": counts.draw(document.offering)}
    if document.policy.name in OPENED_BY_DEMAND:
        fields["met_at"] = counts.met_at(document.offering)
    return OfferingView(**fields)


def campaign(definition: Definition, counts: Counts) -> CampaignView:
    """A definition with its counts."""
    fields = _fields(definition.document)
    fields["offerings"] = [offering(each, counts) for each in definition.document.offerings]
    lottery = definition.lottery
    draw = DrawView(lottery.commitment) if lottery else UNSET
    return CampaignView(**fields, version=definition.version, seq=counts.seq, draw=draw)
