"""Definitions: what the scripts get of a document, to the last field."""

from typing import Any

import msgspec
import pytest

from engine.domain import definition, document
from engine.domain.campaign import Campaign
from engine.domain.definition import milliseconds
from tests.domain import documents

OPENS = 1_795_831_200_000
"""2026-11-28T10:00:00+08:00"""
DAY = 24 * 3600 * 1000
UNTIL = "2026-11-29T10:00:00+08:00"
OFFERING: dict[str, Any] = {
    "offering": "soap",
    "kind": "workshop",
    "title": {"zh": "手工皂", "en": "Soap"},
    "opens": "2026-11-28T10:00:00+08:00",
    "closes": "2026-11-30T10:00:00.125+08:00",
    "sessions": [
        {"starts": "2026-12-05T14:00:00+08:00", "ends": "2026-12-05T16:00:00+08:00"},
        {"starts": "2026-12-03T14:00:00+08:00", "ends": "2026-12-03T16:00:00+08:00"},
    ],
    "pools": [{"pool": "open", "capacity": 7}],
}
SESSION = OPENS + 5 * DAY + 4 * 3600 * 1000
PLAIN: dict[str, Any] = {
    "kind": "workshop",
    "policy": "first_come",
    "opens": OPENS,
    "closes": OPENS + 2 * DAY + 125,
    "cancel_until": SESSION,
    "ends": SESSION + 2 * DAY + 2 * 3600 * 1000,
    "days": [739_953, 739_955],
    "hold_ttl_ms": 0,
    "waiting_max": 0,
    "promotion": "auto",
    "offer_ttl_ms": 1_800_000,
    "pools": [{"pool": "open", "capacity": 7, "open": True, "releases": 0}],
    "overlaps": [],
}


def made(*offerings: dict[str, Any], **rules: Any) -> Campaign:
    campaign = document.validate(documents.least() | {"rules": rules, "offerings": list(offerings)})
    assert isinstance(campaign, Campaign), campaign
    return campaign


def packed(*offerings: dict[str, Any], **rules: Any) -> dict[str, Any]:
    """What the scripts get of each offering."""
    return dict(msgspec.msgpack.decode(definition.pack_offerings(made(*offerings, **rules))))


def policy(name: str, **choice: Any) -> dict[str, Any]:
    return {"policy": {"name": name} | choice}


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({}, {}),
        ({"hold_ttl_s": 90}, {"hold_ttl_ms": 90_000}),
        ({"cancel_until": "2026-11-29T10:00:00+08:00"}, {"cancel_until": OPENS + DAY}),
        (
            {"waitlist": {"size_max": 9, "promotion": "offer", "offer_ttl_s": 60}},
            {"waiting_max": 9, "promotion": "offer", "offer_ttl_ms": 60_000},
        ),
        (policy("ballot"), {"policy": "ballot", "collects": OPENS + 2 * DAY + 125}),
        (
            policy("first_come", grace_s=60, intents_open="2026-11-27T10:00:00+08:00"),
            {"collects": OPENS + 60_000, "intents_open": OPENS - DAY},
        ),
        (
            policy("poll", until=UNTIL, threshold=5, kept_s=7),
            {
                "policy": "poll",
                "threshold": 5,
                "kept_ms": 7_000,
                "by_votes": True,
                "collects": OPENS + DAY,
            },
        ),
        (
            policy("poll", until=UNTIL, threshold=5, seats_by="draw"),
            {"policy": "poll", "threshold": 5, "collects": OPENS + DAY},
        ),
    ],
)
def test_an_offering_as_the_scripts_get_it(changed: dict[str, Any], differs: dict[str, Any]) -> None:
    (told,) = packed(OFFERING | changed).values()
    assert told == PLAIN | differs


