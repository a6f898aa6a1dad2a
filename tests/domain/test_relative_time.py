"""Distances from now become instants, only where an instant is due."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from engine.domain import relative_time
from engine.domain.faults import fault

NOW = datetime(2026, 11, 28, 10, 0, 0, 999_999, timezone(timedelta(hours=8)))


@pytest.mark.parametrize(
    ("distance", "instant"),
    [
        ("+0s", "2026-11-28T10:00:00+08:00"),
        ("-1s", "2026-11-28T09:59:59+08:00"),
        ("+10m", "2026-11-28T10:10:00+08:00"),
        ("+254h", "2026-12-09T00:00:00+08:00"),
        ("-1d", "2026-11-27T10:00:00+08:00"),
        ("2026-11-28T10:00:00Z", "2026-11-28T10:00:00Z"),
        # No distance, or no calendar has it: as they were, for validation to name.
        ("10m", "10m"),
        ("+10", "+10"),
        ("+10w", "+10w"),
        ("+1.5h", "+1.5h"),
        ("+10m ", "+10m "),
        ("+10m\n", "+10m\n"),
        ("+٣m", "+٣m"),
        ("+9999999d", "+9999999d"),
        ("-999999999999d", "-999999999999d"),
        ("", ""),
    ],
)
def test_a_distance(distance: str, instant: str) -> None:
    assert relative_time.resolve({"opens": distance}, NOW) == {"opens": instant}


def test_only_in_the_fields_that_are_instants() -> None:
    fields = sorted(relative_time.INSTANTS)
    raw = {
        "offerings": [dict.fromkeys(fields, "+1d"), {"sessions": [{"starts": "+1d"}]}],
        "merges": ["+1d", {"at": "+1d", "units": ["+1d"]}, 7],
        "due": "+1d",
        "title": {"en": "+1d"},
        "pilots": ["+1d"],
    }
    tomorrow = "2026-11-29T10:00:00+08:00"
    assert relative_time.resolve(raw, NOW) == {
        "offerings": [dict.fromkeys(fields, tomorrow), {"sessions": [{"starts": tomorrow}]}],
        "merges": [tomorrow, {"at": tomorrow, "units": ["+1d"]}, 7],
        "due": "+1d",
        "title": {"en": "+1d"},
        "pilots": ["+1d"],
    }
    assert raw["due"] == "+1d"
    assert raw["offerings"][0]["opens"] == "+1d", "the input stays as it was"  # type: ignore[index]


@pytest.mark.parametrize(
    "raw", [None, 3, "+1d", [], {}, fault("not_finite"), {"opens": 3}, {"opens": ["+1d"]}]
)
def test_all_else_stays(raw: object) -> None:
    assert relative_time.resolve(raw, NOW) == raw


def test_the_offset_is_that_of_now() -> None:
    assert relative_time.resolve({"opens": "+1h"}, NOW.astimezone(UTC)) == {
        "opens": "2026-11-28T03:00:00+00:00"
    }
