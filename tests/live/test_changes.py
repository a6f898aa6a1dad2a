"""Cancel, confirm, decline, expire: each outcome, and to whom the seat goes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.stand import CAMPAIGN, Stand, at, campaign, offering

ONE_SEAT = [{"pool": "open", "capacity": 1}]
HELD: dict[str, Any] = {"hold_ttl_s": 600}
OFFERED: dict[str, Any] = {
    "waitlist": {"size_max": 9, "promotion": "offer", "offer_ttl_s": 600},
    "pools": ONE_SEAT,
}


async def until_nothing_is_due_within(stand: Stand, milliseconds: int) -> None:
    """Let the nearest timers come due and take effect; they are known moments, so this waits no longer than they."""
    due_ms = await stand.decisions.advance(CAMPAIGN)
    if due_ms is not None and due_ms <= milliseconds:
        await asyncio.sleep(due_ms / 1000)
        await until_nothing_is_due_within(stand, milliseconds)


async def status(stand: Stand, enrollment: str) -> str:
    found = await stand.decisions.find(CAMPAIGN, enrollment)
    assert found.record is not None
    return found.record.status


async def test_cancel_frees_the_seat_and_again_answers_the_same(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=ONE_SEAT)))
    given = await stand.sign_up("m1")
    first = await stand.cancel(given.enrollment, "m1")
    assert first.record is not None
    assert (first.record.status, first.record.seat, first.record.version) == ("cancelled", 0, 2)
    again = await stand.cancel(given.enrollment, "m1")
    assert (again.outcome, again.record) == (first.outcome, first.record)
    assert (await stand.sign_up("m2")).outcome == "confirmed"


async def test_cancel_promotes_the_first_who_waits_in_the_same_step(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=ONE_SEAT, waitlist={"size_max": 9})))
    given = [await stand.sign_up(f"m{number}") for number in range(4)]
    await stand.cancel(given[0].enrollment)
    log = await stand.log()
    assert [event.header.type for event in log[-2:]] == ["cancelled", "promoted"]
    assert (log[-1].header.enrollment, log[-1].header.actor) == (given[1].enrollment, "system")
    positions = [(await stand.decisions.find(CAMPAIGN, each.enrollment)).position for each in given]
    assert positions == [0, 0, 1, 2]


async def test_promotes_only_whom_the_pool_is_for(stand: Stand) -> None:
    pools = [{"pool": "own", "capacity": 1, "eligible": {"units": ["a"]}}, {"pool": "open", "capacity": 1}]
    await stand.publish(campaign(offering(pools=pools, waitlist={"size_max": 9})))
    own, _open = [await stand.sign_up(member, unit=unit) for member, unit in (("m1", "a"), ("m2", ""))]
    stranger, insider = [
        await stand.sign_up(member, unit=unit) for member, unit in (("m3", ""), ("m4", "a.b"))
    ]
    await stand.cancel(own.enrollment)
    assert await status(stand, stranger.enrollment) == "waitlisted"
    assert await status(stand, insider.enrollment) == "confirmed"


async def test_wanted_pool_holds_while_waiting(stand: Stand) -> None:
    pools = [{"pool": "a", "capacity": 1}, {"pool": "b", "capacity": 1}]
    await stand.publish(campaign(offering(pools=pools, waitlist={"size_max": 9})))
    in_a, in_b = [await stand.sign_up(f"m{number}") for number in range(2)]
    wants_b = await stand.sign_up("m3", wanted="b")
    wants_any = await stand.sign_up("m4")
    await stand.cancel(in_a.enrollment)
    assert await status(stand, wants_any.enrollment) == "confirmed"
    await stand.cancel(in_b.enrollment)
    assert await status(stand, wants_b.enrollment) == "confirmed"


async def test_waiting_one_who_cancels_moves_the_others_up(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=ONE_SEAT, waitlist={"size_max": 2})))
    given = [await stand.sign_up(f"m{number}") for number in range(3)]
    await stand.cancel(given[1].enrollment)
    assert (await stand.decisions.find(CAMPAIGN, given[2].enrollment)).position == 1
    assert (await stand.sign_up("m9")).position == 2


async def test_cancel_is_for_its_member_or_an_officer(stand: Stand) -> None:
    await stand.publish(campaign())
    given = await stand.sign_up("m1")
    assert (await stand.cancel(given.enrollment, "m2")).outcome == "not_found"
    assert (await stand.cancel("x" * 16)).outcome == "not_found"
    assert (await stand.cancel(given.enrollment)).outcome == "changed"
    assert (await stand.log())[-1].header.actor == "officer"


async def test_cancel_too_late(stand: Stand) -> None:
    await stand.publish(campaign())
    given = await stand.sign_up("m1")
    await stand.publish(campaign(offering(cancel_until=at(seconds=-1))))
    assert (await stand.cancel(given.enrollment, "m1")).outcome == "too_late"


async def test_hold_is_confirmed(stand: Stand) -> None:
    await stand.publish(campaign(offering(**HELD)))
    given = await stand.sign_up("m1")
    assert given.outcome == "held"
    assert given.record is not None
    assert given.record.expires_at > 0
    taken = await stand.confirm(given.enrollment, "m1")
    assert taken.record is not None
    assert (taken.record.status, taken.record.seat, taken.record.expires_at) == ("confirmed", 1, 0)
    assert (await stand.confirm(given.enrollment, "m1")).record == taken.record


async def test_hold_that_is_past_its_time_is_over_without_a_worker(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=ONE_SEAT, hold_ttl_s=1, waitlist={"size_max": 9})))
    given, waiting = [await stand.sign_up(member) for member in ("m1", "m2")]
    assert given.record is not None
    until_s = given.record.expires_at / 1000 - stand.runtime.clock.now_ms() / 1000
    await asyncio.sleep(until_s + 0.002)
    assert await status(stand, given.enrollment) == "lapsed"
    assert await status(stand, waiting.enrollment) == "confirmed"
    assert (await stand.confirm(given.enrollment, "m1")).outcome == "too_late"
    assert (await stand.decline(given.enrollment, "m1")).outcome == "too_late"
    assert (await stand.cancel(given.enrollment, "m1")).fact == "lapsed"
    assert (await stand.sign_up("m1")).outcome == "waitlisted"


async def test_whoever_looks_sees_what_time_has_brought(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=ONE_SEAT, hold_ttl_s=1, waitlist={"size_max": 9})))
    given, waiting = [await stand.sign_up(member) for member in ("m1", "m2")]
    assert given.record is not None
    await asyncio.sleep(given.record.expires_at / 1000 - stand.runtime.clock.now_ms() / 1000 + 0.002)
    counts = await stand.runtime.counts.read(CAMPAIGN)
    assert counts is not None
    assert counts.waiting("soap") == 0
    mine = await stand.decisions.mine(CAMPAIGN, "m2")
    assert isinstance(mine, list)
    assert [(each.enrollment, each.position) for each in mine] == [(waiting.enrollment, 0)]


async def test_offer_goes_down_the_queue(stand: Stand) -> None:
    await stand.publish(campaign(offering(**OFFERED)))
    given = [await stand.sign_up(f"m{number}") for number in range(4)]
    await stand.cancel(given[0].enrollment)
    assert [await status(stand, each.enrollment) for each in given] == [
        "cancelled", "offered", "waitlisted", "waitlisted",
    ]  # fmt: skip
    declined = await stand.decline(given[1].enrollment, "m1")
    assert declined.record is not None
    assert declined.record.status == "cancelled"
    assert await status(stand, given[2].enrollment) == "offered"
    taken = await stand.confirm(given[2].enrollment, "m2")
    assert taken.record is not None
    assert (taken.record.status, taken.record.seat) == ("confirmed", 1)
    assert [kind for kind, _ in await stand.told()][4:] == [
        "cancelled", "promoted", "declined", "promoted", "confirmed",
    ]  # fmt: skip


async def test_offers_lapse_one_after_the_other(stand: Stand) -> None:
    waitlist = {"size_max": 9, "promotion": "offer", "offer_ttl_s": 1}
    await stand.publish(campaign(offering(pools=ONE_SEAT, waitlist=waitlist)))
    given = [await stand.sign_up(f"m{number}") for number in range(3)]
    await stand.cancel(given[0].enrollment)
    await until_nothing_is_due_within(stand, 5_000)
    assert [await status(stand, each.enrollment) for each in given] == ["cancelled", "lapsed", "lapsed"]
    assert (await stand.sign_up("m9")).outcome == "confirmed"


@pytest.mark.parametrize("verb", ["confirm", "decline"])
async def test_only_a_hold_or_an_offer_can_be_taken_or_left(stand: Stand, verb: str) -> None:
    await stand.publish(campaign(offering(pools=ONE_SEAT, waitlist={"size_max": 9})))
    ask: Callable[[str, str], Awaitable[object]] = getattr(stand, verb)
    seated, waiting = [await stand.sign_up(member) for member in ("m1", "m2")]
    refused = await stand.runtime.decisions.find(CAMPAIGN, waiting.enrollment)
    assert refused.outcome == "changed"
    assert getattr(await ask(waiting.enrollment, "m2"), "fact") == "waitlisted"  # noqa: B009
    expected = "changed" if verb == "confirm" else "wrong_state"
    assert getattr(await ask(seated.enrollment, "m1"), "outcome") == expected  # noqa: B009
    assert getattr(await ask(seated.enrollment, "m2"), "outcome") == "not_found"  # noqa: B009


async def test_released_pool_goes_to_those_who_wait_before_anyone_new(stand: Stand) -> None:
    def pools(releases: str) -> list[dict[str, object]]:
        return [
            {"pool": "own", "capacity": 2, "eligible": {"units": ["a"]}, "releases": releases},
            {"pool": "open", "capacity": 0},
        ]

    waitlist = {"size_max": 9}
    await stand.publish(campaign(offering(pools=pools(at(hours=1)), waitlist=waitlist)))
    waiting = [await stand.sign_up(f"m{number}") for number in range(3)]
    assert {each.outcome for each in waiting} == {"waitlisted"}
    await stand.publish(campaign(offering(pools=pools(at(seconds=-1)), waitlist=waitlist)))
    late = await stand.sign_up("m9")
    assert late.outcome == "waitlisted"
    assert [await status(stand, each.enrollment) for each in waiting] == [
        "confirmed",
        "confirmed",
        "waitlisted",
    ]
    assert "released" in [event.header.type for event in await stand.log()]


async def test_nobody_is_promoted_after_the_last_session(stand: Stand) -> None:
    soon = at(seconds=2)
    over: dict[str, Any] = {
        "sessions": [{"starts": at(hours=-3), "ends": soon}],
        "closes": soon,
        "cancel_until": soon,
    }
    await stand.publish(campaign(offering(pools=ONE_SEAT, waitlist={"size_max": 9}, hold_ttl_s=3, **over)))
    held, waiting = [await stand.sign_up(member) for member in ("m1", "m2")]
    assert held.outcome == "held"
    await until_nothing_is_due_within(stand, 5_000)
    assert await status(stand, held.enrollment) == "lapsed"
    assert await status(stand, waiting.enrollment) == "waitlisted"


async def test_mine_shows_what_is_live_in_the_order_of_sign_up(stand: Stand) -> None:
    await stand.publish(campaign(*(offering(name) for name in ("a", "b", "c"))))
    given = [await stand.sign_up("m1", name) for name in ("c", "a", "b")]
    await stand.cancel(given[1].enrollment)
    mine = await stand.decisions.mine(CAMPAIGN, "m1")
    assert isinstance(mine, list)
    assert [each.enrollment for each in mine] == [given[0].enrollment, given[2].enrollment]
    assert await stand.decisions.mine(CAMPAIGN, "m2") == []


async def test_everything_due_is_done_in_bounded_steps(stand: Stand) -> None:
    """Thousands of holds that lapse at once take several calls, and no decision is made before they are through."""
    number = 700
    pools = [{"pool": "open", "capacity": number}]
    await stand.publish(campaign(offering(pools=pools, hold_ttl_s=1, waitlist={"size_max": 2 * number})))
    held = await asyncio.gather(*(stand.sign_up(f"h{index}") for index in range(number)))
    waiting = await asyncio.gather(*(stand.sign_up(f"w{index}") for index in range(number)))
    assert {each.outcome for each in held} == {"held"}
    last = max(each.record.expires_at for each in held if each.record)
    await asyncio.sleep(last / 1000 - stand.runtime.clock.now_ms() / 1000 + 0.002)
    # The waiting list moves up whole, so the next one finds it empty.
    assert (await stand.sign_up("late")).position == 1
    states = [await status(stand, each.enrollment) for each in waiting]
    assert states == ["confirmed"] * number
    log = await stand.log()
    assert [event.seq for event in log] == list(range(1, len(log) + 1))
