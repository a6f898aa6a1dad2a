"""Pools that merge in stages: whom each stage admits, who waits for it, and to whom its seats go."""

import asyncio
from typing import Any

import pytest

from engine.audit import Audit
from engine.domain.faults import Fault
from engine.live.decisions import Decision
from engine.workers.recorder import Recorder
from tests.stand import CAMPAIGN, Stand, at, campaign, offering

CREW, TEAM, DISTRICT = "d.team.crew", "d.team", "d"
LATER = [3_600, 7_200]


def merging(capacity: int, *begins: float, waiting: int = 9, others: int = 0, **changed: Any) -> Any:
    """A pool of a crew that opens to its team, then to its district, so many seconds from now; and one for others."""
    units = [[TEAM], [DISTRICT]]
    merges = [{"at": at(seconds=each), "units": unit} for each, unit in zip(begins, units, strict=False)]
    pools = [
        {"pool": "crew", "capacity": capacity, "eligible": {"units": [CREW]}, "merges": merges},
        {"pool": "rest", "capacity": others, "eligible": {"units": [DISTRICT, "e"]}},
    ]
    return campaign(offering(pools=pools, waitlist={"size_max": waiting}, **changed))


async def states(stand: Stand, asked: list[Decision]) -> list[tuple[str, str]]:
    found = [await stand.decisions.find(CAMPAIGN, each.enrollment) for each in asked]
    return [(each.record.status, each.record.pool) for each in found if each.record]


async def merged(stand: Stand) -> list[tuple[str, str, int]]:
    return [
        (event.header.offering, event.header.pool, event.header.stage)
        for event in await stand.log()
        if event.header.type == "merged"
    ]


async def assert_agrees(stand: Stand) -> None:
    runtime = stand.runtime
    await Recorder(runtime.server, runtime.streams, runtime.ledger, runtime.clock, 100_000).close()
    result = await Audit(runtime.server, runtime.ledger, runtime.clock, CAMPAIGN, 5).run()
    assert (result.differences, result.notes) == ([], [])


@pytest.mark.parametrize(
    ("begins", "outcomes"),
    [
        (LATER, ["confirmed", "waitlisted", "waitlisted", "waitlisted"]),
        ([-60, 3_600], ["confirmed", "confirmed", "waitlisted", "waitlisted"]),
        ([-120, -60], ["confirmed", "confirmed", "confirmed", "waitlisted"]),
    ],
)
async def test_each_stage_admits_its_units(stand: Stand, begins: list[float], outcomes: list[str]) -> None:
    await stand.publish(merging(9, *begins))
    asked = [
        await stand.sign_up(f"m{number}", unit=unit)
        for number, unit in enumerate([CREW, f"{TEAM}.other", f"{DISTRICT}.x", "e"])
    ]
    assert [each.outcome for each in asked] == outcomes
    assert await merged(stand) == [("soap", "crew", stage) for stage, due in enumerate(begins, 1) if due < 0]
    await assert_agrees(stand)


async def test_who_is_for_no_pool_yet_is_not_eligible(stand: Stand) -> None:
    def alone(begins: float) -> Any:
        merges = [{"at": at(seconds=begins), "units": [TEAM]}]
        own = {"pool": "crew", "capacity": 2, "eligible": {"units": [CREW]}, "merges": merges}
        freed = {"pool": "freed", "capacity": 2, "eligible": {"units": ["e"]}, "releases": at(hours=-1)}
        return campaign(offering(pools=[own, freed]))

    await stand.publish(alone(60))
    assert (await stand.sign_up("m1", unit=TEAM)).outcome == "not_eligible"
    assert (await stand.sign_up("m1", unit=TEAM, wanted="crew")).outcome == "not_eligible"
    # A pool that is open to all is open to those who are eligible for any other by now.
    assert (await stand.sign_up("m1", unit=TEAM, wanted="freed")).outcome == "not_eligible"
    assert (await stand.sign_up("m2", unit=CREW, wanted="freed")).outcome == "confirmed"
    await stand.publish(alone(-1))
    assert (await stand.sign_up("m1", unit=TEAM, wanted="freed")).outcome == "confirmed"
    assert (await stand.sign_up("m3", unit=TEAM)).outcome == "confirmed"


