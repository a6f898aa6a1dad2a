"""Publishing: versions, what live seats forbid, and what a new version sets in motion."""

import asyncio
from typing import Any

from engine.domain import definition, document
from engine.domain.faults import Fault
from engine.live import keys
from engine.publishing import Published
from tests.ladders import advance, following, heats, imported, over, results
from tests.stand import CAMPAIGN, Stand, at, campaign, offering


def with_capacity(capacity: int, waiting: int = 9) -> dict[str, object]:
    return offering(pools=[{"pool": "open", "capacity": capacity}], waitlist={"size_max": waiting})


async def test_versions(stand: Stand) -> None:
    assert await stand.publish(campaign()) == Published(version=1, created=True, changed=True)
    changed = campaign(offering(opens=at(hours=-2)))
    assert await stand.publish(changed) == Published(version=2, created=False, changed=True)
    assert await stand.publish(changed) == Published(version=2, created=False, changed=False)
    assert await stand.try_publish(campaign(), 1) == "precondition_failed"
    assert await stand.try_publish(campaign(), 0) == "precondition_failed"
    assert await stand.publish(campaign(), 2) == Published(version=3, created=False, changed=True)


async def test_growing_promotes_those_who_wait(stand: Stand) -> None:
    await stand.publish(campaign(with_capacity(1)))
    asked = [await stand.sign_up(f"m{number}") for number in range(4)]
    await stand.publish(campaign(with_capacity(3)))
    now = [await stand.decisions.find(CAMPAIGN, each.enrollment) for each in asked]
    assert [(each.record.status, each.record.seat) for each in now if each.record] == [
        ("confirmed", 1),
        ("confirmed", 2),
        ("confirmed", 3),
        ("waitlisted", 0),
    ]


async def test_a_large_waitlist_is_promoted_whole(stand: Stand) -> None:
    await stand.publish(campaign(with_capacity(0, waiting=1000)))
    for number in range(650):
        await stand.sign_up(f"m{number}")
    await stand.publish(campaign(with_capacity(640, waiting=1000)))
    counts = await stand.runtime.counts.read(CAMPAIGN)
    assert counts is not None
    assert (counts.taken("soap", "open"), counts.waiting("soap")) == (640, 10)


async def test_shrinking_stops_at_the_highest_live_seat(stand: Stand) -> None:
    await stand.publish(campaign(with_capacity(5)))
    given = [await stand.sign_up(f"m{number}") for number in range(4)]
    await stand.cancel(given[0].enrollment)
    await stand.cancel(given[3].enrollment)
    assert await stand.try_publish(campaign(with_capacity(2))) == [
        Fault("/offerings/0/pools/0/capacity", "below_live_seats", {"seat": 3})
    ]
    await stand.publish(campaign(with_capacity(3)))
    again = [await stand.sign_up(f"n{number}") for number in range(2)]
    assert [(each.outcome, each.record.seat) for each in again if each.record] == [
        ("confirmed", 1),
        ("waitlisted", 0),
    ]


async def test_numbers_above_a_smaller_capacity_come_back_when_it_grows(stand: Stand) -> None:
    await stand.publish(campaign(with_capacity(5)))
    given = [await stand.sign_up(f"m{number}") for number in range(5)]
    for each in given[2:]:
        await stand.cancel(each.enrollment)
    await stand.publish(campaign(with_capacity(2)))
    await stand.publish(campaign(with_capacity(4)))
    again = [await stand.sign_up(f"n{number}") for number in range(2)]
    assert [each.record.seat for each in again if each.record] == [3, 4]


async def test_offering_or_pool_with_live_enrollments_stays(stand: Stand) -> None:
    await stand.publish(campaign(offering("a"), offering("b")))
    given = await stand.sign_up("m1", "b")
    refused = await stand.try_publish(campaign(offering("a")))
    assert refused == [Fault("/offerings", "has_live_enrollments", {"name": "b"})]
    other_pool = offering("b", pools=[{"pool": "other", "capacity": 9}])
    refused = await stand.try_publish(campaign(offering("a"), other_pool))
    assert refused == [Fault("/offerings/1/pools", "has_live_enrollments", {"name": "open"})]
    await stand.cancel(given.enrollment)
    await stand.publish(campaign(offering("a")))
    assert (await stand.sign_up("m1", "b")).outcome == "not_found"
    found = await stand.decisions.find(CAMPAIGN, given.enrollment)
    assert found.record is not None
    assert found.record.status == "cancelled"


