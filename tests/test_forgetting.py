"""Forgetting: nothing of a member is left in Redis or in the ledger, and all that others rely on holds."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from engine.audit import Audit
from engine.domain import chain, draw
from engine.domain.share import History
from engine.forgetting import Forgotten, Stopped
from engine.live import keys
from engine.live.decisions import Change, Decision
from engine.workers.recorder import Recorder
from engine.workers.worker import Worker
from tests import canaries, rebuilds
from tests.draws import agrees, ballot, close, drawn, enter, record, statuses
from tests.ladders import advance, decide, following, heats, imported, over, results
from tests.stand import CAMPAIGN, Stand, at, campaign, offering, open_stand

CANARY: Final = "canary-7f3a"
KEY: Final = "canary-key-91"
BY: Final = ("cli:tester", "cli")
WAIT_S: Final = 10.0
ROLL_LINES: Final = 10_000


@pytest.fixture
async def stand(stores: tuple[str, str], data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts on an empty Redis and an empty ledger."""
    async with open_stand(*stores, data_directory) as opened:
        yield opened


async def forget(stand: Stand, member: str = CANARY, within: str = CAMPAIGN) -> Forgotten:
    return await stand.runtime.forgetter.forget(within, member, *BY, WAIT_S)


async def left(stand: Stand, url: str) -> set[str]:
    """Where a word of the canary still is, files too."""
    await stand.runtime.forgetter.scrub()
    client = administrator(stand)
    await canaries.rewrite(client)
    found = await canaries.in_redis(client, CANARY, KEY) | await canaries.in_ledger(url, CANARY, KEY)
    return found | await canaries.in_append_only_files(client, CANARY, KEY)


def administrator(stand: Stand) -> Any:
    """A client with all rights."""
    return stand.administrator


async def poison(stand: Stand, fields: dict[str, bytes]) -> None:
    """An event that nobody can read."""
    client = administrator(stand)
    seq = await client.hincrby(keys.of(CAMPAIGN, "META"), "seq", 1)
    await client.xadd(keys.of(CAMPAIGN, "EVENTS"), fields, id=f"1-{seq}")


async def lines(stand: Stand, until_seq: int = ROLL_LINES) -> list[tuple[int, bytes]]:
    return await stand.runtime.ledger.lines(CAMPAIGN, 0, until_seq, ROLL_LINES)


def everything() -> list[dict[str, Any]]:
    """An offering for each thing that a member may be in."""
    waitlist = {"size_max": 9}
    one = [{"pool": "open", "capacity": 1}]
    return [
        offering("soap", waitlist=waitlist),
        offering("clay", hold_ttl_s=600),
        offering("full", pools=one, waitlist=waitlist),
        offering(
            "private", pools=[{"pool": "open", "capacity": 5, "codes": True, "eligible": {"units": ["no"]}}]
        ),
        offering("vote", policy={"name": "poll", "threshold": 5, "until": at(hours=2)}),
        ballot("drawn"),
        ballot("coming", closes=at(days=2)),
        heats("heats"),
        following("final"),
    ]


async def live_everywhere(stand: Stand) -> dict[str, str]:
    """The canary in all of them, and as an officer; returns its enrollments by offering."""
    opened = stand.runtime
    first = everything()
    assert not isinstance(
        await opened.publisher.publish(campaign(*first, weights={"loss": 50}), CANARY, "http"), list
    )
    again = await stand.sign_up(CANARY, key=KEY)
    await stand.cancel(again.enrollment, CANARY)
    other = await stand.sign_up("other", "full")
    leaver = await stand.sign_up("leaver", "soap")
    (code,) = await stand.issue("open", "private", member=CANARY)
    names = ("soap", "clay", "full", "private", "vote", "drawn", "coming", "heats")
    entered = {
        name: await stand.sign_up(
            CANARY,
            name,
            key=f"{KEY}-{name}",
            unit="xicheng.red.c1" if name == "heats" else "",
            code=code if name == "private" else "",
        )
        for name in names
    }
    assert {name: made.outcome for name, made in entered.items()} == {
        "soap": "confirmed",
        "clay": "held",
        "full": "waitlisted",
        "private": "confirmed",
        "vote": "entered",
        "drawn": "entered",
        "coming": "entered",
        "heats": "confirmed",
    }
    await stand.sign_up("rival", "heats", unit="xicheng.red.c2")
    for rival in ("one", "two", "three"):
        await enter(stand, rival, "drawn")
    await stand.decisions.cancel(CAMPAIGN, Change(leaver.enrollment, "", CANARY, "http"))
    past = at(seconds=-0.001)
    changed = [each | ({"closes": past} if each["offering"] in ("drawn", "heats") else {}) for each in first]
    await stand.publish(campaign(*changed, weights={"loss": 50}))
    await drawn(stand)
    await imported(stand, "heats", results((CANARY, 9, 1), ("rival", 8, 1)))
    definition = await opened.catalog.load(CAMPAIGN)
    assert definition is not None
    await opened.ladder.advance(definition, "heats", CANARY, "http")
    await advance(stand, "heats")
    await opened.ledger.report_headcounts({"xicheng": 5}, CANARY, "http", 1)
    await poison(stand, {"h": b"\xc1" + CANARY.encode(), "x": CANARY.encode()})
    await record(stand)
    assert (await statuses(stand, other)) == ["confirmed"]
    return {name: made.enrollment for name, made in entered.items()}


