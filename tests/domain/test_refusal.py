"""Refusals, explained: a row per guard, in their order, and what may come next."""

from collections.abc import Iterator
from datetime import UTC
from typing import Any

import msgspec
import pytest

from engine.domain import document
from engine.domain.campaign import Campaign, Instant
from engine.domain.definition import milliseconds
from engine.domain.enrollment import Record
from engine.domain.events import SCHEMA, Event, Header
from engine.domain.history import History
from engine.domain.person import Person
from engine.domain.why import asked, chances, refusal, texts
from engine.domain.why.asked import Asked, Mine, Terms
from engine.domain.why.refusal import Refusal

OPENS = "2026-11-28T10:00:00+08:00"
CLOSES = "2026-12-04T18:00:00+08:00"
RELEASES = "2026-12-01T10:00:00+08:00"
DAY = 24 * 3600 * 1000


def instant(text: str) -> int:
    return milliseconds(msgspec.convert(text, type=Instant))


def offering(name: str, day: int = 5, **changed: Any) -> dict[str, Any]:
    return {
        "offering": name,
        "kind": "workshop",
        "title": {"zh": "剪纸", "en": "Paper cutting"},
        "sessions": [{"starts": f"2026-12-0{day}T14:00:00+08:00", "ends": f"2026-12-0{day}T16:00:00+08:00"}],
        "opens": OPENS,
        "closes": CLOSES,
        "pools": [
            {"pool": "own", "capacity": 1, "eligible": {"units": ["a"]}, "releases": RELEASES},
            {"pool": "open", "capacity": 1},
        ],
    } | changed


def terms(*offerings: dict[str, Any], **rules: Any) -> Terms:
    validated = document.validate(
        {
            "campaign": "c",
            "title": {"zh": "批次", "en": "C"},
            "unit": "a",
            "rules": rules,
            "offerings": list(offerings),
        }
    )
    assert isinstance(validated, Campaign), validated
    return asked.terms(validated, 1)


class Told:
    """A log that grows by an event a call."""

    def __init__(self, at: int) -> None:
        self.history = History()
        self.at = at

    def add(self, kind: Any, record: Record | None = None, **changed: Any) -> int:
        seq = self.history.seq + 1
        header = Header(SCHEMA, kind, self.at, "m", "http", f"e-{seq}" if record else "", **changed)
        self.history.apply(Event("c", 1, seq, header, record, {}))
        return seq

    def seat(self, offering: str, pool: str, status: Any = "confirmed") -> int:
        seq = self.history.seq + 1
        record = Record(offering, f"m-{seq}", pool, status, 1 if pool else 0, seq, 1, 0, self.at, [])
        return self.add("enrolled", record)


def explain(
    terms: Terms,
    told: Told,
    *mine: Mine,
    wanted: str = "",
    unit: str = "b",
    name: str = "paper",
    code: str = "",
) -> Refusal:
    person = Person("m", unit=unit)
    return refusal.explain(Asked(told.history, terms, told.history.seq, person, mine, name, wanted), code)


def published(at: int = instant(OPENS)) -> Told:
    told = Told(at)
    told.add("published", version=1)
    return told


KEPT = [{"pool": "own", "capacity": 9, "eligible": {"units": ["a"], "tags": ["outdoor"]}}]
SOAP = Mine("e-1", "soap", "confirmed", 2)
ENTERED = Mine("e-1", "drawn", "entered", 2)


def all_at_once(*, without: int) -> Refusal:
    """Everything stands against it but the first `without` guards."""
    told = published(instant(OPENS) if without else instant(CLOSES))
    window: dict[str, Any] = {"opens": "2026-11-30T10:00:00+08:00"} if without < 2 else {}
    pools = KEPT if without < 3 else [{"pool": "open", "capacity": 0 if without < 8 else 1}]
    mine = [SOAP]
    if without < 4:
        mine.append(Mine("e-2", "paper", "waitlisted", 3))
    if without < 5:
        mine.append(ENTERED)
        told.add("draw_began", offering="drawn", version=1)
    if without >= 7:
        mine.remove(SOAP)
    ballot = {"policy": {"name": "ballot"}, "opens": "2026-11-27T10:00:00+08:00"}
    rules: dict[str, Any] = {"limits": [{"max": 1, "per": "campaign"}]} if without < 6 else {}
    return explain(
        terms(
            offering("paper", pools=pools, **window),
            offering("soap", closes=CLOSES),
            offering("drawn", day=6, closes=CLOSES, **ballot),
            overlaps_allowed=False,
            **rules,
        ),
        told,
        *mine,
    )


ORDER = [
    ("closed", "/offerings/0/closes"),
    ("not_open", "/offerings/0/opens"),
    ("not_eligible", "/offerings/0/pools"),
    ("already_in", ""),
    ("not_ready", ""),
    ("limit_reached", "/rules/limits/0"),
    ("overlap", "/rules/overlaps_allowed"),
    ("sold_out", "/offerings/0/pools"),
    ("none", ""),
]


