"""Demand first: votes until enough have come, those who voted before all others, then a second class."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from engine.domain import draw, lottery
from engine.domain.faults import Fault
from engine.live.decisions import Decision
from tests.draws import agrees, drawn, enter, statuses
from tests.stand import CAMPAIGN, Stand, at, campaign, offering, open_stand

UNTIL: Final = at(hours=2)
PAST: Final = at(seconds=-0.001)


@pytest.fixture
async def stand(stores: tuple[str, str], data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts on an empty Redis and an empty ledger."""
    async with open_stand(*stores, data_directory) as opened:
        yield opened


def poll(name: str = "soap", threshold: int = 3, *, capacity: int = 2, **changed: Any) -> dict[str, Any]:
    """An offering whose votes are collected."""
    choice = {"name": "poll", "threshold": threshold, "until": UNTIL}
    pools = [{"pool": "open", "capacity": capacity}]
    return offering(name, **{"pools": pools, "policy": choice | changed.pop("choice", {})} | changed)


def second(name: str = "second", waiting: int = 2, **changed: Any) -> dict[str, Any]:
    """The second class of `soap`."""
    choice = {"name": "second_class", "of": "soap", "waiting": waiting}
    return offering(name, **{"policy": choice | changed.pop("choice", {})} | changed)


async def met(stand: Stand, name: str = "soap") -> list[int]:
    """The seqs at which an offering opened by demand."""
    kinds = {"soap": "threshold_met", "second": "opened"}
    log = await stand.log()
    return [
        each.seq
        for each in log
        if (each.header.type, each.header.offering) == (kinds.get(name, kinds["soap"]), name)
    ]


async def outcomes(stand: Stand, name: str, *members: str) -> list[str]:
    return [(await stand.sign_up(member, name)).outcome for member in members]


# Votes


async def test_votes_in_order_then_the_rest(stand: Stand) -> None:
    soap = poll(capacity=2, waitlist={"size_max": 2})
    await stand.publish(campaign(soap))
    votes = [await enter(stand, f"m{number}") for number in range(2)]
    assert await met(stand) == []
    assert not await stand.runtime.drawing.draw_if_due(CAMPAIGN)
    votes.append(await enter(stand, "m2"))
    assert len(await met(stand)) == 1
    await agrees(stand)
    # Until it is settled more votes may come; they do not open it again.
    votes.append(await enter(stand, "m3"))
    found = await drawn(stand)
    assert draw.verify(found) == []
    assert (found.order, [each.asked for each in found.entries]) != ("lottery", [0] * 4)
    assert await statuses(stand, *votes) == ["confirmed", "confirmed", "waitlisted", "waitlisted"]
    assert await outcomes(stand, "soap", "late") == ["sold_out"]
    await stand.cancel(votes[0].enrollment, "m0")
    assert await statuses(stand, votes[2], votes[3]) == ["confirmed", "waitlisted"]
    assert await outcomes(stand, "soap", "late") == ["waitlisted"]
    assert len(await met(stand)) == 1
    await agrees(stand)


async def test_by_draw_if_the_document_says_so(stand: Stand) -> None:
    await stand.publish(campaign(poll(threshold=20, choice={"seats_by": "draw"}), weights={"loss": 50}))
    votes = [await enter(stand, f"m{number}") for number in range(20)]
    found = await drawn(stand)
    assert draw.verify(found) == []
    names = [lottery.pseudonym(CAMPAIGN, found.commitment, f"m{number}") for number in range(20)]
    order = lottery.order(bytes.fromhex(found.seed), dict.fromkeys(names, 1_000))
    won = {names.index(name) for name in order[:2]}
    told = await statuses(stand, *votes)
    assert {number for number, status in enumerate(told) if status == "confirmed"} == won
    await agrees(stand)


