"""An account of an enrollment: each step by which it came to what it is, from the events about it.

Of others there are counts only.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, get_args

from msgspec import Struct

from engine.domain.definition import PackedOffering
from engine.domain.enrollment import Record, Status
from engine.domain.events import Event, EventType
from engine.domain.history import Given, History
from engine.domain.share import Cut, Share
from engine.domain.why import guards
from engine.domain.why.chances import Chance

By = Literal["self", "officer", "system"]
"""Who caused a step: the member, somebody else who may, or time and the engine."""
Cause = Literal["cancelled", "declined", "lapsed", "released", "merged", "published", "draw_ended"]
"""What set a seat free that one who waited got."""

CAUSES: Final[tuple[Cause, ...]] = get_args(Cause)


class Step(Struct, frozen=True):
    """One event about the enrollment."""

    seq: int
    at: int
    """UTC milliseconds."""
    type: EventType
    status: Status
    """After it."""
    pool: str
    """Of its seat (after it left: of its last one), "" while it waits."""
    seat: int
    by: By
    position: int
    """Of one that begins to wait: its place in the queue, else 0."""
    expires_at: int
    """When the hold or the offer that it begins is over; UTC milliseconds, 0 for none."""
    cause: Cause | None
    """Of a promotion: what set the seat free, where the log tells."""


class Drawn(Struct, frozen=True):
    """An entry's part in its draw."""

    place: int
    """In the order of the draw, from 1."""
    members: int
    """Who were drawn."""
    weight: int
    """In thousandths; 0 where the order was that of votes."""
    blocked: bool
    """Whether there was a seat, and what the member had in the campaign stood against it."""
    cut: Cut
    """How far the seats of the offering went."""


class Account(Struct, frozen=True):
    """How an enrollment came to what it is, as of `seq`."""

    enrollment: str
    offering: str
    seq: int
    at: int
    status: Status
    number: int
    """It was the n-th sign-up for its offering that succeeded."""
    steps: list[Step]
    position: int
    """Its place in the queue, 0 when it does not wait."""
    given: Given | None
    """What went to others since it waits; None when it does not."""
    drawn: Drawn | None
    chances: list[Chance]


def tell(
    history: History,
    offering: PackedOffering | None,
    events: Sequence[Event],
    causes: Mapping[int, Event],
    drawn: tuple[Share, Cut, int] | None = None,
) -> Account:
    """The account of an enrollment of which `events` are all events, in order.

    `offering` is what is in force, None when it is there no more. `causes` has, by the seq of a promotion, the event
    that `History.cause` names. `drawn` has the member's share, the offering's cut and the number of members.
    """
    record, seq = _record(events[-1]), history.seq
    waits = record.status == "waitlisted"
    position = history.ahead(record.offering, record.order) + 1 if waits else 0
    return Account(
        enrollment=events[0].header.enrollment,
        offering=record.offering,
        seq=seq,
        at=history.at(seq),
        status=record.status,
        number=history.sign_ups(record.offering, record.seq),
        steps=[_step(history, event, causes) for event in events],
        position=position,
        given=history.given_since(record.offering, record.order) if waits else None,
        drawn=_drawn(record.offering, *drawn) if drawn else None,
        chances=list(_chances(history, offering, record)),
    )


def _drawn(offering: str, share: Share, cut: Cut, members: int) -> Drawn:
    blocked = any(wished.blocked for wished in share.wishes if wished.offering == offering)
    return Drawn(share.place, members, share.weight, blocked, cut)


def _record(event: Event) -> Record:
    assert event.record is not None, "it is about an enrollment"
    return event.record


def _step(history: History, event: Event, causes: Mapping[int, Event]) -> Step:
    header, record = event.header, _record(event)
    by: By = "officer"
    if header.channel == "engine":
        by = "system"
    elif header.actor == record.member:
        by = "self"
    begins_to_wait = record.status == "waitlisted" and event.seq == record.order
    return Step(
        seq=event.seq,
        at=header.at,
        type=header.type,
        status=record.status,
        pool=record.pool,
        seat=record.seat,
        by=by,
        position=history.waiting(record.offering, event.seq) if begins_to_wait else 0,
        expires_at=record.expires_at,
        cause=_cause(causes.get(event.seq), record.offering),
    )


def _cause(event: Event | None, offering: str) -> Cause | None:
    if event is None:
        return None
    about = event.record.offering if event.record else event.header.offering
    if about not in ("", offering):
        return None
    return next((cause for cause in CAUSES if cause == event.header.type), None)


def _chances(history: History, offering: PackedOffering | None, record: Record) -> Iterator[Chance]:
    if offering is None:
        return
    name, now = record.offering, history.at(history.seq)
    is_over = guards.has_had_its_draw(history, name, offering, history.seq)
    match record.status:
        case "entered":
            yield Chance("draw", name, since=offering.collects)
        case "held" | "offered":
            yield Chance("confirm", name, record.pool, until=record.expires_at)
        case "waitlisted" if offering.ends > now:
            yield Chance("queue", name, until=offering.ends)
            for pool in offering.pools:
                for stage, at in enumerate(pool.merges, 1):
                    if at > now and f"{pool.pool}@{stage}" in record.queues:
                        free = max(0, pool.capacity - history.taken(name, pool.pool, history.seq))
                        yield Chance("merge", name, pool.pool, since=at, free=free)
                if pool.releases > now and pool.pool not in record.queues and "*" in record.queues:
                    free = max(0, pool.capacity - history.taken(name, pool.pool, history.seq))
                    yield Chance("release", name, pool.pool, since=pool.releases, free=free)
        case "cancelled" | "lapsed" | "not_drawn" if (
            (offering.intents_open or offering.opens) <= now < offering.closes
        ):
            if not is_over:
                yield Chance("sign_up_again", name, until=offering.closes)
        case _:
            return
