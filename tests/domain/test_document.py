"""Campaign documents: a row for each rule, everything named in one pass, one canonical form, never an exception."""

import copy
import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain import document, faults, quotas, relative_time
from engine.domain.campaign import Campaign, Eligible, Waitlist
from engine.domain.faults import Fault, fault
from tests.domain import documents
from tests.domain.documents import spoiled, without

SAMPLE = Path(__file__).parents[2] / "docs" / "samples" / "workshops.yaml"


def refused(raw: object) -> list[Fault]:
    """The faults of a document; each can be said."""
    answer = document.validate(raw)
    assert isinstance(answer, list)
    assert answer
    for each in answer:
        assert faults.text(each, "zh")
        assert faults.text(each, "en")
    return answer


def accepted(raw: object) -> Campaign:
    answer = document.validate(raw)
    assert isinstance(answer, Campaign), answer
    return answer


# What is valid


def test_the_full_document() -> None:
    campaign = accepted(documents.full())
    assert campaign.due == date(2026, 12, 31)
    offering = campaign.offerings[0]
    assert offering.opens == datetime.fromisoformat("2026-11-28T10:00:00+08:00")
    assert offering.place is not None
    assert (offering.place.lon, offering.place.lat) == (116.378, 39.0)
    assert offering.pools[0].eligible == Eligible(["xicheng.finance"], ["finance"], ["outdoor"])
    assert offering.waitlist == Waitlist(50, "offer", 600)


def test_the_least_document_has_the_defaults_of_the_contract() -> None:
    campaign = accepted(documents.least())
    offering = campaign.offerings[0]
    assert (campaign.rules.limits, campaign.rules.overlaps_allowed) == ([], True)
    assert (offering.policy.name, offering.hold_ttl_s, offering.party_max) == ("first_come", 0, 1)
    assert (offering.waitlist.size_max, offering.waitlist.promotion) == (0, "auto")
    assert offering.cancel_until is None, "the first session's start"


@pytest.mark.parametrize("sample", sorted(SAMPLE.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_sample_is_valid(sample: Path) -> None:
    now = datetime.fromisoformat("2026-11-24T10:00:00+08:00")
    assert (
        accepted(relative_time.resolve(document.parse_yaml(sample.read_bytes()), now)).campaign == sample.stem
    )


def test_the_sample() -> None:
    now = datetime.fromisoformat("2026-11-24T10:00:00+08:00")
    raw = relative_time.resolve(document.parse_yaml(SAMPLE.read_bytes()), now)
    campaign = accepted(raw)
    assert len(campaign.offerings) == 6
    assert sum(pool.capacity for offering in campaign.offerings for pool in offering.pools) == 150
    assert accepted(document.parse_json(json.dumps(raw).encode())) == campaign


def merge(day: int, *units: str) -> dict[str, object]:
    return {"at": f"2026-12-{day:02}T10:00:00+08:00", "units": list(units or ("xicheng",))}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/offerings/0/closes", "2026-12-05T16:00:00+08:00"),
        ("/offerings/0/cancel_until", "2026-12-05T08:00:00Z"),
        ("/offerings/0/cancel_until", "2026-11-28T09:00:00+08:00"),
        ("/offerings/0/kind", "station"),
        ("/offerings/0/sessions", documents.offering("o")["sessions"] * 200),
        ("/offerings/0/pools", [{"pool": f"p{index}", "capacity": 10_000_000} for index in range(64)]),
        ("/offerings/0/pools/1/eligible", {}),
        ("/offerings/0/pools/0/releases", "2027-12-01T10:00:00+08:00"),
        ("/offerings/1/pools/0/pool", "own"),
        ("/offerings", [documents.offering(f"o{index}") for index in range(1_000)]),
        ("/rules", {}),
        ("/lead", None),
        ("/retention_days", 1),
        ("/retention_days", 36_500),
        ("/offerings/0/pools/0/merges", []),
        ("/offerings/0/pools/0/merges", [merge(day) for day in range(1, 9)]),
        ("/offerings/0/quotas", None),
        ("/offerings/0/pools/0/merges", [merge(1), merge(2, "xicheng", "dongcheng")]),
        ("/offerings/0/place", {"address": "x"}),
        ("/offerings/0/place", {"address": "x", "lon": None, "lat": None}),
    ],
)
def test_what_is_allowed(pointer: str, value: object) -> None:
    accepted(spoiled(pointer, value))