def test_pools_as_the_scripts_get_them() -> None:
    merges = [
        {"at": "2026-11-29T10:00:00+08:00", "units": ["a"]},
        {"at": "2026-11-29T20:00:00+08:00", "units": ["b"]},
    ]
    pools = [
        {"pool": "own", "capacity": 1, "eligible": {"units": ["a.b"]}, "merges": merges},
        {
            "pool": "late",
            "capacity": 2,
            "eligible": {"units": ["a"]},
            "releases": "2026-11-29T10:00:00+08:00",
        },
        {"pool": "guests", "capacity": 3, "codes": True},
    ]
    own, late, guests = packed(OFFERING | {"pools": pools})["soap"]["pools"]
    around = own.pop("around")
    at = OPENS + DAY
    assert own == {
        "pool": "own",
        "capacity": 1,
        "open": False,
        "releases": 0,
        "merges": [at, at + 36_000_000],
    }
    assert late == {"pool": "late", "capacity": 2, "open": False, "releases": at}
    assert guests["codes"] is True
    merges[1]["units"] = ["c"]
    assert packed(OFFERING | {"pools": pools})["soap"]["pools"][0]["around"] != around
    merges[1] |= {"units": ["b"], "at": "2026-11-29T21:00:00+08:00"}
    assert packed(OFFERING | {"pools": pools})["soap"]["pools"][0]["around"] == around


def test_a_second_class_and_its_first_name_each_other() -> None:
    second = OFFERING | {"offering": "more"} | policy("second_class", of="soap", waiting=3, kept_s=60)
    first = OFFERING | {"waitlist": {"size_max": 9}}
    told = packed(first, second)
    assert told["soap"] == PLAIN | {"waiting_max": 9, "second": "more", "second_waiting": 3}
    assert told["more"] == PLAIN | {"policy": "second_class", "of": "soap", "kept_ms": 60_000}


def test_offerings_that_touch_do_not_overlap() -> None:
    def meeting(name: str, *hours: tuple[int, int]) -> dict[str, Any]:
        sessions = [
            {"starts": f"2026-12-05T{first:02}:00:00Z", "ends": f"2026-12-05T{last:02}:00:00Z"}
            for first, last in hours
        ]
        return OFFERING | {"offering": name, "sessions": sessions}

    offerings = [
        meeting("a", (1, 3), (8, 9)),
        meeting("b", (3, 5)),
        meeting("c", (2, 4)),
        meeting("d", (6, 7), (1, 2)),
        meeting("e", (5, 9)),
    ]
    told = packed(*offerings, overlaps_allowed=False)
    assert {name: each["overlaps"] for name, each in told.items()} == {
        "a": ["c", "d", "e"],
        "b": ["c"],
        "c": ["a", "b"],
        "d": ["a", "e"],
        "e": ["a", "d"],
    }
    assert all(each["overlaps"] == [] for each in packed(*offerings, overlaps_allowed=True).values())


def test_rules_as_the_scripts_get_them() -> None:
    limits = [{"max": 2, "per": "campaign"}, {"max": 1, "per": "day", "kinds": ["pack"]}]
    packed_limits = [limits[0] | {"kinds": []}, limits[1]]
    rules = definition.pack_rules(made(OFFERING, limits=limits))
    assert msgspec.msgpack.decode(rules) == {"limits": packed_limits}
    polled = OFFERING | policy("poll", until=UNTIL, threshold=5)
    rules = definition.pack_rules(made(polled, votes_max=3))
    assert msgspec.msgpack.decode(rules) == {"limits": [], "votes_max": 3}


def test_every_moment_has_a_timer() -> None:
    pools = [
        {
            "pool": "own",
            "capacity": 1,
            "eligible": {"units": ["a.b"]},
            "releases": "2026-11-30T10:00:00+08:00",
            "merges": [
                {"at": "2026-11-29T10:00:00+08:00", "units": ["a"]},
                {"at": "2026-11-29T20:00:00+08:00", "units": ["b"]},
            ],
        },
        {"pool": "open", "capacity": 1},
    ]
    second = OFFERING | {"offering": "more"} | policy("second_class", of="soap", waiting=3)
    first = OFFERING | {"pools": pools, "waitlist": {"size_max": 9}}
    closes = OPENS + 2 * DAY + 125
    assert msgspec.msgpack.decode(definition.pack_timers(made(first, second))) == [
        [OPENS, "opens/soap"],
        [closes, "closes/soap"],
        [OPENS + 2 * DAY, "releases/soap/own"],
        [OPENS + DAY, "merges/soap/own/1"],
        [OPENS + DAY + 36_000_000, "merges/soap/own/2"],
        [OPENS, "demand/more"],
        [closes, "closes/more"],
    ]


def test_a_definition_knows_its_document() -> None:
    found = definition.compile_definition(made(OFFERING), 7)
    assert (found.campaign, found.unit, found.version) == (found.document.campaign, found.document.unit, 7)
    assert found.offerings["soap"].pools == {"open"}
    assert milliseconds(found.document.offerings[0].opens) == OPENS