async def test_offering_whose_last_ones_wait_stays(stand: Stand) -> None:
    await stand.publish(campaign(offering("a"), with_capacity(0)))
    await stand.sign_up("m1")
    refused = await stand.try_publish(campaign(offering("a")))
    assert refused == [Fault("/offerings", "has_live_enrollments", {"name": "soap"})]


async def test_what_has_members_neither_becomes_a_round_nor_ceases_to_be_one(stand: Stand) -> None:
    first, last = heats(), following()
    free = heats("final", 6, pools=last["pools"], results=None, waitlist=last["waitlist"])
    free.pop("results")
    await stand.publish(campaign(first, free))
    given = await stand.sign_up("m1", "final")
    refused = [Fault("/offerings/1/policy", "has_members", {"name": "final"})]
    assert await stand.try_publish(campaign(first, last)) == refused
    await stand.cancel(given.enrollment)
    await stand.publish(campaign(first, last))
    await stand.sign_up("m1", "heats", unit="xicheng.red.c1")
    await stand.publish(campaign(over(first), last))
    await imported(stand, "heats", results(("m1", 1, 1)))
    await advance(stand, "heats")
    assert await stand.try_publish(campaign(over(first), free)) == refused


async def test_windows_are_told_once(stand: Stand) -> None:
    await stand.publish(campaign(offering("a"), offering("b", opens=at(hours=1))))
    await stand.publish(campaign(offering("a", opens=at(hours=-2)), offering("b", opens=at(minutes=-1))))
    told = [
        (event.header.type, event.header.offering) for event in await stand.log() if event.header.offering
    ]
    assert told == [("opened", "a"), ("opened", "b")]


async def test_document_is_an_event(stand: Stand) -> None:
    document = campaign(offering(title={"zh": "😀𠀀", "en": "x"}))
    await stand.publish(document)
    first = (await stand.log())[0]
    assert (first.seq, first.header.type, first.header.version, first.header.actor) == (
        1,
        "published",
        1,
        "organizer",
    )
    assert first.document is not None
    assert "😀𠀀" in first.document.decode()


async def test_crash_before_the_gate_opens_is_mended_by_publishing_again(stand: Stand) -> None:
    await stand.publish(campaign())
    await stand.administrator.hset("seatrush:{autumn}:meta", "gate", "new")
    assert (await stand.sign_up("m1")).outcome == "not_ready"
    await stand.publish(campaign(offering(opens=at(hours=-3))))
    assert (await stand.sign_up("m1")).outcome == "confirmed"


async def test_what_is_taken_out_leaves_no_count_behind(stand: Stand) -> None:
    two = [{"pool": "open", "capacity": 2}, {"pool": "rest", "capacity": 2}]
    await stand.publish(campaign(offering(pools=two), offering("tea")))
    for name in ("soap", "tea"):
        given = await stand.sign_up("m1", name)
        await stand.cancel(given.enrollment)
    await stand.publish(campaign(offering(pools=two[:1])))
    counts = await stand.administrator.hkeys(keys.of(CAMPAIGN, "COUNTS"))
    assert {name.decode() for name in counts} <= {"waiting/soap", "taken/soap/open", "mark/soap/open"}


async def test_a_call_gives_so_many_seats_and_the_next_the_rest(stand: Stand) -> None:
    """A call takes 200 steps: here the first is the timer's own."""
    waitlist = {"size_max": 300}
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 0}], waitlist=waitlist)))
    await asyncio.gather(*(stand.sign_up(f"m{number}") for number in range(250)))
    grown = campaign(offering(pools=[{"pool": "open", "capacity": 240}], waitlist=waitlist))
    epoch, server = "1", stand.runtime.server
    arguments: list[Any] = [
        *("update", epoch, "", document.canonical(grown), definition.pack_rules(grown)),
        *(definition.pack_offerings(grown), definition.pack_timers(grown), "organizer", "cli", "", "", 1_000),
    ]
    assert await server.call("publish", CAMPAIGN, arguments) == [b"changed", 2, 0, 1]
    given = []
    for status in (b"behind", b"decided"):
        assert (await server.call("advance", CAMPAIGN))[0] == status
        given.append((await stand.told()).count(("promoted", "confirmed")))
    assert given == [199, 240]
