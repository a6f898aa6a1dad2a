"""The checker: whether a rush was decided as promised. It looks at every answer and at the log, once each.

It is linear in what it looks at, but for a sort, and it can fail: the negative control in the tests shows that.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Struct

from api.views import Enrollment
from engine.domain import definition, eligibility
from engine.domain.campaign import Campaign
from engine.domain.enrollment import LIVE, Record
from engine.domain.events import Event
from engine.domain.person import Person
from loadtests.exchange import Exchange


class Refusal(Struct, frozen=True):
    """What the checker reads of a problem document."""

    code: str
    as_of_seq: int = 0


class Violation(Struct, frozen=True):
    """A broken promise: which rule, and what shows it."""

    rule: str
    what: str


REMEMBERED = {"sign_up": (201, 202), "cancel": (200,)}

_enrollment = msgspec.json.Decoder(Enrollment)
_refusal = msgspec.json.Decoder(Refusal)


def check(campaign: Campaign, log: Sequence[Event], exchanges: Sequence[Exchange]) -> list[Violation]:
    """Every violation. `log` is the campaign's log from its beginning, in order."""
    return [
        *_gapless(log),
        *_Replay(campaign, exchanges).run(log),
        *_no_faults(exchanges),
        *_same_answers(exchanges),
        *_acknowledged(log, exchanges),
        *_real_time(log, exchanges),
    ]


def full(campaign: Campaign, log: Sequence[Event]) -> list[Violation]:
    """Pools that have a free seat at the end, where demand is known to exceed them all."""
    newest = {event.header.enrollment: event.record for event in log if event.record}
    taken = Counter((record.offering, record.pool) for record in newest.values() if record.seat)
    return [
        Violation(
            "full",
            f"{offering.offering}/{pool.pool} has {taken[offering.offering, pool.pool]} of {pool.capacity}",
        )
        for offering in campaign.offerings
        for pool in offering.pools
        if taken[offering.offering, pool.pool] != pool.capacity
    ]


def _gapless(log: Sequence[Event]) -> Iterator[Violation]:
    for expected, event in enumerate(log, start=1):
        if event.seq != expected:
            yield Violation("gapless", f"event {event.seq} stands where {expected} should")
            return