async def test_nothing_of_a_member_is_left(stand: Stand, stores: tuple[str, str]) -> None:
    opened = stand.runtime
    entered = await live_everywhere(stand)
    before, known = await lines(stand), await canaries.in_redis(administrator(stand), CANARY)
    parts = {keys.of(CAMPAIGN, part) for part in ("ENROLLMENTS", "MEMBERS", "REQUESTS", "CODES", "EVENTS")}
    assert known == parts
    assert await canaries.in_ledger(stores[1], CANARY)
    assert await canaries.in_append_only_files(administrator(stand), CANARY)

    looked = await opened.forgetter.look(CAMPAIGN, CANARY)
    done = await forget(stand)
    assert (await forget(stand, within="")).acts == 1
    assert (done.enrollments, done.shares, done.results, done.acts) == (10, 1, 1, 6)
    assert (looked.enrollments, looked.cancelled, looked.shares) == (10, done.cancelled, 1)
    assert await left(stand, stores[1]) == set()

    found = {name: await stand.decisions.find(CAMPAIGN, each) for name, each in entered.items()}
    stand_in = chain.stand_in(CAMPAIGN, CANARY)
    assert {each.record.member for each in found.values() if each.record} == {stand_in}
    assert {each.record.status for each in found.values() if each.record} <= {"cancelled", "not_drawn"}
    await record(stand)
    assert await lines(stand, before[-1][0]) == before
    assert [row.action for row in await opened.ledger.trail(CAMPAIGN, 1)] == ["erased"]
    result = await Audit(opened.server, opened.ledger, opened.clock, CAMPAIGN, 5).run()
    assert [each.subject for each in result.differences if "dead letter" not in each.what] == []
    assert len(result.differences) == 1

    # Again, and by hand under its stand-in, there is nothing to do.
    assert (await forget(stand)).is_nothing
    assert (await opened.forgetter.look(CAMPAIGN, CANARY)).is_nothing


async def test_a_rebuild_knows_no_more_than_was_forgotten(stand: Stand, stores: tuple[str, str]) -> None:
    soap = offering(waitlist={"size_max": 9}, hold_ttl_s=600)
    await stand.publish(campaign(soap, offering("clay")))
    for member in ("one", CANARY, "two", "three"):
        made = await stand.sign_up(member, key=KEY)
        await stand.sign_up(member, "clay")
        if member == CANARY:
            await stand.confirm(made.enrollment, CANARY)
    await forget(stand)
    await agrees(stand)
    before = await rebuilds.state(stand)
    await rebuilds.lose(stand)
    await rebuilds.rebuild(stand)
    assert await rebuilds.state(stand) == before
    assert await canaries.in_redis(administrator(stand), CANARY) == set()
    await agrees(stand)


