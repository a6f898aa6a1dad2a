"""The checker alone: a good log passes, and each promise that is broken in it is named."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from api import views
from engine.domain.enrollment import Record
from engine.domain.events import Event, EventType, Header
from loadtests import checker
from loadtests.exchange import Exchange
from tests.stand import campaign, offering

CAMPAIGN = campaign(
    offering("a", pools=[{"pool": "open", "capacity": 1}], waitlist={"size_max": 1}),
    offering("b", pools=[{"pool": "open", "capacity": 1}]),
    rules={"limits": [{"max": 1, "per": "campaign"}]},
)


def event(seq: int, kind: EventType, enrollment: str, record: Record) -> Event:
    return Event("autumn", 1, seq, Header(1, kind, 0, record.member, "http", enrollment), record, {})


def seated(member: str, name: str = "a", *, seat: int = 1, seq: int = 0, version: int = 1) -> Record:
    return Record(name, member, "open", "confirmed", seat, seq, version, 0, 0, [])


def waiting(member: str, seq: int) -> Record:
    return Record("a", member, "", "waitlisted", 0, seq, 1, 0, 0, ["*"])


def told(kind: str, record: Record, enrollment: str, sent: int, **changed: Any) -> Exchange:
    """An answer that shows a record."""
    position = 1 if record.status == "waitlisted" else 0
    body = msgspec.json.encode(views.enrollment("autumn", enrollment, record, position))
    status = {"confirmed": 201, "waitlisted": 202, "cancelled": 200}[record.status]
    exchange = Exchange(kind, record.member, "", sent, sent + 5, status, body, "a", f"k-{record.member}")  # type: ignore[arg-type]
    return msgspec.structs.replace(exchange, enrollment="" if kind == "sign_up" else enrollment, **changed)


def refused(code: str, seq: int, sent: int, status: int = 409) -> Exchange:
    body = msgspec.json.encode({"code": code, "as_of_seq": seq})
    return Exchange("sign_up", "m9", "", sent, sent + 5, status, body, "a")


FIRST, SECOND = seated("m1", seq=2), waiting("m2", seq=3)
GONE = msgspec.structs.replace(FIRST, status="cancelled", seat=0, version=2)
PROMOTED = msgspec.structs.replace(SECOND, status="confirmed", pool="open", seat=1, version=2, queues=[])
LOG = [
    Event("autumn", 1, 1, Header(1, "published", 0, "o", "cli"), None, {}),
    event(2, "enrolled", "e1", FIRST),
    event(3, "enrolled", "e2", SECOND),
    event(4, "cancelled", "e1", GONE),
    event(5, "promoted", "e2", PROMOTED),
    event(6, "enrolled", "e3", seated("m3", "b", seq=6)),
]
EXCHANGES = [
    told("sign_up", FIRST, "e1", 10),
    told("sign_up", SECOND, "e2", 20),
    refused("sold_out", 3, 25),
    told("cancel", GONE, "e1", 30),
    told("sign_up", FIRST, "e1", 40),
]


def broken(log: Sequence[Event] = LOG, exchanges: Sequence[Exchange] = EXCHANGES) -> set[str]:
    return {violation.rule for violation in checker.check(CAMPAIGN, log, exchanges)}


def test_a_good_rush_passes() -> None:
    assert broken() == set()
    assert checker.full(CAMPAIGN, LOG) == []


@pytest.mark.parametrize(
    ("rule", "log"),
    [
        ("gapless", [*LOG[:4], *LOG[5:]]),
        ("seat", [*LOG, event(7, "enrolled", "e4", seated("m4", "b", seq=7))]),
        ("capacity", [*LOG, event(7, "enrolled", "e4", seated("m4", "b", seat=2, seq=7))]),
        ("once", [*LOG, event(7, "enrolled", "e4", seated("m3", "b", seat=1, seq=7))]),
        ("limit", [*LOG, event(7, "enrolled", "e4", seated("m3", "a", seq=7))]),
        ("version", [*LOG, event(7, "confirmed", "e3", seated("m3", "b", seq=6, version=3))]),
    ],
)
def test_a_log_that_breaks_a_rule(rule: str, log: list[Event]) -> None:
    assert rule in broken(log)


def test_overlap() -> None:
    crossing = campaign(offering("a"), offering("b"), rules={"overlaps_allowed": False})
    log = [
        *LOG[:1],
        event(2, "enrolled", "e1", seated("m1", seq=2)),
        event(3, "enrolled", "e2", seated("m1", "b", seq=3)),
    ]
    assert {each.rule for each in checker.check(crossing, log, [])} == {"overlap"}


def test_promoted_out_of_turn() -> None:
    queue = campaign(offering("a", pools=[{"pool": "open", "capacity": 1}], waitlist={"size_max": 9}))
    third = waiting("m4", seq=4)
    log = [
        *LOG[:3],
        event(4, "enrolled", "e4", third),
        event(5, "cancelled", "e1", GONE),
        event(
            6,
            "promoted",
            "e4",
            msgspec.structs.replace(third, status="confirmed", pool="open", seat=1, version=2),
        ),
    ]
    assert {each.rule for each in checker.check(queue, log, [])} == {"order"}


def change(index: int, **changed: Any) -> Callable[[], list[Exchange]]:
    def made() -> list[Exchange]:
        exchanges = list(EXCHANGES)
        exchanges[index] = msgspec.structs.replace(exchanges[index], **changed)
        return exchanges

    return made


@pytest.mark.parametrize(
    ("rule", "exchanges"),
    [
        ("replay", change(4, status=202)),
        ("replay", change(4, body=EXCHANGES[4].body.replace(b'"a"', b'"b"'))),
        ("position", change(1, body=EXCHANGES[1].body.replace(b'"position":1', b'"position":2'))),
        ("sold_out", change(2, body=msgspec.json.encode({"code": "sold_out", "as_of_seq": 1}))),
        ("sold_out", change(2, body=msgspec.json.encode({"code": "sold_out", "as_of_seq": 2}))),
        ("real_time", change(1, sent_ns=1, answered_ns=2)),
        ("real_time", change(2, sent_ns=36)),
        ("acknowledged", change(0, body=EXCHANGES[0].body.replace(b'"seats":[1]', b'"seats":[2]'))),
        ("acknowledged", change(3, body=EXCHANGES[3].body.replace(b'"version":2', b'"version":3'))),
        ("fault", change(4, status=500)),
    ],
)
def test_an_answer_that_breaks_a_promise(rule: str, exchanges: Callable[[], list[Exchange]]) -> None:
    assert rule in broken(exchanges=exchanges())


def test_an_answer_that_the_log_does_not_have() -> None:
    assert "acknowledged" in broken(LOG[:2])


def test_a_try_whose_answer_was_lost_may_have_been_decided() -> None:
    lost = msgspec.structs.replace(EXCHANGES[0], sent_ns=1, answered_ns=6, status=0, body=b"")
    late = msgspec.structs.replace(EXCHANGES[0], sent_ns=50, answered_ns=55)
    exchanges = [EXCHANGES[1], EXCHANGES[2], EXCHANGES[3], late]
    assert "real_time" in broken(exchanges=exchanges)
    assert broken(exchanges=[lost, *exchanges]) == set()


def test_a_free_seat_at_the_end() -> None:
    assert [each.what for each in checker.full(CAMPAIGN, LOG[:4])] == [
        "a/open has 0 of 1",
        "b/open has 0 of 1",
    ]
