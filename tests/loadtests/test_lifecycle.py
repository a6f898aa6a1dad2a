"""The checker on holds and offers: a good course passes, and each rule of it can be broken."""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from msgspec import structs

from api import views
from engine.domain.enrollment import Record
from engine.domain.events import Event, EventType, Header
from loadtests import checker
from loadtests.exchange import Exchange
from tests import stand
from tests.loadtests.told import Rush
from tests.stand import offering

NOW_MS: Final = time.time_ns() // 10**6
CAMPAIGN: Final = stand.campaign(
    offering(
        "a",
        pools=[{"pool": "open", "capacity": 1}],
        hold_ttl_s=4,
        waitlist={"size_max": 2, "promotion": "offer", "offer_ttl_s": 3},
    )
)
HELD: Final = Record("a", "m1", "open", "held", 1, 3, 1, NOW_MS + 4_000, NOW_MS, [])
WAITING: Final = Record("a", "m2", "", "waitlisted", 0, 4, 1, 0, NOW_MS, ["*"])


def good() -> Rush:
    """A hold is confirmed and given back; the seat is offered to one who declines, then to one who lets it lapse."""
    made = Rush(CAMPAIGN, [Event("autumn", 1, 1, Header(1, "published", NOW_MS, "o", "cli"), None, {})], [])
    made.log.append(
        Event("autumn", 1, 2, Header(1, "opened", NOW_MS, "system", "engine", offering="a"), None, {})
    )

    def log(after_s: float, kind: EventType, name: str, record: Record, **header: Any) -> Record:
        actor = "system" if kind in ("promoted", "lapsed") else record.member
        head = Header(1, kind, NOW_MS + int(1000 * after_s), actor, "http", name, **header)
        made.log.append(Event("autumn", 1, len(made.log) + 1, head, record, {}))
        return record

    def say(kind: str, member: str, status: int, body: Any, **of: Any) -> None:
        sent = 10 * (len(made.exchanges) + 1)
        said = (kind, member, "", sent, sent + 5, status, msgspec.json.encode(body))
        made.exchanges.append(structs.replace(msgspec.convert(said, Exchange), **of))

    def view(name: str, record: Record, position: int = 0) -> views.Enrollment:
        return views.enrollment("autumn", name, record, position)

    def refuse(kind: str, member: str, status: int, code: str, as_of_seq: int, **of: Any) -> None:
        say(kind, member, status, {"code": code, "as_of_seq": as_of_seq}, **of)

    refuse("sign_up", "m1", 409, "not_open", 1, offering="a", key="k1")  # 0
    held = log(0, "enrolled", "e1", HELD, key="k1")
    say("sign_up", "m1", 202, view("e1", held), offering="a", key="k1")  # 1
    second = log(0, "enrolled", "e2", WAITING, position=1)
    say("sign_up", "m2", 202, view("e2", second, 1), offering="a")  # 2
    third = log(0, "enrolled", "e3", structs.replace(WAITING, member="m3", seq=5), position=2)
    say("sign_up", "m3", 202, view("e3", third, 2), offering="a")  # 3
    refuse("confirm", "m3", 409, "wrong_state", 5, enrollment="e3")  # 4
    taken = log(1, "confirmed", "e1", structs.replace(held, status="confirmed", version=2, expires_at=0))
    say("confirm", "m1", 200, view("e1", taken), enrollment="e1")  # 5
    refuse("decline", "m1", 409, "wrong_state", 6, enrollment="e1")  # 6
    gone = log(2, "cancelled", "e1", structs.replace(taken, status="cancelled", seat=0, version=3))
    offered = structs.replace(
        second, pool="open", status="offered", seat=1, version=2, queues=[], expires_at=NOW_MS + 5_000
    )
    log(2, "promoted", "e2", offered)
    say("cancel", "m1", 200, view("e1", gone), enrollment="e1")  # 7
    left = structs.replace(offered, status="cancelled", seat=0, version=3, expires_at=0)
    log(3, "declined", "e2", left)
    again = structs.replace(
        third, pool="open", status="offered", seat=1, version=2, queues=[], expires_at=NOW_MS + 6_000
    )
    log(3, "promoted", "e3", again)
    say("decline", "m2", 200, view("e2", left), enrollment="e2")  # 8
    say("mine", "m3", 200, views.EnrollmentList([view("e3", again)], None))  # 9
    log(6, "lapsed", "e3", structs.replace(again, status="lapsed", seat=0, version=3, expires_at=0))
    say("mine", "m3", 200, views.EnrollmentList([], None))  # 10
    refuse("confirm", "m3", 409, "too_late", 11, enrollment="e3")  # 11
    refuse("decline", "m3", 409, "too_late", 11, enrollment="e3")  # 12
    refuse("cancel", "m3", 409, "wrong_state", 11, enrollment="e3")  # 13
    refuse("confirm", "m2", 404, "not_found", 11, enrollment="e3")  # 14
    last = structs.replace(HELD, member="m4", seq=12, expires_at=NOW_MS + 10_500)
    log(6.5, "enrolled", "e4", last)
    say("sign_up", "m4", 202, view("e4", last), offering="a")  # 15
    return made


