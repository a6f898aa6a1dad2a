"""The checker alone: a good rush passes, and each promise that is broken in it is named."""

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from msgspec import structs

from api import views
from engine.domain.definition import compile_definition
from engine.domain.enrollment import Record
from engine.domain.events import Event, EventType, Header
from engine.live.counts import Counts
from loadtests import checker
from loadtests.checker import Seen
from loadtests.exchange import Exchange
from tests import stand
from tests.loadtests.told import Rush
from tests.stand import at, offering

MEETINGS: Final = {"a": 10, "b": 11, "c": 10, "d": 12}
"""When each offering meets, in days: a and c at the same time."""
NOW_MS: Final = time.time_ns() // 10**6
UNITS: Final = {"m1": "x.y", "m4": "x"}
CAMPAIGN: Final = stand.campaign(
    *(
        offering(
            name,
            sessions=[{"starts": at(days=day), "ends": at(days=day, hours=2)}],
            pools=[
                {"pool": "own", "capacity": 1, "eligible": {"units": ["x"]}},
                {"pool": "open", "capacity": 1},
            ],
            waitlist={"size_max": 2},
        )
        for name, day in MEETINGS.items()
    ),
    rules={"limits": [{"max": 2, "per": "campaign"}], "overlaps_allowed": False},
)


def good() -> Rush:
    """A rush as it should be."""
    made = Rush(CAMPAIGN, [Event("autumn", 1, 1, Header(1, "published", 0, "o", "cli"), None, {})], [])

    def log(kind: EventType, enrollment: str, record: Record, **header: Any) -> Record:
        actor = "system" if kind == "promoted" else record.member
        head = Header(1, kind, NOW_MS, actor, "http", enrollment, **header)
        made.log.append(Event("autumn", 1, len(made.log) + 1, head, record, {}))
        return record

    def say(kind: str, member: str, status: int, body: Any, **of: Any) -> None:
        sent = 10 * (len(made.exchanges) + 1)
        encoded = msgspec.json.encode(body)
        said = (kind, member, UNITS.get(member, ""), sent, sent + 5, status, encoded)
        made.exchanges.append(structs.replace(msgspec.convert(said, Exchange), **of))

    def view(enrollment: str, record: Record, position: int = 0) -> views.Enrollment:
        return views.enrollment("autumn", enrollment, record, position)

    def refuse(member: str, status: int, code: str, as_of_seq: int, **of: Any) -> None:
        say("sign_up", member, status, {"code": code, "as_of_seq": as_of_seq}, **of)

    first = log("enrolled", "e1", Record("a", "m1", "own", "confirmed", 1, 2, 1, 0, 0, []), key="k1")
    say("sign_up", "m1", 201, view("e1", first), offering="a", key="k1")  # 0
    second = log("enrolled", "e2", Record("a", "m2", "open", "confirmed", 1, 3, 1, 0, 0, []), key="k2")
    say("sign_up", "m2", 201, view("e2", second), offering="a", key="k2")  # 1
    third = log("enrolled", "e3", Record("a", "m3", "", "waitlisted", 0, 4, 1, 0, 0, ["*"]), position=1)
    say("sign_up", "m3", 202, view("e3", third, 1), offering="a")  # 2
    fourth = log(
        "enrolled", "e4", Record("a", "m4", "", "waitlisted", 0, 5, 1, 0, 0, ["*", "own"]), position=2
    )
    say("sign_up", "m4", 202, view("e4", fourth, 2), offering="a")  # 3
    refuse("m5", 409, "sold_out", 5, offering="a")  # 4
    gone = log("cancelled", "e1", structs.replace(first, status="cancelled", seat=0, version=2))
    say("cancel", "m1", 200, view("e1", gone), enrollment="e1")  # 5
    promoted = structs.replace(fourth, pool="own", status="confirmed", seat=1, version=2, queues=[])
    log("promoted", "e4", promoted)
    say("sign_up", "m1", 201, view("e1", first), offering="a", key="k1")  # 6
    say("cancel", "m1", 200, view("e1", gone), enrollment="e1")  # 7
    say("cancel", "m2", 404, {"code": "not_found"}, enrollment="e1")  # 8
    refuse("m2", 409, "overlap", 7, offering="c")  # 9
    refuse("m2", 422, "key_reused", 7, offering="b", key="k2")  # 10
    fifth = log("enrolled", "e5", Record("b", "m2", "open", "confirmed", 1, 8, 1, 0, 0, []), key="k3")
    say("sign_up", "m2", 201, view("e5", fifth), offering="b", key="k3")  # 11
    refuse("m2", 409, "limit_reached", 8, offering="d")  # 12
    refuse("m3", 403, "not_eligible", 8, offering="b", wanted="own")  # 13
    say("mine", "m2", 200, views.EnrollmentList([view("e2", second), view("e5", fifth)], None))  # 14
    say("mine", "m1", 200, views.EnrollmentList([], None))  # 15
    say("find", "m3", 200, view("e3", third, 1), enrollment="e3")  # 16
    say("sign_up", "m4", 200, view("e4", promoted), offering="a")  # 17
    say("campaign", "m1", 200, {"seq": 8})  # 18
    return made