class _Replay:
    """The log, played from its beginning: after each event the state must be one that the rules allow."""

    def __init__(self, campaign: Campaign, exchanges: Sequence[Exchange]) -> None:
        self._offerings = {offering.offering: offering for offering in campaign.offerings}
        self._capacities = {
            (offering.offering, pool.pool): pool.capacity
            for offering in campaign.offerings
            for pool in offering.pools
        }
        self._limits = [
            limit for limit in campaign.rules.limits if limit.per == "campaign" and not limit.kinds
        ]
        self._overlaps = dict(zip(self._offerings, map(set, definition.overlaps(campaign)), strict=True))
        if campaign.rules.overlaps_allowed:
            self._overlaps = {name: set() for name in self._offerings}
        self._records: dict[str, Record] = {}
        self._holders: dict[tuple[str, str, int], str] = {}
        self._taken: Counter[tuple[str, str]] = Counter()
        self._waiting: dict[str, dict[str, int]] = defaultdict(dict)
        self._members: dict[str, list[str]] = defaultdict(list)
        self._sold_out: dict[int, list[Exchange]] = defaultdict(list)
        self._positions: dict[str, int] = {}
        for exchange in exchanges:
            if exchange.kind == "sign_up" and exchange.status == 409:
                refusal = _refusal.decode(exchange.body)
                if refusal.code == "sold_out":
                    self._sold_out[refusal.as_of_seq].append(exchange)
            elif exchange.kind == "sign_up" and exchange.status == 202:
                waiting = _enrollment.decode(exchange.body)
                self._positions[waiting.enrollment] = waiting.position or 0

    def run(self, log: Iterable[Event]) -> Iterator[Violation]:
        """Every violation, in the order of the log."""
        for event in log:
            if event.record is not None:
                yield from self._apply(event, event.record)
            yield from self._check_sold_out(event.seq)

    def _apply(self, event: Event, record: Record) -> Iterator[Violation]:
        enrollment = event.header.enrollment
        before = self._records.get(enrollment)
        if record.version != (before.version if before else 0) + 1:
            yield Violation("version", f"{enrollment} has version {record.version} at seq {event.seq}")
        self._records[enrollment] = record
        if before is not None:
            self._remove(enrollment, before)
        if record.status in LIVE:
            yield from self._add(event, enrollment, record)
        if event.header.type == "enrolled" and record.status == "waitlisted":
            position, queue = self._positions.get(enrollment), self._waiting[record.offering]
            if position is not None and position != len(queue):
                yield Violation("position", f"{enrollment} was told {position}, at place {len(queue)}")
        if event.header.type == "promoted" and before is not None:
            ahead = [seq for seq in self._waiting[record.offering].values() if seq < before.seq]
            # Only one who may not take the pool is passed over.
            if ahead and "*" in before.queues and self._is_open(record):
                yield Violation("order", f"{enrollment} was promoted before {len(ahead)} who waited longer")

    def _is_open(self, record: Record) -> bool:
        pools = self._offerings[record.offering].pools
        return any(pool.pool == record.pool and pool.eligible is None for pool in pools) and all(
            "*" in self._records[name].queues for name in self._waiting[record.offering]
        )

    def _remove(self, enrollment: str, record: Record) -> None:
        if record.seat:
            self._taken[record.offering, record.pool] -= 1
            if self._holders.get((record.offering, record.pool, record.seat)) == enrollment:
                del self._holders[record.offering, record.pool, record.seat]
        self._waiting[record.offering].pop(enrollment, None)
        if record.status in LIVE:
            self._members[record.member].remove(record.offering)

    def _add(self, event: Event, enrollment: str, record: Record) -> Iterator[Violation]:
        pool = (record.offering, record.pool)
        if record.seat:
            holder = self._holders.setdefault((*pool, record.seat), enrollment)
            if holder != enrollment:
                yield Violation(
                    "seat", f"seat {record.seat} of {'/'.join(pool)} is sold twice at seq {event.seq}"
                )
            self._taken[pool] += 1
            if record.seat > self._capacities[pool] or self._taken[pool] > self._capacities[pool]:
                yield Violation("capacity", f"{'/'.join(pool)} is oversold at seq {event.seq}")
        else:
            self._waiting[record.offering][enrollment] = record.seq
        others = self._members[record.member]
        if record.offering in others:
            yield Violation("once", f"a member is twice in {record.offering} at seq {event.seq}")
        for other in others:
            if other in self._overlaps[record.offering]:
                yield Violation("overlap", f"a member is in {other} and {record.offering} at seq {event.seq}")
        others.append(record.offering)
        for limit in self._limits:
            if len(others) > limit.max:
                yield Violation("limit", f"a member has {len(others)} enrollments at seq {event.seq}")

    def _check_sold_out(self, seq: int) -> Iterator[Violation]:
        for exchange in self._sold_out.pop(seq, ()):
            offering = self._offerings[exchange.offering]
            mask = eligibility.mask(offering, Person(exchange.member, exchange.unit))
            for pool, eligible in zip(offering.pools, mask, strict=True):
                may = eligible == "1" and exchange.wanted in ("", pool.pool)
                if may and self._taken[exchange.offering, pool.pool] < pool.capacity:
                    yield Violation(
                        "sold_out", f"{exchange.offering}/{pool.pool} had a free seat after seq {seq}"
                    )
            if len(self._waiting[exchange.offering]) < offering.waitlist.size_max:
                yield Violation("sold_out", f"{exchange.offering} had room to wait after seq {seq}")


def _no_faults(exchanges: Iterable[Exchange]) -> Iterator[Violation]:
    for exchange in exchanges:
        if exchange.status >= 500 and exchange.status != 503:
            yield Violation("fault", f"{exchange.kind} was answered {exchange.status}")


