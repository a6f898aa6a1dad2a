"""The checker: whether a rush was decided as promised. It looks at every answer and at the log, once each.

It is linear in what it looks at, but for a sort, and it can fail: the negative control in the tests shows that.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from api import views
from api.views import CampaignView, Enrollment, EnrollmentList
from engine.domain.campaign import Campaign
from engine.domain.enrollment import LIVE, NOT_OVER
from engine.domain.events import Event
from loadtests.exchange import CHANGES, UNDECIDED, Exchange, Refusal, Violation
from loadtests.order import real_time
from loadtests.replay import Replay


class Seen(Struct, frozen=True):
    """What the api shows when the rush is over and the ledger has followed."""

    campaign: CampaignView
    rosters: Mapping[str, Sequence[Enrollment]]
    mine: Mapping[str, Sequence[Enrollment]]
    """The live enrollments of some members, each as the member sees them."""


EXPECTED: Mapping[str, frozenset[tuple[int, str]]] = {
    "sign_up": frozenset(
        {
            *((status, "") for status in (200, 201, 202)),
            *((409, code) for code in ("sold_out", "limit_reached", "overlap")),
            (403, "not_eligible"),
            (422, "key_reused"),
        }
    ),
    "cancel": frozenset({(200, ""), (404, "not_found")}),
    "find": frozenset({(200, ""), (404, "not_found")}),
    "mine": frozenset({(200, "")}),
    "campaign": frozenset({(200, "")}),
}
"""Status and code of every answer that a rush for the sample campaign brings."""

ALSO_EXPECTED: Mapping[str, frozenset[tuple[int, str]]] = {
    "sign_up": frozenset({(409, "not_open"), (410, "closed")}),
    "cancel": frozenset({(409, "wrong_state")}),
    **dict.fromkeys(
        ("confirm", "decline"),
        frozenset({(200, ""), (404, "not_found"), (409, "too_late"), (409, "wrong_state")}),
    ),
    "campaign": frozenset({(304, "")}),
}
"""What other loads may bring beside them."""

_SHOWN_AS: Mapping[str, str] = {"cancel": "cancelled", "confirm": "confirmed", "decline": "cancelled"}
"""The status in the answer to a change that succeeded."""

_enrollment = msgspec.json.Decoder(Enrollment)
_list = msgspec.json.Decoder(EnrollmentList)
_refusal = msgspec.json.Decoder(Refusal)
_encode = msgspec.json.Encoder().encode


def refusal_of(exchange: Exchange) -> Refusal:
    """What a refusal says; its code is "" for every other answer."""
    try:
        return _refusal.decode(exchange.body) if exchange.status >= 400 else Refusal("")
    except msgspec.DecodeError:
        return Refusal("")


def _in_words(exchange: Exchange) -> str:
    return f"{exchange.kind} answered {exchange.status} {exchange.body!r}"


def is_expected(kind: str, status: int, code: str) -> bool:
    """Whether a request of this kind may be answered so."""
    return (status, code) in EXPECTED.get(kind, ()) or (status, code) in ALSO_EXPECTED.get(kind, ())


def check(
    campaign: Campaign,
    log: Sequence[Event],
    exchanges: Sequence[Exchange],
    *,
    interrupted: bool = False,
    by_clock: Iterable[Sequence[Exchange]] | None = None,
    look_age_s: float = 0,
) -> list[Violation]:
    """Every violation. `log` is the campaign's log from its beginning, in order.

    Where the rush was `interrupted`, requests may be without an answer, or be answered 503. Where the exchanges come
    from several machines, `by_clock` has the same ones apart by machine: their clocks cannot be compared, so that real
    time is checked among the exchanges of each. All of a member's are of one machine. What a look at the campaign shows
    may be `look_age_s` old, by default not at all: order.LOOK_AGE_S_MAX where several api processes decide.
    """
    units = {exchange.member: exchange.unit for exchange in exchanges}
    refusals = [
        (exchange, refusal_of(exchange))
        for exchange in exchanges
        if exchange.status == 409 or (exchange.kind == "sign_up" and exchange.status in (403, 410))
    ]
    return [
        *Replay(campaign, units, refusals).run(log),
        *told(campaign, log, exchanges, interrupted=interrupted, by_clock=by_clock, look_age_s=look_age_s),
    ]


def told(
    campaign: Campaign,
    log: Sequence[Event],
    exchanges: Sequence[Exchange],
    *,
    interrupted: bool = False,
    by_clock: Iterable[Sequence[Exchange]] | None = None,
    look_age_s: float = 0,
    also: Collection[tuple[str, int, str]] = (),
) -> list[Violation]:
    """What does not rest on the rules by which seats are given, with the same arguments: every answer is in the log.

    It holds under every policy. `also` are answers, by kind, status and code, that the policy brings besides.
    """
    return [
        *_gapless(log),
        *_expected(exchanges, also, interrupted=interrupted),
        *_Told(campaign, log).run(exchanges),
        *_keys(exchanges),
        *_owners(log, exchanges),
        *_read_after_write(log, exchanges),
        *(found for part in by_clock or [exchanges] for found in real_time(log, part, look_age_s)),
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


def shown(campaign: Campaign, log: Sequence[Event], seen: Seen) -> Iterator[Violation]:
    """Whether the api shows at the end what the log says: counts, rosters with positions, each one's own."""
    replay = Replay(campaign, {})
    for _ in replay.run(log):
        pass
    name = campaign.campaign
    live = [(each, record) for each, record in replay.records.items() if record.status in LIVE]
    mine: dict[str, list[Enrollment]] = {member: [] for member in seen.mine}
    for offering in seen.campaign.offerings:
        queue = replay.positions(offering.offering)
        positions = {enrollment: place for place, enrollment in enumerate(queue, start=1)}
        expected = [
            views.enrollment(name, enrollment, record, positions.get(enrollment, 0))
            for enrollment, record in live
            if record.offering == offering.offering
        ]
        expected.sort(key=lambda each: (each.status == "waitlisted", each.seq))
        if list(seen.rosters[offering.offering]) != expected:
            yield Violation("roster", f"the roster of {offering.offering} is not what the log says")
        if offering.waiting != len(queue):
            yield Violation("counts", f"{offering.offering} shows {offering.waiting} who wait: {len(queue)}")
        taken = Counter(each.pool for each in expected)
        for pool in offering.pools:
            if pool.taken != taken[pool.pool]:
                yield Violation("counts", f"{offering.offering}/{pool.pool} shows {pool.taken} taken: "
                                f"{taken[pool.pool]}")  # fmt: skip
        for each in expected:
            if each.member in mine:
                mine[each.member].append(each)
    for member, found in mine.items():
        if list(seen.mine[member]) != sorted(found, key=lambda each: each.seq):
            yield Violation("mine", f"{member} is not shown what the log says")
    if seen.campaign.seq != len(log):
        yield Violation("counts", f"the campaign shows seq {seen.campaign.seq}, the log ends at {len(log)}")


