"""Campaigns for the model: shapes as documents, and any of either."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from engine.domain.campaign import Campaign, Kind, Limit
from tests import stand
from tests.model import oracle
from tests.model.oracle import FIRST, SLOTS, Code, Gives, Offering, Pool, Request, Shape
from tests.stand import at

UNITS: Final = {"m0": "a", "m1": "a.b", "m2": "b", "m3": "", "m4": "", "m5": "ab"}
NAMES: Final = ("one", "two", "three", "four")
POOLS: Final = ("own", "open")
DAY: Final = (datetime.now(UTC) + timedelta(days=10)).date()

SEEDS: Final = 8
GIVES: Final[list[Gives]] = ["first_come", "ballot", "grace", "poll"]
KINDS: Final[tuple[Kind, ...]] = ("workshop", "pack")
LONG_S: Final = 3_600
SHORT_S: Final = 2
MARGIN_S: Final = 1
"""What would be over sooner is waited for before the next call, which takes less."""

MOMENTS: Final = {
    "before": {"opens": at(hours=1), "closes": at(days=1)},
    "open": {"opens": at(hours=-3), "closes": at(days=1)},
    "late": {"opens": at(hours=-3), "closes": at(days=1)},
    "closed": {"opens": at(hours=-3), "closes": at(hours=-1)},
}
RELEASES: Final = {"never": {}, "later": {"releases": at(days=1)}, "past": {"releases": at(hours=-2)}}
AROUND: Final = ("b", "ab")
BEGUN, TO_COME = [at(hours=-2), at(minutes=-90)], [at(days=1), at(days=2)]
PAST: Final = at(hours=-1)
INTENTS_OPEN: Final = at(hours=-4)
HOUR_S: Final = 3_600
BEST: Final = 2
SUBSTITUTES: Final = 2
DAY_S: Final = 24 * HOUR_S
LATER: Final = at(hours=20)
AGO: Final = at(hours=-1.5)
UNTIL: Final = {"before": LATER, "open": LATER, "late": AGO, "closed": AGO}
GRACE_S: Final = {"before": 4 * HOUR_S, "open": 4 * HOUR_S, "late": HOUR_S, "closed": HOUR_S}


def document(name: str, shape: Shape, ttl_s: int) -> Campaign:
    """The campaign document of a shape."""
    offerings = [_offering(each, ttl_s) for each in shape.offerings]
    is_voted_on = shape.votes_max and any(each.gives == "poll" for each in shape.offerings)
    votes = {"votes_max": shape.votes_max} if is_voted_on else {}
    rules = {
        "limits": msgspec.to_builtins(list(shape.limits)),
        "overlaps_allowed": shape.overlaps_allowed,
        **votes,
    }
    return stand.campaign(*offerings, name=name, rules=rules)


def _offering(shape: Offering, ttl_s: int) -> dict[str, Any]:
    day, starts, ends = SLOTS[shape.slot]
    on = DAY + timedelta(days=day)
    promotion = {"promotion": "offer", "offer_ttl_s": ttl_s} if shape.offers else {}
    return stand.offering(
        shape.name,
        kind=shape.kind,
        sessions=[{"starts": f"{on}T{starts:02}:00:00+08:00", "ends": f"{on}T{ends:02}:00:00+08:00"}],
        pools=[
            {"pool": pool.name, "capacity": pool.capacity}
            | ({"eligible": {"units": list(pool.units)}} if pool.units else {})
            | RELEASES[pool.release]
            | ({"codes": True} if pool.codes else {})
            | ({"merges": _stages(pool)} if pool.around else {})
            for pool in shape.pools
        ],
        policy=_policy(shape, ttl_s),
        **({"results": {"order": "highest"}} if shape.kind == "competition" else {}),
        waitlist={"size_max": shape.waiting_max} | promotion,
        hold_ttl_s=ttl_s if shape.holds else 0,
        **MOMENTS[shape.window],
        **({} if shape.cancellable else {"cancel_until": PAST}),
    )


def _policy(shape: Offering, ttl_s: int) -> dict[str, Any]:
    if shape.gives == "poll":
        order, kept = "votes" if shape.by_votes else "draw", {"kept_s": ttl_s} if shape.kept else {}
        until = UNTIL[shape.window]
        return {"name": "poll", "threshold": shape.demand, "until": until, "seats_by": order, **kept}
    if shape.gives == "second_class":
        kept = {"kept_s": DAY_S} if shape.kept else {}
        return {"name": "second_class", "of": FIRST, "waiting": shape.demand, **kept}
    if shape.gives == "advancement":
        return {"name": "advancement", "from": FIRST, "best": BEST, "substitutes": SUBSTITUTES}
    if shape.gives != "grace":
        return {"name": shape.gives}
    intents = {"intents_open": INTENTS_OPEN} if shape.intents else {}
    return {"name": "first_come", "grace_s": GRACE_S[shape.window], **intents}


def _stages(pool: Pool) -> list[dict[str, Any]]:
    moments = [*BEGUN[: pool.begun], *TO_COME[pool.begun :]]
    return [{"at": moment, "units": [unit]} for moment, unit in zip(moments, pool.around, strict=True)]


# Strategies

POOL_SETS: Final = st.one_of(
    st.builds(lambda capacity: (Pool("open", capacity),), st.integers(0, 3)),
    st.builds(
        lambda own, rest, release: (Pool("own", own, ("a",), release), Pool("open", rest)),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from(["never", "later", "past"]),
    ),
    st.builds(
        lambda own, rest, begun, release: (
            Pool("own", own, ("a",), release, AROUND, begun),
            Pool("open", rest, ("b",), "never", ("a.b", "ab"), begun),
        ),
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from(["never", "later"]),
    ),
    st.builds(
        lambda own, rest: (Pool("own", own, ("a.b",), "never", ("a", "b")), Pool("open", rest)),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    st.builds(
        lambda own, other, release: (Pool("own", own, ("a",), release), Pool("open", other, ("b",))),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from(["never", "later"]),
    ),
    st.builds(
        lambda own, rest, units, others, release: (
            Pool("own", own, units, release, codes=True),
            Pool("open", rest, others),
        ),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from([(), ("a",)]),
        st.sampled_from([(), ("b",)]),
        st.sampled_from(["never", "later", "past"]),
    ),
)


def offerings(name: str) -> st.SearchStrategy[Offering]:
    return st.builds(
        Offering,
        name=st.just(name),
        pools=POOL_SETS,
        slot=st.integers(0, len(SLOTS) - 1),
        kind=st.sampled_from(["workshop", "pack"]),
        gives=st.sampled_from(GIVES if name == FIRST else [*GIVES, "second_class"]),
        intents=st.booleans(),
        demand=st.integers(1, 3),
        by_votes=st.booleans(),
        kept=st.booleans(),
        waiting_max=st.sampled_from([3, 2, 1, 0]),
        offers=st.booleans(),
        holds=st.booleans(),
    )


LIMITS: Final = st.sampled_from(
    [
        (),
        (Limit(max=1, per="campaign"),),
        (Limit(max=2, per="campaign"),),
        (Limit(max=1, per="day"),),
        (Limit(max=1, per="campaign", kinds=["pack"]),),
        (Limit(max=1, per="day", kinds=["workshop"]), Limit(max=2, per="campaign")),
    ]
)


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """One to three offerings, some of them to be drawn."""
    number = draw(st.integers(1, 3))
    return in_order(
        Shape(
            tuple(draw(offerings(name)) for name in NAMES[:number]),
            draw(LIMITS),
            draw(st.booleans()),
            draw(st.integers(1, 3)),
        )
    )


def in_order(shape: Shape) -> Shape:
    """With one second class at most, and none but behind a first where enough may wait."""
    seconds = [each for each in shape.offerings if each.gives == "second_class"]
    kept = seconds[:1] if _may_be_behind(shape, seconds) else []
    for each in seconds:
        if each not in kept:
            shape = oracle.changed(shape, each.name, gives="first_come")
    return shape


def _may_be_behind(shape: Shape, seconds: list[Offering]) -> bool:
    first = shape.find(FIRST)
    return first is not None and all(
        each.demand <= first.waiting_max and first.gives != "advancement" for each in seconds[:1]
    )


UNKNOWN_CODE: Final = "f" * 32
"""Of a request: this one, or "0" for the newest that was issued, "1" for the one before."""

REQUESTS: Final = st.builds(
    Request,
    member=st.sampled_from(list(UNITS)),
    offering=st.sampled_from([*NAMES, "one", "two", "three"]),
    key=st.sampled_from(["", "", "k1", "k2", "k3"]),
    wanted=st.sampled_from(["", "", "", *POOLS]),
    wish=st.sampled_from([0, 0, 0, 1, 2]),
    code=st.sampled_from(["", "", "0", "1", "2", UNKNOWN_CODE]),
)
ISSUES: Final = st.builds(
    Code,
    offering=st.sampled_from([*NAMES, "one", "two", "three"]),
    pool=st.sampled_from(["own", "own", "own", "open"]),
    uses=st.integers(1, 2),
    member=st.sampled_from(["", "", *UNITS]),
    revoked=st.just(False),
)
PLACES: Final = st.integers(0, 9)
CHANGES: Final = st.lists(
    st.tuples(PLACES, st.sampled_from(["member", "member", "officer", "another"])), min_size=1, max_size=3
)
EDITS: Final = st.one_of(
    st.tuples(st.just("capacity"), st.sampled_from(POOLS), st.integers(0, 4)),
    st.tuples(st.just("waiting_max"), st.just(""), st.integers(0, 4)),
    st.tuples(st.just("window"), st.just(""), st.sampled_from(["open", "closed", "before", "open", "late"])),
    st.tuples(st.sampled_from(["cancellable", "offers", "holds"]), st.just(""), st.booleans()),
    st.tuples(st.just("release"), st.sampled_from(POOLS), st.just("past")),
    st.tuples(st.just("begun"), st.sampled_from(POOLS), st.sampled_from([1, 2])),
    st.tuples(st.just("demand"), st.just(""), st.integers(1, 3)),
    st.tuples(st.just("removed"), st.just(""), st.none()),
    st.tuples(st.just("added"), st.just(""), offerings("four")),
)


def edited(shape: Shape, name: str, what: str, pool: str, value: Any) -> Shape:
    """The next version of a document. A pool stays released, and a stage begun."""
    found = shape.find(name)
    seconds = [each for each in shape.offerings if each.gives == "second_class"]
    if what == "added":
        if shape.find(value.name):
            return shape
        return in_order(replace(shape, offerings=(*shape.offerings, value)))
    if what == "removed" and name == FIRST and seconds:
        return shape
    if found is None or (what == "demand" and found.gives not in ("poll", "second_class")):
        return shape
    if what == "removed":
        rest = tuple(each for each in shape.offerings if each is not found)
        return replace(shape, offerings=rest) if rest else shape
    if what in ("capacity", "release", "begun"):
        pools = tuple(
            replace(each, **{what: value}) if each.name == pool and _applies(each, what, value) else each
            for each in found.pools
        )
        return oracle.changed(shape, name, pools=pools)
    changed = oracle.changed(shape, name, **{what: value})
    seconds = [each for each in changed.offerings if each.gives == "second_class"]
    return changed if not seconds or _may_be_behind(changed, seconds) else shape


def collected(shape: Shape) -> Shape:
    """All entries are there: ballots have closed, grace windows and polls have ended."""
    for each in shape.offerings:
        if each.gives not in ("first_come", "second_class") and not each.is_collected:
            window = "closed" if each.gives == "ballot" else "late"
            shape = oracle.changed(shape, each.name, window=window)
    return shape


def _applies(pool: Pool, what: str, value: Any) -> bool:
    """Whether an edit is one that a pool can have."""
    match what:
        case "begun":
            return pool.begun < int(value) <= len(pool.around)
        case "release":
            return bool(pool.units) or pool.codes
        case _:
            return True
