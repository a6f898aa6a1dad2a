"""The bounds of a document's single values, as organizers know them."""

import pytest

from engine.domain import campaign

BOUNDS = {
    "ID_MAX": 64,
    "OFFERINGS_MAX": 1_000,
    "POOLS_MAX": 64,
    "MERGES_MAX": 8,
    "QUOTA_UNITS_MAX": 64,
    "SESSIONS_MAX": 400,
    "CAPACITY_MAX": 10_000_000,
    "WAITING_MAX": 1_000_000,
    "LIMITS_MAX": 16,
    "WISHES_MAX": 1_000,
    "PERCENT_MAX": 10_000,
    "ADVANCING_MAX": 10_000,
    "TIES_MAX": 8,
    "MEDALS_MAX": 1_000,
    "SECONDS_MAX": 2_678_400,
    "RETENTION_DAYS_MAX": 36_500,
}


@pytest.mark.parametrize(("name", "bound"), BOUNDS.items())
def test_a_bound(name: str, bound: int) -> None:
    assert getattr(campaign, name) == bound


def test_every_bound_is_looked_at() -> None:
    assert {name for name in vars(campaign) if name.endswith("_MAX")} == set(BOUNDS)