async def test_seats_are_kept_for_those_who_voted(stand: Stand) -> None:
    soap = poll(capacity=2, choice={"kept_s": 3_600}, waitlist={"size_max": 5})
    await stand.publish(campaign(soap))
    votes = [await enter(stand, f"m{number}") for number in range(3)]
    await drawn(stand)
    assert await statuses(stand, *votes) == ["held", "held", "waitlisted"]
    assert (await stand.confirm(votes[0].enrollment, "m0")).outcome == "changed"
    assert (await stand.decline(votes[1].enrollment, "m1")).outcome == "changed"
    assert await statuses(stand, *votes) == ["confirmed", "cancelled", "confirmed"]
    # Whoever comes later need not confirm.
    await stand.cancel(votes[0].enrollment, "m0")
    assert await outcomes(stand, "soap", "late") == ["confirmed"]
    await agrees(stand)


async def test_too_few_votes_and_nothing_is_given(stand: Stand) -> None:
    await stand.publish(campaign(poll(threshold=3, choice={"seats_by": "draw"}), name=CAMPAIGN))
    votes = [await enter(stand, f"m{number}") for number in range(2)]
    over = poll(threshold=3, choice={"seats_by": "draw", "until": PAST})
    await stand.publish(campaign(over))
    assert await outcomes(stand, "soap", "late") == ["not_ready"]
    found = await drawn(stand)
    assert draw.verify(found) == []
    assert await statuses(stand, *votes) == ["not_drawn"] * 2
    assert await outcomes(stand, "soap", "late", "m0") == ["closed"] * 2
    # Nobody has lost: there was nothing to win.
    (here,) = await stand.runtime.ledger.campaigns()
    assert await stand.runtime.ledger.histories(here.unit, ("another", 1)) == {}
    await agrees(stand)


async def test_a_vote_that_counted_is_not_free_again(stand: Stand) -> None:
    """Else one member could open a whole menu."""
    await stand.publish(campaign(poll("a", 1), poll("b", 1), rules={"votes_max": 1}))
    vote = await enter(stand, "m1", "a")
    assert (await stand.cancel(vote.enrollment, "m1")).outcome == "too_late"
    assert await outcomes(stand, "b", "m1") == ["limit_reached"]


async def test_each_poll_by_votes_is_a_draw_of_its_own(stand: Stand) -> None:
    """An early vote for one gives nothing in another, also if both open at once."""
    polls = [poll("a", 9, capacity=1), poll("b", 9, capacity=1)]
    await stand.publish(campaign(*polls))
    for member, name in (("ann", "a"), ("bob", "b"), ("ann", "b")):
        await enter(stand, member, name)
    await stand.publish(campaign(poll("a", 1, capacity=1), poll("b", 1, capacity=1)))
    drawings = [await drawn(stand, number) for number in (1, 2)]
    assert [draw.verify(each) for each in drawings] == [[], []]
    for member, name in (("ann", "a"), ("bob", "b")):
        mine = await stand.decisions.mine(CAMPAIGN, member)
        assert isinstance(mine, list)
        assert [each.record.offering for each in mine if each.record] == [name]
    await agrees(stand)


async def test_a_vote_may_be_taken_back_until_it_counts(stand: Stand) -> None:
    await stand.publish(campaign(poll()))
    gone = await enter(stand, "m0")
    assert (await stand.cancel(gone.enrollment, "m0")).outcome == "changed"
    for number in (1, 2):
        await enter(stand, f"m{number}")
    assert await met(stand) == []
    await enter(stand, "m0")
    assert len(await met(stand)) == 1
    await agrees(stand)


async def test_each_has_so_many_votes(stand: Stand) -> None:
    rules = {"votes_max": 2, "limits": [{"max": 1, "per": "campaign"}]}
    names = ("a", "b", "c")
    await stand.publish(campaign(*[poll(name) for name in names], offering("paper"), rules=rules))
    assert await outcomes(stand, "a", "m1") == ["entered"]
    assert await outcomes(stand, "b", "m1") == ["entered"]
    refused = await stand.sign_up("m1", "c")
    assert (refused.outcome, refused.fact) == ("limit_reached", "poll")
    # A vote is no seat, and counts for no other limit.
    assert await outcomes(stand, "paper", "m1") == ["confirmed"]
    await agrees(stand)


