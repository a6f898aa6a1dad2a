"""The order of a draw: as the formula says, as fair as it says, and the same wherever decimals are."""

import _pydecimal
import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain import lottery

SEED: Final = bytes(range(32))
LAST: Final = 2**128

CHI_SQUARE: Final = {3: 16.266, 23: 49.728}
"""By degrees of freedom, what is exceeded by chance with p = 0.001. The seeds are fixed, so the tests never flicker."""

numbers = st.integers(1, LAST) | st.integers(0, 1_000).map(lambda distance: LAST - distance)


def seeds(count: int) -> Iterator[bytes]:
    return (hashlib.sha256(f"seed {index}".encode()).digest() for index in range(count))


def members(count: int) -> list[str]:
    return [lottery.pseudonym("c", lottery.commitment(SEED, 1), f"m-{index}") for index in range(count)]


def statistic(seen: Mapping[tuple[str, ...], int], odds: Mapping[tuple[str, ...], float]) -> float:
    """Pearson's, of counts against probabilities."""
    assert math.isclose(sum(odds.values()), 1)
    total = sum(seen.values())
    return sum((seen.get(case, 0) - total * p) ** 2 / (total * p) for case, p in odds.items())


def test_the_seeds_are_a_chain() -> None:
    """Each is the SHA-256 of the next, and the commitment that of the first; none follows from those before."""
    made = lottery.make(SEED)
    seeds = [lottery.seed(made.secret, draw) for draw in range(1, 5)]
    last = made.commitment
    for draw, seed in enumerate(seeds, 1):
        assert hashlib.sha256(seed).hexdigest() == last
        assert lottery.commitment(seed, draw) == made.commitment
        last = seed.hex()
    assert lottery.seed(made.secret, lottery.DRAWS_MAX) == SEED
    for draw in (0, lottery.DRAWS_MAX + 1):
        with pytest.raises(ValueError, match="at most"):
            lottery.seed(made.secret, draw)


def test_a_pseudonym_is_of_one_campaign() -> None:
    names = {
        lottery.pseudonym(campaign, commitment, member)
        for campaign in ("a", "b")
        for commitment in ("0" * 64, "1" * 64)
        for member in ("m-1", "m-2")
    }
    assert len(names) == 8
    assert (
        lottery.pseudonym("a", "0" * 64, "m-1")
        == (hashlib.sha256(b"a\n" + b"0" * 64 + b"\nm-1").hexdigest()[:32])
    )


def test_keys_known_from_elsewhere() -> None:
    assert lottery.key(LAST, 1) == 0
    # ln 2, to fifty digits
    assert lottery.key(LAST // 2, 1) == Decimal("0.69314718055994530941723212145817656807550013436026")
    assert lottery.key(LAST // 2, 1_000) == Decimal("0.00069314718055994530941723212145817656807550013436026")
    # -ln(1 - 2^-128) is 2^-128 and little more
    assert str(lottery.key(LAST - 1, 1)).startswith("2.93873587705571876992184134305561419455")


@given(st.integers(1, LAST), st.integers(1, 10**6))
def test_decimals_of_another_make_give_the_same_key(number: int, weight: int) -> None:
    context = _pydecimal.Context(prec=50, rounding=_pydecimal.ROUND_HALF_EVEN)
    logarithm = context.ln(_pydecimal.Decimal(f"{number * 5**128}E-128"))
    other = context.divide(logarithm.copy_negate(), _pydecimal.Decimal(weight))
    assert str(other) == str(lottery.key(number, weight))


@given(numbers, st.integers(1, 10**6))
def test_no_two_numbers_have_one_key(number: int, weight: int) -> None:
    if number < LAST:
        assert lottery.key(number, weight) > lottery.key(number + 1, weight)


@pytest.mark.parametrize("weight", [1, 1_000, 999_999])
def test_with_equal_weights_the_order_is_that_of_the_formula(weight: int) -> None:
    names = members(200)
    by_formula = sorted(names, key=lambda name: (lottery.key(lottery.number(SEED, name), weight), name))
    assert lottery.order(SEED, dict.fromkeys(names, weight)) == by_formula


close_by = st.builds(
    lambda base, distances: [min(LAST, base + distance) for distance in distances],
    numbers,
    st.lists(st.integers(0, 3), min_size=2, max_size=4),
)


@given(
    st.lists(numbers | close_by, min_size=1, max_size=12),
    st.lists(st.sampled_from([1, 999, 1_000, 1_001, 10**6]), min_size=48, max_size=48),
)
def test_floats_decide_nothing_that_decimals_would_not(
    drawn: list[int | list[int]], weights: list[int]
) -> None:
    """Also where keys are so near to one another that a float cannot tell them apart, or so near to 0."""
    flat = [number for each in drawn for number in (each if isinstance(each, list) else [each])]
    by_name = {f"{index:02}": number for index, number in enumerate(flat)}
    by_weight = dict(zip(by_name, weights, strict=False))
    by_formula = sorted(by_name, key=lambda name: (lottery.key(by_name[name], by_weight[name]), name))
    with patch.object(lottery, "number", lambda seed, name: by_name[name]):
        assert lottery.order(SEED, by_weight) == by_formula


def test_nobody_changes_the_order_of_others() -> None:
    weights = {name: 500 + 250 * (index % 3) for index, name in enumerate(members(60))}
    order = lottery.order(SEED, weights)
    for absent in weights:
        others = {name: weight for name, weight in weights.items() if name != absent}
        assert lottery.order(SEED, others) == [name for name in order if name != absent]
    assert lottery.order(SEED, dict(reversed(weights.items()))) == order


def test_equal_weights_are_drawn_equally() -> None:
    """Every order of four members as often as any other, and so every member in every place."""
    names = members(4)
    seen = Counter(tuple(lottery.order(seed, dict.fromkeys(names, 1_000))) for seed in seeds(12_000))
    assert statistic(seen, dict.fromkeys(itertools.permutations(names), 1 / 24)) < CHI_SQUARE[23]


def test_weights_are_odds() -> None:
    """The first as the weights say, and then the next among those who are left."""
    weights = dict(zip(members(4), (500, 1_000, 2_500, 4_000), strict=True))
    seen = Counter(tuple(lottery.order(seed, weights)) for seed in seeds(3_000))
    first = Counter[tuple[str, ...]]()
    for order, count in seen.items():
        first[order[:1]] += count
    assert statistic(first, {(name,): weight / 8_000 for name, weight in weights.items()}) < CHI_SQUARE[3]
    odds = {
        order: math.prod(
            weights[name] / sum(weights[left] for left in order[place:]) for place, name in enumerate(order)
        )
        for order in itertools.permutations(weights)
    }
    assert statistic(seen, odds) < CHI_SQUARE[23]


def test_the_statistic_can_fail() -> None:
    """Odds that are a tenth off are found."""
    weights = dict(zip(members(4), (500, 1_000, 2_500, 4_000), strict=True))
    first = Counter(tuple(lottery.order(seed, weights)[:1]) for seed in seeds(3_000))
    wrong = dict(zip(weights, (900, 1_300, 2_300, 3_500), strict=True))
    assert statistic(first, {(name,): weight / 8_000 for name, weight in wrong.items()}) > CHI_SQUARE[3]


def test_a_secret_is_as_long_as_what_follows_from_it() -> None:
    assert hashlib.sha256().digest_size == lottery.SEED_BYTES
    with pytest.raises(ValueError, match="10000 draws"):
        lottery.seed("00" * 32, 10_001)
    assert lottery.seed("00" * 32, 10_000) == bytes(32)