def test_a_good_rush_passes() -> None:
    assert checker.check(CAMPAIGN, good().log, good().exchanges) == []


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("gapless", lambda log: log.pop(4)),
        ("gapless", lambda log: log.append(log[-1])),
        ("version", lambda log: log.pop(1)),
        ("version", lambda log: log.append(structs.replace(log[1], seq=9))),
    ],
)
def test_a_log_with_a_fault(rule: str, change: Callable[[list[Event]], object]) -> None:
    rush = good()
    change(rush.log)
    assert rule in rush.rules()


@pytest.mark.parametrize(
    ("rule", "index", "header", "record"),
    [
        ("seat", 6, {}, {"pool": "open"}),  # sold twice
        ("seat", 7, {}, {"seat": 2}),  # not the lowest free one
        ("capacity", 7, {}, {"seat": 2}),
        ("capacity", 6, {}, {"pool": "open"}),
        ("capacity", 7, {}, {"seat": -1}),
        ("version", 5, {}, {"version": 3}),
        ("version", 7, {}, {"seq": 7}),
        ("once", 7, {}, {"offering": "a"}),
        ("overlap", 7, {}, {"offering": "c"}),
        ("eligible", 7, {}, {"pool": "own"}),
        ("pool", 7, {}, {"member": "m1"}),  # own comes first in the document
        ("eligible", 7, {"wanted": "own"}, {}),
        ("idle", 7, {}, {"pool": "", "status": "waitlisted", "seat": 0}),
        ("position", 3, {"position": 2}, {}),
        ("position", 4, {"position": 1}, {}),
        ("acknowledged", 2, {"key": "k9"}, {}),
        ("acknowledged", 2, {"wanted": "open"}, {}),
        ("acknowledged", 2, {"enrollment": "e9"}, {}),
    ],
)
def test_an_event_that_breaks_a_rule(
    rule: str, index: int, header: dict[str, Any], record: dict[str, Any]
) -> None:
    rush = good()
    rush.event(index, header, **record)
    assert rule in rush.rules()


def test_more_than_the_limit() -> None:
    rush = good()
    rush.log.append(structs.replace(rush.log[7], seq=9))
    rush.event(8, {"enrollment": "e6"}, offering="d", seq=9)
    assert rush.rules() == {"limit"}


def test_more_than_may_wait() -> None:
    rush = good()
    rush.log.insert(5, structs.replace(rush.log[3], seq=6))
    rush.event(5, {"enrollment": "e6", "position": 3}, member="m6", seq=6)
    assert "waitlist" in rush.rules()


def test_promoted_out_of_turn() -> None:
    """Whoever waits longest and may take the seat gets it."""
    rush = good()
    rush.event(4, member="m9")
    rush.exchanges = [structs.replace(rush.exchanges[0], member=member, unit="x") for member in ("m3", "m9")]
    assert "order" in rush.rules()


def test_a_free_seat_beside_one_who_waits() -> None:
    rush = good()
    del rush.log[6]
    rush.log[6] = structs.replace(rush.log[6], seq=7)
    assert "idle" in rush.rules()


@pytest.mark.parametrize(
    ("rule", "index", "changed"),
    [
        ("replay", 6, {"status": 200}),
        ("replay", 6, {"status": 202}),
        ("replay", 6, {"status": 409, "body": b'{"code":"sold_out","as_of_seq":7}'}),
        ("key", 10, {"status": 409, "body": b'{"code":"sold_out","as_of_seq":7}'}),
        ("key", 10, {"offering": "a"}),  # the same request
        ("key", 10, {"key": "k9"}),  # nobody used it before
        ("owner", 5, {"status": 404, "body": b'{"code":"not_found"}'}),
        ("owner", 8, {"enrollment": "e2"}),
        ("owner", 16, {"member": "m2"}),
        ("unexpected", 0, {"status": 500}),
        ("unexpected", 4, {"status": 500, "body": b"500 Internal Server Error"}),
        ("unexpected", 0, {"status": 503}),
        ("unexpected", 0, {"status": 0}),
        ("unexpected", 4, {"status": 410}),
        ("unexpected", 14, {"status": 404}),
        ("refusal", 4, {"offering": "b"}),
        ("refusal", 4, {"body": b'{"code":"sold_out","as_of_seq":4}'}),  # there was room to wait
        # There was a free seat.
        ("refusal", 4, {"body": b'{"code":"sold_out","as_of_seq":6}', "unit": "x"}),
        ("refusal", 4, {"body": b'{"code":"sold_out","as_of_seq":99}'}),
        ("refusal", 9, {"offering": "b"}),
        ("refusal", 12, {"member": "m3"}),
        ("refusal", 12, {"body": b'{"code":"limit_reached","as_of_seq":7}'}),
        ("refusal", 13, {"wanted": "open"}),
        ("real_time", 1, {"sent_ns": 1, "answered_ns": 2}),
        ("real_time", 4, {"body": b'{"code":"sold_out","as_of_seq":4}'}),
        ("real_time", 18, {"body": b'{"seq":7}'}),
        ("real_time", 18, {"sent_ns": 1, "answered_ns": 2}),  # it saw what was asked for later
        ("stale", 14, {"body": b'{"enrollments":[],"next":null}'}),
        ("acknowledged", 0, {"member": "m3"}),
        ("acknowledged", 11, {"offering": "d"}),
        ("acknowledged", 5, {"enrollment": "e2"}),
    ],
)
def test_an_answer_that_breaks_a_promise(rule: str, index: int, changed: dict[str, Any]) -> None:
    rush = good()
    rush.exchange(index, **changed)
    assert rule in rush.rules()