async def test_a_lower_threshold_opens_at_once(stand: Stand) -> None:
    await stand.publish(campaign(poll(threshold=10)))
    votes = [await enter(stand, f"m{number}") for number in range(2)]
    await stand.publish(campaign(poll(threshold=2)))
    assert len(await met(stand)) == 1
    await drawn(stand)
    assert await statuses(stand, *votes) == ["confirmed"] * 2
    await agrees(stand)


async def test_the_document_may_change_after_the_opening(stand: Stand) -> None:
    """Although the deadline for votes is still to come."""
    await stand.publish(campaign(poll()))
    for number in range(3):
        await enter(stand, f"m{number}")
    await drawn(stand)
    await stand.publish(campaign(poll(capacity=4)))
    assert await outcomes(stand, "soap", "m3", "m4", "m5") == ["confirmed", "confirmed", "sold_out"]
    await agrees(stand)


async def test_a_document_between_the_threshold_and_the_draw_delays_nothing(stand: Stand) -> None:
    await stand.publish(campaign(poll()))
    votes = [await enter(stand, f"m{number}") for number in range(3)]
    await stand.publish(campaign(poll(capacity=3)))
    await drawn(stand)
    assert await statuses(stand, *votes) == ["confirmed"] * 3
    await agrees(stand)


async def test_a_poll_that_failed_is_not_held_again(stand: Stand) -> None:
    await stand.publish(campaign(poll()))
    await stand.publish(campaign(poll(choice={"until": PAST})))
    await drawn(stand)
    again = await stand.try_publish(campaign(poll()))
    assert again == [Fault("/offerings/0/policy/until", "draw_is_over")]


async def test_votes_and_lots_are_not_mixed(stand: Stand) -> None:
    """Two polls open in the same moment, and their orders are of two kinds: two draws."""
    choices: list[dict[str, Any]] = [{"seats_by": "draw"}, {"seats_by": "votes"}]
    await stand.publish(campaign(*(poll(f"p{n}", 9, choice=choices[n]) for n in range(2))))
    for name in ("p0", "p1"):
        for number in range(3):
            await enter(stand, f"m{number}", name)
    await stand.publish(campaign(*(poll(f"p{n}", 3, choice=choices[n]) for n in range(2))))
    log = [each.header for each in await stand.log() if each.header.type == "threshold_met"]
    assert len({header.at for header in log}) == 1
    drawings = [await drawn(stand, number) for number in (1, 2)]
    assert [draw.verify(each) for each in drawings] == [[], []]
    assert [each.order for each in drawings] == ["lottery", "votes"]
    assert [await stand.runtime.drawing.number(CAMPAIGN, name) for name in ("p0", "p1")] == [1, 2]
    await agrees(stand)


async def test_under_a_thousand_votes_at_once_one_offering_opens(stand: Stand) -> None:
    """Of a menu of four, the one that has the threshold, once; the others stay polls."""
    menu = {"latin": 400, "ballet": 399, "yoga": 150, "tai-chi": 51}
    options = [poll(name, 400, capacity=30, waitlist={"size_max": 1_000}) for name in menu]
    await stand.publish(campaign(*options, rules={"votes_max": 1}))
    asked = [(f"{name}-{number}", name) for name, votes in menu.items() for number in range(votes)]
    asked = [pair for first in range(7) for pair in asked[first::7]]
    given = await asyncio.gather(*(stand.sign_up(member, name) for member, name in asked))
    assert {each.outcome for each in given} == {"entered"}
    log = await stand.log()
    opened = [each.header.offering for each in log if each.header.type == "threshold_met"]
    assert opened == ["latin"]
    found = await drawn(stand)
    assert draw.verify(found) == []
    assert not await stand.runtime.drawing.draw_if_due(CAMPAIGN)
    by_order = sorted(
        (each for each in given if each.record and each.record.offering == "latin"),
        key=_seq,
    )
    assert await statuses(stand, *by_order) == ["confirmed"] * 30 + ["waitlisted"] * 370
    counts = await stand.runtime.counts.read(CAMPAIGN)
    assert counts
    assert [counts.entered(name) for name in menu] == [0, 399, 150, 51]
    assert [counts.met_at(name) is not None for name in menu] == [True, False, False, False]
    await agrees(stand)