async def test_what_is_to_come_is_cancelled_and_given_on_and_what_is_over_stays(stand: Stand) -> None:
    pools = [{"pool": "open", "capacity": 1}]
    # Its deadline for cancelling is over too.
    late = offering("late", pools=pools, waitlist={"size_max": 5}, cancel_until=at(seconds=-1))
    past = offering("past", pools=pools, waitlist={"size_max": 5})
    await stand.publish(campaign(late, past))
    mine = [await stand.sign_up(CANARY, name) for name in ("late", "past")]
    next_in_line = [await stand.sign_up("next", name) for name in ("late", "past")]
    ended = {"starts": at(hours=-2), "ends": at(seconds=-0.001)}
    await stand.publish(
        campaign(late, past | {"sessions": [ended], "closes": ended["ends"], "opens": at(hours=-3)})
    )
    counts = await stand.runtime.counts.read(CAMPAIGN)
    done = await forget(stand)
    assert (done.enrollments, done.cancelled) == (2, 1)
    assert await statuses(stand, *mine, *next_in_line) == [
        *("cancelled", "confirmed"),
        *("confirmed", "waitlisted"),
    ]
    assert counts is not None
    await agrees(stand)
    told = [event.header.type for event in await stand.log()]
    assert told[-1] == "forgotten"


async def test_who_comes_back_is_new(stand: Stand) -> None:
    await stand.publish(campaign())
    first = await stand.sign_up(CANARY, key=KEY)
    await forget(stand)
    second = await stand.sign_up(CANARY, key=KEY)
    assert (second.outcome, second.enrollment == first.enrollment) == ("confirmed", False)
    assert (await stand.sign_up(CANARY, key=KEY)).enrollment == second.enrollment
    await agrees(stand)
    # And may go again.
    done = await forget(stand)
    assert (done.enrollments, done.cancelled) == (1, 1)
    assert await statuses(stand, first, second) == ["cancelled"] * 2
    await agrees(stand)
    opened = stand.runtime
    rows = await opened.ledger.enrollments(CAMPAIGN, 10)
    assert [row.record.member for row in rows] == [chain.stand_in(CAMPAIGN, CANARY)] * 2


STEPS: Final = ("_in_redis", "_cut_off", "ledger.rewrite_log", "ledger.forget")


@pytest.mark.parametrize("step", STEPS)
async def test_killed_after_any_step_it_ends_whole_when_it_is_asked_again(
    stand: Stand, stores: tuple[str, str], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    await stand.publish(campaign(offering(waitlist={"size_max": 5}), offering("clay")))
    await stand.sign_up("one", key="k")
    await stand.sign_up(CANARY, key=KEY)
    await stand.sign_up(CANARY, "clay", key=KEY + "2")
    made = await stand.sign_up("two", key="k")
    await stand.decisions.cancel(CAMPAIGN, Change(made.enrollment, "", CANARY, "http"))
    part, _, name = step.rpartition(".")
    target: Any = stand.runtime.ledger if part else stand.runtime.forgetter
    whole: Callable[..., Any] = getattr(target, name)

    async def killed(*arguments: Any) -> None:
        await whole(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(target, name, killed)
        with pytest.raises(KeyboardInterrupt):
            await forget(stand)
    await record(stand)
    await forget(stand)
    assert await left(stand, stores[1]) == set()
    await agrees(stand)


async def test_sales_go_on_meanwhile(stand: Stand, stores: tuple[str, str]) -> None:
    """Of everybody who is forgotten nothing is left, whatever they and others do at the time."""
    waitlist = {"size_max": 500}
    names = [f"{CANARY}-{number}-x" for number in range(8)]
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 40}], waitlist=waitlist)))
    opened = stand.runtime
    worker = Worker(Recorder(opened.server, opened.streams, opened.ledger, opened.clock, 10_000))
    worker.start()
    pick = random.Random(7)
    selling = True

    async def sell() -> None:
        number = 0
        while selling:
            number += 1
            made = await stand.sign_up(f"m{number}", key=f"k{number}")
            if pick.random() < 0.5:
                await stand.cancel(made.enrollment, f"m{number}")

    sellers = [asyncio.create_task(sell()) for _ in range(2)]
    for name in names:
        made = await stand.sign_up(name, key=KEY)
        if pick.random() < 0.3:
            await stand.cancel(made.enrollment, name)
    done = await asyncio.gather(*(forget(stand, name) for name in names))
    selling = False
    await asyncio.gather(*sellers)
    await worker.stop()
    assert sum(each.enrollments for each in done) == len(names)
    assert await left(stand, stores[1]) == set()
    await agrees(stand)


