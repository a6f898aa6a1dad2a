"""Examples of the OpenAPI document: one campaign from its publication to an enrollment."""

from typing import Any, Final

CAMPAIGN: Final = {
    "campaign": "autumn-2026",
    "title": {"zh": "秋季快乐工坊", "en": "Autumn workshops"},
    "unit": "xicheng.finance",
    "lead": "区总工会服务部",
    "pilots": ["xicheng.finance"],
    "due": "2026-12-31",
    "rules": {"limits": [{"max": 2, "per": "campaign"}], "overlaps_allowed": False},
    "offerings": [
        {
            "offering": "paper-cutting",
            "kind": "workshop",
            "title": {"zh": "剪纸", "en": "Paper cutting"},
            "place": {"address": "德胜街道工会服务站", "lon": 116.378, "lat": 39.957},
            "sessions": [{"starts": "2026-12-05T14:00:00+08:00", "ends": "2026-12-05T16:00:00+08:00"}],
            "opens": "2026-11-28T10:00:00+08:00",
            "closes": "2026-12-04T18:00:00+08:00",
            "cancel_until": "2026-12-04T18:00:00+08:00",
            "pools": [
                {
                    "pool": "own",
                    "capacity": 20,
                    "eligible": {"units": ["xicheng.finance"]},
                    "releases": "2026-12-01T10:00:00+08:00",
                },
                {"pool": "open", "capacity": 20},
            ],
            "waitlist": {"size_max": 50},
        }
    ],
}

_OFFERING: Final[dict[str, Any]] = CAMPAIGN["offerings"][0]  # type: ignore[index]
OFFERING_VIEW: Final = _OFFERING | {
    "pools": [pool | {"taken": taken} for pool, taken in zip(_OFFERING["pools"], (3, 17), strict=True)],
    "waiting": 0,
}
CAMPAIGN_VIEW: Final = CAMPAIGN | {"offerings": [OFFERING_VIEW], "version": 1, "seq": 1041}

ENROLLMENT: Final = {
    "enrollment": "k3J9-Zq0aB7_xYt2",
    "campaign": "autumn-2026",
    "offering": "paper-cutting",
    "member": "m-1001",
    "pool": "open",
    "status": "confirmed",
    "seats": [17],
    "seq": 1041,
    "version": 1,
    "position": None,
    "expires_at": None,
    "decided_at": "2026-11-28T02:00:00.123Z",
}
HELD: Final = ENROLLMENT | {"status": "held", "expires_at": "2026-11-28T02:15:00.123Z"}
WAITLISTED: Final = ENROLLMENT | {"pool": None, "status": "waitlisted", "seats": [], "position": 4}
CANCELLED: Final = ENROLLMENT | {"status": "cancelled", "seats": [], "version": 2}

REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "Campaign": {"autumn": CAMPAIGN},
    "SignUp": {"any_pool": {}, "one_pool": {"pool": "open"}},
    "Nothing": {"nothing": {}},
}
"""By the type of the body."""
