"""What else happens while a draw is settled, and what that must not change."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.drawing import Drawing
from engine.live import keys
from engine.live.server import NothingRan
from tests.draws import CLOSES, agrees, ballot, close, drawing, drawn, enter, record, statuses
from tests.stand import CAMPAIGN, Stand, at, campaign, offering, open_stand


@pytest.fixture
async def stand(redis_url: str, data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts on an empty Redis of each line, and an empty ledger."""
    async with open_stand(redis_url, f"sqlite:///{data_directory}/ledger.db", data_directory) as opened:
        yield opened


async def taken(stand: Stand, pool: str = "open") -> int:
    counts = await stand.runtime.counts.read(CAMPAIGN)
    assert counts is not None
    return counts.taken("soap", pool)


async def test_another_drawer_settles_all_between_two_steps(stand: Stand) -> None:
    soap = ballot(capacity=300, waitlist={"size_max": 200})
    await stand.publish(campaign(soap))
    await asyncio.gather(*(enter(stand, f"m{number}") for number in range(1_000)))
    await close(stand, soap)
    overtaken: list[str] = []

    async def hook(verb: str, args: tuple[Any, ...]) -> None:
        if verb == "draw" and not overtaken:
            overtaken.append(verb)
            await stand.runtime.drawing.draw_if_due(CAMPAIGN)

    await drawing(stand, hook).draw_if_due(CAMPAIGN)
    events = [event.header.type for event in await stand.log() if event.header.type.startswith("draw")]
    assert events == ["draw_began", *["drawn"] * 1_000, "draw_ended"]
    await agrees(stand)


async def test_a_seat_that_comes_free_amid_the_results_goes_to_who_waits(stand: Stand) -> None:
    soap = ballot(capacity=200, waitlist={"size_max": 50})
    await stand.publish(campaign(soap))
    entries = await asyncio.gather(*(enter(stand, f"m{number}") for number in range(300)))
    await close(stand, soap)
    cancelled: list[str] = []

    async def hook(verb: str, args: tuple[Any, ...]) -> None:
        if verb == "settle" and not cancelled:
            told = dict(
                zip([entry.enrollment for entry in entries], await statuses(stand, *entries), strict=True)
            )
            cancelled.append(next(name for name, status in told.items() if status == "confirmed"))
            assert (await stand.cancel(cancelled[0])).outcome == "changed"

    await drawing(stand, hook).draw_if_due(CAMPAIGN)
    assert await taken(stand) == 200
    await agrees(stand)


async def test_a_pool_that_is_released_amid_the_results_goes_to_who_waits(stand: Stand) -> None:
    releases = at(seconds=0.3)
    own = {"pool": "own", "capacity": 5, "eligible": {"units": ["a"]}, "releases": releases}
    soap = ballot(pools=[own, {"pool": "open", "capacity": 2}], waitlist={"size_max": 50})
    await stand.publish(campaign(soap))
    await asyncio.gather(*(enter(stand, f"m{number}") for number in range(10)))
    await close(stand, soap)

    async def hook(verb: str, args: tuple[Any, ...]) -> None:
        while (
            verb == "draw"
            and args[0] == "begin"
            and "released" not in [e.header.type for e in await stand.log()]
        ):
            await stand.decisions.advance(CAMPAIGN)

    await drawing(stand, hook).draw_if_due(CAMPAIGN)
    assert (await taken(stand, "own"), await taken(stand)) == (5, 2)
    await agrees(stand)


async def test_a_clock_that_goes_back_opens_no_draw_again(stand: Stand) -> None:
    soap = ballot(capacity=5)
    await stand.publish(campaign(soap))
    entry = await enter(stand, "m1")
    await close(stand, soap)
    part, client = keys.of(CAMPAIGN, "OFFERINGS"), stand.administrator
    asked: list[str] = []

    async def hook(verb: str, args: tuple[Any, ...]) -> None:
        if verb == "draw" and not asked:
            packed = await client.hget(part, "soap")
            later = msgspec.msgpack.decode(packed)
            later["closes"] += 10_000_000
            await client.hset(part, "soap", msgspec.msgpack.encode(later))
            asked.append((await stand.cancel(entry.enrollment, "m1")).outcome)
            asked.append((await stand.sign_up("m2")).outcome)
            await client.hset(part, "soap", packed)

    await drawing(stand, hook).draw_if_due(CAMPAIGN)
    assert asked == ["too_late", "closed"]
    await agrees(stand)