async def test_who_acts_meanwhile_is_looked_at_anew(
    stand: Stand, stores: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await stand.publish(campaign(offering(), offering("clay")))
    await stand.sign_up(CANARY, key=KEY)
    forgetter = stand.runtime.forgetter
    whole, acted = forgetter._in_redis, list[Decision]()

    async def late(*arguments: Any) -> tuple[int, int]:
        if not acted:
            acted.append(await stand.sign_up(CANARY, "clay", key=KEY + "2"))
            await stand.cancel(acted[0].enrollment, CANARY)
        return await whole(*arguments)

    monkeypatch.setattr(forgetter, "_in_redis", late)
    assert (await forget(stand)).enrollments == 2
    assert await left(stand, stores[1]) == set()
    await agrees(stand)


async def test_draws_to_come_are_without_and_those_that_were_held_stay(stand: Stand) -> None:
    soap, clay = ballot(capacity=1), ballot("clay", capacity=1, closes=at(days=2))
    await stand.publish(campaign(soap, clay, weights={"loss": 50}))
    for member in (CANARY, "one", "two"):
        await enter(stand, member)
        await enter(stand, member, "clay")
    await close(stand, soap, clay, weights={"loss": 50})
    first = await drawn(stand)
    await record(stand)
    ledger = stand.runtime.ledger
    before = await ledger.histories("xicheng", ("", 0))
    await forget(stand)
    kept = await stand.runtime.drawing.read(CAMPAIGN, 1)
    assert kept is not None
    assert draw.verify(first) == []
    after = await ledger.histories("xicheng", ("", 0))
    stand_in = chain.stand_in(CAMPAIGN, CANARY)
    assert after == {stand_in if name == CANARY else name: each for name, each in before.items()}
    assert CANARY not in await ledger.histories("xicheng", ("", 0), CANARY)
    assert after[stand_in] in (History(1, 0), History(0, 1))
    await agrees(stand)


async def test_entries_that_are_not_collected_any_more_are_withdrawn(stand: Stand) -> None:
    soap = ballot(capacity=1)
    await stand.publish(campaign(soap))
    entries = [await enter(stand, member) for member in (CANARY, "one", "two")]
    await close(stand, soap)
    assert (await forget(stand)).cancelled == 1
    found = await drawn(stand)
    assert (len(found.entries), draw.verify(found)) == (2, [])
    told = await statuses(stand, *entries)
    assert (told[0], sorted(told[1:])) == ("cancelled", ["confirmed", "not_drawn"])
    await agrees(stand)


async def test_while_a_draw_is_settled_it_waits(stand: Stand) -> None:
    soap = ballot(capacity=1)
    await stand.publish(campaign(soap))
    for member in (CANARY, "one"):
        await enter(stand, member)
    await close(stand, soap)
    await stand.runtime.decisions.command("draw", CAMPAIGN, "begin", "", "", 1_000)
    with pytest.raises(Stopped, match="draw"):
        await stand.runtime.forgetter.forget(CAMPAIGN, CANARY, *BY, 0.2)
    waiting = asyncio.create_task(forget(stand))
    assert await stand.runtime.drawing.draw_if_due(CAMPAIGN)
    assert (await waiting).enrollments == 1
    await agrees(stand)


async def test_nobody_who_is_forgotten_goes_on_to_a_round(stand: Stand) -> None:
    first, second = heats(), following()
    await stand.publish(campaign(first, second))
    for member in (CANARY, "one", "two", "three"):
        await stand.sign_up(member, "heats", unit="xicheng.red.c1")
    ended = {"starts": at(hours=-2), "ends": at(seconds=-0.001)}
    closed = first | {"sessions": [ended], "opens": at(hours=-3), "closes": ended["ends"]}
    await stand.publish(campaign(closed, second))
    marks = [(member, score, 1) for score, member in enumerate(("three", "two", "one", CANARY))]
    await imported(stand, "heats", results(*marks))
    assert (await forget(stand)).results == 1
    await advance(stand, "heats")
    await record(stand)
    rows = await stand.runtime.ledger.roster(CAMPAIGN, "final", 10)
    assert {row.record.member for row in rows} == {"one", "two", "three"}
    # The heats took place, with all of them.
    assert len(await stand.runtime.ledger.roster(CAMPAIGN, "heats", 10)) == 4
    await agrees(stand)


async def test_a_round_under_way_is_waited_for_and_its_seat_is_given_on(stand: Stand) -> None:
    first, second = (
        heats(),
        following(policy={"name": "advancement", "from": "heats", "best": 1, "substitutes": 1}),
    )
    await stand.publish(campaign(first, second))
    for member in (CANARY, "one"):
        await stand.sign_up(member, "heats", unit="xicheng.red.c1")
    await stand.publish(campaign(over(first), second))
    await imported(stand, "heats", results((CANARY, 9, 1), ("one", 8, 1)))
    await decide(stand, "heats")
    with pytest.raises(Stopped, match="round"):
        await stand.runtime.forgetter.forget(CAMPAIGN, CANARY, *BY, 0.2)
    waiting = asyncio.create_task(forget(stand))
    await advance(stand, "heats")
    assert (await waiting).enrollments == 2
    await record(stand)
    rows = await stand.runtime.ledger.roster(CAMPAIGN, "final", 10)
    assert [row.record.member for row in rows if row.record.seat] == ["one"]
    await agrees(stand)


async def test_a_campaign_that_is_closed_or_lost_is_rebuilt_first(stand: Stand) -> None:
    await stand.publish(campaign())
    await stand.sign_up(CANARY)
    await record(stand)
    await rebuilds.lose(stand)
    with pytest.raises(Stopped, match="rebuild"):
        await forget(stand)
    await rebuilds.rebuild(stand)
    assert (await forget(stand)).cancelled == 1
    await agrees(stand)


async def test_names_that_hold_others_are_told_apart(stand: Stand) -> None:
    """An id within another, and an id that is another's key, are not the same."""
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 9}])))
    await stand.sign_up("m-10", key="m-1")
    one = await stand.sign_up("m-1", key="m-10")
    await poison(stand, {"h": b"?", "x": b"m-2"})
    await record(stand)
    assert (await forget(stand, "m-1")).enrollments == 1
    assert (await forget(stand, "m-3")).is_nothing
    rows = {row.enrollment: row.record.member for row in await stand.runtime.ledger.enrollments(CAMPAIGN, 9)}
    assert rows.pop(one.enrollment) == chain.stand_in(CAMPAIGN, "m-1")
    assert list(rows.values()) == ["m-10"]
    (letter,) = await stand.runtime.ledger.dead_letters(CAMPAIGN)
    assert letter.fields == {b"h": b"?", b"x": b"m-2"}


