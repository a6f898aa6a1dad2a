"""A valid campaign document that uses every field, and ways to spoil it."""

from typing import Any


def full() -> dict[str, Any]:
    """A fresh raw document, as CONTRACT shows it."""
    return {
        "campaign": "autumn-2026",
        "title": {"zh": "秋季快乐工坊 🍁", "en": "Autumn workshops 𝒜"},
        "unit": "xicheng.finance",
        "lead": "区总工会服务部",
        "pilots": ["xicheng.finance"],
        "responsible": "...",
        "requirements": "...",
        "due": "2026-12-31",
        "rules": {
            "limits": [{"max": 2, "per": "campaign"}, {"max": 1, "per": "day", "kinds": ["pack"]}],
            "overlaps_allowed": False,
        },
        "offerings": [offering("paper-cutting"), offering("soap"), shared("packs")],
    }


def offering(name: str) -> dict[str, Any]:
    """A fresh offering with two pools and two sessions."""
    return {
        "offering": name,
        "kind": "workshop",
        "title": {"zh": "剪纸", "en": "Paper cutting"},
        "place": {"address": "德胜街道工会服务站", "lon": 116.378, "lat": 39},
        "sessions": [
            {"starts": "2026-12-05T14:00:00+08:00", "ends": "2026-12-05T16:00:00+08:00"},
            {"starts": "2026-12-04T14:00:00Z", "ends": "2026-12-04T16:00:00.5Z"},
        ],
        "opens": "2026-11-28T10:00:00+08:00",
        "closes": "2026-12-04T18:00:00+08:00",
        "cancel_until": "2026-12-04T18:00:00+08:00",
        "policy": {"name": "first_come"},
        "pools": [
            {
                "pool": "own",
                "capacity": 20,
                "eligible": {"units": ["xicheng.finance"], "industries": ["finance"], "tags": ["outdoor"]},
                "releases": "2026-12-01T10:00:00+08:00",
                "merges": [
                    {"at": "2026-11-29T10:00:00+08:00", "units": ["xicheng", "dongcheng.finance"]},
                    {"at": "2026-11-30T10:00:00+08:00", "units": ["dongcheng"]},
                ],
            },
            {"pool": "open", "capacity": 20},
        ],
        "waitlist": {"size_max": 50, "promotion": "offer", "offer_ttl_s": 600},
        "hold_ttl_s": 120,
        "party_max": 1,
    }


def shared(name: str) -> dict[str, Any]:
    """A fresh offering with quotas in the place of pools."""
    quotas = {
        "seats": 100,
        "units": ["xicheng.finance.bank", "xicheng.finance.fuxing"],
        "floor": 2,
        "merges": ["2026-11-29T10:00:00+08:00", "2026-11-30T10:00:00+08:00"],
        "recomputed": "2026-11-27T18:00:00+08:00",
    }
    raw = offering(name) | {"quotas": quotas}
    del raw["pools"]
    return raw


def least() -> dict[str, Any]:
    """A fresh raw document with the required fields alone."""
    return {
        "campaign": "c",
        "title": {"zh": "零", "en": "c"},
        "unit": "u",
        "offerings": [
            {
                "offering": "o",
                "kind": "event",
                "title": {"zh": "零", "en": "o"},
                "sessions": [{"starts": "2026-12-05T14:00:00+08:00", "ends": "2026-12-05T16:00:00+08:00"}],
                "opens": "2026-11-28T10:00:00+08:00",
                "closes": "2026-12-05T16:00:00+08:00",
                "pools": [{"pool": "p", "capacity": 0}],
            }
        ],
    }


def places(raw: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value below `raw`."""
    parts = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    return [place for key, part in parts for place in ((*path, key), *places(part, (*path, key)))]


def parent(raw: Any, path: tuple[str | int, ...]) -> Any:
    """The object or list that holds what is at `path`."""
    for key in path[:-1]:
        raw = raw[key]
    return raw


def spoiled(pointer: str, value: object) -> dict[str, Any]:
    """The full document with one value changed, or a field added."""
    raw = full()
    path = tuple(int(key) if key.isdigit() else key for key in pointer.split("/")[1:])
    parent(raw, path)[path[-1]] = value
    return raw


def without(pointer: str) -> dict[str, Any]:
    """The full document with one value taken out."""
    raw = full()
    path = tuple(int(key) if key.isdigit() else key for key in pointer.split("/")[1:])
    del parent(raw, path)[path[-1]]
    return raw