async def test_an_entry_that_a_failover_lost_does_not_hold_up_the_others(stand: Stand) -> None:
    soap = ballot(capacity=1, waitlist={"size_max": 5})
    await stand.publish(campaign(soap))
    entries = [await enter(stand, f"m{number}") for number in range(3)]
    await close(stand, soap)
    lost: list[str] = []

    async def hook(verb: str, args: tuple[Any, ...]) -> None:
        # The second time, the draw is kept.
        lost.append(verb)
        if len(lost) == 2:
            await stand.administrator.hdel(keys.of(CAMPAIGN, "ENROLLMENTS"), entries[0].enrollment)

    await drawing(stand, hook).draw_if_due(CAMPAIGN)
    assert await taken(stand) == 1
    assert sorted(await statuses(stand, *entries)) == ["confirmed", "not_found", "waitlisted"]


async def test_who_is_being_drawn_is_told_nothing_else_meanwhile(stand: Stand) -> None:
    """What the draw gives counts for limits and overlaps: until it is known, only those without an entry go on."""
    soap, rules = ballot(capacity=1), {"limits": [{"max": 1, "per": "campaign"}]}
    await stand.publish(campaign(soap, offering("tea", closes=CLOSES), rules=rules))
    await enter(stand, "m1")
    assert (await stand.sign_up("m3", "tea")).outcome == "confirmed"
    asked: list[str] = []

    async def hook(verb: str, args: tuple[Any, ...]) -> None:
        if verb == "draw" and not asked:
            asked.extend([(await stand.sign_up(member, "tea")).outcome for member in ("m1", "m2", "m3")])

    soap["closes"] = at(seconds=-0.001)
    await stand.publish(campaign(soap, offering("tea", closes=CLOSES), rules=rules))
    await drawing(stand, hook).draw_if_due(CAMPAIGN)
    assert asked == ["not_ready", "confirmed", "already_in"]
    assert (await stand.sign_up("m1", "tea")).outcome == "limit_reached"
    await agrees(stand)


async def test_no_document_is_put_in_force_amid_the_results(stand: Stand) -> None:
    soap = ballot(capacity=1)
    await stand.publish(campaign(soap))
    await enter(stand, "m1")
    await close(stand, soap)
    told: list[object] = []
    changed = campaign(soap | {"closes": at(seconds=-1), "pools": [{"pool": "open", "capacity": 2}]})

    async def hook(verb: str, args: tuple[Any, ...]) -> None:
        if verb == "draw" and args[0] == "begin":
            before = len(await stand.log())
            await stand.administrator.zadd(keys.of(CAMPAIGN, "TIMERS"), {"opens/soap/1": 1})
            told.extend([await stand.try_publish(changed), len(await stand.log()) - before])

    await drawing(stand, hook).draw_if_due(CAMPAIGN)
    assert told == ["not_ready", 1]
    assert (await stand.publish(changed)).version == 3
    await agrees(stand)


async def test_a_replay_is_the_same_once_the_rest_goes_first_come(stand: Stand) -> None:
    soap = ballot(capacity=5)
    await stand.publish(campaign(soap))
    await enter(stand, "m1", key="k", wish=1)
    await close(stand, soap)
    await drawn(stand)
    await stand.publish(campaign(offering(closes=CLOSES)))
    assert (await stand.sign_up("m1", key="k", wish=1)).outcome == "entered"
    assert (await stand.sign_up("m2", wish=1)).outcome == "invalid"


async def test_a_process_that_is_behind_takes_a_wish(stand: Stand) -> None:
    await stand.publish(campaign(offering(closes=CLOSES)))
    old = stand.runtime.catalog.get(CAMPAIGN)
    assert old is not None
    await stand.publish(campaign(ballot()))
    vars(stand.runtime.catalog)["_definitions"][CAMPAIGN] = old
    assert (await stand.sign_up("m1", wish=1)).outcome == "entered"


async def test_while_the_ledger_is_far_behind_no_result_is_settled(stand: Stand) -> None:
    soap = ballot()
    await stand.publish(campaign(soap))
    await enter(stand, "m1")
    await close(stand, soap)
    opened = stand.runtime
    # The draw begins, then the ledger falls behind.
    limits = iter((1_000_000, 1))
    behind = Drawing(opened.server, opened.ledger, opened.decisions, opened.clock, lambda: next(limits))
    with pytest.raises(NothingRan):
        await behind.draw_if_due(CAMPAIGN)
    await record(stand)
    assert await opened.drawing.draw_if_due(CAMPAIGN)
    await agrees(stand)