def _gapless(log: Sequence[Event]) -> Iterator[Violation]:
    for expected, event in enumerate(log, start=1):
        if event.seq != expected:
            yield Violation("gapless", f"event {event.seq} stands where {expected} should")
            return


def _expected(
    exchanges: Iterable[Exchange], also: Collection[tuple[str, int, str]], *, interrupted: bool
) -> Iterator[Violation]:
    for exchange in exchanges:
        if exchange.status in UNDECIDED and interrupted:
            continue
        code = refusal_of(exchange).code
        if (exchange.kind, exchange.status, code) in also:
            continue
        if not is_expected(exchange.kind, exchange.status, code):
            yield Violation("unexpected", f"{exchange.kind} was answered {exchange.status} {code}")


class _Told:
    """Every enrollment that a client was shown is in the log, as it was shown."""

    def __init__(self, campaign: Campaign, log: Iterable[Event]) -> None:
        self._campaign = campaign.campaign
        self._events = {
            (event.header.enrollment, event.record.version): event for event in log if event.record
        }

    def run(self, exchanges: Iterable[Exchange]) -> Iterator[Violation]:
        """Every answer that shows what the log does not have."""
        for exchange in exchanges:
            if exchange.kind == "campaign" or exchange.status not in (200, 201, 202):
                continue
            if exchange.kind == "mine":
                answers = _list.decode(exchange.body).enrollments
                good = all(self._is_logged(exchange, answer) for answer in answers)
            else:
                good = self._is_logged(exchange, _enrollment.decode(exchange.body))
            if not good:
                yield Violation("acknowledged", f"{_in_words(exchange)} is not in the log")

    def _is_logged(self, exchange: Exchange, answer: Enrollment) -> bool:
        event = self._events.get((answer.enrollment, answer.version))
        if event is None or event.record is None or event.record.member != exchange.member:
            return False
        if exchange.kind == "sign_up" and (
            answer.offering != exchange.offering or answer.status not in NOT_OVER
        ):
            return False
        if exchange.kind in CHANGES and answer.status != _SHOWN_AS[exchange.kind]:
            return False
        if exchange.enrollment and answer.enrollment != exchange.enrollment:
            return False
        position = answer.position or 0
        if exchange.status in (201, 202):
            header = event.header
            if (header.type, header.key, header.wanted) != ("enrolled", exchange.key, exchange.wanted):
                return False
            position = header.position
        return _encode(answer) == _encode(
            views.enrollment(self._campaign, answer.enrollment, event.record, position)
        )