# What is not


@pytest.mark.parametrize(
    "pointer",
    [
        *("/campaign", "/title", "/title/zh", "/title/en", "/unit", "/offerings"),
        *(
            f"/offerings/1/{field}"
            for field in ("offering", "kind", "title", "sessions", "opens", "closes", "pools")
        ),
        *("/offerings/1/sessions/0/starts", "/offerings/1/sessions/0/ends"),
        *("/offerings/1/pools/0/pool", "/offerings/1/pools/0/capacity"),
        *("/rules/limits/0/max", "/rules/limits/0/per", "/offerings/1/place/address"),
    ],
)
def test_required_fields(pointer: str) -> None:
    assert refused(without(pointer)) == [Fault(pointer, "missing")]


@pytest.mark.parametrize(
    "parent",
    [
        *(
            "",
            "/title",
            "/rules",
            "/rules/limits/0",
            "/offerings/1",
            "/offerings/1/title",
            "/offerings/1/place",
        ),
        *("/offerings/1/sessions/0", "/offerings/1/policy", "/offerings/1/pools/1", "/offerings/1/waitlist"),
        "/offerings/1/pools/0/eligible",
    ],
)
def test_unknown_fields(parent: str) -> None:
    pointer = f"{parent}/stations"
    assert refused(spoiled(pointer, [])) == [Fault(pointer, "unknown_field", {"field": "stations"})]


@pytest.mark.parametrize(
    ("pointer", "value", "code"),
    [
        # Bounds.
        ("/campaign", "Autumn", "not_an_id"),
        ("/unit", "xicheng..finance", "not_a_unit"),
        ("/pilots/0", "x y", "not_a_unit"),
        ("/due", "soon", "not_a_date"),
        ("/lead", "", "too_short"),
        ("/title/zh", "a\0b", "control_character"),
        ("/title/zh", "a" * 401, "too_long"),
        ("/offerings", [], "too_few"),
        ("/retention_days", 0, "too_small"),
        ("/retention_days", 36_501, "too_large"),
        ("/offerings", [documents.offering(f"o{index}") for index in range(1_001)], "too_many"),
        ("/offerings/0/kind", "lottery", "not_one_of"),
        ("/offerings/0/sessions", [], "too_few"),
        ("/offerings/0/sessions", [documents.offering("o")["sessions"][0]] * 401, "too_many"),
        ("/offerings/0/pools", [], "too_few"),
        ("/offerings/0/pools", [{"pool": f"p{index}", "capacity": 1} for index in range(65)], "too_many"),
        ("/offerings/0/pools/0/capacity", -1, "too_small"),
        ("/offerings/0/pools/0/capacity", 10_000_001, "too_large"),
        ("/offerings/0/pools/0/capacity", 4.0, "not_an_integer"),
        ("/offerings/0/pools/0/capacity", "20", "not_an_integer"),
        ("/offerings/0/pools/0/capacity", True, "not_an_integer"),
        ("/offerings/0/pools/0/eligible/units", [], "too_few"),
        ("/offerings/0/pools/0/eligible/tags/0", "", "too_short"),
        ("/offerings/0/pools/0/releases", "later", "not_an_instant"),
        ("/offerings/0/pools/0/merges", [merge(day) for day in range(1, 10)], "too_many"),
        ("/offerings/0/opens", "2026-11-28T10:00:00", "no_offset"),
        ("/offerings/0/opens", "+10m", "not_an_instant"),
        ("/offerings/0/opens", None, "not_an_instant"),
        ("/offerings/0/opens", "1970-01-01T00:00:00Z", "year"),
        ("/offerings/0/place/lon", 181, "too_large"),
        ("/offerings/0/place/lat", -90.5, "too_small"),
        ("/offerings/0/place/lat", "39", "not_a_number"),
        ("/offerings/0/waitlist/size_max", -1, "too_small"),
        ("/offerings/0/waitlist/promotion", "lottery", "not_one_of"),
        ("/offerings/0/waitlist/offer_ttl_s", 0, "too_small"),
        ("/offerings/0/hold_ttl_s", -1, "too_small"),
        ("/offerings/0/party_max", 0, "too_small"),
        ("/rules/limits/0/max", 0, "too_small"),
        ("/rules/limits/0/per", "week", "not_one_of"),
        ("/rules/limits/1/kinds", [], "too_few"),
        ("/rules/limits/1/kinds/0", "packs", "not_one_of"),
        ("/rules/overlaps_allowed", "no", "not_a_boolean"),
        ("/rules", [], "not_an_object"),
        ("/offerings/0", None, "not_an_object"),
        # Refused by the parser.
        ("/offerings/0", fault("duplicate_key"), "duplicate_key"),
        ("/offerings/0/place/lon", fault("not_finite"), "not_finite"),
        # Rules over several values.
        ("/offerings/1/offering", "paper-cutting", "duplicate"),
        ("/offerings/1/pools/1/pool", "own", "duplicate"),
        ("/offerings/0/sessions/1/starts", "2026-12-04T16:00:00.5Z", "not_before"),
        ("/offerings/0/sessions/1/starts", "2026-12-04T17:00:00Z", "not_before"),
        ("/offerings/0/opens", "2026-12-04T10:00:00Z", "not_before"),
        ("/offerings/0/closes", "2026-12-05T16:00:00.001+08:00", "after_last_session"),
        ("/offerings/0/cancel_until", "2026-12-05T16:00:01+08:00", "after_last_session"),
        ("/weights", {"loss": 10}, "no_draw"),
        ("/rules/votes_max", 2, "no_poll"),
        ("/rules/votes_max", 0, "too_small"),
        ("/offerings/0/policy/grace_s", 0, "too_small"),
        ("/offerings/0/policy/grace_s", 7 * 24 * 3600, "grace_too_long"),
        ("/offerings/0/policy/intents_open", "2026-11-20T10:00:00+08:00", "intents_without_grace"),
        ("/offerings/0/pools/1/merges", [merge(1)], "no_units_to_merge"),
        # Not yet.
        ("/offerings/0/policy/name", "auction", "policy_not_available"),
        ("/offerings/0/party_max", 2, "party_not_available"),
        ("/offerings/0/party_max", 2**60, "too_large"),
    ],
)
def test_each_rule(pointer: str, value: object, code: str) -> None:
    assert [(each.path, each.code) for each in refused(spoiled(pointer, value))] == [(pointer, code)]


