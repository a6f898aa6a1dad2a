"""Rebuilds: the state is what it was, whoever is killed or comes in between, and nobody decides meanwhile.

That every key is what it was, whatever was played, is tried by the model's plays (tests/test_model_plays.py).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import pytest
from prometheus_client import REGISTRY

from engine.audit import Audit
from engine.domain import events
from engine.domain.events import Event
from engine.domain.person import Person
from engine.ledger.connect import connect
from engine.ledger.protocol import Fenced, Ledger
from engine.live import keys, seats
from engine.live.decisions import Decision
from engine.live.inspection import Inspector
from engine.live.server import NothingRan
from engine.rebuilding import Rebuilder, Rebuilt
from engine.workers.gatekeeper import Gatekeeper
from engine.workers.recorder import Recorder
from tests import ladders, rebuilds
from tests.draws import agrees, ballot, close, drawing, drawn, enter, record
from tests.model.calls import enrolled_as
from tests.rebuilds import lose, rebuild
from tests.stand import CAMPAIGN, Stand, at, campaign, offering, open_stand
from tests.test_audit import sell

META: Final = keys.of(CAMPAIGN, "META")


@pytest.fixture
async def stand(stores: tuple[str, str], data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts on an empty Redis and an empty ledger of each line."""
    async with open_stand(*stores, data_directory) as opened:
        yield opened