def test_a_good_course_passes() -> None:
    assert checker.check(CAMPAIGN, good().log, good().exchanges) == []


@pytest.mark.parametrize(
    ("rule", "index", "header", "record"),
    [
        ("window", 1, {"at": 1}, None),  # opened before its time
        ("window", 2, {"at": 1}, {"expires_at": 4_001}),
        ("window", 2, {"at": NOW_MS + 2 * 86_400_000}, {"expires_at": NOW_MS + 2 * 86_400_000 + 4_000}),
        ("state", 2, {}, {"status": "confirmed", "expires_at": 0}),  # it has to be held
        ("expiry", 2, {}, {"expires_at": NOW_MS + 4_001}),
        ("expiry", 2, {}, {"expires_at": 0}),
        ("state", 5, {"enrollment": "e2"}, {}),  # was waiting, and is confirmed
        ("state", 5, {}, {"status": "held"}),
        ("seat", 5, {}, {"seat": 2}),
        ("expiry", 5, {"at": NOW_MS + 4_000}, {}),  # too late
        ("actor", 5, {"actor": "m2"}, {}),
        ("state", 7, {}, {"status": "confirmed", "expires_at": 0}),  # it has to be offered
        ("expiry", 7, {}, {"expires_at": NOW_MS + 6_000}),
        ("actor", 7, {"actor": "m2"}, {}),
        ("order", 7, {"enrollment": "e3"}, {"member": "m3", "seq": 5}),  # not the first in the queue
        ("expiry", 8, {"at": NOW_MS + 5_000}, {}),
        ("actor", 8, {"actor": "officer"}, {}),
        ("state", 8, {}, {"seat": 1}),
        ("expiry", 10, {"at": NOW_MS + 5_999}, {}),  # before its time
        ("actor", 10, {"actor": "m3"}, {}),
        ("state", 10, {}, {"status": "cancelled"}),
    ],
)
def test_an_event_that_breaks_a_rule(
    rule: str, index: int, header: dict[str, Any], record: dict[str, Any] | None
) -> None:
    rush = good()
    old = rush.log[index]
    changed = structs.replace(old.record, **record) if old.record and record is not None else old.record
    rush.log[index] = structs.replace(old, header=structs.replace(old.header, **header), record=changed)
    assert rule in rush.rules()


