"""The oracle of ballots: a good log passes, and each rule of it can be broken."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from msgspec import structs

from engine.domain.enrollment import Record, Status
from engine.domain.events import Event, EventType, Header
from loadtests.ballots import Ballots
from tests import stand
from tests.draws import ballot

CAMPAIGN: Final = stand.campaign(ballot(capacity=2, waitlist={"size_max": 2}))


def event(seq: int, kind: EventType, name: str = "", status: Status = "entered", **of: Any) -> Event:
    """An event of the member `m-<name>`, or of the campaign."""
    header = Header(1, kind, 0, "system", "engine", name, offering="" if name else "soap")
    version, sign_up = (1, seq) if kind == "enrolled" else (2, 0)
    record = Record("soap", f"m-{name}", "", status, 0, sign_up, version, 0, 0, [])
    return Event("autumn", 1, seq, header, structs.replace(record, **of) if name else None, {})


def good() -> list[Event]:
    """Four enter and one of them leaves; two are drawn, one waits, and gets what is given back."""
    return [
        event(1, "published"),
        event(2, "enrolled", "a"),
        event(3, "enrolled", "b"),
        event(4, "enrolled", "c"),
        event(5, "enrolled", "d"),
        event(6, "cancelled", "d", "cancelled"),
        event(7, "draw_began"),
        event(8, "drawn", "a", "confirmed", pool="open", seat=1),
        event(9, "drawn", "b", "confirmed", pool="open", seat=2),
        event(10, "drawn", "c", "waitlisted"),
        event(11, "draw_ended"),
        event(12, "cancelled", "a", "cancelled", pool="open", version=3),
        event(13, "promoted", "c", "confirmed", pool="open", seat=1, version=3),
    ]


def test_a_good_log_passes() -> None:
    assert list(Ballots(CAMPAIGN).run(good())) == []


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("capacity", lambda log: log.__setitem__(8, event(9, "drawn", "b", "confirmed", pool="open", seat=3))),
        ("seat", lambda log: log.__setitem__(8, event(9, "drawn", "b", "confirmed", pool="open", seat=1))),
        ("version", lambda log: log.pop(1)),
        ("version", lambda log: log.__setitem__(12, event(13, "promoted", "c", "confirmed", pool="open", seat=1))),
        ("once", lambda log: log.insert(3, event(4, "enrolled", "e", member="m-b"))),
        ("once", lambda log: log.insert(9, event(10, "drawn", "a", "waitlisted", version=3))),
        ("state", lambda log: log.insert(7, event(8, "enrolled", "e"))),
        ("drawn", lambda log: log.pop(9)),
    ],
)  # fmt: skip
def test_a_log_with_a_fault(rule: str, change: Callable[[list[Event]], object]) -> None:
    log = good()
    change(log)
    assert rule in {violation.rule for violation in Ballots(CAMPAIGN).run(log)}
