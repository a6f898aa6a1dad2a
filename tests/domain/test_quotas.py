"""Quotas: the rule of docs/quotas.md by tables, and its properties for any headcounts."""

import itertools
from datetime import UTC, datetime
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain import definition, document, quotas
from engine.domain.campaign import Campaign, Eligible, Merge, Pool, Quotas
from engine.domain.faults import Fault
from tests.domain import documents


@pytest.mark.parametrize(
    ("seats", "headcounts", "floor", "shares"),
    [
        # As in docs/quotas.md.
        (100, {"a": 3800, "b": 2100, "c": 900, "d": 40}, 2, {"a": 55, "b": 30, "c": 13, "d": 2}),
        # Largest remainders: 3.6, 3.4, 3.0.
        (10, {"a": 36, "b": 34, "c": 30}, 0, {"a": 4, "b": 3, "c": 3}),
        # Equal remainders, 4.5 and 1.5: the larger headcount.
        (6, {"a": 1, "b": 3}, 0, {"a": 1, "b": 5}),
        # Equal in all: the name.
        (1, {"b": 5, "a": 5}, 0, {"a": 1, "b": 0}),
        (5, {"c": 1, "b": 1, "a": 1}, 0, {"a": 2, "b": 2, "c": 1}),
        # A floor that one unit needs, and then, of what is left, another.
        (20, {"a": 100, "b": 12, "c": 1}, 2, {"a": 16, "b": 2, "c": 2}),
        (10, {"a": 70, "b": 21, "c": 9}, 2, {"a": 6, "b": 2, "c": 2}),
        # The share is the floor exactly, or just below it.
        (10, {"a": 80, "b": 20}, 2, {"a": 8, "b": 2}),
        (10, {"a": 81, "b": 19}, 2, {"a": 8, "b": 2}),
        # Nobody there: no seat, and no floor.
        (10, {"a": 5, "b": 0}, 3, {"a": 10, "b": 0}),
        # Too few seats for the floor: it is lowered, to nothing if need be.
        (7, {"a": 100, "b": 1, "c": 1}, 5, {"a": 3, "b": 2, "c": 2}),
        (2, {"a": 100, "b": 50, "c": 1}, 5, {"a": 1, "b": 1, "c": 0}),
        (10_000_000, {"a": 10_000_000, "b": 1}, 0, {"a": 9_999_999, "b": 1}),
    ],
)
def test_apportion(seats: int, headcounts: dict[str, int], floor: int, shares: dict[str, int]) -> None:
    assert quotas.apportion(seats, headcounts, floor) == shares


def test_nobody_anywhere() -> None:
    with pytest.raises(ValueError, match="no unit has anybody"):
        quotas.apportion(10, {"a": 0}, 1)


counts = st.integers(0, 10_000_000) | st.integers(0, 9) | st.sampled_from([7, 70, 700])
peopled = st.dictionaries(st.text("abc-.", min_size=1, max_size=4), counts, min_size=1, max_size=64).filter(
    lambda each: any(each.values())
)
seat_numbers = st.integers(1, 300) | st.integers(1, 10_000_000)
floors = st.integers(0, 9) | st.integers(0, 10_000_000)


