"""Ballots from the entry to the last result, on a real Redis and both ledgers."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.domain import draw, lottery
from engine.domain.draw import Draw
from engine.domain.faults import Fault
from engine.domain.share import History
from engine.drawing import Drawing
from tests.draws import agrees, ballot, close, drawn, enter, record, statuses
from tests.stand import CAMPAIGN, Stand, at, campaign, offering, open_stand


@pytest.fixture
async def stand(stores: tuple[str, str], data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts on an empty Redis and an empty ledger."""
    async with open_stand(*stores, data_directory) as opened:
        yield opened


async def test_seats_then_an_ordered_waitlist_then_nothing(stand: Stand) -> None:
    soap = ballot(waitlist={"size_max": 3})
    await stand.publish(campaign(soap))
    entries = [await enter(stand, f"m{number}") for number in range(8)]
    await agrees(stand)
    await close(stand, soap)
    found = await drawn(stand)
    assert draw.verify(found) == []
    told = await statuses(stand, *entries)
    assert sorted(told) == ["confirmed"] * 2 + ["not_drawn"] * 3 + ["waitlisted"] * 3
    await agrees(stand)

    by_name = {
        lottery.pseudonym(CAMPAIGN, found.commitment, f"m{number}"): entry
        for number, entry in enumerate(entries)
    }
    winners = [by_name[each.member] for each in found.results if each.status == "confirmed"]
    waiting = [by_name[each.member] for each in found.results if each.status == "waitlisted"]
    positions = [(await stand.decisions.find(CAMPAIGN, each.enrollment)).position for each in waiting]
    assert positions == [1, 2, 3]
    await stand.cancel(winners[0].enrollment)
    assert await statuses(stand, winners[0], *waiting) == ["cancelled", "confirmed", *["waitlisted"] * 2]
    await agrees(stand)


async def test_roster_and_history_know_the_order_of_waiting(stand: Stand) -> None:
    soap = ballot(capacity=1, waitlist={"size_max": 9})
    await stand.publish(campaign(soap))
    for number in range(6):
        await enter(stand, f"m{number}")
    await close(stand, soap)
    found = await drawn(stand)
    await record(stand)
    names = {lottery.pseudonym(CAMPAIGN, found.commitment, f"m{number}"): f"m{number}" for number in range(6)}
    order = [names[each.member] for each in found.results]
    roster = await stand.runtime.ledger.roster(CAMPAIGN, "soap", 10)
    assert [row.record.member for row in roster] == order
    assert [row.position for row in roster] == [0, 1, 2, 3, 4, 5]
    (mine,) = await stand.runtime.ledger.enrollments_of(order[3], 10)
    assert mine.position == 3


async def test_wishes_are_followed_within_the_limit(stand: Stand) -> None:
    rules = {"limits": [{"max": 1, "per": "campaign"}]}
    offerings = [ballot("dear", capacity=1), ballot("second", capacity=1, waitlist={"size_max": 5})]
    await stand.publish(campaign(*offerings, rules=rules))
    both = [
        (await enter(stand, f"m{n}", "second", 2), await enter(stand, f"m{n}", "dear", 1)) for n in range(2)
    ]
    await close(stand, *offerings, rules=rules)
    await drawn(stand)
    told = sorted([await statuses(stand, *pair) for pair in both])
    # One has the dear one; the other has the second, and the limit leaves neither a waiting place.
    assert told == [["confirmed", "not_drawn"], ["not_drawn", "confirmed"]]
    await agrees(stand)


async def test_an_entry_counts_for_no_limit_until_it_is_drawn(stand: Stand) -> None:
    rules = {"limits": [{"max": 1, "per": "campaign"}], "overlaps_allowed": False}
    offerings = [ballot("soap", capacity=5), offering("paper")]
    await stand.publish(campaign(*offerings, rules=rules))
    entry = await enter(stand, "m1")
    seat = await stand.sign_up("m1", "paper")
    assert seat.outcome == "confirmed"
    assert (await stand.sign_up("m2", "paper")).outcome == "confirmed"
    # Who holds what the limit allows cannot be drawn.
    assert (await stand.sign_up("m2", "soap")).outcome == "limit_reached"
    await close(stand, *offerings, rules=rules)
    found = await drawn(stand)
    assert found.entries[0].holds == ["paper"]
    assert await statuses(stand, entry, seat) == ["not_drawn", "confirmed"]
    await agrees(stand)


