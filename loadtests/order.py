"""Real time: if A was answered before B was sent, then A comes before B (linearizability of the log's order).

M. Herlihy and J. Wing, "Linearizability: A Correctness Condition for Concurrent Objects", 1990.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from api.views import Enrollment
from engine.domain.events import Event, EventType
from loadtests.exchange import CHANGES, UNDECIDED, Exchange, Violation


class _AsOf(msgspec.Struct):
    """What a look or a refusal says of when it was decided."""

    as_of_seq: int = 0
    seq: int = 0


_EVENTS: Mapping[str, EventType] = {"cancel": "cancelled", "confirm": "confirmed", "decline": "declined"}
_enrollment = msgspec.json.Decoder(Enrollment)
_as_of = msgspec.json.Decoder(_AsOf)


LOOK_AGE_S_MAX: Final = 0.1
"""How old the counts may be that a look shows where several api processes decide: each knows of the others' so late."""


def real_time(
    log: Iterable[Event], exchanges: Sequence[Exchange], look_age_s: float = 0
) -> Iterator[Violation]:
    """Every request that was decided before one which had been answered when it was sent.

    Decisions have a seq each; refusals and looks name the last one that they were decided after. What a look shows
    may be `look_age_s` old.
    """
    decided = _decided(log, exchanges)
    looked = list(_looked(exchanges, int(look_age_s * 1e9)))
    answers = sorted([*((answered, seq) for seq, (_, answered) in decided.items()),
                      *((answered, seq) for _, answered, seq in looked)])  # fmt: skip
    questions = sorted([*((sent, seq, True) for seq, (sent, _) in decided.items()),
                        *((sent, seq, False) for sent, _, seq in looked)])  # fmt: skip
    newest, index = 0, 0
    for sent, seq, takes_one in questions:
        while index < len(answers) and answers[index][0] < sent:
            newest = max(newest, answers[index][1])
            index += 1
        if seq < newest + takes_one:
            yield Violation("real_time", f"decided at seq {seq}, asked for after seq {newest} was answered")


def _decided(log: Iterable[Event], exchanges: Sequence[Exchange]) -> dict[int, tuple[int, int]]:
    """For each seq that clients were told of: when it was first asked for, and when it was first answered.

    Of several tries of one request any may be the one that was decided, also one whose answer was lost.
    """
    changed = {(event.header.type, event.header.enrollment): event.seq for event in log}
    lost: dict[tuple[str, ...], int] = {}
    for exchange in exchanges:
        if exchange.status in UNDECIDED:
            request = _request(exchange)
            lost[request] = min(lost.get(request, exchange.sent_ns), exchange.sent_ns)
    decided: dict[int, tuple[int, int]] = {}
    for exchange in exchanges:
        if exchange.kind == "sign_up" and exchange.status in (201, 202):
            seq = _enrollment.decode(exchange.body).seq
        elif exchange.kind in CHANGES and exchange.status == 200:
            seq = changed.get((_EVENTS[exchange.kind], exchange.enrollment), 0)
        else:
            continue
        if not seq:
            continue
        sent, answered = decided.get(seq, (exchange.sent_ns, exchange.answered_ns))
        sent = min(sent, exchange.sent_ns)
        # Without a key each try is a request of its own.
        if exchange.key or exchange.kind in CHANGES:
            sent = min(sent, lost.get(_request(exchange), sent))
        decided[seq] = (sent, min(answered, exchange.answered_ns))
    return decided


def _request(exchange: Exchange) -> tuple[str, ...]:
    """What all tries of one request share."""
    if exchange.kind in CHANGES:
        return (exchange.kind, exchange.enrollment)
    return (exchange.member, exchange.key, exchange.offering, exchange.wanted)


def _looked(exchanges: Iterable[Exchange], look_age_ns: int) -> Iterator[tuple[int, int, int]]:
    """When it was decided at the earliest, when answered, and the seq as of which."""
    for exchange in exchanges:
        refused = exchange.status == 409 or (exchange.kind == "sign_up" and exchange.status in (403, 410))
        if refused or (exchange.kind == "campaign" and exchange.status in (200, 304)):
            said = _as_of.decode(exchange.body)
            age_ns = look_age_ns if exchange.kind == "campaign" else 0
            yield exchange.sent_ns - age_ns, exchange.answered_ns, said.as_of_seq or said.seq
