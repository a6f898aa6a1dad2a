"""The campaigns of a trial: a sale with every way of giving a seat at once, and a ballot that is drawn meanwhile."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

UNIT: Final = "xicheng"
HOLD_TTL_S: Final = 1
"""Holds lapse while the trial runs; nobody is offered what lapses, so that all is still soon after it."""


def sale(name: str) -> dict[str, Any]:
    """Four offerings: confirmed at once, in two pools; held for a second; offered to those who wait; sold out for good.

    There are fewer seats than a second of load asks for, and most of who gets one gives it back.
    """
    plenty_waits = {"size_max": 30, "promotion": "auto"}
    return _campaign(
        name,
        _offering(
            "pools",
            pools=[
                {"pool": "own", "capacity": 8, "eligible": {"units": ["xicheng.health"]}},
                {"pool": "open", "capacity": 8},
            ],
            waitlist=plenty_waits,
        ),
        _offering(
            "held", pools=[{"pool": "open", "capacity": 8}], hold_ttl_s=HOLD_TTL_S, waitlist=plenty_waits
        ),
        _offering(
            "offered",
            pools=[{"pool": "open", "capacity": 8}],
            waitlist={"size_max": 10, "promotion": "offer", "offer_ttl_s": 600},
        ),
        _offering("full", pools=[{"pool": "open", "capacity": 5}]),
    ) | {"rules": {"limits": [{"max": 3, "per": "campaign"}]}}


def ballot(name: str, closes_in_s: float) -> dict[str, Any]:
    """One offering that takes entries for so long, then is drawn."""
    closes = datetime.now(UTC) + timedelta(seconds=closes_in_s)
    drawn = {
        "policy": {"name": "ballot"},
        "closes": closes.isoformat(),
        "pools": [{"pool": "open", "capacity": 6}],
        "waitlist": {"size_max": 6},
    }
    return _campaign(name, _offering("drawn") | drawn)


def _campaign(name: str, *offerings: dict[str, Any]) -> dict[str, Any]:
    return {
        "campaign": name,
        "title": {"zh": "故障演练", "en": "Faults"},
        "unit": UNIT,
        "offerings": list(offerings),
    }


def _offering(name: str, **more: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    # Far enough for clocks that jump by an hour.
    opens, closes, starts = now - timedelta(days=1), now + timedelta(days=1), now + timedelta(days=10)
    return {
        "offering": name,
        "kind": "workshop",
        "title": {"zh": "手工皂", "en": "Soap"},
        "sessions": [{"starts": starts.isoformat(), "ends": (starts + timedelta(hours=2)).isoformat()}],
        "opens": opens.isoformat(),
        "closes": closes.isoformat(),
    } | more