@pytest.fixture
async def plain(redis_server: Callable[[str], str], data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts where it makes no difference on which they are."""
    async with open_stand(
        redis_server("valkey"), f"sqlite:///{data_directory}/ledger.db", data_directory
    ) as opened:
        await opened.administrator.flushall()
        yield opened


async def recorded(stand: Stand) -> tuple[int, int]:
    """Epoch and seq of the ledger."""
    (registration,) = await stand.runtime.ledger.campaigns()
    return registration.epoch, registration.recorded_seq


# What a rebuild leaves


@pytest.mark.parametrize("lost", [False, True])
async def test_the_state_is_what_it_was_and_sales_go_on(stand: Stand, lost: bool) -> None:
    given = await sell(stand)
    before = await rebuilds.state(stand)
    if lost:
        await record(stand)
        await lose(stand)
    rebuilt = await rebuild(stand)
    assert await rebuilds.state(stand) == before
    seq = int(before["META"][b"seq"])
    assert (rebuilt.epoch, rebuilt.seq, rebuilt.enrollments) == (2, seq, len(given))
    assert rebuilt.recorded == (0 if lost else seq)
    late = await stand.sign_up("late")
    assert (late.outcome, late.record and late.record.seq) == ("waitlisted", seq + 1)
    await agrees(stand)
    assert await recorded(stand) == (2, seq + 1)
    (line, *_) = await stand.runtime.ledger.trail(CAMPAIGN, 1)
    assert (line.actor, line.action, line.detail) == (
        rebuilds.ACTOR,
        "rebuilt",
        f"epoch 2 after event {seq}",
    )


async def test_replays_are_what_they_were_also_of_what_was_cancelled(stand: Stand) -> None:
    await stand.publish(campaign(offering(waitlist={"size_max": 9})))

    async def ask() -> list[Any]:
        asked = [await stand.sign_up(f"m{number}", key="k") for number in range(5)]
        return [
            (each.outcome, each.enrollment, each.position, enrolled_as(each.record))
            for each in asked
            if each.record
        ]

    first = await ask()
    await stand.cancel(first[0][1])
    await stand.cancel(first[4][1])
    await record(stand)
    await lose(stand)
    await rebuild(stand)
    assert await ask() == first


async def test_what_only_redis_knew_is_gone_and_never_sold_twice(stand: Stand) -> None:
    """The disk was lost: what was recorded is all there is, and the newest version that is known is in force."""
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 2}])))
    await stand.sign_up("m1")
    await record(stand)
    await stand.publish(
        campaign(offering(pools=[{"pool": "other", "capacity": 9}, {"pool": "open", "capacity": 2}]))
    )
    await stand.sign_up("m2", wanted="other")
    other = stand.runtime.catalog.get(CAMPAIGN)
    assert other is not None
    assert other.version == 2
    await lose(stand)
    rebuilt = await rebuild(stand)
    assert (rebuilt.seq, rebuilt.enrollments) == (3, 1)
    newest = campaign(offering(pools=[{"pool": "open", "capacity": 2}, {"pool": "mine", "capacity": 1,
        "eligible": {"units": ["elsewhere"]}}]))  # fmt: skip
    await stand.publish(newest)
    # As a process that still has version 2 of the state before, in which the first pool was another.
    stand.runtime.catalog._definitions[CAMPAIGN] = other
    decisions = [await stand.sign_up(f"m{number}") for number in (2, 3)]
    assert [each.outcome for each in decisions] == ["confirmed", "sold_out"]
    assert decisions[0].record
    assert (decisions[0].record.pool, decisions[0].record.seat) == ("open", 2)
    await agrees(stand)


async def test_a_process_hears_of_a_version_that_is_earlier(plain: Stand) -> None:
    await plain.publish(campaign())
    await record(plain)
    await plain.publish(campaign(offering("tea"), offering("soap")))
    catalog = plain.runtime.catalog
    await catalog.refresh()
    await lose(plain)
    await rebuild(plain)
    await catalog.refresh()
    definition = catalog.get(CAMPAIGN)
    assert definition is not None
    assert (definition.version, definition.epoch, list(definition.offerings)) == (1, 2, ["soap"])


async def test_moments_that_passed_do_not_come_again(stand: Stand) -> None:
    soon = at(seconds=0.4)
    own = {"pool": "own", "capacity": 1, "eligible": {"units": ["mine"]}, "releases": soon}
    merging = {
        "pool": "merging",
        "capacity": 1,
        "eligible": {"units": ["a.b"]},
        "merges": [{"at": soon, "units": ["a"]}, {"at": at(hours=2), "units": ["c"]}],
    }
    soap = offering(pools=[own, merging, {"pool": "open", "capacity": 1}], waitlist={"size_max": 9})
    await stand.publish(campaign(soap, offering("tea", opens=soon, closes=at(hours=1))))
    while "released" not in [event.header.type for event in await stand.log()]:
        await stand.decisions.advance(CAMPAIGN)
    await record(stand)
    await lose(stand)
    await rebuild(stand)
    timers = await stand.administrator.zrange(keys.of(CAMPAIGN, "TIMERS"), 0, -1)
    assert set(timers) == {b"closes/soap", b"closes/tea", b"merges/soap/merging/2"}
    assert await stand.log() == []


async def test_moments_that_passed_while_it_was_lost_come_at_the_opening(stand: Stand) -> None:
    own = {"pool": "own", "capacity": 1, "eligible": {"units": ["mine"]}, "releases": at(seconds=0.4)}
    soap = offering(pools=[own, {"pool": "open", "capacity": 1}], waitlist={"size_max": 9})
    await stand.publish(campaign(soap))
    for member in ("m1", "m2"):
        await stand.sign_up(member)
    await record(stand)
    await lose(stand)
    await asyncio.sleep(0.5)  # The moment itself is waited for.
    await rebuild(stand)
    assert [event.header.type for event in await stand.log()] == ["released", "promoted"]
    await agrees(stand)


async def test_those_who_go_on_and_are_lost_are_enrolled_once_more(stand: Stand) -> None:
    first, final = ladders.heats(), ladders.following()
    await stand.publish(campaign(first, final))
    for number in range(1, 5):
        await stand.sign_up(f"m{number}", "heats", unit=f"xicheng.red.c{number % 2 + 1}")
    await stand.publish(campaign(ladders.over(first), final))
    rows = [(f"m{number}", number, 0) for number in range(1, 5)]
    await ladders.imported(stand, "heats", ladders.results(*rows))
    await record(stand)
    await ladders.advance(stand, "heats")
    went = {each.enrollment for each in await Inspectors.members_of(stand, "final")}
    await lose(stand)
    await rebuild(stand)
    assert await Inspectors.members_of(stand, "final") == []
    (due,) = await stand.runtime.ledger.rounds_due()
    assert await stand.runtime.ladder.carry_out(due)
    assert {each.enrollment for each in await Inspectors.members_of(stand, "final")} == went
    await agrees(stand)
    await rebuild(stand)
    assert await stand.runtime.ledger.rounds_due() == []


class Inspectors:
    """Looks into Redis."""

    @staticmethod
    async def members_of(stand: Stand, name: str) -> list[Decision]:
        """The live enrollments of an offering."""
        reading = await Inspector(stand.runtime.server).read(CAMPAIGN)
        assert reading is not None
        found = [await stand.decisions.find(CAMPAIGN, each) for each in reading.enrollments]
        return [each for each in found if each.record and each.record.offering == name]


# Wherever the log ends


async def rich(stand: Stand) -> list[Event]:
    """A campaign in which calls leave several events; its log."""
    entered = {"size_max": 3}
    soap, tea = ballot("soap", capacity=2, waitlist=entered), ballot("tea", capacity=1, waitlist=entered)
    clay = offering("clay", waitlist={"size_max": 9}, pools=[{"pool": "open", "capacity": 2}, {
        "pool": "own", "capacity": 2, "eligible": {"units": ["mine"]}, "codes": True}])  # fmt: skip
    vote = offering("vote", policy={"name": "poll", "threshold": 2, "until": at(hours=1)})
    again = offering("again", policy={"name": "second_class", "of": "clay", "waiting": 2})
    await stand.publish(campaign(soap, tea, clay, vote, again))
    (code, _) = await stand.issue("own", "clay", codes=2)
    clays = [await stand.sign_up("c0", "clay", code=code, key="k")]
    clays += [await stand.sign_up(f"c{number}", "clay", key="k") for number in range(1, 5)]
    await stand.sign_up("c3", "again", key="again")
    await stand.cancel(clays[1].enrollment)
    await stand.cancel(clays[0].enrollment)
    for number in range(5):
        await enter(stand, f"m{number}", "soap", key="s")
        await enter(stand, f"m{number}", "tea")
    for member in ("v1", "v2"):
        await enter(stand, member, "vote")
    await drawn(stand)
    now = at(seconds=-0.001)
    await stand.publish(campaign(soap | {"closes": now}, tea | {"closes": now}, clay, vote, again))
    await drawn(stand, 2)
    return await stand.log()


async def test_the_log_may_end_anywhere(plain: Stand, data_directory: Path) -> None:
    """Also within the events of one call. What comes of it is whole, is audited, and plays on to its end."""
    log = await rich(plain)
    assert {event.header.type for event in log} >= {"promoted", "drawn", "draw_ended", "threshold_met"}
    original = plain.runtime
    for length in range(1, len(log) + 1):
        ledger = connect(f"sqlite:///{data_directory}/prefix-{length}.db")
        await ledger.open()
        await ledger.migrate()
        await ledger.register(CAMPAIGN, "xicheng", "organizer", "cli", 0)
        await ledger.mark_created(CAMPAIGN)
        await ledger.record(CAMPAIGN, 1, 0, log[:length])
        await lose(plain)
        rebuilder = Rebuilder(
            *(original.server, original.streams, ledger, original.catalog),
            *(original.decisions, original.clock),
        )
        rebuilt = await rebuilder.rebuild(CAMPAIGN, rebuilds.ACTOR)
        assert (rebuilt.differences, rebuilt.notes, rebuilt.seq) == ([], [], length)
        await original.catalog.load(CAMPAIGN)
        prefixed = Stand(msgspec.structs.replace(original, ledger=ledger), plain.administrator)
        draws = drawing(prefixed, _nothing)
        while await draws.draw_if_due(CAMPAIGN):
            pass
        await agrees(prefixed)
        await ledger.close()


async def _nothing(verb: str, arguments: Sequence[Any]) -> None:
    return


@pytest.mark.parametrize("lost", [False, True])
async def test_a_draw_that_is_being_settled_goes_on(plain: Stand, lost: bool) -> None:
    soap = ballot(capacity=200, waitlist={"size_max": 300})
    await plain.publish(campaign(soap))
    await asyncio.gather(*(enter(plain, f"m{number}", key="k") for number in range(450)))
    await close(plain, soap)
    seen: list[int] = []

    async def hook(verb: str, args: tuple[Any, ...]) -> None:
        if verb in ("draw", "settle"):
            seen.append(1)
            before = await rebuilds.state(plain)
            if lost:
                await record(plain)
                await lose(plain)
            await rebuild(plain)
            assert await rebuilds.state(plain) == before

    await drawing(plain, hook).draw_if_due(CAMPAIGN)
    assert len(seen) >= 4
    log = await plain.runtime.ledger.events(CAMPAIGN, 0, 10_000)
    await agrees(plain)
    kinds = [event.header.type for event in log]
    assert kinds.count("drawn") == 450
    assert await plain.runtime.drawing.number(CAMPAIGN, "soap") == 1


# Who else is at work


class Stops(Exception):
    """In the place of a kill."""


class Stepped:
    """A part of which something comes before each call."""

    def __init__(self, part: Any, step: Callable[[str], Awaitable[None]]) -> None:
        self._part = part
        self._step = step

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._part, name)
        if not asyncio.iscoroutinefunction(attribute):
            return attribute

        async def call(*arguments: Any, **named: Any) -> Any:
            await self._step(name)
            return await attribute(*arguments, **named)

        return call


def stepped(stand: Stand, step: Callable[[str], Awaitable[None]]) -> Rebuilder:
    opened = stand.runtime
    server, streams, ledger = [
        cast("Any", Stepped(part, step)) for part in (opened.server, opened.streams, opened.ledger)
    ]
    return Rebuilder(server, streams, ledger, opened.catalog, opened.decisions, opened.clock)


async def _steps(stand: Stand) -> int:
    """How many calls a rebuild makes."""
    count = 0

    async def step(name: str) -> None:
        nonlocal count
        count += 1

    assert (await stepped(stand, step).rebuild(CAMPAIGN, rebuilds.ACTOR)).differences == []
    return count


async def test_whoever_is_killed_leaves_it_shut_and_the_next_ends_well(plain: Stand) -> None:
    """At every step, of a campaign with a tail in the stream; nobody decides until the gate is open again."""
    await sell(plain)
    await record(plain)
    steps = await _steps(plain)
    assert steps > 20
    for last in range(steps):
        await plain.sign_up(f"late-{last}")
        before = await rebuilds.state(plain)
        left, opened = last, False

        async def step(name: str) -> None:
            nonlocal left
            if left == 0:
                raise Stops
            left -= 1

        try:
            await stepped(plain, step).rebuild(CAMPAIGN, rebuilds.ACTOR)
        except Stops:
            opened = await plain.administrator.hget(META, "gate") == b"open"
        if not opened:
            assert (await plain.sign_up("nobody")).outcome == "not_ready"
        await rebuild(plain)
        assert await rebuilds.state(plain) == before
    await agrees(plain)


async def test_of_two_rebuilds_one_goes_on(plain: Stand) -> None:
    """The first stands still before each step in turn, while the second goes through; it may then do no more."""
    await sell(plain)
    await record(plain)
    steps = await _steps(plain)
    before = await rebuilds.state(plain)
    stopped = 0
    for pause in range(steps):
        left, second = pause, Rebuilt(CAMPAIGN)

        async def step(name: str) -> None:
            nonlocal left, second
            left -= 1
            if left == -1:
                second = await rebuild(plain)

        first = await stepped(plain, step).rebuild(CAMPAIGN, rebuilds.ACTOR)
        assert second.epoch
        stopped += bool(first.differences)
        assert await rebuilds.state(plain) == before
        assert (await recorded(plain))[0] >= second.epoch
        assert int(await plain.administrator.hget(META, "epoch")) == (await recorded(plain))[0]
    assert stopped >= steps // 2
    await agrees(plain)


async def test_many_rebuilds_at_once_end_with_an_open_gate(stand: Stand) -> None:
    await sell(stand)
    before = await rebuilds.state(stand)
    done = await asyncio.gather(
        *(stand.runtime.rebuilder.rebuild(CAMPAIGN, rebuilds.ACTOR) for _ in range(4))
    )
    if all(each.differences for each in done):
        # Each was stopped by another.
        await rebuild(stand)
    assert await rebuilds.state(stand) == before
    await agrees(stand)


async def test_nobody_decides_while_it_is_rebuilt(plain: Stand) -> None:
    soap = ballot(waitlist={"size_max": 9})
    await plain.publish(campaign(soap, offering("tea", waitlist={"size_max": 9})))
    entry = await enter(plain, "m1")
    given = await plain.sign_up("m1", "tea")
    await close(plain, soap, offering("tea"))
    await record(plain)
    refused: list[str] = []

    async def step(name: str) -> None:
        gate = await plain.administrator.hget(META, "gate")
        if gate not in (b"rebuilding", b"closed"):
            return
        before = await plain.administrator.hgetall(META)
        assert (await plain.sign_up("m2", "tea")).outcome == "not_ready"
        assert (await plain.cancel(given.enrollment)).outcome == "not_ready"
        assert (await plain.decisions.find(CAMPAIGN, entry.enrollment)).outcome == "not_ready"
        assert await plain.try_publish(campaign(soap)) == "not_ready"
        assert await plain.try_issue("open", "tea") == "not_ready"
        assert await plain.runtime.counts.read(CAMPAIGN) is None
        for asked in (
            lambda: plain.decisions.advance(CAMPAIGN),
            lambda: plain.runtime.drawing.draw_if_due(CAMPAIGN),
            lambda: plain.runtime.drawing.number(CAMPAIGN, "soap"),
            lambda: seats.confirmed(plain.runtime.server, CAMPAIGN, "tea", ["m1"]),
        ):
            with pytest.raises(NothingRan):
                await asked()
        assert await plain.administrator.hgetall(META) == before
        refused.append(name)

    rebuilt = await stepped(plain, step).rebuild(CAMPAIGN, rebuilds.ACTOR)
    assert rebuilt.differences == []
    assert len(refused) > 15
    assert await plain.runtime.drawing.draw_if_due(CAMPAIGN)
    await agrees(plain)


async def test_a_draw_is_not_made_of_half_a_state(plain: Stand) -> None:
    """A rebuild goes through while the entries are read: what was read is thrown away."""
    soap = ballot()
    await plain.publish(campaign(soap))
    for number in range(5):
        await enter(plain, f"m{number}")
    await close(plain, soap)
    draws = plain.runtime.drawing
    inspector: Any = draws._inspector
    read = inspector.read

    async def interrupted(name: str) -> Any:
        reading = await read(name)
        await rebuild(plain)
        return reading

    inspector.read = interrupted
    with pytest.raises(NothingRan):
        await draws.draw_if_due(CAMPAIGN)
    assert await plain.runtime.ledger.draw(CAMPAIGN, 1) is None
    inspector.read = read
    assert len((await drawn(plain)).entries) == 5
    await agrees(plain)


async def test_seats_are_not_read_of_half_a_state(plain: Stand) -> None:
    await plain.publish(campaign())
    await plain.sign_up("m1")
    times = 0

    async def step(name: str) -> None:
        nonlocal times
        times += 1
        if times == 3:
            await rebuild(plain)

    server: Any = Stepped(plain.runtime.server, step)
    with pytest.raises(NothingRan):
        await seats.confirmed(server, CAMPAIGN, "soap", ["m1"])
    assert set(await seats.confirmed(plain.runtime.server, CAMPAIGN, "soap", ["m1"])) == {"m1"}


async def test_a_recorder_is_fenced_off_and_goes_on_in_the_next_epoch(stand: Stand) -> None:
    await sell(stand)
    opened = stand.runtime
    old = Recorder(opened.server, opened.streams, opened.ledger, opened.clock, 10_000)
    await old.run_once()
    await stand.sign_up("late")
    cursor = await recorded(stand)
    late = await opened.streams.read(CAMPAIGN, *cursor, 1)
    gaps = REGISTRY.get_sample_value("seatrush_recorder_gaps_total", {"campaign": CAMPAIGN})
    await rebuild(stand)
    with pytest.raises(Fenced):
        await opened.ledger.record(CAMPAIGN, *cursor, [_decoded(each.id, each.fields) for each in late])
    for number in range(3):
        await stand.sign_up(f"later-{number}")
        before = await recorded(stand)
        while await recorded(stand) == before:
            await old.run_once()
    assert (await recorded(stand))[0] == 2
    assert REGISTRY.get_sample_value("seatrush_recorder_gaps_total", {"campaign": CAMPAIGN}) == gaps
    await agrees(stand)


def _decoded(name: bytes, fields: Any) -> Event:
    return events.decode(CAMPAIGN, name, fields)


# What cannot be rebuilt, and what is left out


async def refused(stand: Stand) -> Rebuilt:
    rebuilt = await stand.runtime.rebuilder.rebuild(CAMPAIGN, rebuilds.ACTOR)
    assert rebuilt.differences
    return rebuilt


def what(rebuilt: Rebuilt) -> list[str]:
    return [each.what for each in rebuilt.differences]


async def test_a_ledger_that_differs_from_its_log_leaves_the_gate_shut(plain: Stand) -> None:
    given = await sell(plain)
    await record(plain)
    await _spoil(plain.runtime.ledger, "UPDATE enrollments SET status = 'held' WHERE member = 'anna'")
    rebuilt = await refused(plain)
    assert (given["anna/soap"], "status is confirmed in Redis, held in the ledger") in [
        (each.subject, each.what) for each in rebuilt.differences
    ]
    assert await plain.administrator.hget(META, "gate") == b"closed"
    assert (await plain.sign_up("nobody")).outcome == "not_ready"


async def test_a_log_that_cannot_be_read_leaves_it_shut(plain: Stand) -> None:
    await sell(plain)
    await record(plain)
    await _spoil(plain.runtime.ledger, "UPDATE events SET fields = x'81c40168c40100' WHERE seq = 7")
    (told,) = what(await refused(plain))
    assert told.startswith("an event after 0 in the ledger's log cannot be read")


async def test_what_was_never_published_is_not_rebuilt(plain: Stand) -> None:
    await plain.runtime.ledger.register(CAMPAIGN, "xicheng", "organizer", "cli", 0)
    (told,) = what(await refused(plain))
    assert told.startswith("was never published")
    assert await recorded(plain) == (1, 0)


async def test_a_ledger_that_is_an_old_copy_takes_nothing_away(plain: Stand) -> None:
    await sell(plain)
    await rebuild(plain)
    await _spoil(plain.runtime.ledger, "UPDATE campaigns SET epoch = 1")
    before = await rebuilds.state(plain)
    for _ in range(2):
        (told,) = what(await refused(plain))
        assert told.startswith("Redis is at epoch 2, the ledger at epoch 1")
    assert await rebuilds.state(plain) == before


async def test_a_stream_that_is_another_history_is_left_out_by_name(plain: Stand) -> None:
    """As after a failover to a replica that lagged: other events have the numbers of recorded ones."""
    await plain.publish(campaign(offering(pools=[{"pool": "open", "capacity": 5}])))
    await plain.sign_up("m1")
    await record(plain)
    (*_, last) = await plain.log()
    others = [await plain.sign_up(f"other-{number}") for number in range(2)]
    client, stream = plain.administrator, keys.of(CAMPAIGN, "EVENTS")
    # The first of them takes the number of what was recorded last.
    entries = await plain.runtime.streams.read(CAMPAIGN, 1, last.seq, 10)
    for entry in (*entries, await _entry(plain, last.seq)):
        await client.xdel(stream, entry.id)
    await client.delete(stream)
    for seq, entry in enumerate(entries, last.seq):
        await client.xadd(stream, dict(entry.fields), id=f"1-{seq}")
    await client.hset(META, "seq", last.seq + 1)
    rebuilt = await plain.runtime.rebuilder.rebuild(CAMPAIGN, rebuilds.ACTOR)
    assert rebuilt.differences == []
    assert (rebuilt.seq, rebuilt.recorded, rebuilt.enrollments) == (last.seq, 0, 1)
    assert rebuilt.notes[1:] == [
        f"event {seq} of Redis is left out: {each.enrollment} confirmed"
        for seq, each in enumerate(others, last.seq)
    ]
    assert (await plain.sign_up("m2")).record
    await agrees(plain)


async def _entry(stand: Stand, seq: int) -> Any:
    return (await stand.runtime.streams.read(CAMPAIGN, 1, seq - 1, 1))[0]


async def test_a_stream_with_a_gap_is_recorded_up_to_it(plain: Stand) -> None:
    await plain.publish(campaign(offering(pools=[{"pool": "open", "capacity": 5}])))
    await record(plain)
    seq = (await recorded(plain))[1]
    given = [await plain.sign_up(f"m{number}") for number in range(3)]
    await plain.administrator.xdel(keys.of(CAMPAIGN, "EVENTS"), f"1-{seq + 2}")
    rebuilt = await plain.runtime.rebuilder.rebuild(CAMPAIGN, rebuilds.ACTOR)
    assert (rebuilt.differences, rebuilt.seq, rebuilt.recorded) == ([], seq + 1, 1)
    assert rebuilt.notes == [
        f"events {seq + 2} to {seq + 3} of Redis are left out: no event {seq + 2} follows in the stream",
        f"event {seq + 3} of Redis is left out: {given[2].enrollment} confirmed",
    ]
    await agrees(plain)


async def test_a_dead_letter_is_named_and_left_out(plain: Stand) -> None:
    await plain.publish(campaign(offering(pools=[{"pool": "open", "capacity": 5}])))
    await record(plain)
    seq = (await recorded(plain))[1] + 1
    await plain.sign_up("m1")
    client, stream = plain.administrator, keys.of(CAMPAIGN, "EVENTS")
    entry = await _entry(plain, seq)
    await client.delete(stream)
    await client.xadd(stream, {**entry.fields, b"h": b"\xc1"}, id=f"1-{seq}")
    await plain.sign_up("m2")
    rebuilt = await plain.runtime.rebuilder.rebuild(CAMPAIGN, rebuilds.ACTOR)
    assert (rebuilt.differences, rebuilt.seq, rebuilt.enrollments) == ([], seq + 1, 1)
    (note,) = rebuilt.notes
    assert note.startswith(f"event {seq} is a dead letter: ")


async def test_half_a_state_is_as_good_as_none(plain: Stand) -> None:
    await sell(plain)
    await record(plain)
    before = await rebuilds.state(plain)
    await plain.administrator.hdel(META, "epoch")
    await rebuild(plain)
    assert await rebuilds.state(plain) == before


async def _spoil(ledger: Ledger, statement: str) -> None:
    sqlite: Any = ledger
    await sqlite._write(lambda connection: connection.execute(statement))


# Noticing it


async def test_an_emptied_redis_is_noticed_at_once(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    await stand.publish(campaign())
    await stand.sign_up("m1")
    await record(stand)
    gatekeeper = Gatekeeper(stand.runtime.server, stand.runtime.ledger)
    labels = {"campaign": CAMPAIGN}
    await gatekeeper.run_once()
    assert REGISTRY.get_sample_value("seatrush_campaign_lost", labels) == 0
    assert caplog.messages == []
    await stand.administrator.flushall()
    assert (await stand.sign_up("m2")).outcome == "not_ready"
    for _ in range(2):
        await gatekeeper.run_once()
    assert [message for message in caplog.messages if "seatrush rebuild" in message] == [
        "autumn: its state in Redis is lost: it decides nothing until `seatrush rebuild autumn`"
    ]
    assert REGISTRY.get_sample_value("seatrush_campaign_lost", labels) == 1
    assert REGISTRY.get_sample_value("seatrush_campaign_ready", labels) == 0
    result = await Audit(stand.runtime.server, stand.runtime.ledger, stand.runtime.clock, CAMPAIGN, 0).run()
    assert [each.what for each in result.differences] == [
        "has no state in Redis: it is lost until `seatrush rebuild autumn`"
    ]
    await rebuild(stand)
    await gatekeeper.run_once()
    assert REGISTRY.get_sample_value("seatrush_campaign_lost", labels) == 0
    assert REGISTRY.get_sample_value("seatrush_campaign_ready", labels) == 1
    assert (await stand.sign_up("m2")).outcome == "confirmed"
    assert await stand.decisions.mine(CAMPAIGN, Person("m1").sub)


async def test_a_recorder_that_closes_a_campaign_names_the_command(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    await sell(stand)
    await record(stand)
    await stand.administrator.hset(META, "seq", 3)
    await record(stand)
    assert any("closed until `seatrush rebuild autumn`" in message for message in caplog.messages)
    assert (await stand.sign_up("nobody")).outcome == "not_ready"
    await rebuild(stand)
    assert (await stand.sign_up("late")).outcome == "waitlisted"
    await agrees(stand)