class Killed(Exception):
    """The end of a process, between two steps."""


@pytest.mark.parametrize("lost", [False, True])
async def test_a_rebuild_ends_what_was_stopped_between_redis_and_the_ledger(
    stand: Stand, stores: tuple[str, str], monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    await stand.publish(campaign(offering(waitlist={"size_max": 5})))
    await stand.sign_up(CANARY, key=KEY)
    await asyncio.gather(*(stand.sign_up(member) for member in ("bert", "carl")))
    await record(stand)

    async def stop(*_: object) -> int:
        raise Killed

    monkeypatch.setattr(stand.runtime.ledger, "rewrite_log", stop)
    with pytest.raises(Killed):
        await forget(stand)
    monkeypatch.undo()
    await record(stand)
    if lost:
        await rebuilds.lose(stand)
    await rebuilds.rebuild(stand)
    await forget(stand)
    await agrees(stand)
    assert await left(stand, stores[1]) == set()


async def test_a_rebuild_meanwhile_is_told_and_one_more_makes_it_whole(
    stand: Stand, stores: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await stand.publish(campaign())
    gone = await stand.sign_up(CANARY, key=KEY)
    await stand.cancel(gone.enrollment, CANARY)
    await record(stand)
    rewrite = stand.runtime.ledger.rewrite_log

    async def after_a_rebuild(*arguments: Any) -> int:
        monkeypatch.undo()
        await rebuilds.rebuild(stand)
        return await rewrite(*arguments)

    monkeypatch.setattr(stand.runtime.ledger, "rewrite_log", after_a_rebuild)
    with pytest.raises(Stopped, match="rebuilt meanwhile"):
        await forget(stand)
    await rebuilds.rebuild(stand)
    await forget(stand)
    await agrees(stand)
    assert await left(stand, stores[1]) == set()


async def test_whoever_forgets_may_be_who_is_forgotten(stand: Stand, stores: tuple[str, str]) -> None:
    await stand.publish(campaign())
    await stand.sign_up(CANARY, key=KEY)
    await record(stand)
    await stand.runtime.forgetter.forget(CAMPAIGN, CANARY, CANARY, "cli", 5)
    await record(stand)
    state = await stand.runtime.streams.state(CAMPAIGN)
    assert state is not None
    assert state.gate == "open"
    await agrees(stand)
    assert await left(stand, stores[1]) == set()