def _seq(decision: Decision) -> int:
    assert decision.record
    return decision.record.seq


# Second classes


async def test_a_second_class_opens_when_enough_wait(stand: Stand) -> None:
    soap = offering(waitlist={"size_max": 9})
    await stand.publish(campaign(soap, second(waiting=2)))
    assert await outcomes(stand, "soap", "m0", "m1", "m2") == ["confirmed", "confirmed", "waitlisted"]
    early = await stand.sign_up("m2", "second")
    assert (early.outcome, early.fact) == ("not_open", "")
    assert await outcomes(stand, "soap", "m3", "m4") == ["waitlisted"] * 2
    assert len(await met(stand, "second")) == 1
    # Who has a seat has none in the other; who waits leaves the queue with a seat.
    seated = await stand.sign_up("m0", "second")
    assert (seated.outcome, seated.fact) == ("overlap", "soap")
    assert await outcomes(stand, "second", "m2", "new") == ["confirmed"] * 2
    mine = await stand.decisions.mine(CAMPAIGN, "m2")
    assert isinstance(mine, list)
    assert [each.record.offering for each in mine if each.record] == ["second"]
    back = await stand.sign_up("m2", "soap")
    assert (back.outcome, back.fact) == ("overlap", "second")
    # Where the second is full as well, the place in the queue stays.
    assert await outcomes(stand, "second", "m3") == ["sold_out"]
    counts = await stand.runtime.counts.read(CAMPAIGN)
    assert counts
    assert (counts.waiting("soap"), counts.taken("second", "open")) == (2, 2)
    await agrees(stand)


async def test_the_place_in_the_queue_is_not_given_up_for_another_queue(stand: Stand) -> None:
    await stand.publish(
        campaign(offering(waitlist={"size_max": 9}), second(waiting=1, waitlist={"size_max": 9}))
    )
    await outcomes(stand, "soap", "m0", "m1", "m2", "m3")
    assert await outcomes(stand, "second", "a", "b", "c") == ["confirmed", "confirmed", "waitlisted"]
    assert await outcomes(stand, "second", "m2") == ["sold_out"]
    mine = await stand.decisions.mine(CAMPAIGN, "m2")
    assert isinstance(mine, list)
    assert [(each.record.offering, each.position) for each in mine if each.record] == [("soap", 1)]
    await agrees(stand)


async def test_a_second_class_is_for_those_who_wait_first(stand: Stand) -> None:
    soap = offering(waitlist={"size_max": 9})
    await stand.publish(campaign(soap, second(waiting=1, choice={"kept_s": 3_600})))
    await outcomes(stand, "soap", "m0", "m1", "m2")
    refused = await stand.sign_up("new", "second")
    assert refused.outcome == "not_open"
    assert isinstance(refused.fact, int)
    assert await outcomes(stand, "second", "m2") == ["confirmed"]
    await stand.publish(campaign(soap, second(waiting=1)))
    assert await outcomes(stand, "second", "new") == ["confirmed"]
    await agrees(stand)


async def test_the_place_in_the_queue_counts_for_no_limit_against_the_seat(stand: Stand) -> None:
    rules = {"limits": [{"max": 1, "per": "campaign"}], "overlaps_allowed": False}
    await stand.publish(campaign(offering(waitlist={"size_max": 9}), second(waiting=1), rules=rules))
    await outcomes(stand, "soap", "m0", "m1", "m2")
    assert await outcomes(stand, "second", "m2") == ["confirmed"]
    await agrees(stand)


