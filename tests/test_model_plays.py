"""Plays: sequences of calls that mostly have an effect, which random ones seldom find, held against the model."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.domain.campaign import Kind, Limit
from tests.model.calls import Bench, Calls, benches
from tests.model.documents import (
    AROUND,
    KINDS,
    NAMES,
    POOLS,
    SEEDS,
    UNITS,
    UNKNOWN_CODE,
    collected,
    edited,
    in_order,
)
from tests.model.oracle import FIRST, SLOTS, Code, Gives, Offering, Pool, Request, Shape


@pytest.fixture
def bench(redis_server: Callable[[str], str], data_directory: Path) -> Iterator[Bench]:
    """The engine's parts on a Redis of the embedded line."""
    with benches(redis_server("valkey"), data_directory) as opened:
        yield opened


def _offer(pick: Random, name: str) -> Offering:
    own, rest = (
        Pool("own", pick.randint(0, 2), ("a",), pick.choice(["never", "later", "past"])),
        pick.randint(0, 2),
    )
    by_code = replace(own, units=pick.choice([(), ("a",)]), codes=True)
    merging = replace(own, around=AROUND, begun=pick.randint(0, 2))
    narrow = Pool("own", pick.randint(1, 3), ("a.b",), "never", ("ab", "b"))
    pools = pick.choice(
        [
            (Pool("open", rest + 1),),
            (own, Pool("open", rest)),
            (own, Pool("open", rest, ("b",))),
            (by_code, Pool("open", rest)),
            (by_code, Pool("open", rest, ("b",))),
            (merging, Pool("open", rest, ("b",), "never", ("a.b", "ab"))),
            (narrow, Pool("open", rest)),
            (narrow, Pool("open", 0)),
        ]
    )
    slot, kind = pick.randrange(len(SLOTS)), pick.choice(KINDS)
    second: Gives = "poll" if name == FIRST else "second_class"
    return Offering(
        name,
        pools,
        slot,
        kind,
        gives=pick.choice(["first_come", "first_come", "first_come", "ballot", "grace", "poll", second]),
        intents=pick.random() < 0.5,
        demand=pick.randint(1, 4),
        by_votes=pick.random() < 0.5,
        kept=pick.random() < 0.3,
        waiting_max=pick.randint(0, 4),
        offers=pick.random() < 0.3,
        holds=pick.random() < 0.4,
    )


def _limits(pick: Random) -> tuple[Limit, ...]:
    kinds: list[Kind] | None = pick.choice([None, None, list(KINDS[1:])])
    return (Limit(pick.randint(1, 2), pick.choice(["campaign", "day"]), kinds),) * pick.randint(0, 1)


def _edit(pick: Random, *, collecting: bool) -> tuple[str, str, Any]:
    what = pick.choice(
        ["capacity"] * 4
        + ["waiting_max", "cancellable", "offers", "holds", "release", "window", "added", "removed"]
        + ["begun"] * 4
    )
    pool = pick.choice(POOLS)
    values: dict[str, Any] = {
        "capacity": pick.randint(0, 4),
        "waiting_max": pick.randint(0, 4),
        "release": "past",
        "begun": pick.randint(1, 2),
        "window": "open" if collecting or pick.random() < 0.7 else pick.choice(["closed", "late", "before"]),
        "added": _offer(pick, "four"),
    }
    return what, pool, values.get(what, pick.random() < 0.5)


def _draw_collected(calls: Calls, pick: Random, name: str) -> None:
    """Once all are collected a pool may still be released, and no entry can be withdrawn."""
    shape = collected(calls.oracle.shape)
    calls._step(
        calls._publish(edited(shape, name, "release", "own", "past") if pick.random() < 0.5 else shape)
    )
    entered = [
        place for place, each in enumerate(reversed(calls.oracle.claims.values())) if each.status == "entered"
    ]
    calls._step(calls._change("cancel", [(place, "member") for place in entered[:2]] or [(0, "member")]))
    calls._step(calls._draw())


def _request(calls: Calls, pick: Random, name: str) -> Request:
    """In half of the cases with a code, mostly one of the offering."""
    codes = [code for code, each in calls.oracle.codes.items() if each.offering == name]
    return Request(
        *(pick.choice(list(UNITS)), name, pick.choice(["", "", "k1", "k2", "k3"])),
        *(pick.choice(["", "", "", *POOLS]), 0),
        pick.choice([*codes, "0", UNKNOWN_CODE]) if pick.random() < 0.5 else "",
    )


