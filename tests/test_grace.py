"""Grace windows: who asks in the first seconds is equal, whoever asks later comes later, intents count as the first."""

import asyncio
import hashlib
import itertools
import math
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from engine.domain import draw, lottery
from engine.domain.faults import Fault
from engine.workers.drawer import Drawer
from tests.draws import agrees, drawn, enter, statuses
from tests.stand import CAMPAIGN, Stand, at, campaign, offering, open_stand

HOUR_S: Final = 3_600


@pytest.fixture
async def stand(stores: tuple[str, str], data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts on an empty Redis and an empty ledger."""
    async with open_stand(*stores, data_directory) as opened:
        yield opened


def graced(name: str = "soap", *, capacity: int = 2, over: bool = False, **changed: Any) -> dict[str, Any]:
    """An offering in its grace window, or after it."""
    choice = {"name": "first_come", "grace_s": HOUR_S if over else 3 * HOUR_S}
    pools = [{"pool": "open", "capacity": capacity}]
    return offering(name, **{"policy": choice, "opens": at(hours=-2), "pools": pools} | changed)


async def test_all_are_equal_in_the_window_and_who_comes_later_comes_later(stand: Stand) -> None:
    soap = graced(capacity=3, waitlist={"size_max": 2})
    await stand.publish(campaign(soap))
    entries = [await enter(stand, f"m{number}") for number in range(4)]
    await agrees(stand)
    ended = graced(capacity=3, waitlist={"size_max": 2}, over=True)
    await stand.publish(campaign(ended))
    # The window is over, and the draw not held: whoever was in time comes first.
    assert (await stand.sign_up("late")).outcome == "not_ready"
    assert (await stand.sign_up("m0")).outcome == "already_in"
    assert (await stand.cancel(entries[0].enrollment, "m0")).outcome == "too_late"
    found = await drawn(stand)
    assert draw.verify(found) == []
    assert sorted(await statuses(stand, *entries)) == ["confirmed"] * 3 + ["waitlisted"]
    late, later = await stand.sign_up("late"), await stand.sign_up("later")
    assert (late.outcome, late.position) == ("waitlisted", 2)
    assert later.outcome == "sold_out"
    await agrees(stand)


async def test_seats_that_the_draw_leaves_go_to_who_comes_first(stand: Stand) -> None:
    await stand.publish(campaign(graced()))
    entry = await enter(stand, "m1")
    await stand.publish(campaign(graced(over=True)))
    await drawn(stand)
    assert await statuses(stand, entry) == ["confirmed"]
    assert [(await stand.sign_up(member)).outcome for member in ("m2", "m3")] == ["confirmed", "sold_out"]
    assert (await stand.cancel(entry.enrollment, "m1")).outcome == "changed"
    assert (await stand.sign_up("m3")).outcome == "confirmed"
    await agrees(stand)


async def test_an_intent_counts_as_asked_in_the_first_second(stand: Stand) -> None:
    choice = {"name": "first_come", "grace_s": HOUR_S, "intents_open": at(hours=-1)}
    soap = graced(opens=at(hours=1), policy=choice)
    await stand.publish(campaign(soap, offering("paper", opens=at(hours=1))))
    intent = await enter(stand, "nurse", key="k")
    assert (await stand.sign_up("nurse", "paper")).outcome == "not_open"
    gone = await enter(stand, "changed-her-mind")
    assert (await stand.cancel(gone.enrollment, "changed-her-mind")).outcome == "changed"
    opened = graced(policy=choice | {"grace_s": 3 * HOUR_S, "intents_open": at(hours=-3)})
    await stand.publish(campaign(opened, offering("paper")))
    await enter(stand, "in-time")
    over = graced(policy=choice | {"grace_s": HOUR_S, "intents_open": at(hours=-3)})
    await stand.publish(campaign(over, offering("paper")))
    found = await drawn(stand)
    names = {lottery.pseudonym(CAMPAIGN, found.commitment, member) for member in ("nurse", "in-time")}
    assert {each.member for each in found.entries} == names
    assert await statuses(stand, intent) == ["confirmed"]
    replay = await stand.sign_up("nurse", key="k")
    assert (replay.outcome, replay.enrollment) == ("entered", intent.enrollment)
    await agrees(stand)


async def test_before_intents_it_is_not_open(stand: Stand) -> None:
    opens_at = at(hours=1)
    choice = {"name": "first_come", "grace_s": 60, "intents_open": opens_at}
    await stand.publish(campaign(graced(opens=at(hours=2), policy=choice)))
    refused = await stand.sign_up("nurse")
    assert refused.outcome == "not_open"
    assert isinstance(refused.fact, int)


async def test_each_moment_is_a_draw_of_its_own(stand: Stand) -> None:
    """Their seeds are one chain, and what an earlier one gave counts in a later one."""
    rules = {"limits": [{"max": 1, "per": "campaign"}]}
    windows = {"first": -1.5, "second": -1.2, "third": -1.2}
    collecting = [graced(name, capacity=1, opens=at(hours=hours)) for name, hours in windows.items()]
    await stand.publish(campaign(*collecting, rules=rules))
    for name in windows:
        await enter(stand, "m1", name)
    await enter(stand, "m2", "second")
    # The same instant for the second and the third.
    instants = {hours: at(hours=hours) for hours in windows.values()}
    over = [graced(name, capacity=1, over=True, opens=instants[hours]) for name, hours in windows.items()]
    await stand.publish(campaign(*over, rules=rules))
    one, two = await drawn(stand, 1), await drawn(stand, 2)
    assert not await stand.runtime.drawing.draw_if_due(CAMPAIGN)
    assert [draw.verify(each) for each in (one, two)] == [[], []]
    assert hashlib.sha256(bytes.fromhex(two.seed)).hexdigest() == one.seed
    assert one.commitment == two.commitment
    assert [len(each.entries) for each in (one, two)] == [1, 2]
    assert [each.offering for each in two.offerings if each.pools] == ["second", "third"]
    names = {lottery.pseudonym(CAMPAIGN, one.commitment, f"m{n}"): f"m{n}" for n in (1, 2)}
    assert {names[each.member]: each.holds for each in two.entries} == {"m1": ["first"], "m2": []}
    numbers = [await stand.runtime.drawing.number(CAMPAIGN, name) for name in windows]
    assert numbers == [1, 2, 2]
    won = {(names[each.member], each.offering) for each in two.results if each.status == "confirmed"}
    assert won == {("m2", "second")}
    await agrees(stand)


async def test_a_document_cannot_take_the_draw_from_those_who_are_in_it(stand: Stand) -> None:
    await stand.publish(campaign(graced()))
    await enter(stand, "m1")
    for other in (offering(opens=at(hours=-2)), graced(policy={"name": "ballot"})):
        refused = await stand.try_publish(campaign(other))
        assert refused == [Fault("/offerings/0/policy", "has_queued", {"name": "soap"})]
    await stand.publish(campaign(graced(over=True)))
    await drawn(stand)
    again = await stand.try_publish(campaign(graced()))
    assert again == [Fault("/offerings/0/opens", "draw_is_over")]


async def test_an_offering_is_drawn_once_and_its_file_stays(stand: Stand) -> None:
    """Also if the grace window is taken out of the document, and put back."""
    await stand.publish(campaign(graced()))
    await enter(stand, "m1")
    await stand.publish(campaign(graced(over=True)))
    await drawn(stand)
    await stand.publish(campaign(offering(opens=at(hours=-2))))
    assert await stand.runtime.drawing.number(CAMPAIGN, "soap") == 1
    assert await stand.try_publish(campaign(graced())) == [Fault("/offerings/0/opens", "draw_is_over")]
    ballot = offering(policy={"name": "ballot"})
    assert await stand.try_publish(campaign(ballot)) == [Fault("/offerings/0/closes", "draw_is_over")]
    await agrees(stand)


async def test_a_window_that_nobody_used_ends(stand: Stand) -> None:
    await stand.publish(campaign(graced(over=True)))
    assert (await stand.sign_up("m1")).outcome == "not_ready"
    found = await drawn(stand)
    assert found.entries == []
    assert (await stand.sign_up("m1")).outcome == "confirmed"
    await agrees(stand)


async def test_the_drawer_draws_as_soon_as_a_window_ends(stand: Stand) -> None:
    """By the clock, with nobody's help."""
    choice = {"name": "first_come", "grace_s": 1}
    await stand.publish(campaign(graced(opens=at(seconds=-0.2), policy=choice)))
    entry = await enter(stand, "m1")
    opened = stand.runtime
    drawer = Drawer(opened.drawing, opened.ledger, opened.clock)
    rounds = 0
    while await opened.drawing.number(CAMPAIGN, "soap") == 0:
        await asyncio.sleep(await drawer.run_once())
        rounds += 1
    assert rounds <= 3, "it knows when to look again"
    assert await statuses(stand, entry) == ["confirmed"]


# Fairness

P_0_001: Final = 3.291
"""|z| beyond which a normal deviate falls with p = 0.001. The seeds are fixed, so the tests never flicker."""


def rank_correlation(places: Sequence[int]) -> float:
    """Spearman's rho of the places in a draw with the order of arrival."""
    size = len(places)
    total = sum((arrival - place) ** 2 for arrival, place in enumerate(places))
    return 1 - 6 * total / (size * (size**2 - 1))


@pytest.mark.parametrize("size", [10, 1_000])
def test_arrival_and_place_do_not_correlate(size: int) -> None:
    """Without dependence rho has the mean 0 and the variance 1/(n - 1); its mean over draws is near normal."""
    draws = 200
    found = []
    for number in range(draws):
        seed = hashlib.sha256(f"draw {number}".encode()).digest()
        commitment = lottery.commitment(seed, 1)
        arrived = [lottery.pseudonym(CAMPAIGN, commitment, f"m-{n}") for n in range(size)]
        order = lottery.order(seed, dict.fromkeys(arrived, 1_000))
        place = {name: index for index, name in enumerate(order)}
        found.append(rank_correlation([place[name] for name in arrived]))
    mean, deviation = sum(found) / draws, 1 / math.sqrt((size - 1) * draws)
    assert abs(mean / deviation) < P_0_001
    spread = sum(rho**2 for rho in found) * (size - 1)
    # A χ² of `draws` degrees of freedom, by its normal approximation.
    assert abs(spread - draws) / math.sqrt(2 * draws) < P_0_001


async def test_arrival_and_place_do_not_correlate_over_the_whole_way(
    redis_server: Callable[[str], str], data_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the sign-up to the results, with a first quarter that asked before everybody else."""
    number = itertools.count()
    monkeypatch.setattr(
        secrets, "token_bytes", lambda size: hashlib.sha256(f"secret {next(number)}".encode()).digest()
    )
    size, draws = 60, 40
    found, early = [], 0
    url = redis_server("valkey")
    async with open_stand(url, f"sqlite:///{data_directory}/ledger.db", data_directory) as stand:
        await stand.administrator.flushall()
        for within in map("draw-{}".format, range(draws)):
            await stand.publish(campaign(graced(capacity=size // 4), name=within))
            entries = [await stand.sign_up(f"m{n}", within=within) for n in range(size)]
            await stand.publish(campaign(graced(capacity=size // 4, over=True), name=within))
            assert await stand.runtime.drawing.draw_if_due(within)
            shares = [await stand.runtime.ledger.share(within, 1, f"m{n}") for n in range(size)]
            found.append(rank_correlation([share.place for share in shares if share]))
            for entry in entries[: size // 4]:
                record = (await stand.decisions.find(within, entry.enrollment)).record
                early += record is not None and record.status == "confirmed"
    assert abs(sum(found) / math.sqrt(draws / (size - 1))) < P_0_001
    # Of each draw the seats among the first quarter are hypergeometric.
    quarter = size // 4
    expected, variance = quarter / 4, quarter * (1 / 4) * (3 / 4) * (size - quarter) / (size - 1)
    assert abs(early - draws * expected) / math.sqrt(draws * variance) < P_0_001