@pytest.mark.parametrize(
    ("rule", "index", "old", "new"),
    [
        ("replay", 6, b'"seats":[1]', b'"seats":[2]'),
        ("replay", 6, b'"e1"', b'"e9"'),
        ("replay", 7, b'"version":2', b'"version":3'),
        ("acknowledged", 0, b'"seats":[1]', b'"seats":[2]'),
        ("acknowledged", 1, b'"open"', b'"own"'),
        ("acknowledged", 1, b'"seq":3', b'"seq":2'),
        ("acknowledged", 1, b"1970", b"1971"),
        ("acknowledged", 2, b'"position":1', b'"position":2'),
        ("acknowledged", 5, b'"cancelled"', b'"confirmed"'),
        ("acknowledged", 14, b'"seats":[1]', b'"seats":[2]'),
        ("acknowledged", 16, b'"waitlisted"', b'"confirmed"'),
        ("acknowledged", 17, b'"version":2', b'"version":1'),
        ("stale", 15, b"[]", msgspec.json.encode([msgspec.json.decode(good().exchanges[7].body)])),
    ],
)
def test_an_answer_of_other_bytes(rule: str, index: int, old: bytes, new: bytes) -> None:
    rush = good()
    rush.body(index, old, new)
    assert rule in rush.rules()


def test_a_look_may_be_as_old_as_is_said() -> None:
    rush = good()
    sent_ns = rush.exchanges[11].answered_ns + 100  # after seq 8 was answered
    rush.exchange(18, sent_ns=sent_ns, answered_ns=sent_ns + 1, body=b'{"seq":7}')
    for look_age_s, rules in ((0, ["real_time"]), (100e-9, []), (99e-9, ["real_time"])):
        found = checker.check(CAMPAIGN, rush.log, rush.exchanges, look_age_s=look_age_s)
        assert [violation.rule for violation in found] == rules


def test_an_answer_that_is_not_in_the_log() -> None:
    rush = good()
    del rush.log[7]
    assert "acknowledged" in rush.rules()


def test_a_try_whose_answer_was_lost_may_have_been_decided() -> None:
    rush = good()
    lost = structs.replace(rush.exchanges[0], sent_ns=1, answered_ns=6, status=0, body=b"")
    rush.exchanges[6] = structs.replace(rush.exchanges[0], sent_ns=51, answered_ns=52)
    rush.exchanges[0] = structs.replace(rush.exchanges[0], sent_ns=41, answered_ns=50)
    assert "real_time" in rush.rules()
    rush.exchanges.append(lost)
    assert rush.rules() == {"unexpected"}
    assert rush.rules(interrupted=True) == set()


def test_free_seats_at_the_end() -> None:
    found = [violation.what for violation in checker.full(CAMPAIGN, good().log)]
    assert found == [
        *("b/own has 0 of 1", "c/own has 0 of 1", "c/open has 0 of 1", "d/own has 0 of 1"),
        "d/open has 0 of 1",
    ]


def seen() -> Seen:
    """What the api shows at the end of the good rush."""
    fields = {b"taken/a/own": b"1", b"taken/a/open": b"1", b"waiting/a": b"1", b"taken/b/open": b"1"}
    records = {event.header.enrollment: event.record for event in good().log if event.record}
    shown = {
        enrollment: views.enrollment("autumn", enrollment, record, 1 if enrollment == "e3" else 0)
        for enrollment, record in records.items()
    }
    return Seen(
        views.campaign(compile_definition(CAMPAIGN, 1), Counts(1, 8, fields)),
        {"a": [shown["e2"], shown["e4"], shown["e3"]], "b": [shown["e5"]], "c": [], "d": []},
        {"m1": [], "m2": [shown["e2"], shown["e5"]]},
    )


def test_what_is_shown_at_the_end() -> None:
    assert list(checker.shown(CAMPAIGN, good().log, seen())) == []


def test_what_is_shown_is_not_what_happened() -> None:
    right = seen()
    counts = views.campaign(compile_definition(CAMPAIGN, 1), Counts(1, 7, {b"taken/a/own": b"2"}))
    e2, e4, e3 = right.rosters["a"]
    for wrong, rule in (
        (structs.replace(right, campaign=counts), "counts"),
        (structs.replace(right, mine={"m2": [e2]}), "mine"),
        *(
            (structs.replace(right, rosters={**right.rosters, "a": roster}), "roster")
            for roster in ([e4, e2, e3], [e2, e4], [e2, e4, structs.replace(e3, position=2)])
        ),
    ):
        assert {violation.rule for violation in checker.shown(CAMPAIGN, good().log, wrong)} == {rule}