def _sometimes_rebuild(calls: Calls, pick: Random) -> None:
    if pick.random() < 0.1:
        calls._step(calls._rebuild(pick.random() < 0.5))


def play(calls: Calls, pick: Random, steps: int) -> None:
    """Many calls that mostly have an effect, which the machine above seldom finds."""
    shape = tuple(_offer(pick, name) for name in NAMES[: pick.randint(2, 3)])
    calls.begin(in_order(Shape(shape, _limits(pick), pick.random() < 0.5, pick.choice([0, 1, 2]))))
    for _ in range(steps):
        names = [each.name for each in calls.oracle.shape.offerings]
        step = pick.choices(
            ["sign_up", "change", "publish", "expire", "issue", "revoke", "draw", "rebuild", "look"],
            [10, 7, 2, 2, 2, 0.3, 0.5, 1, 0.5],
        )[0]
        if step == "sign_up":
            requests = [_request(calls, pick, pick.choice(names)) for _ in range(pick.randint(1, 4))]
            calls._step(calls._sign_up(requests))
        elif step == "change":
            live = [
                place
                for place, each in enumerate(reversed(calls.oracle.claims.values()))
                if each.seat or pick.random() < 0.3
            ]
            whose = [
                (place, pick.choice(["member", "officer"])) for place in live[: pick.randint(1, 2)] or [0]
            ]
            calls._step(calls._change(pick.choice(["cancel", "cancel", "confirm", "decline"]), whose))
        elif step == "publish":
            name = pick.choice(names)
            collecting = calls.oracle.is_collecting(calls.oracle.shape.get(name))
            edit = _edit(pick, collecting=collecting)
            calls._step(calls._publish(edited(calls.oracle.shape, name, *edit)))
        elif step == "issue":
            member = pick.choice([""] * 6 + [*UNITS])
            code = Code(pick.choice(names), pick.choice(["own"] * 4 + ["open"]), pick.randint(1, 3), member)
            calls._step(calls._issue(code, pick.randint(1, 2)))
        elif step == "revoke":
            calls._step(calls._revoke(pick.randint(0, 2)))
        elif step == "expire":
            calls._step(calls._let_expire(pick.randint(1, 3)))
        elif step == "draw":
            to_draw = [each.name for each in filter(calls.oracle.is_collecting, calls.oracle.shape.offerings)]
            if to_draw:
                _draw_collected(calls, pick, to_draw[0])
        elif step == "rebuild":
            calls._step(calls._rebuild(pick.random() < 0.5))
        else:
            calls._step(calls._look())
    calls.teardown()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_crowded_campaigns(bench: Bench, seed: int) -> None:
    for part in range(5):
        calls = type("Calls", (Calls,), {"bench": bench})()
        play(calls, Random(5 * seed + part), 60)


def _merge(calls: Calls, pick: Random) -> None:
    """Members sign up for pools that merge, some leave, and one stage after the other begins."""
    around = tuple(pick.sample(["a", "b", "ab"], 2))
    offerings = tuple(
        Offering(
            name,
            (Pool("own", pick.randint(1, 4), ("a.b",), "never", around), Pool("open", pick.randint(0, 2))),
            gives=pick.choice(["first_come", "first_come", "first_come", "ballot", "grace"]),
            waiting_max=pick.randint(3, 6),
            offers=pick.random() < 0.3,
        )
        for name in NAMES[:2]
    )
    calls.begin(Shape(offerings))
    for stage in (1, 2):
        for _ in range(4):
            requests = [Request(member, pick.choice(NAMES[:2])) for member in pick.sample(list(UNITS), 4)]
            calls._step(calls._sign_up(requests))
            if pick.random() < 0.4:
                calls._step(calls._change("cancel", [(pick.randint(0, 5), "member")]))
        for name in pick.sample(NAMES[:2], 2):
            calls._step(calls._publish(edited(calls.oracle.shape, name, "begun", "own", stage)))
            _sometimes_rebuild(calls, pick)
    for name in NAMES[:2]:
        # One seat more goes to whoever has waited longest of all whom the pool admits by now.
        calls._step(calls._publish(edited(calls.oracle.shape, name, "capacity", "own", pick.randint(4, 5))))
    drawn = [each.name for each in offerings if each.gives != "first_come"]
    if drawn:
        _draw_collected(calls, pick, drawn[0])
    calls.teardown()


