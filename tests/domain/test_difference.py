"""Differences: each one, as an audit names it."""

from typing import Any

import pytest
from msgspec import structs

from engine.domain.difference import Difference, Seating, between
from engine.domain.enrollment import Record

RECORD = Record("soap", "m1", "open", "confirmed", 1, 3, 1, 0, 7, [])


def seated(*seats: int, capacity: int = 2, **changed: Any) -> list[tuple[str, str]]:
    """What is found where enrollments e0, e1, … hold these seats."""
    seating = Seating({("soap", "open"): capacity}, "Redis")
    for number, seat in enumerate(seats):
        seating.add(f"e{number}", structs.replace(RECORD, seat=seat, **changed))
    return [(each.subject, each.what) for each in seating.differences()]


@pytest.mark.parametrize("changed", [{}, {"status": "held"}, {"status": "offered"}])
def test_seats_that_are_there_and_held_once_are_as_they_should(changed: dict[str, Any]) -> None:
    assert seated(1, 2, **changed) == []


@pytest.mark.parametrize("status", ["waitlisted", "cancelled", "lapsed", "entered", "not_drawn"])
def test_who_has_no_seat_holds_none(status: str) -> None:
    assert seated(0, 0, 9, status=status) == []


def test_seats_that_are_not_there() -> None:
    assert seated(0) == [("e0", "holds seat 0 of soap/open in Redis, whose seats are 1 to 2")]
    assert seated(3) == [("e0", "holds seat 3 of soap/open in Redis, whose seats are 1 to 2")]
    assert seated(1, pool="gone") == [
        ("e0", "holds seat 1 of soap/gone in Redis, whose seats are 1 to 0"),
        ("soap/gone", "1 seats are taken in Redis, its capacity is 0"),
    ]


def test_a_seat_that_is_held_twice() -> None:
    assert seated(1, 1) == [("e1", "holds seat 1 of soap/open in Redis, which e0 holds too")]
    assert seated(1, 2, 2) == [
        ("e2", "holds seat 2 of soap/open in Redis, which e1 holds too"),
        ("soap/open", "3 seats are taken in Redis, its capacity is 2"),
    ]


def test_who_holds_what() -> None:
    seating = Seating({("soap", "open"): 2}, "Redis")
    seating.add("e1", RECORD)
    seating.add("e2", structs.replace(RECORD, seat=2))
    assert seating.held == {("soap", "open"): {1: "e1", 2: "e2"}}
    assert seating.taken == {("soap", "open"): 2}


@pytest.mark.parametrize(
    ("live", "recorded", "what"),
    [
        (None, None, []),
        (RECORD, RECORD, []),
        (RECORD, structs.replace(RECORD, code="c"), []),
        (RECORD, None, ["is in Redis, missing in the ledger"]),
        (None, RECORD, ["is in the ledger, missing in Redis"]),
        (RECORD, structs.replace(RECORD, member="m2"), ["is one member's in Redis, another's in the ledger"]),
        (RECORD, structs.replace(RECORD, seat=2, pool=""),
         ["pool is open in Redis, none in the ledger", "seat is 1 in Redis, 2 in the ledger"]),
        (structs.replace(RECORD, queues=["a", "b"]), RECORD, ["queues is a b in Redis, none in the ledger"]),
        (RECORD, structs.replace(RECORD, member="m2", seq=4),
         ["is one member's in Redis, another's in the ledger", "seq is 3 in Redis, 4 in the ledger"]),
    ],
)  # fmt: skip
def test_an_enrollment_on_both_sides(live: Record | None, recorded: Record | None, what: list[str]) -> None:
    assert list(between("e1", live, recorded)) == [Difference("e1", each) for each in what]