def _keys(exchanges: Iterable[Exchange]) -> Iterator[Violation]:
    """Once a key has brought a success, it brings the same bytes for this request, and nothing for another."""
    by_key: dict[tuple[str, str], list[Exchange]] = defaultdict(list)
    for exchange in exchanges:
        if exchange.kind == "sign_up" and exchange.key and exchange.status not in UNDECIDED:
            by_key[exchange.member, exchange.key].append(exchange)
    for tries in by_key.values():
        successes = [each for each in tries if each.status in (201, 202)]
        first = min(successes, key=lambda each: each.answered_ns, default=None)
        for each in tries:
            same = first is None or (each.offering, each.wanted) == (first.offering, first.wanted)
            late = first is not None and each.sent_ns > first.answered_ns
            success, reused = each.status in (201, 202), refusal_of(each).code == "key_reused"
            if (same and reused) or (not same and (success or (late and not reused))):
                yield Violation("key", f"{_in_words(each)} under a key {'of its own' if same else 'in use'}")
            elif (
                same
                and first
                and (success or late)
                and (each.status, each.body) != (first.status, first.body)
            ):
                yield Violation("replay", f"{_in_words(each)} after {_in_words(first)}")


def _owners(log: Iterable[Event], exchanges: Iterable[Exchange]) -> Iterator[Violation]:
    """One's own enrollment is changed, each time with the same bytes; another's is not there."""
    owners = {event.header.enrollment: event.record.member for event in log if event.record}
    first: dict[tuple[str, str], bytes] = {}
    for exchange in exchanges:
        if exchange.kind not in CHANGES | {"find"} or exchange.status in UNDECIDED:
            continue
        own = owners.get(exchange.enrollment) == exchange.member
        if own == (exchange.status == 404):
            yield Violation(
                "owner", f"{exchange.kind} of {'' if own else 'not '}one's own: {exchange.status}"
            )
        elif exchange.kind in CHANGES and exchange.status == 200:
            change = exchange.enrollment, _SHOWN_AS[exchange.kind]
            known = first.setdefault(change, exchange.body)
            if known != exchange.body:
                yield Violation("replay", f"{_in_words(exchange)} after {known!r}")


def _read_after_write(log: Iterable[Event], exchanges: Sequence[Exchange]) -> Iterator[Violation]:
    """What a member was told before a look is in it, unless the member has begun to leave it, or it has lapsed."""
    lapsed = {event.header.enrollment for event in log if event.header.type == "lapsed"}
    told: dict[str, dict[str, int]] = defaultdict(dict)
    cancelled: dict[str, tuple[int, int]] = {}
    for exchange in exchanges:
        if exchange.kind == "sign_up" and exchange.status in (201, 202):
            enrollment = _enrollment.decode(exchange.body).enrollment
            first = told[exchange.member].get(enrollment, exchange.answered_ns)
            told[exchange.member][enrollment] = min(first, exchange.answered_ns)
        elif exchange.kind in ("cancel", "decline"):
            sent, answered = cancelled.get(exchange.enrollment, (exchange.sent_ns, 2**63))
            known = exchange.answered_ns if exchange.status == 200 else 2**63
            cancelled[exchange.enrollment] = (min(sent, exchange.sent_ns), min(answered, known))
    never = (2**63, 2**63)
    for exchange in exchanges:
        if exchange.kind != "mine" or exchange.status != 200:
            continue
        looked = {each.enrollment for each in _list.decode(exchange.body).enrollments}
        for enrollment, since in told[exchange.member].items():
            sent, answered = cancelled.get(enrollment, never)
            missing = enrollment not in looked and enrollment not in lapsed
            if missing and since < exchange.sent_ns and exchange.answered_ns < sent:
                yield Violation("stale", f"{enrollment} was told before a look that does not show it")
            if enrollment in looked and answered < exchange.sent_ns:
                yield Violation("stale", f"{enrollment} was cancelled before a look that shows it")
