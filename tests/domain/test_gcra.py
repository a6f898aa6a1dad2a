"""The rate limiter against its definition: no more than burst and rate, no less, and forgetting changes nothing."""

import itertools
from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.gcra import NS_PER_S, Gcra

PLENTY: Final = 1_000

rates = st.integers(1, 1_000)
bursts = st.integers(1, 5)
starts = st.integers(0, 2**62)


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, int, list[tuple[str, int]]]:
    """A rate, a burst, and requests as (key, now in ns): several at once, then a pause of about a burst or less."""
    rate, burst = draw(rates), draw(bursts)
    interval = NS_PER_S // rate
    pauses = st.one_of(
        st.integers(0, 2 * burst).map(lambda quarters: quarters * interval // 4),
        st.integers(0, burst * interval + 2),
        st.just(10 * burst * interval),
    )
    now, requests = draw(starts), []
    for key, number, pause in draw(
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, burst + 1), pauses), max_size=50)
    ):
        requests += [(key, now)] * number
        now += pause
    return rate, burst, requests


@given(runs())
def test_it_answers_as_one_that_forgets_nothing(run: tuple[int, int, list[tuple[str, int]]]) -> None:
    rate, burst, requests = run
    limit, arrivals = Gcra(rate, burst, PLENTY), dict[str, Fraction]()
    interval = Fraction(NS_PER_S, rate)
    for key, now in requests:
        due = max(arrivals.get(key, Fraction(0)), Fraction(now))
        early = due - (burst - 1) * interval - now
        if early <= 0:
            arrivals[key] = due + interval
        assert limit.wait_ns(key, now) == max(0, -(-early // 1))


@given(runs())
def test_no_window_has_more_than_burst_and_rate(run: tuple[int, int, list[tuple[str, int]]]) -> None:
    rate, burst, requests = run
    limit = Gcra(rate, burst, PLENTY)
    admitted = [now for _, now in requests if not limit.wait_ns("a", now)]
    for first, last in itertools.combinations(range(len(admitted)), 2):
        assert last - first + 1 <= burst + Fraction(rate * (admitted[last] - admitted[first]), NS_PER_S)


@given(rates, bursts, starts, st.lists(st.integers(0, 10**8), max_size=100))
def test_one_who_keeps_to_the_rate_is_never_refused(
    rate: int, burst: int, start: int, pauses: list[int]
) -> None:
    limit, now = Gcra(rate, burst, PLENTY), start
    for pause in pauses:
        assert limit.wait_ns("a", now) == 0
        now += -(-NS_PER_S // rate) + pause


@given(rates, bursts, starts)
def test_it_says_to_the_nanosecond_when_it_would_admit(rate: int, burst: int, now: int) -> None:
    limit = Gcra(rate, burst, PLENTY)
    assert [limit.wait_ns("a", now) for _ in range(burst)] == [0] * burst
    wait = limit.wait_ns("a", now)
    assert wait == -(-NS_PER_S // rate)
    assert limit.wait_ns("a", now + wait - 1) == 1
    assert limit.wait_ns("a", now + wait) == 0


def test_refusals_cost_nothing() -> None:
    limit = Gcra(1, 1, PLENTY)
    assert limit.wait_ns("a", 0) == 0
    assert {limit.wait_ns("a", 1) for _ in range(100)} == {NS_PER_S - 1}
    assert limit.wait_ns("a", NS_PER_S) == 0


@pytest.mark.parametrize("first", range(12))
@pytest.mark.parametrize("later", range(12))
def test_an_entry_counts_until_it_is_past_however_the_generations_turn(first: int, later: int) -> None:
    limit, now = Gcra(1, 3, PLENTY), 0
    for tick in range(first + later + 1):
        now = tick * NS_PER_S // 2
        limit.wait_ns("another", now)
        if tick == first:
            assert [limit.wait_ns("a", now) for _ in range(3)] == [0, 0, 0]
    admitted = [limit.wait_ns("a", now) for _ in range(4)].count(0)
    assert admitted == min(later // 2, 3)


def test_when_it_is_full_others_are_admitted_and_those_noted_stay_limited() -> None:
    limit = Gcra(1, 2, entries_max=2)
    for key in ("a", "b"):
        assert [limit.wait_ns(key, 0) > 0 for _ in range(3)] == [False, False, True]
    assert {limit.wait_ns(f"stranger-{number}", 0) for number in range(100)} == {0}
    assert {limit.wait_ns("late", 0) for _ in range(100)} == {0}
    assert limit.wait_ns("a", 0) > 0
    # What is past makes room.
    later = 2 * NS_PER_S
    assert [limit.wait_ns("late", later) > 0 for _ in range(3)] == [False, False, True]


def test_a_second_is_a_second() -> None:
    limit = Gcra(2, 1, PLENTY)
    assert limit.wait_ns("a", 0) == 0
    assert limit.wait_ns("a", 499_999_999) == 1
    assert limit.wait_ns("a", 500_000_000) == 0


def test_a_generation_is_full_at_its_limit_and_anew_at_its_turn() -> None:
    limit = Gcra(1, 1, 1)
    assert [limit.wait_ns(key, 0) for key in "aabb"] == [0, NS_PER_S, 0, 0]
    assert [limit.wait_ns(key, NS_PER_S) for key in "bb"] == [0, NS_PER_S]