@given(seat_numbers, peopled, floors)
def test_every_seat_is_given_and_the_floor_is_kept(
    seats: int, headcounts: dict[str, int], floor: int
) -> None:
    shares = quotas.apportion(seats, headcounts, floor)
    assert sum(shares.values()) == seats
    assert shares.keys() == headcounts.keys()
    there = [unit for unit, heads in headcounts.items() if heads]
    least = min(floor, seats // len(there))
    assert all(shares[unit] >= least for unit in there)
    assert all(shares[unit] == 0 for unit in headcounts if unit not in there)


@given(seat_numbers, peopled, floors)
def test_who_is_above_the_floor_has_the_exact_share_rounded(
    seats: int, headcounts: dict[str, int], floor: int
) -> None:
    """Of what the others left: the quota rule."""
    shares = quotas.apportion(seats, headcounts, floor)
    least = min(floor, seats // sum(heads > 0 for heads in headcounts.values()))
    above = [unit for unit, share in shares.items() if share > least]
    left, heads = sum(shares[unit] for unit in above), sum(headcounts[unit] for unit in above)
    for unit in above:
        assert abs(shares[unit] - Fraction(left * headcounts[unit], heads)) < 2
    if floor == 0:
        total = sum(headcounts.values())
        for unit, share in shares.items():
            assert abs(share - Fraction(seats * headcounts[unit], total)) < 1


@given(seat_numbers, peopled, floors)
def test_more_heads_have_no_fewer_seats(seats: int, headcounts: dict[str, int], floor: int) -> None:
    shares = quotas.apportion(seats, headcounts, floor)
    by_heads = sorted(headcounts, key=lambda unit: headcounts[unit])
    for smaller, larger in itertools.pairwise(by_heads):
        assert shares[smaller] <= shares[larger] or headcounts[smaller] == headcounts[larger]
    for (unit, heads), (other, others) in itertools.combinations(sorted(headcounts.items()), 2):
        if heads == others:
            assert 0 <= shares[unit] - shares[other] <= 1


@given(seat_numbers, peopled, floors, st.randoms(use_true_random=False))
def test_the_order_of_units_does_not_matter(
    seats: int, headcounts: dict[str, int], floor: int, pick: Random
) -> None:
    shuffled = list(headcounts.items())
    pick.shuffle(shuffled)
    assert quotas.apportion(seats, dict(shuffled), floor) == quotas.apportion(seats, headcounts, floor)


@given(st.integers(1, 50), peopled, st.integers(1, 1_000))
def test_heads_in_any_measure(seats: int, headcounts: dict[str, int], factor: int) -> None:
    scaled = {unit: heads * factor for unit, heads in headcounts.items()}
    assert quotas.apportion(seats, scaled, 1) == quotas.apportion(seats, headcounts, 1)


# Pools

FIRST, SECOND = datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 2, tzinfo=UTC)


def shared(*names: str, **changed: Any) -> Campaign:
    """A campaign whose offerings share 10 seats between the units d.a and d.b."""
    offerings = []
    for name in names or ("o",):
        offering = documents.least()["offerings"][0] | {"offering": name}
        del offering["pools"]
        offerings.append(offering | {"quotas": {"seats": 10, "units": ["d.a", "d.b"]} | changed})
    campaign = document.validate(documents.least() | {"unit": "d", "offerings": offerings})
    assert isinstance(campaign, Campaign), campaign
    return campaign


def test_a_pool_a_unit_that_merges_upward() -> None:
    made = quotas.make_pools(Quotas(9, ["d.t.c", "d.u"], merges=[FIRST, SECOND]), {"d.t.c": 7, "d.u": 2})
    assert made == [
        Pool("d-t-c", 7, Eligible(["d.t.c"]), merges=[Merge(FIRST, ["d.t"]), Merge(SECOND, ["d"])]),
        Pool("d-u", 2, Eligible(["d.u"]), merges=[Merge(FIRST, ["d"])]),
    ]
    assert quotas.are_made(Quotas(9, ["d.t.c", "d.u"], merges=[FIRST, SECOND]), made)
    assert not quotas.are_made(Quotas(9, ["d.t.c", "d.u"], merges=[FIRST]), made)
    assert not quotas.are_made(Quotas(9, ["d.t.c"], merges=[FIRST, SECOND]), made)


def test_only_what_is_named_is_resized() -> None:
    sized = quotas.resize(shared("o", "p"), {"p": {"d.a": 1, "d.b": 4, "d.c": 9}})
    assert isinstance(sized, Campaign)
    assert [[(pool.pool, pool.capacity) for pool in each.pools] for each in sized.offerings] == [
        [],
        [("d-a", 2), ("d-b", 8)],
    ]
    assert quotas.resize(sized, {}) == sized


def test_units_without_a_headcount_are_named() -> None:
    missing = quotas.resize(shared("o", "p", "q"), {"o": {}, "p": {"d.a": 3}, "q": {"d.a": 0, "d.b": 0}})
    assert missing == [
        Fault("/offerings/0/quotas/units/0", "no_headcount", {"unit": "d.a"}),
        Fault("/offerings/0/quotas/units/1", "no_headcount", {"unit": "d.b"}),
        Fault("/offerings/1/quotas/units/1", "no_headcount", {"unit": "d.b"}),
        Fault("/offerings/2/quotas/units", "nobody_there"),
    ]


def test_every_quota_of_which_nobody_is_there_is_named() -> None:
    nobody = {"d.a": 0, "d.b": 0, "d.c": 0}
    assert quotas.resize(shared("o", "p", "q"), {"o": nobody, "p": nobody | {"d.a": 1}, "q": nobody}) == [
        Fault("/offerings/0/quotas/units", "nobody_there"),
        Fault("/offerings/2/quotas/units", "nobody_there"),
    ]


def test_until_when_headcounts_count() -> None:
    (plain,) = shared().offerings
    assert (plain.opens - quotas.counted_until(plain)).total_seconds() == 60
    (told,) = shared(recomputed="2026-11-20T10:00:00+08:00").offerings
    assert quotas.counted_until(told) == datetime(2026, 11, 20, 2, tzinfo=UTC)


def test_a_pool_that_does_not_merge_is_packed_without_stages() -> None:
    plain = document.validate(documents.least())
    assert isinstance(plain, Campaign)
    assert b"merges" not in definition.pack_offerings(plain)