async def test_wishes_without_a_rank_follow_one_another(stand: Stand) -> None:
    await stand.publish(campaign(ballot("a"), ballot("b"), ballot("c")))
    entries = [
        await enter(stand, "m1", "b", 4),
        await enter(stand, "m1", "a"),
        await enter(stand, "m1", "c", 1),
    ]
    assert [entry.record.wish for entry in entries if entry.record] == [4, 5, 1]


async def test_a_rank_is_for_draws(stand: Stand) -> None:
    await stand.publish(campaign())
    assert (await stand.sign_up("m1", wish=1)).outcome == "invalid"


async def test_entering_again_and_replays(stand: Stand) -> None:
    soap = ballot(capacity=1)
    await stand.publish(campaign(soap))
    first = await enter(stand, "m1", key="k", wish=3)
    again = await stand.sign_up("m1", key="other")
    assert (again.outcome, again.enrollment) == ("already_in", first.enrollment)
    assert first.record is not None
    # What the queues would be is not remembered, and never shown.
    shown = msgspec.structs.replace(first.record, queues=[])
    assert (await enter(stand, "m1", key="k")).record == shown
    await close(stand, soap)
    await drawn(stand)
    replay = await stand.sign_up("m1", key="k")
    assert (replay.outcome, replay.record) == ("entered", shown)
    await agrees(stand)


async def test_an_entry_may_be_withdrawn_until_the_close(stand: Stand) -> None:
    soap = ballot()
    await stand.publish(campaign(soap))
    gone, stays = await enter(stand, "m1"), await enter(stand, "m2")
    assert (await stand.cancel(gone.enrollment, "m1")).outcome == "changed"
    assert (await stand.runtime.counts.read(CAMPAIGN)).entered("soap") == 1  # type: ignore[union-attr]
    await close(stand, soap)
    assert (await stand.cancel(stays.enrollment, "m2")).outcome == "too_late"
    found = await drawn(stand)
    assert len(found.entries) == 1
    await agrees(stand)


async def test_no_seat_for_those_who_are_not_eligible(stand: Stand) -> None:
    pools = [
        {"pool": "own", "capacity": 1, "eligible": {"units": ["xicheng.finance"]}},
        {"pool": "open", "capacity": 1},
    ]
    soap = ballot(pools=pools)
    await stand.publish(campaign(soap))
    for number in range(3):
        await enter(stand, f"m{number}")
    await stand.sign_up("mine", unit="xicheng.finance")
    await close(stand, soap)
    found = await drawn(stand)
    own = [each.member for each in found.results if each.pool == "own"]
    assert own == [lottery.pseudonym(CAMPAIGN, found.commitment, "mine")]
    assert len([each for each in found.results if each.status == "confirmed"]) == 2
    await agrees(stand)


async def test_a_drawn_seat_may_have_to_be_confirmed(stand: Stand) -> None:
    soap = ballot(capacity=1, hold_ttl_s=3600)
    await stand.publish(campaign(soap))
    entry = await enter(stand, "m1")
    await close(stand, soap)
    await drawn(stand)
    assert await statuses(stand, entry) == ["held"]
    assert (await stand.confirm(entry.enrollment, "m1")).outcome == "changed"
    await agrees(stand)


async def test_nothing_is_drawn_before_the_close_and_nothing_twice(stand: Stand) -> None:
    soap = ballot()
    await stand.publish(campaign(soap, offering("paper")))
    await enter(stand, "m1")
    drawing = stand.runtime.drawing
    assert not await drawing.draw_if_due(CAMPAIGN)
    assert await drawing.number(CAMPAIGN, "soap") == 0
    assert await drawing.read(CAMPAIGN, 1) is None
    await close(stand, soap, offering("paper"))
    assert await drawing.draw_if_due(CAMPAIGN)
    assert not await drawing.draw_if_due(CAMPAIGN)
    again = await stand.try_publish(campaign(ballot(), offering("paper")))
    assert again == [Fault("/offerings/0/closes", "draw_is_over")]


async def test_two_who_draw_at_once_settle_one_draw(stand: Stand) -> None:
    soap = ballot(capacity=300, waitlist={"size_max": 200})
    await stand.publish(campaign(soap))
    await asyncio.gather(*(enter(stand, f"m{number}") for number in range(1_000)))
    await close(stand, soap)
    drawing = stand.runtime.drawing
    await asyncio.gather(*(drawing.draw_if_due(CAMPAIGN) for _ in range(3)))
    events = [event for event in await stand.log() if event.header.type.startswith("draw")]
    assert [event.header.type for event in events] == ["draw_began", *["drawn"] * 1_000, "draw_ended"]
    await agrees(stand)


