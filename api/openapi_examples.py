"""Examples of the OpenAPI document: one campaign from its publication to an enrollment."""

from typing import Any, Final

Example = dict[str, Any]

_OFFERING: Final[Example] = {
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
_CAMPAIGN: Final[Example] = {
    "campaign": "autumn-2026",
    "title": {"zh": "秋季快乐工坊", "en": "Autumn workshops"},
    "unit": "xicheng.finance",
    "lead": "区总工会服务部",
    "pilots": ["xicheng.finance"],
    "due": "2026-12-31",
    "rules": {"limits": [{"max": 2, "per": "campaign"}], "overlaps_allowed": False},
    "offerings": [_OFFERING],
}
_PACKS: Final[Example] = {
    "campaign": "summer-packs",
    "title": {"zh": "送清凉", "en": "Summer supply packs"},
    "unit": "xicheng",
    "offerings": [
        {
            "offering": "large-pack",
            "kind": "pack",
            "title": {"zh": "清凉大礼包", "en": "Large pack"},
            "sessions": [{"starts": "2027-07-10T09:00:00+08:00", "ends": "2027-07-10T17:00:00+08:00"}],
            "opens": "2027-07-01T10:00:00+08:00",
            "closes": "2027-07-09T18:00:00+08:00",
            "quotas": {
                "seats": 100,
                "floor": 2,
                "units": ["xicheng.health.fuxing", "xicheng.sanitation"],
                "merges": ["2027-07-03T10:00:00+08:00", "2027-07-05T10:00:00+08:00"],
                "recomputed": "2027-06-30T18:00:00+08:00",
            },
        }
    ],
}
_OFFERING_VIEW: Final = _OFFERING | {
    "pools": [pool | {"taken": taken} for pool, taken in zip(_OFFERING["pools"], (3, 17), strict=True)],
    "waiting": 0,
}
_CAMPAIGN_VIEW: Final = _CAMPAIGN | {"offerings": [_OFFERING_VIEW], "version": 1, "seq": 1041}

_ENROLLMENT: Final[Example] = {
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
_HELD: Final = _ENROLLMENT | {"status": "held", "expires_at": "2026-11-28T02:15:00.123Z"}
_WAITLISTED: Final = _ENROLLMENT | {"pool": None, "status": "waitlisted", "seats": [], "position": 4}
_ENTERED: Final = _ENROLLMENT | {"pool": None, "status": "entered", "seats": [], "wish": 1}
_CANCELLED: Final = _ENROLLMENT | {"status": "cancelled", "seats": [], "version": 2}

_CODE: Final[Example] = {
    "id": "3f1c0e9a7d5b48e2a6c41d0f9b87e352",
    "pool": "own",
    "uses": 1,
    "used": 0,
    "member": None,
    "expires": "2026-12-01T02:00:00.000Z",
    "revoked": False,
}
_CUT: Final = {"seats": 3, "substitutes": 1, "pool_place": 3, "values": {"score": 86.0, "time": 310.5}}
_RESULT: Final[Example] = {
    "place": 7,
    "member": "m-1001",
    "pool": "crew-1",
    "pool_place": 2,
    "by_lot": False,
    "values": {"score": 91.5, "time": 287.0},
    "going": "seat",
}
_ROUND: Final[Example] = {"campaign": "skills-2026", "offering": "crew-heats", "next_round": "team-heats"}

FILES: Final[dict[str, Example]] = {
    "text/csv": {
        "schema": {"type": "string"},
        "examples": {"results": {"value": "member,score,time\r\nm-1001,91.5,287\r\n"}},
    },
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": {
        "schema": {"type": "string", "format": "binary"},
    },
}
"""Bodies that are files, by their media type."""
_REFUSAL_REASON: Final[Example] = {
    "campaign": "autumn-2026",
    "offering": "paper-cutting",
    "code": "sold_out",
    "detail": "截至序号 1041，您可用的 40 个名额已占用 40 个；在您之前该活动已有 92 次报名成功。",
    "as_of_seq": 1041,
    "at": "2026-11-28T02:00:00.123Z",
    "version": 1,
    "rule": "/offerings/0/pools",
    "opens": "2026-11-28T02:00:00.000Z",
    "closes": "2026-12-04T10:00:00.000Z",
    "pools": [
        {
            "pool": pool["pool"],
            "capacity": 20,
            "taken": 20,
            "may_take": True,
            "eligible": pool.get("eligible"),
            "lacking": [],
            "codes": False,
            "releases": None,
            "last_given_seq": seq,
            "last_given_at": "2026-11-28T02:00:00.098Z",
        }
        for pool, seq in zip(_OFFERING["pools"], (610, 702), strict=True)
    ],
    "sign_ups": 92,
    "waiting": 50,
    "waiting_max": 50,
    "limit": None,
    "votes_max": None,
    "mine": [],
    "meetings": [],
    "next": [
        {
            "kind": "waitlist",
            "offering": "paper-cutting",
            "pool": None,
            "since": None,
            "until": "2026-12-04T10:00:00.000Z",
            "free": None,
            "detail": "2026-12-04 18:00:00+08:00 之前，候补中有人递补或离开，就有候补位空出。",
        }
    ],
}
_ENROLLMENT_REASON: Final[Example] = {
    "campaign": "autumn-2026",
    "offering": "paper-cutting",
    "enrollment": "k3J9-Zq0aB7_xYt2",
    "status": "waitlisted",
    "detail": "这是该活动第 47 次成功的报名。截至序号 1041，您在候补第 4 位，前面有 3 人。",
    "as_of_seq": 1041,
    "at": "2026-11-28T02:00:00.123Z",
    "number": 47,
    "steps": [
        {
            "seq": 731,
            "at": "2026-11-28T02:00:00.099Z",
            "type": "enrolled",
            "status": "waitlisted",
            "pool": None,
            "seats": [],
            "by": "self",
            "position": 7,
            "expires_at": None,
            "cause": None,
            "detail": "序号 731（2026-11-28 10:00:00+08:00）：报名时名额已满，候补第 7 位。",
        }
    ],
    "queue": {"position": 4, "given_ahead": 2, "given_behind": 0, "left_ahead": 1},
    "draw": None,
    "next": [
        {
            "kind": "queue",
            "offering": "paper-cutting",
            "pool": None,
            "since": None,
            "until": "2026-12-05T08:00:00.000Z",
            "free": None,
            "detail": "2026-12-05 16:00:00+08:00 之前有名额空出时，按候补次序递补。",
        }
    ],
}

BODIES: Final[dict[str, dict[str, Example]]] = {
    "SignUp": {
        "any_pool": {},
        "one_pool": {"pool": "open"},
        "first_wish": {"wish": 1},
        "invited": {"code": "7QK2M-X9ZTA-04HNV-W8C5R"},
    },
    "Terms": {"single": {"pool": "own", "codes": 1}, "of_many_uses": {"pool": "own", "uses": 30}},
    "Campaign": {"autumn": _CAMPAIGN, "shared_by_headcounts": _PACKS},
    "Headcounts": {"two_units": {"headcounts": {"xicheng.health.fuxing": 3800, "xicheng.sanitation": 900}}},
    "Nothing": {"nothing": {}},
}
"""Of requests, by the type of the body."""

ANSWERS: Final[dict[str, dict[str, Example]]] = {
    "Publication": {"published": {"campaign": "autumn-2026", "version": 1, "changed": True}},
    "CampaignView": {"autumn": _CAMPAIGN_VIEW},
    "CampaignList": {"page": {"campaigns": [_CAMPAIGN_VIEW], "next": None}},
    "OfferingView": {"paper_cutting": _OFFERING_VIEW},
    "HeadcountReport": {"reported": {"changed": 2}},
    "HeadcountList": {
        "page": {
            "headcounts": [
                {
                    "unit": "xicheng.health.fuxing",
                    "headcount": 3800,
                    "reported_at": "2026-11-20T02:00:00.123Z",
                }
            ],
            "next": None,
        }
    },
    "Enrollment": {"confirmed": _ENROLLMENT},
    "IssuedCodes": {
        "single": {
            "codes": [{"code": "7QK2M-X9ZTA-04HNV-W8C5R", "id": _CODE["id"]}],
            "pool": "own",
            "uses": 1,
            "member": None,
            "expires": "2026-12-01T02:00:00.000Z",
        }
    },
    "CodeList": {"page": {"codes": [_CODE], "next": None}},
    "Code": {"revoked": _CODE | {"revoked": True}},
    "RefusalReason": {"sold_out": _REFUSAL_REASON},
    "EnrollmentReason": {"waitlisted": _ENROLLMENT_REASON},
    "EnrollmentList": {"page": {"enrollments": [_ENROLLMENT], "next": None}},
    "ResultsImport": {
        "imported": {
            **_ROUND,
            "dry_run": False,
            "lines": 1,
            "absent": 3,
            "cuts": {"crew-1": _CUT},
            "results": [_RESULT],
        }
    },
    "ResultList": {
        "page": {
            **_ROUND,
            "state": "advanced",
            "lines": 1,
            "cuts": {"crew-1": _CUT},
            "results": [_RESULT],
            "next": None,
        }
    },
    "OwnResult": {
        "own": {
            "state": "advanced",
            "lines": 98,
            "result": _RESULT,
            "next_round": "team-heats",
            "enrollment": "k3J9-Zq0aB7_xYt2",
            "cut": _CUT,
        }
    },
    "RoundAdvance": {
        "decided": {
            **_ROUND,
            "state": "advancing",
            "seats": 3,
            "substitutes": 1,
            "cuts": {"crew-1": _CUT},
        }
    },
}
"""Of successes, by the type of the body."""

ANSWERS_OF: Final[dict[tuple[str, int], dict[str, Example]]] = {
    ("enrollments.sign_up", 202): {"held": _HELD, "waitlisted": _WAITLISTED, "entered": _ENTERED},
    ("enrollments.cancel", 200): {"cancelled": _CANCELLED},
    ("enrollments.decline", 200): {"cancelled": _CANCELLED},
}
"""Of successes that differ, by the route's handler and the status."""
