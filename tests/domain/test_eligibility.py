"""Eligibility: the compiled masks against the words of the contract."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from engine.domain import eligibility
from engine.domain.campaign import Eligible, Merge, Offering, Pool
from engine.domain.person import Person, within
from tests.domain import documents


def offering(*eligible: Eligible | None) -> Offering:
    raw = documents.offering("o") | {
        "pools": [
            {"pool": f"p{index}", "capacity": 1, "eligible": msgspec.to_builtins(each)}
            for index, each in enumerate(eligible)
        ]
    }
    return msgspec.convert(raw, Offering)


@pytest.mark.parametrize(
    ("eligible", "person", "mask"),
    [
        (None, {}, "1"),
        (Eligible(), {}, "1"),
        (Eligible(units=["xicheng.health"]), {"unit": "xicheng.health"}, "1"),
        (Eligible(units=["xicheng.health"]), {"unit": "xicheng.health.fuxing"}, "1"),
        (Eligible(units=["xicheng.health"]), {"unit": "xicheng.healthy"}, "0"),
        (Eligible(units=["xicheng.health"]), {"unit": "xicheng"}, "0"),
        (Eligible(units=["xicheng.health"]), {}, "0"),
        (Eligible(units=["dongcheng", "xicheng"]), {"unit": "xicheng.health"}, "1"),
        (Eligible(industries=["sanitation"]), {"industry": "sanitation"}, "1"),
        (Eligible(industries=["sanitation"]), {"industry": "san"}, "0"),
        (Eligible(industries=["sanitation"]), {}, "0"),
        (Eligible(tags=["outdoor"]), {"tags": ("night", "outdoor")}, "1"),
        (Eligible(tags=["outdoor"]), {"tags": ("night",)}, "0"),
        (Eligible(tags=["outdoor"]), {}, "0"),
        (Eligible(units=["a"], tags=["t"]), {"unit": "a.b", "tags": ("t",)}, "1"),
        (Eligible(units=["a"], tags=["t"]), {"unit": "a.b"}, "0"),
        (Eligible(units=["a"], industries=["i"], tags=["t"]), {"industry": "i", "tags": ("t",)}, "0"),
    ],
)
def test_one_pool(eligible: Eligible | None, person: dict[str, Any], mask: str) -> None:
    assert eligibility.mask(offering(eligible), Person("m", **person)) == mask
    assert eligibility.mask(offering(eligible, None), Person("m", **person)) == mask + "1"


STAGES = [Merge(datetime(2026, 12, day, tzinfo=UTC), units) for day, units in ((1, ["a.b", "c"]), (2, ["a"]))]


@pytest.mark.parametrize(
    ("eligible", "person", "mask"),
    [
        (Eligible(units=["a.b.c"]), {"unit": "a.b.c.d"}, "1"),
        (Eligible(units=["a.b.c"]), {"unit": "a.b.d"}, "2"),
        (Eligible(units=["a.b.c"]), {"unit": "c"}, "2"),
        (Eligible(units=["a.b.c"]), {"unit": "a.bb"}, "3"),
        (Eligible(units=["a.b.c"]), {"unit": "aa"}, "0"),
        (Eligible(units=["a.b.c"]), {}, "0"),
        (Eligible(units=["a"]), {"unit": "a.b"}, "1"),
        (Eligible(units=["a.b.c"], tags=["t"]), {"unit": "a", "tags": ("t",)}, "3"),
        (Eligible(units=["a.b.c"], tags=["t"]), {"unit": "a"}, "0"),
        (Eligible(units=["a.b.c"], industries=["i"]), {"unit": "a.b", "industry": "j"}, "0"),
    ],
)
def test_a_pool_that_merges(eligible: Eligible, person: dict[str, Any], mask: str) -> None:
    """The earliest stage counts; stages widen the units, and no other list."""
    plain = offering(eligible, None)
    merging = structs.replace(plain, pools=[structs.replace(plain.pools[0], merges=STAGES), plain.pools[1]])
    assert eligibility.mask(merging, Person("m", **person)) == mask + "1"


units = st.lists(st.sampled_from(["a", "b", "aa"]), min_size=1, max_size=3).map(".".join)
words = st.sampled_from(["x", "y", "z"])


def some(entries: st.SearchStrategy[str]) -> st.SearchStrategy[list[str] | None]:
    return st.none() | st.lists(entries, min_size=1, max_size=3)


rules = st.none() | st.builds(Eligible, units=some(units), industries=some(words), tags=some(words))
people = st.builds(
    Person,
    sub=st.just("m"),
    unit=st.just("") | units,
    industry=st.just("") | words,
    tags=st.lists(words, max_size=3).map(tuple),
)


def expected(eligible: Eligible | None, person: Person) -> bool:
    if eligible is None:
        return True
    return (
        (eligible.units is None or any(within(person.unit, unit) for unit in eligible.units))
        and (eligible.industries is None or any(person.industry == each for each in eligible.industries))
        and (eligible.tags is None or any(tag in eligible.tags for tag in person.tags))
    )


@settings(deadline=None)
@given(st.lists(rules, min_size=1, max_size=5), people)
def test_any_pools(eligible: list[Eligible | None], person: Person) -> None:
    mask = eligibility.compile_mask(offering(*eligible))
    assert mask(person) == "".join("1" if expected(each, person) else "0" for each in eligible)


@pytest.mark.parametrize(
    ("eligible", "codes", "mask", "is_open"),
    [
        (None, False, "1", True),
        (None, True, "0", False),
        (Eligible(), True, "1", True),
        (Eligible(units=["xicheng"]), True, "1", False),
        (Eligible(units=["dongcheng"]), True, "0", False),
    ],
)
def test_a_pool_that_codes_open(eligible: Eligible | None, codes: bool, mask: str, is_open: bool) -> None:
    pool = Pool("guests", 1, eligible, codes=codes)
    whole = msgspec.structs.replace(offering(None), pools=[pool])
    assert eligibility.mask(whole, Person("m-1", "xicheng.health")) == mask
    assert eligibility.is_open(pool) is is_open