async def test_an_empty_draw_ends(stand: Stand) -> None:
    soap = ballot()
    await stand.publish(campaign(soap))
    await close(stand, soap)
    found = await drawn(stand)
    assert (found.entries, found.results) == ([], [])
    await agrees(stand)


async def test_the_seed_is_committed_to_and_kept(stand: Stand) -> None:
    soap = ballot()
    await stand.publish(campaign(soap))
    first = stand.runtime.catalog.get(CAMPAIGN)
    await stand.publish(campaign(soap, offering("paper")))
    second = stand.runtime.catalog.get(CAMPAIGN)
    assert first
    assert second
    assert first.lottery
    assert first.lottery == second.lottery
    seed = lottery.seed(first.lottery.secret, 1)
    assert lottery.commitment(seed, 1) == first.lottery.commitment
    events = await stand.log()
    assert [b"s" in event.fields for event in events if event.header.type == "published"] == [True, False]


async def test_entries_hold_the_policy_and_the_offering(stand: Stand) -> None:
    await stand.publish(campaign(ballot(), offering("paper")))
    await enter(stand, "m1")
    other = await stand.try_publish(campaign(offering(), offering("paper")))
    assert other == [Fault("/offerings/0/policy", "has_queued", {"name": "soap"})]
    removed = await stand.try_publish(campaign(offering("paper")))
    assert removed == [Fault("/offerings", "has_live_enrollments", {"name": "soap"})]


async def test_earlier_draws_of_the_unit_weigh(stand: Stand) -> None:
    """One has lost twice and one has won twice: the file has their weights, and the order follows from them."""
    weights = {"loss": 100, "win": 60, "min": 25, "max": 250}
    for name, members in (("one", ["lucky"]), ("two", ["lucky"])):
        await stand.publish(campaign(ballot(capacity=1), name=name))
        for member in members:
            await stand.sign_up(member, within=name)
        await stand.publish(campaign(ballot(capacity=1, closes=at(seconds=-0.001)), name=name))
        assert await stand.runtime.drawing.draw_if_due(name)
        # Of an offering without seats everybody goes away with nothing.
        none = f"{name}-none"
        await stand.publish(campaign(ballot(capacity=0), name=none))
        await stand.sign_up("unlucky", within=none)
        await stand.publish(campaign(ballot(capacity=0, closes=at(seconds=-0.001)), name=none))
        assert await stand.runtime.drawing.draw_if_due(none)
    soap = ballot(capacity=1)
    await stand.publish(campaign(soap, weights=weights))
    for member in ("lucky", "unlucky", "new"):
        await enter(stand, member)
    await close(stand, soap, weights=weights)
    found = await drawn(stand)
    assert draw.verify(found) == []
    told = {entry.member: entry.weight for entry in found.entries}
    names = [lottery.pseudonym(CAMPAIGN, found.commitment, member) for member in ("lucky", "unlucky", "new")]
    assert [told[name] for name in names] == [250, 2_500, 1_000]
    await agrees(stand)


async def test_who_enters_more_draws_of_a_campaign_loses_no_more(stand: Stand) -> None:
    """A limit of one, and ballots that close one after the other: a win is a win, and one loss is one."""
    rules = {"limits": [{"max": 1, "per": "campaign"}]}
    capacities = {"a": 1, "b": 0, "c": 0}
    ballots = [ballot(name, capacity=capacity) for name, capacity in capacities.items()]
    await stand.publish(campaign(*ballots, rules=rules))
    for name in capacities:
        await enter(stand, "greedy", name)
    await enter(stand, "honest", "b")
    await enter(stand, "unlucky", "c")
    hours = {"a": 3, "b": 2, "c": 1}
    closed = [
        each | {"opens": at(hours=-9), "closes": at(hours=-hours[each["offering"]])} for each in ballots
    ]
    await stand.publish(campaign(*closed, rules=rules))
    for number in (1, 2, 3):
        await drawn(stand, number)
    (here,) = await stand.runtime.ledger.campaigns()
    histories = await stand.runtime.ledger.histories(here.unit, ("another", 1))
    assert histories == {"greedy": History(0, 1), "honest": History(1, 0), "unlucky": History(1, 0)}


async def test_what_another_seat_stood_against_is_no_loss(stand: Stand) -> None:
    rules = {"limits": [{"max": 1, "per": "campaign"}]}
    await stand.publish(campaign(ballot(), offering("paper"), rules=rules))
    await enter(stand, "m1")
    assert (await stand.sign_up("m1", "paper")).outcome == "confirmed"
    await close(stand, ballot(), offering("paper"), rules=rules)
    await drawn(stand)
    (here,) = await stand.runtime.ledger.campaigns()
    assert await stand.runtime.ledger.histories(here.unit, ("another", 1)) == {}