async def test_who_waits_is_promoted_when_the_stage_comes(stand: Stand) -> None:
    """By the clock alone: nobody publishes, and the seats go in the order of the queue before anyone new."""
    await stand.publish(merging(3, 1, 3_600))
    stranger, far, first, second, own, third = asked = [
        await stand.sign_up(name, unit=unit)
        for name, unit in [
            ("e1", "e"), ("d1", f"{DISTRICT}.x"), ("t1", TEAM), ("t2", f"{TEAM}.y"), ("c1", CREW), ("t3", TEAM),
        ]
    ]  # fmt: skip
    assert [each.outcome for each in asked] == ["waitlisted"] * 4 + ["confirmed", "waitlisted"]
    due_ms = await stand.decisions.advance(CAMPAIGN)
    assert due_ms is not None
    assert due_ms <= 1_000
    await asyncio.sleep((due_ms + 2) / 1_000)
    late = await stand.sign_up("t9", unit=TEAM)
    assert late.outcome == "waitlisted"
    assert await states(stand, asked) == [
        ("waitlisted", ""),
        ("waitlisted", ""),
        ("confirmed", "crew"),
        ("confirmed", "crew"),
        ("confirmed", "crew"),
        ("waitlisted", ""),
    ]
    log = [(event.header.type, event.header.enrollment) for event in await stand.log()][-4:]
    assert log == [
        ("merged", ""),
        ("promoted", first.enrollment),
        ("promoted", second.enrollment),
        ("enrolled", late.enrollment),
    ]
    # A seat that comes free later goes to whom the stages so far admit, not to who waits longest.
    await stand.cancel(own.enrollment)
    assert (await states(stand, [stranger, far, third]))[2] == ("confirmed", "crew")
    assert {each for each, _ in await states(stand, [stranger, far])} == {"waitlisted"}
    await assert_agrees(stand)


async def test_a_later_stage_goes_by_age_over_all_who_are_admitted(stand: Stand) -> None:
    await stand.publish(merging(0, *LATER))
    order = [("d1", f"{DISTRICT}.x"), ("t1", TEAM), ("c1", CREW), ("e1", "e"), ("d2", DISTRICT), ("t2", TEAM)]
    asked = [await stand.sign_up(name, unit=unit) for name, unit in order]
    assert {each.outcome for each in asked} == {"waitlisted"}
    await stand.publish(merging(4, -120, -60))
    assert [status for status, _ in await states(stand, asked)] == [
        *("confirmed", "confirmed", "confirmed", "waitlisted", "confirmed", "waitlisted")
    ]
    assert await merged(stand) == [("soap", "crew", 1), ("soap", "crew", 2)]
    await assert_agrees(stand)


async def test_stages_are_told_once_and_a_moved_one_anew(stand: Stand) -> None:
    await stand.publish(merging(1, -60, 60))
    await stand.publish(merging(2, -30, 60))
    assert await merged(stand) == [("soap", "crew", 1)]
    await stand.publish(merging(2, 30, 60))
    await stand.publish(merging(2, -1, 60))
    assert await merged(stand) == [("soap", "crew", 1)] * 2
    await stand.publish(merging(2))
    await assert_agrees(stand)


async def test_stages_stay_as_they_are_while_members_wait_for_them(stand: Stand) -> None:
    """Else newcomers of a new stage would be ahead of those who wait; the times of stages may change."""
    await stand.publish(merging(1, 3_600, 7_200))
    waiting = await stand.sign_up("t1", unit=TEAM)
    for other in (merging(1), merging(1, 3_600)):
        refused = await stand.try_publish(other)
        assert refused == [Fault("/offerings/0/pools/0/merges", "has_queued_by_stages", {"name": "soap"})]
    await stand.publish(merging(1, -60, 7_200))
    assert (await states(stand, [waiting])) == [("confirmed", "crew")]
    await stand.publish(merging(1))
    await assert_agrees(stand)


