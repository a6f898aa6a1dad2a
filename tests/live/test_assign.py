"""Enrolments by decision, on each line of Redis: past the rules of sign-ups, never above a pool's capacity."""

import msgspec
import pytest

from engine.live.server import Server
from tests.ladders import RULE, following, heats
from tests.stand import CAMPAIGN, Stand, at, campaign

CLOSED = {"opens": at(hours=-2), "closes": at(hours=-1)}
TWO = [{"pool": "a", "capacity": 2}, {"pool": "b", "capacity": 2, "eligible": {"units": ["xicheng.b"]}}]
Part = list[tuple[str, str, str, str]]


async def assign(server: Server, part: Part, name: str = "final", backlog: int = 1_000_000) -> str:
    """The outcome of one call."""
    reply = await server.call(
        "assign", CAMPAIGN, [name, msgspec.msgpack.encode(part), "officer", "cli", backlog]
    )
    outcome: str = reply[0].decode()
    return outcome


@pytest.fixture
async def final(stand: Stand) -> Stand:
    """A final that meets with the heats, in a campaign of one offering a member, its windows long over."""
    rules = {"limits": [{"max": 1, "per": "campaign"}], "overlaps_allowed": False}
    sessions = heats()["sessions"]
    pools = [{"pool": "all", "capacity": 9, "eligible": {"units": ["xicheng.b"]}}]
    first = heats(pools=pools, sessions=[{"starts": at(days=1), "ends": at(days=2)}])
    policy = {"name": "advancement", "from": "heats", "best": 1}
    round_of_two = following(
        policy=policy,
        pools=[TWO[0] | {"eligible": {"units": ["xicheng.a"]}}, TWO[1]],
        sessions=sessions,
        results=RULE,
        **CLOSED,
    )
    await stand.publish(campaign(first, round_of_two, rules=rules))
    return stand


async def found(stand: Stand, *enrollments: str) -> list[tuple[str, str, int]]:
    """Status, pool and position."""
    answers = [await stand.decisions.find(CAMPAIGN, each) for each in enrollments]
    return [
        (each.record.status, each.record.pool, each.position) if each.record else (each.outcome, "", 0)
        for each in answers
    ]


async def test_windows_limits_and_overlaps_do_not_bind(final: Stand) -> None:
    assert (await final.sign_up("m1", "heats", unit="xicheng.b")).outcome == "confirmed"
    assert await assign(final.runtime.server, [("e1", "m1", "b", "seat")]) == "decided"
    assert await found(final, "e1") == [("confirmed", "b", 0)]


async def test_a_full_pool_lets_wait_and_others_are_no_way_round(final: Stand) -> None:
    part = [(f"e{number}", f"m{number}", "a", "seat") for number in range(4)]
    assert await assign(final.runtime.server, part) == "decided"
    assert await found(final, "e1", "e2", "e3") == [
        ("confirmed", "a", 0),
        ("waitlisted", "", 1),
        ("waitlisted", "", 2),
    ]
    await final.cancel("e0")
    assert await found(final, "e2", "e3") == [("confirmed", "a", 0), ("waitlisted", "", 1)]
    # Nobody who waits for one pool comes into another.
    await assign(final.runtime.server, [("e9", "m9", "b", "seat")])
    assert await found(final, "e3") == [("waitlisted", "", 1)]


async def test_a_substitute_comes_up_at_once_where_a_seat_is_free(final: Stand) -> None:
    assert await assign(final.runtime.server, [("e1", "m1", "a", "substitute")]) == "decided"
    assert await found(final, "e1") == [("confirmed", "a", 0)]


async def test_a_part_that_comes_again_changes_nothing(final: Stand) -> None:
    part = [("e1", "m1", "a", "seat"), ("e2", "m2", "a", "substitute")]
    await assign(final.runtime.server, part)
    await final.cancel("e1")
    before = await final.log()
    assert await assign(final.runtime.server, part) == "decided"
    # Nor is anybody in twice, under whatever id.
    assert await assign(final.runtime.server, [("e3", "m2", "b", "seat")]) == "decided"
    assert await final.log() == before
    assert await found(final, "e1", "e3") == [("cancelled", "a", 0), ("not_found", "", 0)]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("nothing", [("e1", "m1", "a", "seat")]),
        ("heats", [("e1", "m1", "all", "seat")]),
        ("final", [("e1", "m1", "a", "seat"), ("e2", "m2", "gone", "seat")]),
    ],
)
async def test_all_or_nothing_where_there_is_no_place(final: Stand, name: str, part: Part) -> None:
    before = await final.log()
    assert await assign(final.runtime.server, part, name) == "wrong_state"
    assert await final.log() == before


async def test_a_backlog_stops_it(final: Stand) -> None:
    assert await assign(final.runtime.server, [("e1", "m1", "a", "seat")], backlog=1) == "not_ready"
    assert await found(final, "e1") == [("not_found", "", 0)]