async def test_a_second_class_that_comes_later_opens_at_once(stand: Stand) -> None:
    soap = offering(waitlist={"size_max": 9})
    await stand.publish(campaign(soap))
    await outcomes(stand, "soap", "m0", "m1", "m2", "m3")
    await stand.publish(campaign(soap, second(waiting=2)))
    assert len(await met(stand, "second")) == 1
    assert await outcomes(stand, "second", "m2") == ["confirmed"]
    await agrees(stand)


async def test_a_second_class_whose_opening_is_to_come_opens_then(stand: Stand) -> None:
    """By the clock, although nobody can join the queue any more."""
    soap = offering(waitlist={"size_max": 2})
    await stand.publish(campaign(soap, second(waiting=2, opens=at(seconds=0.3))))
    await outcomes(stand, "soap", "m0", "m1", "m2", "m3")
    assert await met(stand, "second") == []
    while not await met(stand, "second"):
        due_ms = await stand.decisions.advance(CAMPAIGN)
        await asyncio.sleep(min(due_ms or 0, 300) / 1000)
    assert await outcomes(stand, "second", "m2") == ["confirmed"]
    await agrees(stand)


async def test_what_was_met_under_another_policy_is_not(stand: Stand) -> None:
    soap = offering(waitlist={"size_max": 9})
    await stand.publish(campaign(soap, second(waiting=1)))
    await outcomes(stand, "soap", "m0", "m1", "m2")
    assert len(await met(stand, "second")) == 1
    await stand.publish(campaign(soap, poll("second", 2)))
    assert not await stand.runtime.drawing.draw_if_due(CAMPAIGN)
    assert await outcomes(stand, "second", "a") == ["entered"]
    await agrees(stand)


async def test_behind_a_poll(stand: Stand) -> None:
    """Who voted in vain for the first class comes first in the second."""
    soap = poll(threshold=4, capacity=2, waitlist={"size_max": 9})
    await stand.publish(campaign(soap, second(waiting=2, choice={"kept_s": 3_600})))
    votes = [await enter(stand, f"m{number}") for number in range(4)]
    await drawn(stand)
    assert await statuses(stand, *votes) == ["confirmed"] * 2 + ["waitlisted"] * 2
    assert len(await met(stand, "second")) == 1
    assert await outcomes(stand, "second", "new", "m3") == ["not_open", "confirmed"]
    await agrees(stand)


async def test_a_document_cannot_take_a_poll_from_its_votes(stand: Stand) -> None:
    await stand.publish(campaign(poll()))
    await enter(stand, "m1")
    refused = await stand.try_publish(campaign(offering()))
    assert refused == [Fault("/offerings/0/policy", "has_queued", {"name": "soap"})]


@pytest.mark.parametrize(("most", "expected"), [(1, "limit_reached"), (2, "confirmed")])
async def test_the_place_that_a_second_class_takes_the_place_of_does_not_count(
    stand: Stand, most: int, expected: str
) -> None:
    rules = {"limits": [{"max": most, "per": "campaign", "kinds": ["workshop"]}]}
    first = offering(pools=[{"pool": "open", "capacity": 1}], waitlist={"size_max": 9})
    await stand.publish(
        campaign(first, second(), offering("tea"), offering("talk", kind="event"), rules=rules)
    )
    for name, member in (("soap", "m0"), ("soap", "m1"), ("soap", "m2"), ("talk", "m2")):
        await stand.sign_up(member, name)
    assert await outcomes(stand, "second", "m1") == ["confirmed"]
    if most == 2:
        assert await outcomes(stand, "tea", "m2") == ["confirmed"]
    else:
        await stand.publish(campaign(first, second(), offering("tea"), offering("talk", kind="event")))
        assert await outcomes(stand, "tea", "m2") == ["confirmed"]
        await stand.publish(
            campaign(first, second(), offering("tea"), offering("talk", kind="event"), rules=rules)
        )
    assert await outcomes(stand, "second", "m2") == [expected]
    await agrees(stand)
