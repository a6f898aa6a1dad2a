"""The campaigns that a comparison signs up for and looks at."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

PLENTY: Final = 10_000_000
OFFERINGS: Final = tuple(f"workshop-{number}" for number in range(10))
SEATS: Final = "seats"
FULL: Final = "full"


def _offering(name: str, capacity: int) -> dict[str, object]:
    return {
        "offering": name,
        "kind": "workshop",
        "title": {"zh": "剪纸", "en": "Paper cutting"},
        "place": {"address": "北京市西城区德胜街道工会服务站", "lon": 116.378, "lat": 39.957},
        "sessions": [{"starts": "+10d", "ends": "+11d"}],
        "opens": "-1m",
        "closes": "+1d",
        "pools": [{"pool": "open", "capacity": capacity}],
    }


def _campaign(name: str, offerings: Sequence[dict[str, object]]) -> dict[str, object]:
    return {
        "campaign": name,
        "title": {"zh": "快乐工坊", "en": "Happy workshops"},
        "unit": "xicheng",
        "offerings": offerings,
    }


def plain(name: str) -> dict[str, object]:
    """A campaign with one offering, of seats for all."""
    return _campaign(name, [_offering(SEATS, PLENTY)])


def ballot(name: str, seats: int, closes: datetime) -> dict[str, object]:
    """A campaign with one offering, drawn among those who enter until it closes; times are instants."""
    opens, starts = closes - timedelta(days=2), closes + timedelta(days=9)
    drawn = {
        "policy": {"name": "ballot"},
        "opens": opens.isoformat(),
        "closes": closes.isoformat(),
        "sessions": [{"starts": starts.isoformat(), "ends": (starts + timedelta(hours=2)).isoformat()}],
        "waitlist": {"size_max": seats},
    }
    return _campaign(name, [_offering(SEATS, seats) | drawn])


SALE: Final = _campaign(
    "sale",
    [_offering(SEATS, PLENTY), _offering(FULL, 1), *(_offering(name, PLENTY) for name in OFFERINGS)],
)
"""Where sign-ups go: an offering of seats for all, one that one member fills, and some to take one after the other."""

PAGE: Final = _campaign("page", [_offering(name, PLENTY) for name in OFFERINGS])
"""What members look at."""