def _vote(calls: Calls, pick: Random) -> None:
    """Polls that are met, some of them at once, or fail; and a second class behind the first."""
    offerings = tuple(
        Offering(
            name,
            (Pool("open", pick.randint(1, 2)),),
            slot=pick.randrange(len(SLOTS)),
            gives="second_class" if name == "three" and pick.random() < 0.6 else "poll",
            demand=pick.randint(1, 4),
            by_votes=pick.random() < 0.5,
            kept=pick.random() < 0.4,
            waiting_max=pick.randint(1, 4),
            offers=pick.random() < 0.3,
        )
        for name in NAMES[:3]
    )
    calls.begin(in_order(Shape(offerings, _limits(pick), pick.random() < 0.5, pick.choice([0, 1, 2]))))
    for _ in range(14):
        requests = [_request(calls, pick, pick.choice(NAMES[:3])) for _ in range(pick.randint(1, 4))]
        calls._step(calls._sign_up(requests))
        if pick.random() < 0.4:
            changes = [(pick.randint(0, 5), "member") for _ in range(2)]
            calls._step(calls._change(pick.choice(["cancel", "confirm", "decline"]), changes))
        if pick.random() < 0.3:
            shape = calls.oracle.shape
            for name in pick.sample(NAMES[:3], 2):
                shape = edited(shape, name, "demand", "", pick.randint(1, 3))
            calls._step(calls._publish(shape))
        if pick.random() < 0.3:
            calls._step(calls._draw())
        _sometimes_rebuild(calls, pick)
    calls._step(calls._publish(collected(calls.oracle.shape)))
    while calls.oracle.due():
        calls._step(calls._draw())
    calls.teardown()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_polls_and_second_classes(bench: Bench, seed: int) -> None:
    for part in range(5):
        calls = type("Calls", (Calls,), {"bench": bench})()
        _vote(calls, Random(5 * seed + part))


def _compete(calls: Calls, pick: Random) -> None:
    """A round whose results send the best on, with substitutes who come up when one leaves in time."""
    heats = Offering(
        FIRST,
        (Pool("own", 3, ("a",)), Pool("open", pick.randint(2, 3), ("b", "ab"))),
        kind="competition",
        holds=pick.random() < 0.3,
    )
    final = Offering(
        "two",
        (Pool("own", pick.randint(2, 3), ("a",)), Pool("open", 2, ("b", "ab"))),
        slot=3,
        kind="competition",
        gives="advancement",
        waiting_max=4,
        offers=pick.random() < 0.4,
        holds=pick.random() < 0.3,
    )
    calls.begin(in_order(Shape((heats, final, _offer(pick, "three")), _limits(pick))))
    for _ in range(6):
        requests = [Request(member, FIRST) for member in pick.sample(list(UNITS), 3)]
        calls._step(calls._sign_up([*requests, Request(pick.choice(list(UNITS)), "two")]))
        calls._step(calls._change("confirm", [(place, "member") for place in range(6)]))
        calls._step(calls._sign_up([_request(calls, pick, "three")]))
    calls._step(calls._publish(edited(calls.oracle.shape, FIRST, "window", "", "closed")))
    entrants = [each.member for each in calls.oracle.live(offering=FIRST, statuses=("confirmed",))]
    marks = {member: pick.randint(1, 3) for member in entrants if pick.random() < 0.9}
    calls._step(calls._advance(marks, pick.random() < 0.5))
    for _ in range(6):
        places = [(pick.randint(0, 6), "member") for _ in range(2)]
        calls._step(calls._change(pick.choice(["cancel", "cancel", "confirm", "decline"]), places))
        _sometimes_rebuild(calls, pick)
        if pick.random() < 0.3:
            edit = pick.choice([("capacity", "own", 4), ("cancellable", "", False)])
            calls._step(calls._publish(edited(calls.oracle.shape, "two", *edit)))
    calls.teardown()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_rounds_that_send_the_best_on(bench: Bench, seed: int) -> None:
    for part in range(5):
        calls = type("Calls", (Calls,), {"bench": bench})()
        _compete(calls, Random(5 * seed + part))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_pools_that_merge(bench: Bench, seed: int) -> None:
    for part in range(5):
        calls = type("Calls", (Calls,), {"bench": bench})()
        _merge(calls, Random(5 * seed + part))