@pytest.mark.parametrize(("without", "told"), list(enumerate(ORDER)))
def test_the_first_guard_that_applies_is_told(without: int, told: tuple[str, str]) -> None:
    found = all_at_once(without=without)
    assert (found.code, found.rule) == told


GRACED: dict[str, Any] = {
    "policy": {"name": "first_come", "grace_s": 60, "intents_open": "2026-11-27T10:00:00+08:00"}
}
INTENTS, ENDS = instant("2026-11-27T10:00:00+08:00"), instant(OPENS) + 60_000


def settled(*kinds: str) -> Told:
    told = published(ENDS)
    for kind in kinds:
        told.add(kind, offering="paper", version=1)
    return told


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (published(INTENTS - 1), "not_open"),
        (published(INTENTS), "none"),
        (published(ENDS - 1), "none"),
        (published(ENDS), "not_ready"),
        (settled("draw_began"), "not_ready"),
        (settled("draw_began", "draw_ended"), "sold_out"),
    ],
)
def test_a_grace_window(told: Told, code: str) -> None:
    paper = offering("paper", pools=[{"pool": "open", "capacity": 0}], **GRACED)
    found = explain(terms(paper), told)
    assert (found.code, found.opens) == (code, INTENTS)
    if code == "not_open":
        assert (found.rule, found.chances[0].since) == ("/offerings/0/policy/intents_open", INTENTS)


def test_moments_without_a_seq() -> None:
    """What was answered tells on which side of such a moment it was, where the next seq leaves both possible."""
    made = terms(offering("paper", **GRACED))
    told = published(INTENTS - 1)

    def codes(seq: int) -> list[str]:
        asked = Asked(told.history, made, seq, Person("m"), [], "paper")
        return [
            refusal.explain(asked, code).code for code in ("", "not_open", "none", "not_ready", "sold_out")
        ]

    assert codes(1) == ["not_open", "not_open", "none", "not_ready", "not_open"]
    told.at = INTENTS
    told.add("published", version=2)
    assert codes(1) == ["not_open", "not_open", "none", "not_open", "not_open"]
    assert codes(2) == ["none", "none", "none", "not_ready", "none"]
    told.at = ENDS
    told.add("draw_began", offering="paper", version=1)
    assert codes(3) == ["not_ready"] * 5


def test_sold_out_tells_pools_and_the_cut_off() -> None:
    told = published()
    seq = told.seat("paper", "open")
    told.at += 1000
    told.seat("soap", "open")
    found = explain(terms(offering("paper"), offering("soap", day=6)), told)
    assert (found.code, found.sign_ups, found.waiting, found.waiting_max) == ("sold_out", 1, 0, 0)
    own, rest = found.pools
    assert (own.taken, own.capacity, own.may_take, own.lacking, own.last_given) == (0, 1, False, ["units"], 0)
    assert (rest.taken, rest.capacity, rest.may_take, rest.lacking) == (1, 1, True, [])
    assert (rest.last_given, rest.last_given_at) == (seq, instant(OPENS))
    assert [(each.kind, each.pool) for each in found.chances] == [("release", "own"), ("cancellation", "")]
    assert (found.chances[0].since, found.chances[0].free) == (instant(RELEASES), 1)


def test_a_released_pool_is_open_to_all_who_are_eligible_for_any() -> None:
    told = published(instant(RELEASES))
    told.seat("paper", "open")
    assert explain(terms(offering("paper")), told).code == "none"
    kept = offering("paper", pools=[*KEPT, {"pool": "rest", "capacity": 1, "eligible": {"units": ["x"]}}])
    found = explain(terms(kept), told)
    assert (found.code, [pool.lacking for pool in found.pools]) == (
        "not_eligible",
        [["units", "tags"], ["units"]],
    )


def test_a_pool_for_codes_alone() -> None:
    found = explain(
        terms(offering("paper", pools=[{"pool": "guests", "capacity": 1, "codes": True}])), published()
    )
    assert (found.code, [(pool.codes, pool.lacking) for pool in found.pools]) == (
        "not_eligible",
        [(True, [])],
    )
    assert "invitation code opens the pool guests" in texts.refusal(found, UTC, "en")


def test_whose_code_opened_a_full_pool() -> None:
    told = published()
    told.seat("paper", "guests")
    codes = [{"pool": name, "capacity": size, "codes": True} for name, size in (("guests", 1), ("others", 9))]
    made = terms(offering("paper", pools=codes))
    assert explain(made, told).code == "not_eligible"
    assert explain(made, told, code="not_eligible").code == "not_eligible"
    found = explain(made, told, code="sold_out")
    assert (found.code, [pool.may_take for pool in found.pools]) == ("sold_out", [True, False])
    assert explain(terms(offering("paper", pools=KEPT)), told, code="sold_out").code == "not_eligible"