@pytest.mark.parametrize(
    ("rule", "index", "changed"),
    [
        ("refusal", 0, {"body": b'{"code":"not_open","as_of_seq":2}'}),
        ("refusal", 0, {"body": b'{"code":"closed","as_of_seq":1}', "status": 410}),
        ("refusal", 4, {"body": b'{"code":"too_late","as_of_seq":5}'}),
        ("refusal", 6, {"body": b'{"code":"wrong_state","as_of_seq":5}'}),  # it was held
        ("refusal", 11, {"body": b'{"code":"too_late","as_of_seq":10}'}),  # it was offered
        ("refusal", 12, {"body": b'{"code":"wrong_state","as_of_seq":11}'}),
        ("refusal", 13, {"body": b'{"code":"wrong_state","as_of_seq":10}'}),
        ("unexpected", 13, {"body": b'{"code":"too_late","as_of_seq":11}'}),
        ("unexpected", 5, {"status": 202}),
        ("owner", 5, {"member": "m2"}),
        ("owner", 8, {"status": 404, "body": b'{"code":"not_found"}'}),
        ("owner", 14, {"member": "m3"}),
        ("acknowledged", 5, {"kind": "decline"}),
        ("acknowledged", 8, {"kind": "confirm"}),
        ("acknowledged", 8, {"enrollment": "e3", "member": "m3"}),
        (
            "stale",
            9,
            {"sent_ns": 20, "answered_ns": 30, "member": "m2", "body": b'{"enrollments":[],"next":null}'},
        ),
        ("real_time", 11, {"body": b'{"code":"too_late","as_of_seq":8}'}),
        ("real_time", 5, {"sent_ns": 1, "answered_ns": 2}),
    ],
)
def test_an_answer_that_breaks_a_promise(rule: str, index: int, changed: dict[str, Any]) -> None:
    rush = good()
    if rule == "stale":
        changed |= {"sent_ns": 38, "answered_ns": 39}  # after e2 was told, before it is left
    rush.exchange(index, **changed)
    assert rule in rush.rules()


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        # A decision while an offer is over that has not lapsed.
        ("expiry", lambda log: log.pop(10)),
        # A seat that came back is not given on.
        ("idle", lambda log: (log.pop(9), log.pop(9))),
        ("window", lambda log: log.append(structs.replace(log[1], seq=13))),
    ],
)
def test_a_log_with_a_fault(rule: str, change: Callable[[list[Event]], object]) -> None:
    rush = good()
    change(rush.log)
    assert rule in rush.rules()


def test_what_is_over_first_lapses_first() -> None:
    rush = good()
    two = stand.campaign(
        offering("a", pools=[{"pool": "open", "capacity": 2}], hold_ttl_s=4, waitlist={"size_max": 2})
    )
    early = structs.replace(HELD, seq=3)
    late = structs.replace(HELD, member="m2", seat=2, seq=4, expires_at=NOW_MS + 5_000)

    def event(seq: int, kind: EventType, at: int, name: str, record: Record) -> Event:
        actor = record.member if kind == "enrolled" else "system"
        return Event("autumn", 1, seq, Header(1, kind, NOW_MS + at, actor, "http", name), record, {})

    def over(record: Record) -> Record:
        return structs.replace(record, status="lapsed", seat=0, version=2, expires_at=0)

    begin = [*rush.log[:2], event(3, "enrolled", 0, "e1", early), event(4, "enrolled", 1000, "e2", late)]
    good_end = [event(5, "lapsed", 6000, "e1", over(early)), event(6, "lapsed", 6000, "e2", over(late))]
    bad_end = [event(5, "lapsed", 6000, "e2", over(late)), event(6, "lapsed", 6000, "e1", over(early))]
    assert checker.check(two, begin + good_end, []) == []
    assert [found.rule for found in checker.check(two, begin + bad_end, [])] == ["expiry"]


def test_clocks_of_two_machines_are_not_compared() -> None:
    rush = good()
    # The other machine's clock is far behind.
    first, rest = rush.exchanges[5], [*rush.exchanges[:5], *rush.exchanges[6:]]
    elsewhere = structs.replace(first, sent_ns=1, answered_ns=2)
    assert checker.check(CAMPAIGN, rush.log, [elsewhere, *rest], by_clock=[[elsewhere], rest]) == []
    assert checker.check(CAMPAIGN, rush.log, [elsewhere, *rest]) != []