@pytest.mark.parametrize("policy", ["first_come", "ballot"])
async def test_no_pool_with_stages_is_added_while_members_wait(stand: Stand, policy: str) -> None:
    """They would not be in its queues, and newcomers of its stage would be ahead of them."""

    def with_more(begins: float | None) -> Any:
        rest = {"pool": "rest", "capacity": 0, "eligible": {"units": [DISTRICT]}}
        stage = {"at": at(seconds=begins or 0), "units": [TEAM]}
        more = {"pool": "crew", "capacity": 1, "eligible": {"units": [CREW]}, "merges": [stage]}
        pools = [rest] if begins is None else [rest, more]
        return campaign(offering(pools=pools, waitlist={"size_max": 9}, policy={"name": policy}))

    await stand.publish(with_more(None))
    waiting = await stand.sign_up("t1", unit=TEAM)
    refused = [Fault("/offerings/0/pools/1/merges", "has_queued_by_stages", {"name": "soap"})]
    for begins in (-60, 3_600):
        assert await stand.try_publish(with_more(begins)) == refused
    await stand.cancel(waiting.enrollment)
    await stand.publish(with_more(3_600))
    await assert_agrees(stand)


async def test_pools_that_merge_at_one_moment_are_filled_in_their_order(stand: Stand) -> None:
    def three(begins: float) -> Any:
        merges = [{"at": at(seconds=begins), "units": [DISTRICT]}]
        pools = [
            {"pool": name, "capacity": 1, "eligible": {"units": [f"{DISTRICT}.{name}"]}, "merges": merges}
            for name in ("z", "m", "a")
        ]
        rest = {"pool": "rest", "capacity": 0, "eligible": {"units": [DISTRICT]}}
        return campaign(offering(pools=[*pools, rest], waitlist={"size_max": 9}))

    await stand.publish(three(3_600))
    asked = [await stand.sign_up(f"m{number}", unit=DISTRICT) for number in range(4)]
    await stand.publish(three(-1))
    assert await states(stand, asked) == [
        ("confirmed", "z"),
        ("confirmed", "m"),
        ("confirmed", "a"),
        ("waitlisted", ""),
    ]
    await assert_agrees(stand)


async def test_many_who_wait_are_promoted_in_bounded_calls(stand: Stand) -> None:
    await stand.publish(merging(500, 3_600, waiting=700))
    asked = [await stand.sign_up(f"m{number}", unit=TEAM) for number in range(600)]
    await stand.publish(merging(500, -1, waiting=700))
    found = await states(stand, asked)
    assert found == [("confirmed", "crew")] * 500 + [("waitlisted", "")] * 100


async def test_nobody_gets_a_seat_before_the_stage_that_admits_them(stand: Stand) -> None:
    """A rush over the moments of two stages: each seat of the pool is after the stage for its member's unit."""
    await stand.publish(merging(60, 0.3, 0.6, waiting=500))
    units = [CREW, TEAM, f"{DISTRICT}.x"]
    whose = {f"m{number}": units[number % 3] for number in range(240)}
    gate = asyncio.Semaphore(6)

    async def ask(member: str, unit: str) -> None:
        async with gate:
            await stand.sign_up(member, unit=unit)
            await asyncio.sleep(0.01)

    await asyncio.gather(*(ask(member, unit) for member, unit in whose.items()))
    await asyncio.sleep(0.61)
    await stand.decisions.advance(CAMPAIGN)
    stage, waiting = 0, dict[str, int]()
    for event in await stand.log():
        if event.header.type == "merged":
            stage = event.header.stage
        record = event.record
        if record is None:
            continue
        if record.status == "waitlisted":
            waiting[record.member] = record.seq
            continue
        waiting.pop(record.member, None)
        assert units.index(whose[record.member]) <= stage
        earlier = [
            member
            for member, seq in waiting.items()
            if seq < record.seq and units.index(whose[member]) <= stage
        ]
        assert earlier == []
    assert stage == 2
    counts = await stand.runtime.counts.read(CAMPAIGN)
    assert counts is not None
    assert counts.taken("soap", "crew") == 60
    await assert_agrees(stand)