@pytest.mark.parametrize("unit", ["a", "b"])
def test_nobody_signs_up_for_a_round(unit: str) -> None:
    competition: Any = {"kind": "competition", "results": {}, "pools": [{"pool": "all", "capacity": 9}]}
    final: Any = competition | {"pools": [{"pool": "all", "capacity": 9, "eligible": {"units": ["a"]}}]}
    heats = offering("heats", **competition | {"pools": final["pools"]})
    policy = {"name": "advancement", "from": "heats", "best": 1}
    made = terms(heats, offering("paper", day=6, policy=policy, **final))
    found = explain(made, published(), unit=unit)
    assert (found.code, found.rule) == ("not_eligible", "/offerings/1/policy")
    assert [each.kind for each in found.chances] == (["other_offering"] if unit == "a" else [])
    assert "attributes" not in (said := texts.refusal(found, UTC, "en"))
    assert "nobody signed up for this round" in said
    assert "units" not in said


def test_a_full_waitlist_is_the_last_that_is_looked_at() -> None:
    told = published()
    told.seat("paper", "open")
    told.seat("paper", "", "waitlisted")
    for size, code in ((1, "sold_out"), (2, "none")):
        found = explain(terms(offering("paper", waitlist={"size_max": size})), told)
        assert (found.code, found.waiting) == (code, 1)
    assert "waitlist" in [
        each.kind for each in explain(terms(offering("paper", waitlist={"size_max": 1})), told).chances
    ]


@pytest.mark.parametrize(
    ("unit", "at", "code", "chances"),
    [
        ("a.b", OPENS, "none", []),
        ("a.c", OPENS, "not_eligible", [("merge", instant(RELEASES))]),
        ("a.c", RELEASES, "none", []),
        ("x", RELEASES, "not_eligible", []),
    ],
)
def test_pools_that_merge(unit: str, at: str, code: str, chances: list[tuple[str, int]]) -> None:
    merges = [{"at": RELEASES, "units": ["a"]}]
    pools = [{"pool": "own", "capacity": 1, "eligible": {"units": ["a.b"]}, "merges": merges}]
    found = explain(terms(offering("paper", pools=pools)), published(instant(at)), unit=unit)
    assert (found.code, found.pools[0].may_take) == (code, code == "none")
    assert [(each.kind, each.since) for each in found.chances] == chances
    assert found.pools[0].lacking == ([] if code == "none" else ["units"])


def test_a_pool_that_was_asked_for_is_held_to() -> None:
    told = published()
    told.seat("paper", "open")
    found = explain(terms(offering("paper")), told, wanted="open", unit="a")
    assert found.code == "sold_out"
    assert [pool.may_take for pool in found.pools] == [False, True]
    assert ("other_pool", "own", 1) in [(each.kind, each.pool, each.free) for each in found.chances]


def limits() -> Iterator[tuple[dict[str, Any], list[Mine], str]]:
    pack, other = Mine("e-1", "pack", "confirmed", 2), Mine("e-2", "soap", "waitlisted", 3)
    yield {"max": 2, "per": "campaign"}, [pack], "none"
    yield {"max": 2, "per": "campaign"}, [pack, other], "limit_reached"
    yield {"max": 1, "per": "campaign"}, [ENTERED], "none"
    yield {"max": 1, "per": "campaign", "kinds": ["pack"]}, [pack], "none"
    yield {"max": 1, "per": "campaign", "kinds": ["workshop"]}, [pack], "none"
    yield {"max": 1, "per": "campaign", "kinds": ["workshop"]}, [pack, other], "limit_reached"
    yield {"max": 1, "per": "day"}, [other], "none"
    yield {"max": 1, "per": "day"}, [pack], "limit_reached"


@pytest.mark.parametrize(("limit", "mine", "code"), [*limits()])
def test_limits(limit: dict[str, Any], mine: list[Mine], code: str) -> None:
    made = terms(
        offering("paper"),
        offering("pack", kind="pack"),
        offering("soap", day=6),
        offering("drawn", policy={"name": "ballot"}),
        limits=[limit],
    )
    found = explain(made, published(), *mine)
    assert found.code == code
    if code == "limit_reached":
        assert found.limit
        assert len(found.mine) >= found.limit.max
        assert {"own_cancellation"} <= {each.kind for each in found.chances}


def test_an_overlap_names_the_sessions() -> None:
    made = terms(offering("paper"), offering("soap"), offering("other", day=6), overlaps_allowed=False)
    found = explain(made, published(), SOAP)
    assert (found.code, found.mine) == ("overlap", [SOAP])
    assert [(each.mine, each.other) for each in found.meetings] == [
        (made.document.offerings[0].sessions[0], made.document.offerings[1].sessions[0])
    ]
    kinds = [(each.kind, each.offering) for each in found.chances]
    assert kinds == [("own_cancellation", "soap"), ("other_offering", "other")]


def test_other_offerings_are_such_that_a_seat_would_have_been_given() -> None:
    names = [f"o-{number}" for number in range(8)]
    full = offering("full", day=6, pools=[{"pool": "open", "capacity": 0}], waitlist={"size_max": 9})
    made = terms(
        offering("paper", pools=[{"pool": "open", "capacity": 0}]),
        full,
        offering("late", day=6, opens="2026-11-29T10:00:00+08:00"),
        *(offering(name, day=6) for name in names),
    )
    found = explain(made, published())
    others = [each.offering for each in found.chances if each.kind == "other_offering"]
    assert others == names[: chances.OTHERS_MAX]