async def test_a_pool_that_entries_are_for_stays(stand: Stand) -> None:
    own = {"pool": "own", "capacity": 1, "eligible": {"units": ["a"]}}
    await stand.publish(campaign(ballot(pools=[own, {"pool": "open", "capacity": 1}])))
    await enter(stand, "m1")
    renamed = ballot(pools=[own | {"pool": "mine"}, {"pool": "open", "capacity": 1}])
    refused = await stand.try_publish(campaign(renamed))
    assert refused == [Fault("/offerings/0/pools", "has_live_enrollments", {"name": "own"})]


async def test_those_who_wait_hold_the_policy_too(stand: Stand) -> None:
    soap = offering(pools=[{"pool": "open", "capacity": 1}], waitlist={"size_max": 5})
    await stand.publish(campaign(soap))
    await stand.sign_up("m1")
    waiting = await stand.sign_up("m2")
    refused = await stand.try_publish(campaign(ballot()))
    assert refused == [Fault("/offerings/0/policy", "has_queued", {"name": "soap"})]
    await stand.cancel(waiting.enrollment)
    await stand.publish(campaign(ballot(capacity=2)))
    for number in range(3):
        await enter(stand, f"later-{number}")
    await close(stand, ballot(capacity=2))
    found = await drawn(stand)
    assert [result.status for result in found.results] == ["confirmed", "not_drawn", "not_drawn"]
    await agrees(stand)


async def test_seats_that_a_draw_left_may_go_to_whoever_comes_first(stand: Stand) -> None:
    soap = ballot(capacity=2)
    await stand.publish(campaign(soap))
    await enter(stand, "m1")
    await close(stand, soap)
    await drawn(stand)
    await stand.publish(campaign(offering()))
    assert [(await stand.sign_up(f"late-{number}")).outcome for number in range(2)] == [
        "confirmed",
        "sold_out",
    ]
    await agrees(stand)


class Died(Exception):
    """The process is gone."""


class Mortal:
    """A server or a ledger that is asked for the last time at some step; whether that is carried out is `late`."""

    def __init__(self, part: Any, steps: list[str], dies_at: int, *, late: bool) -> None:
        self._part = part
        self._steps = steps
        self._dies_at = dies_at
        self._late = late

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def step(*arguments: Any) -> Any:
            self._steps.append(name)
            dies = len(self._steps) == self._dies_at
            if dies and not self._late:
                raise Died
            answer = await method(*arguments)
            if dies:
                raise Died
            return answer

        return step


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
async def test_killed_at_each_step_it_ends_with_the_same_result(stand: Stand, late: bool) -> None:
    opened = stand.runtime
    soap = ballot(capacity=150, waitlist={"size_max": 100})
    died, dies_at = True, 0
    while died:
        dies_at += 1
        within = f"draw-{dies_at}"
        await stand.publish(campaign(soap, name=within))
        members = [f"m{number}" for number in range(450)]
        entries = await asyncio.gather(*(stand.sign_up(member, within=within) for member in members))
        await stand.publish(campaign(soap | {"closes": at(seconds=-0.001)}, name=within))
        steps: list[str] = []
        server: Any = Mortal(opened.server, steps, dies_at, late=late)
        ledger: Any = Mortal(opened.ledger, steps, dies_at, late=late)
        decisions: Any = Mortal(opened.decisions, steps, dies_at, late=late)
        mortal = Drawing(server, ledger, decisions, opened.clock, lambda: 1_000_000)
        died = False
        try:
            await mortal.draw_if_due(within)
        except Died:
            died = True
        kept = await opened.ledger.draw(within, 1)
        await opened.drawing.draw_if_due(within)
        file = await opened.drawing.read(within, 1)
        assert file is not None
        assert kept in (None, file)
        found = msgspec.json.decode(file, type=Draw)
        assert draw.verify(found) == []
        by_member = {
            lottery.pseudonym(within, found.commitment, member): entry
            for member, entry in zip(members, entries, strict=True)
        }
        told = {name: event.record.status for name, event in await _drawn_events(stand, within)}
        assert told == {by_member[each.member].enrollment: each.status for each in found.results}
    assert dies_at > 8


async def _drawn_events(stand: Stand, within: str) -> list[tuple[str, Any]]:
    """What happened to each entry; once each."""
    found = [
        (event.header.enrollment, event) for event in await stand.log(within) if event.header.type == "drawn"
    ]
    assert len(dict(found)) == len(found) == 450
    return found