@pytest.mark.parametrize(
    ("policy", "faults"),
    [
        ({"grace_s": 60}, []),
        ({"grace_s": 60, "intents_open": "2026-11-28T09:59:59.999+08:00"}, []),
        ({"grace_s": 60, "intents_open": "2026-11-28T10:00:00+08:00"}, [("intents_open", "not_before")]),
        ({"name": "ballot"}, []),
        ({"name": "poll", "threshold": 15, "until": "2026-12-01T10:00:00+08:00"}, []),
        (
            {
                "name": "poll",
                "threshold": 15,
                "until": "2026-12-01T10:00:00+08:00",
                "seats_by": "draw",
                "kept_s": 60,
            },
            [],
        ),
        ({"name": "poll"}, [("threshold", "missing"), ("until", "missing")]),
        (
            {"name": "poll", "threshold": 0, "until": 1},
            [("threshold", "too_small"), ("until", "not_an_instant")],
        ),
        ({"name": "poll", "threshold": 1, "until": "2027-01-01T00:00:00Z"}, [("until", "after_close")]),
        (
            {"name": "poll", "threshold": 1, "until": "2026-11-28T10:00:00+08:00"},
            [("until", "not_after_opening")],
        ),
        ({"name": "second_class", "of": "soap", "waiting": 9, "kept_s": 60}, []),
        ({"name": "second_class", "of": "soap", "waiting": 51}, [("waiting", "never_so_many")]),
        ({"name": "second_class"}, [("of", "missing"), ("waiting", "missing")]),
        ({"name": "second_class", "of": "yoga", "waiting": 9}, [("of", "no_such_offering")]),
        ({"name": "second_class", "of": "paper-cutting", "waiting": 9}, [("of", "no_second_class")]),
        ({"name": "ballot", "grace_s": 60}, [("grace_s", "not_of_policy")]),
        (
            {"name": "ballot", "grace_s": "x", "intents_open": None},
            [("grace_s", "not_an_integer"), ("grace_s", "not_of_policy")],
        ),
    ],
)
def test_what_belongs_to_a_policy(policy: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    raw = spoiled("/offerings/0/policy", policy)
    if not faults:
        accepted(raw)
        return
    expected = [(f"/offerings/0/policy/{field}", code) for field, code in faults]
    assert [(each.path, each.code) for each in refused(raw)] == expected


def test_a_first_class_has_one_second() -> None:
    raw = documents.full()
    offerings = [documents.offering(name) for name in ("a", "b", "c")]
    for each in offerings[1:]:
        each["policy"] = {"name": "second_class", "of": "a", "waiting": 5}
    raw["offerings"] = offerings
    assert refused(raw) == [Fault("/offerings/2/policy/of", "duplicate", {"first": "/offerings/1/policy/of"})]


@pytest.mark.parametrize(
    ("pool", "faults"),
    [
        ({"merges": [{"at": "soon", "units": []}]}, {"merges/0/at": "not_an_instant", "merges/0/units": "too_few"}),
        ({"merges": [merge(1), merge(3), merge(3), merge(2)]},
         {"merges/2/at": "not_after_the_last", "merges/3/at": "not_after_the_last"}),
        ({"eligible": {"tags": ["t"]}, "merges": [merge(1)]}, {"merges": "no_units_to_merge"}),
        ({"eligible": None, "merges": [merge(1)]}, {"merges": "no_units_to_merge"}),
        ({"eligible": 7, "merges": [merge(1)]}, {"eligible": "not_an_object"}),
        ({"eligible": {"units": []}, "merges": [merge(1)]}, {"eligible/units": "too_few"}),
    ],
)  # fmt: skip
def test_stages_of_a_pool(pool: dict[str, Any], faults: dict[str, str]) -> None:
    raw = documents.full()
    raw["offerings"][0]["pools"][0] |= pool
    found = [(each.path.removeprefix("/offerings/0/pools/0/"), each.code) for each in refused(raw)]
    assert sorted(found) == sorted(faults.items())


# Quotas

QUOTAS: dict[str, Any] = {"seats": 100, "units": ["d.a.x", "d.b"], "merges": [merge(1)["at"], merge(2)["at"]]}


def shared(**changed: Any) -> dict[str, Any]:
    """The least document with quotas in the place of pools; a field that is None is left out."""
    raw = documents.least() | {"unit": "d"}
    del raw["offerings"][0]["pools"]
    raw["offerings"][0]["quotas"] = {
        name: each for name, each in (QUOTAS | changed).items() if each is not None
    }
    return raw


def test_quotas_take_the_place_of_pools() -> None:
    offering = accepted(shared(floor=2, recomputed="2026-11-27T10:00:00+08:00")).offerings[0]
    assert offering.pools == []
    assert offering.quotas is not None
    assert (offering.quotas.seats, offering.quotas.floor, len(offering.quotas.merges)) == (100, 2, 2)


def test_a_document_with_the_pools_that_its_quotas_made_is_as_good_as_without() -> None:
    sized = quotas.resize(accepted(shared()), {"o": {"d.a.x": 3, "d.b": 1}})
    assert isinstance(sized, Campaign)
    written = document.canonical(sized)
    assert accepted(document.parse_json(written)) == sized
    raw = json.loads(written)
    raw["offerings"][0]["pools"][0]["capacity"] = 7
    accepted(raw)
    raw["offerings"][0]["pools"].reverse()
    assert refused(raw) == [Fault("/offerings/0/pools", "not_of_quotas")]


@pytest.mark.parametrize(
    ("changed", "faults"),
    [
        ({"seats": None}, {"seats": "missing"}),
        ({"units": None}, {"units": "missing"}),
        ({"seats": 0}, {"seats": "too_small"}),
        ({"floor": -1}, {"floor": "too_small"}),
        ({"units": []}, {"units": "too_few"}),
        ({"units": [f"d.u{number}" for number in range(65)]}, {"units": "too_many"}),
        ({"units": ["d.a", "D"]}, {"units/1": "not_a_unit"}),
        ({"merges": [merge(day)["at"] for day in range(1, 10)]}, {"merges": "too_many"}),
        ({"merges": ["soon"]}, {"merges/0": "not_an_instant"}),
        ({"merges": [merge(2)["at"], merge(1)["at"]]}, {"merges/1": "not_after_the_last"}),
        ({"merges": [merge(day)["at"] for day in (1, 2, 3)]}, {"merges/2": "nothing_above"}),
        ({"units": ["d"], "merges": [merge(1)["at"]]}, {"merges/0": "nothing_above"}),
        ({"units": ["d.a", "d.b", "d.a"]}, {"units/2": "within_another", "merges/1": "nothing_above"}),
        ({"units": ["d.a.x", "d.a"]}, {"units/0": "within_another"}),
        ({"units": ["d", "d.a.x"]}, {"units/1": "within_another"}),
        ({"units": ["d.a-x.y", "d.a.x-y", "d.a.x.y"]}, {"units/1": "same_pool", "units/2": "same_pool"}),
        ({"units": ["d.a.x", "da.b", "e.f"]}, {"units/1": "not_of_the_unit", "units/2": "not_of_the_unit"}),
        ({"units": [f"d.{'a' * 63}", "d.b.c"]}, {"units/0": "unit_too_long"}),
        ({"recomputed": "2026-11-28T10:00:00+08:00"}, {"recomputed": "not_before"}),
        ({"headcounts": {}}, {"headcounts": "unknown_field"}),
    ],
)  # fmt: skip
def test_each_rule_of_quotas(changed: dict[str, Any], faults: dict[str, str]) -> None:
    found = [
        (each.path.removeprefix("/offerings/0/quotas/"), each.code) for each in refused(shared(**changed))
    ]
    assert sorted(found) == sorted(faults.items())


def test_neither_pools_nor_quotas() -> None:
    assert refused(shared() | {"offerings": [documents.least()["offerings"][0] | {"quotas": {}}]})[
        0
    ].path.endswith("/quotas/seats")
    raw = shared()
    raw["offerings"][0]["quotas"] = None
    assert refused(raw) == [Fault("/offerings/0/pools", "missing")]
    raw["offerings"][0]["closes"] = 7
    assert sorted(each.path for each in refused(raw)) == ["/offerings/0/closes", "/offerings/0/pools"]


@pytest.mark.parametrize(("given_field", "other"), [("lon", "lat"), ("lat", "lon")])
def test_longitude_and_latitude_come_together(given_field: str, other: str) -> None:
    alone = Fault(f"/offerings/0/place/{other}", "not_together", {"other": given_field})
    assert refused(without(f"/offerings/0/place/{other}")) == [alone]
    assert refused(spoiled(f"/offerings/0/place/{other}", None)) == [alone]
    assert [each.code for each in refused(spoiled("/offerings/0/place", {given_field: 7}))] == [
        "missing",
        "not_together",
    ]
    assert [each.code for each in refused(spoiled(f"/offerings/0/place/{given_field}", "7"))] == [
        "not_a_number"
    ]


def test_what_is_the_same_names_the_first() -> None:
    raw = spoiled("/offerings", [documents.offering("o") for _ in range(3)])
    assert refused(raw) == [
        Fault(f"/offerings/{index}/offering", "duplicate", {"first": "/offerings/0/offering"})
        for index in (1, 2)
    ]


def test_the_last_session_is_the_one_that_ends_last() -> None:
    raw = documents.full()
    raw["offerings"][0]["sessions"].reverse()
    accepted(raw)


@pytest.mark.parametrize("raw", [None, [], "x", 3, True, [documents.full()]])
def test_a_document_is_an_object(raw: object) -> None:
    assert refused(raw) == [Fault("", "not_an_object")]


def test_rules_are_applied_to_all_that_has_the_right_shape() -> None:
    first, second = documents.offering("same"), documents.offering("same")
    first |= {
        "kind": 1,
        "closes": "2026-11-01T10:00:00+08:00",
        "party_max": 3,
        "policy": {"name": "draw", "x": 1},
    }
    first["pools"] = [{"pool": "p", "capacity": -1}, {"pool": "p"}, 7]
    second |= {"title": None, "cancel_until": "2027-01-01T00:00:00Z", "colour": "red"}
    second["sessions"][0]["starts"] = "2026-12-06T14:00:00+08:00"
    raw = documents.full() | {"campaign": "", "offerings": [first, 3, second]}
    assert sorted((each.path, each.code) for each in refused(raw)) == [
        ("/campaign", "not_an_id"),
        ("/offerings/0/kind", "not_a_string"),
        ("/offerings/0/opens", "not_before"),
        ("/offerings/0/party_max", "party_not_available"),
        ("/offerings/0/policy/name", "policy_not_available"),
        ("/offerings/0/policy/x", "unknown_field"),
        ("/offerings/0/pools/0/capacity", "too_small"),
        ("/offerings/0/pools/1/capacity", "missing"),
        ("/offerings/0/pools/1/pool", "duplicate"),
        ("/offerings/0/pools/2", "not_an_object"),
        ("/offerings/1", "not_an_object"),
        ("/offerings/2/cancel_until", "after_last_session"),
        ("/offerings/2/colour", "unknown_field"),
        ("/offerings/2/offering", "duplicate"),
        ("/offerings/2/sessions/0/starts", "not_before"),
        ("/offerings/2/title", "not_an_object"),
    ]


def test_where_an_end_is_wrong_nobody_knows_the_last() -> None:
    raw = spoiled("/offerings/0/sessions/0/ends", "late")
    raw["offerings"][0]["closes"] = "2030-01-01T00:00:00Z"
    assert [each.path for each in refused(raw)] == ["/offerings/0/sessions/0/ends"]


FAULTS = {
    "kind": '"lottery"',
    "opens": '"2026-12-04T18:00:00+08:00"',
    "cancel_until": '"2027-01-01T00:00:00+08:00"',
    "party_max": "2",
    "hold_ttl_s": "NaN",
    "waitlist": '{"size_max": 1, "size_max": 2}',
    "policy": '{"name": "auction"}',
    "title": '{"zh": "\\u0000", "en": "x"}',
    "colour": "1",
    "pools": '[{"pool": "p", "capacity": 1.5}]',
}
"""Values of an offering, as JSON, each with one fault of its own kind."""


def test_a_document_with_40_faults_names_40() -> None:
    """Ten in each of four offerings, each at a path of its own."""
    offerings = []
    for index in range(4):
        parts = {name: json.dumps(value) for name, value in documents.offering(f"o{index}").items()} | FAULTS
        offerings.append("{" + ", ".join(f'"{name}": {value}' for name, value in parts.items()) + "}")
    rest = json.dumps({**documents.full(), "offerings": None}).replace(
        "null", "[" + ", ".join(offerings) + "]"
    )
    named = refused(document.parse_json(rest.encode()))
    assert len(named) == 40
    assert len({each.path for each in named}) == 40
    assert len({each.code for each in named}) == 10


def test_a_document_of_faults_alone_is_cut_short() -> None:
    raw = spoiled("/offerings", [{} for _ in range(1_000)])
    *listed, last = refused(raw)
    assert len(listed) == faults.FAULTS_MAX
    assert last == Fault("", "more_faults", {"more": 6_000})


@pytest.mark.parametrize("path", documents.places(documents.full()))
def test_no_value_is_quoted(path: tuple[str | int, ...]) -> None:
    raw = documents.full()
    documents.parent(raw, path)[path[-1]] = "Zhang-San 13800138000\ud800"
    for each in refused(raw):
        said = repr(each) + faults.text(each, "zh") + faults.text(each, "en")
        assert "Zhang" not in said
        assert "138" not in said


# Reading


@pytest.mark.parametrize("parse", [document.parse_json, document.parse_yaml])
def test_a_document_has_a_bound(parse: Callable[[bytes], object]) -> None:
    text = json.dumps(documents.full(), ensure_ascii=False).encode()
    padded = text + b" " * (document.MAX_BYTES - len(text))
    assert accepted(parse(padded)) == accepted(documents.full())
    assert parse(padded + b" ") == Fault("", "document_too_large", {"bytes_max": 1_048_576})


def test_yaml_gives_what_json_gives() -> None:
    text = json.dumps(documents.full(), ensure_ascii=False).encode()
    assert document.parse_yaml(text) == document.parse_json(text) == documents.full()


def test_non_strings_of_yaml_are_refused_for_strings() -> None:
    text = (
        SAMPLE.read_text("utf-8")
        .replace("campaign: workshops", "campaign: 2026")
        .replace("en: Paper cutting", "en: no")
    )
    now = datetime.fromisoformat("2026-11-24T10:00:00+08:00")
    raw = relative_time.resolve(document.parse_yaml(text.encode()), now)
    assert refused(raw) == [
        Fault("/campaign", "not_a_string"),
        Fault("/offerings/0/title/en", "not_a_string"),
    ]


# Canonical form


def test_canonical_is_read_back() -> None:
    for raw in (documents.full(), documents.least()):
        campaign = accepted(raw)
        written = document.canonical(campaign)
        assert msgspec.json.decode(written, type=Campaign) == campaign
        assert document.canonical(msgspec.json.decode(written, type=Campaign)) == written
        assert accepted(document.parse_json(written)) == campaign


def test_canonical_leaves_out_what_is_default_however_it_was_written() -> None:
    spelled_out = documents.least()
    spelled_out |= {"lead": None, "rules": {"limits": [], "overlaps_allowed": True}}
    spelled_out["offerings"][0] |= {
        "policy": {"name": "first_come"},
        "waitlist": {"size_max": 0, "promotion": "auto", "offer_ttl_s": 1800},
        "hold_ttl_s": 0,
        "party_max": 1,
        "cancel_until": None,
        "place": None,
    }
    reordered = dict(reversed(spelled_out.items()))
    assert document.canonical(accepted(reordered)) == document.canonical(accepted(documents.least()))
    assert json.loads(document.canonical(accepted(documents.least()))) == documents.least()


# Rounds


def a_ladder() -> dict[str, Any]:
    """Two crews in the heats, their team and an open pool in the final."""
    times = {"opens": "2026-11-28T10:00:00+08:00", "closes": "2026-12-01T10:00:00+08:00"}
    base = documents.least()["offerings"][0] | times | {"kind": "competition"}
    crews = [
        {"pool": f"c{crew}", "capacity": 9, "eligible": {"units": [f"x.red.c{crew}"]}} for crew in (1, 2)
    ]
    later = [{"starts": "2026-12-05T16:00:00+08:00", "ends": "2026-12-06T16:00:00+08:00"}]
    return documents.least() | {
        "offerings": [
            base | {"offering": "heats", "pools": crews, "results": {"ties": [{"column": "time"}]}},
            base
            | {
                "offering": "final",
                "sessions": later,
                "pools": [{"pool": "red", "capacity": 4, "eligible": {"units": ["x.red"]}}],
                "policy": {"name": "advancement", "from": "heats", "best": 2, "substitutes": 1},
                "waitlist": {"size_max": 2},
                "results": {"order": "lowest"},
                "medals": {"gold": 1},
            },
        ]
    }


def test_a_ladder_of_rounds() -> None:
    campaign = accepted(a_ladder())
    choice = campaign.offerings[1].policy
    assert (choice.from_, choice.best, choice.substitutes) == ("heats", 2, 1)
    assert b'"policy":{"name":"advancement","from":"heats","best":2,"substitutes":1}' in document.canonical(
        campaign
    )


@pytest.mark.parametrize("medals", [{"gold": 1}, {"silver": 1}, {"bronze": 1}, {"gold": 0, "bronze": 2}])
def test_one_kind_of_medals_will_do(medals: dict[str, int]) -> None:
    accepted(changed_ladder(f"{FINAL}/medals", medals))


def changed_ladder(pointer: str, value: object) -> dict[str, Any]:
    """A ladder with one value changed; None takes it out."""
    raw = a_ladder()
    path = tuple(int(key) if key.isdigit() else key for key in pointer.split("/")[1:])
    holder = documents.parent(raw, path)
    if value is None:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return raw


HEATS, FINAL = "/offerings/0", "/offerings/1"


@pytest.mark.parametrize(
    ("pointer", "value", "found"),
    [
        (f"{FINAL}/policy/from", "nothing", [("from", "not_an_earlier_round")]),
        (f"{FINAL}/policy/from", "final", [("from", "not_an_earlier_round")]),
        (f"{FINAL}/policy/from", None, [("from", "missing")]),
        (f"{FINAL}/policy/best", None, [("best", "missing")]),
        (f"{FINAL}/policy/best", 3, [("capacity", "too_small")]),
        (f"{FINAL}/policy/substitutes", 2, [("size_max", "too_small")]),
        (f"{FINAL}/policy/name", "first_come",
         [("from", "not_of_policy"), ("best", "not_of_policy"), ("substitutes", "not_of_policy")]),
        (f"{FINAL}/pools/0/capacity", 3, [("capacity", "too_small")]),
        (f"{FINAL}/waitlist", None, [("size_max", "too_small")]),
        (f"{FINAL}/pools/0/eligible/units", ["x.red.c1"], [("1", "leads_nowhere")]),
        (f"{FINAL}/pools", [{"pool": "red", "capacity": 4, "eligible": {"units": ["x.red"]}},
                            {"pool": "all", "capacity": 4}],
         [("0", "leads_to_several"), ("1", "leads_to_several")]),
        (f"{FINAL}/pools/0/eligible/tags", ["night"], [("tags", "units_alone")]),
        (f"{FINAL}/pools/0/releases", "2026-12-02T10:00:00+08:00", [("releases", "not_in_a_round")]),
        (f"{HEATS}/pools/0/releases", "2026-12-02T10:00:00+08:00", [("releases", "not_in_a_round")]),
        (f"{HEATS}/pools/0/merges", [{"at": "2026-12-01T10:00:00+08:00", "units": ["x.red"]}],
         [("merges", "not_in_a_round")]),
        (f"{HEATS}/quotas", {"seats": 9, "units": ["u.red"]},
         [("pools", "not_of_quotas"), ("quotas", "not_in_a_round")]),
        (f"{FINAL}/pools/0/codes", True, [("codes", "not_in_a_round")]),
        (f"{HEATS}/pools/0/eligible", None, [("0", "leads_nowhere")]),
        (f"{HEATS}/results", None, [("results", "no_results_rule")]),
        (f"{HEATS}/results/ties/0/column", "score", [("column", "reserved_column")]),
        (f"{HEATS}/results/ties/0/column", " time", [("column", "blanks_around")]),
        (f"{HEATS}/results/ties", [{"column": "time"}, {"column": "time"}], [("column", "duplicate")]),
        (f"{HEATS}/kind", "workshop", [("kind", "not_a_competition")]),
        (f"{FINAL}/kind", "workshop", [("kind", "not_a_competition")]),
        (f"{FINAL}/results", None, [("medals", "not_together")]),
        (f"{FINAL}/medals", {}, [("medals", "no_medal")]),
        (f"{FINAL}/sessions/0/starts", "2026-12-05T15:59:59+08:00", [("sessions", "before_the_round_before")]),
    ],
)  # fmt: skip
def test_ladders_that_would_not_hold(pointer: str, value: object, found: list[tuple[str, str]]) -> None:
    faults = refused(changed_ladder(pointer, value))
    assert [(each.path.rpartition("/")[2], each.code) for each in faults] == found


def test_a_round_leads_to_one() -> None:
    raw = a_ladder()
    raw["offerings"].append(raw["offerings"][1] | {"offering": "other-final"})
    assert refused(raw) == [
        Fault("/offerings/2/policy/from", "duplicate", {"first": "/offerings/1/policy/from"})
    ]


# Anything

odd_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(
        ["own", "open", "soap", "first_come", "station", "xicheng.health", "a\n", fault("not_finite")]
    )
    | st.datetimes(timezones=st.timezones()).map(datetime.isoformat)
    | st.dates().map(date.isoformat),
    lambda some: (
        st.lists(some, max_size=3)
        | st.dictionaries(
            st.sampled_from(["pool", "capacity", "zh", "starts"]) | st.text(max_size=3), some, max_size=3
        )
    ),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn, valid: Callable[[], Any] = documents.full) -> Any:
    """A valid document with a few values changed, moved, doubled or gone."""
    raw = valid()
    a_place = st.sampled_from(documents.places(valid()))
    for _ in range(draw(st.integers(1, 6))):
        path = draw(a_place)
        try:
            holder = documents.parent(raw, path)
            match draw(st.sampled_from(["change", "remove", "copy", "add"])):
                case "change":
                    holder[path[-1]] = draw(odd_values)
                case "remove":
                    del holder[path[-1]]
                case "copy":
                    other = draw(a_place)
                    holder[path[-1]] = copy.deepcopy(documents.parent(raw, other)[other[-1]])
                case "add":
                    holder[draw(st.text(max_size=4))] = draw(odd_values)
        except (KeyError, IndexError, TypeError):
            continue  # An earlier change has taken this place away.
    return raw


@settings(max_examples=400, deadline=None)
@given(mutated() | mutated(a_ladder) | odd_values)
def test_any_document_is_valid_or_named(raw: Any) -> None:
    answer = document.validate(raw)
    if isinstance(answer, Campaign):
        written = document.canonical(answer)
        assert document.validate(document.parse_json(written)) == answer
        assert document.canonical(accepted(json.loads(written))) == written
    else:
        refused(raw)


@settings(deadline=None)
@given(mutated() | odd_values, st.datetimes(timezones=st.timezones()))
def test_times_resolve_in_any_document(raw: Any, now: datetime) -> None:
    document.validate(relative_time.resolve(raw, now))