def _same_answers(exchanges: Iterable[Exchange]) -> Iterator[Violation]:
    """Every success under one key has the same bytes, and so has every cancellation of one enrollment."""
    first: dict[tuple[str, ...], Exchange] = {}
    for exchange in exchanges:
        subject = _subject(exchange)
        # A sign-up that is answered 200 shows the state of one made under another key.
        if not subject or exchange.status not in REMEMBERED[exchange.kind]:
            continue
        known = first.setdefault(subject, exchange)
        if (known.status, known.body) != (exchange.status, exchange.body):
            yield Violation("replay", f"{exchange.kind} was answered {known.status} {known.body!r}, then "
                            f"{exchange.status} {exchange.body!r}")  # fmt: skip


def _subject(exchange: Exchange) -> tuple[str, ...]:
    """What all tries of one request share; empty for one that has nothing of the kind."""
    if exchange.kind == "sign_up" and exchange.key:
        return (exchange.member, exchange.key, exchange.offering, exchange.wanted)
    return ("", exchange.enrollment) if exchange.kind == "cancel" else ()


def _acknowledged(log: Iterable[Event], exchanges: Iterable[Exchange]) -> Iterator[Violation]:
    """Every success that a client was told of is in the log, as it was told."""
    enrolled = {event.header.enrollment: event for event in log if event.header.type == "enrolled"}
    cancelled = {event.header.enrollment: event for event in log if event.header.type == "cancelled"}
    for exchange in exchanges:
        told = exchange.kind == "sign_up" and exchange.status in (201, 202)
        if not told and not (exchange.kind == "cancel" and exchange.status == 200):
            continue
        answer = _enrollment.decode(exchange.body)
        event = (enrolled if told else cancelled).get(answer.enrollment)
        record = event.record if event else None
        if record is None or not (
            record.member == exchange.member == answer.member
            and (record.status, record.seq, record.version) == (answer.status, answer.seq, answer.version)
            and ([record.seat] if record.seat else []) == answer.seats
        ):
            yield Violation(
                "acknowledged", f"{exchange.kind} of {answer.enrollment} was told, and is not in the log"
            )


def _real_time(log: Iterable[Event], exchanges: Iterable[Exchange]) -> Iterator[Violation]:
    """If A was answered before B was sent, then A comes before B: a linear sweep over both in order of time."""
    cancels = {event.header.enrollment: event.seq for event in log if event.header.type == "cancelled"}
    unanswered: dict[tuple[str, ...], int] = {}
    for exchange in exchanges:
        if exchange.status in (0, 503):
            subject = _subject(exchange)
            unanswered[subject] = min(unanswered.get(subject, exchange.sent_ns), exchange.sent_ns)
    decided: dict[int, tuple[int, int]] = {}
    refused: list[tuple[int, int]] = []
    for exchange in exchanges:
        seq = 0
        if exchange.kind == "sign_up" and exchange.status in (201, 202):
            seq = _enrollment.decode(exchange.body).seq
        elif exchange.kind == "cancel" and exchange.status == 200:
            seq = cancels.get(exchange.enrollment, 0)
        elif exchange.kind == "sign_up" and exchange.status in (403, 409, 410):
            refused.append((exchange.sent_ns, _refusal.decode(exchange.body).as_of_seq))
        if seq:
            # Of several tries the decision was made after the first was sent, and before the first answer.
            sent, answered = decided.get(seq, (exchange.sent_ns, exchange.answered_ns))
            sent = min(sent, exchange.sent_ns, unanswered.get(_subject(exchange), exchange.sent_ns))
            decided[seq] = (sent, min(answered, exchange.answered_ns))
    answers = sorted((answered, seq) for seq, (_, answered) in decided.items())
    questions = sorted(
        [*((sent, seq, 0) for seq, (sent, _) in decided.items()), *((sent, seq, 1) for sent, seq in refused)]
    )
    newest, index = 0, 0
    for sent, seq, is_refusal in questions:
        while index < len(answers) and answers[index][0] < sent:
            newest = max(newest, answers[index][1])
            index += 1
        if seq < newest or (seq == newest and not is_refusal):
            yield Violation("real_time", f"seq {seq} was asked for after seq {newest} was answered")
