"""The recorder: everything arrives once and in order, whoever dies and whoever else is at work."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from engine import metrics
from engine.clock import SystemClock
from engine.domain.events import Event
from engine.domain.person import Person
from engine.ledger import protocol
from engine.ledger.consistency import Log
from engine.ledger.protocol import Batch, DeadLetter, Ledger
from engine.runtime import database_url
from engine.workers.recorder import GATHER_S, NOTED_EVERY_ENTRIES, Recorder
from engine.workers.worker import Worker
from tests.ledger.test_migrations import execute
from tests.stand import CAMPAIGN, Stand, campaign, offering

EVENTS = "seatrush:{autumn}:events"


def recorder(stand: Stand, ledger: Ledger | None = None, kept: int = 10_000) -> Recorder:
    opened = stand.runtime
    return Recorder(opened.server, opened.streams, ledger or opened.ledger, opened.clock, kept)


async def recorded(stand: Stand) -> int:
    return next(each.recorded_seq for each in await stand.runtime.ledger.campaigns())


async def record_all(stand: Stand, by: Recorder) -> None:
    state = await stand.runtime.streams.state(CAMPAIGN)
    assert state is not None
    while await recorded(stand) < state.seq:
        await by.run_once()


async def sell(stand: Stand, number: int = 30) -> None:
    waitlist = {"size_max": 10}
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 15}], waitlist=waitlist)))
    given = await asyncio.gather(*(stand.sign_up(f"m{index}", key="k") for index in range(number)))
    for each in given[::3]:
        if each.record is not None:
            await stand.cancel(each.enrollment, each.record.member)


class Broken:
    """A ledger whose `record` is replaced; the rest is the real one."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.calls = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.ledger, name)


async def test_everything_arrives(stand: Stand) -> None:
    await sell(stand)
    await record_all(stand, recorder(stand))
    log, ledger = await stand.log(), stand.runtime.ledger
    assert await ledger.events(CAMPAIGN, 0, 1_000) == log
    rows = {row.enrollment: row.record for row in await ledger.enrollments(CAMPAIGN, 1_000)}
    newest = {event.header.enrollment: event.record for event in log if event.record}
    assert rows == newest
    assert await ledger.seats(CAMPAIGN) == {("soap", "open"): 15}
    definition = await ledger.definition(CAMPAIGN)
    assert definition is not None
    assert definition.version == 1


class DiesBefore(Broken):
    async def record(
        self, campaign: str, epoch: int, after_seq: int, batch: Sequence[Event | DeadLetter]
    ) -> None:
        self.calls += 1
        raise protocol.Unavailable("cut before the transaction")


class DiesAfter(Broken):
    async def record(
        self, campaign: str, epoch: int, after_seq: int, batch: Sequence[Event | DeadLetter]
    ) -> None:
        self.calls += 1
        await self.ledger.record(campaign, epoch, after_seq, batch[: max(1, len(batch) // 2)])
        raise protocol.Unavailable("the reply to COMMIT was lost")


@pytest.mark.parametrize("broken", [DiesBefore, DiesAfter])
async def test_a_crash_repeats_nothing_and_skips_nothing(stand: Stand, broken: type[Broken]) -> None:
    await sell(stand)
    dying = broken(stand.runtime.ledger)
    for _ in range(3):
        with pytest.raises(protocol.Unavailable):
            await recorder(stand, dying).run_once()  # type: ignore[arg-type]
        await stand.administrator.delete("seatrush:{autumn}:lease:recorder")
    assert dying.calls == 3
    await record_all(stand, recorder(stand))
    assert await stand.runtime.ledger.events(CAMPAIGN, 0, 1_000) == await stand.log()


async def test_it_goes_on_after_an_outage(stand: Stand) -> None:
    await sell(stand)
    by = recorder(stand, DiesAfter(stand.runtime.ledger))  # type: ignore[arg-type]
    with pytest.raises(protocol.Unavailable):
        await by.run_once()
    by._ledger = stand.runtime.ledger
    await record_all(stand, by)
    assert await stand.runtime.ledger.events(CAMPAIGN, 0, 1_000) == await stand.log()


async def test_of_two_recorders_one_is_fenced_off(stand: Stand) -> None:
    await sell(stand)
    first, second = recorder(stand), recorder(stand)
    await first._take_leases()
    await stand.administrator.delete("seatrush:{autumn}:lease:recorder")
    await second._take_leases()
    await first._record_next(CAMPAIGN)
    await second._record_next(CAMPAIGN)
    assert CAMPAIGN not in second._cursors
    assert await stand.runtime.ledger.events(CAMPAIGN, 0, 1_000) == await stand.log()


async def test_several_share_the_work_and_lose_none(stand: Stand) -> None:
    workers = [Worker(recorder(stand)) for _ in range(3)]
    for worker in workers:
        worker.start()
    names = [f"c{number}" for number in range(4)]
    for name in names:
        await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 40}]), name=name))
    await asyncio.gather(*(stand.sign_up(f"m{index}", within=name) for name in names for index in range(40)))
    for worker in workers:
        await worker.stop()
    # What a lease's former holder left is recorded by the next one, at the latest when it stops.
    last = Worker(recorder(stand))
    last.start()
    await last.stop()
    for name in names:
        assert await stand.runtime.ledger.events(name, 0, 1_000) == await stand.log(name)


async def test_what_a_version_without_a_chain_recorded_is_linked_first(stand: Stand) -> None:
    """It recorded before the ledger had a chain, and once more while this recorder was at work."""
    await sell(stand)
    ledger, mine = stand.runtime.ledger, recorder(stand)
    await record_all(stand, mine)
    whole = await ledger.newest_link(CAMPAIGN)
    await _unlink(stand)
    assert await ledger.newest_link(CAMPAIGN) is None
    await recorder(stand).close()
    assert await ledger.newest_link(CAMPAIGN) == whole
    await _unlink(stand)
    await stand.sign_up("m99")
    # It finds that it is fenced, looks anew, links and goes on.
    await record_all(stand, mine)
    link = await ledger.newest_link(CAMPAIGN)
    assert link is not None
    assert link.seq == await recorded(stand)
    log = Log(ledger, CAMPAIGN, link.seq)
    async for _ in log.pages():
        pass
    assert log.differences == []


async def _unlink(stand: Stand) -> None:
    await execute(database_url(stand.runtime.settings), "DELETE FROM chain")


async def test_a_recorder_that_dies_in_the_transaction_leaves_cursor_and_chain(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sell(stand)
    ledger, mine = stand.runtime.ledger, recorder(stand)
    with monkeypatch.context() as dying:
        dying.setattr("engine.domain.chain.extend", _die)
        with pytest.raises(MemoryError):
            await mine.run_once()
    assert (await recorded(stand), await ledger.newest_link(CAMPAIGN)) == (0, None)
    assert await ledger.events(CAMPAIGN, 0, 9) == []
    await record_all(stand, mine)
    link = await ledger.newest_link(CAMPAIGN)
    assert link is not None
    assert link.seq == await recorded(stand)


def _die(*asked: object) -> None:
    raise MemoryError


async def test_stop_records_what_is_left(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 40}])))
    worker = Worker(recorder(stand))
    worker.start()
    await asyncio.gather(*(stand.sign_up(f"m{index}") for index in range(40)))
    await worker.stop()
    assert await stand.runtime.ledger.events(CAMPAIGN, 0, 1_000) == await stand.log()


async def test_an_event_that_cannot_be_applied_is_a_dead_letter_and_the_rest_go_on(stand: Stand) -> None:
    await sell(stand)
    client = stand.administrator
    before = await stand.log()
    poisoned = next(event for event in before if event.header.type == "enrolled" and event.record)
    assert poisoned.record is not None
    # A seat number above the capacity: the ledger's second wall.
    state = await stand.runtime.streams.state(CAMPAIGN)
    assert state is not None
    record = msgspec.structs.replace(poisoned.record, seat=99, seq=state.seq + 1)
    header = msgspec.structs.replace(poisoned.header, enrollment="x" * 16)
    fields = {"h": msgspec.msgpack.encode(header), "r": msgspec.msgpack.encode(record)}
    await client.xadd(EVENTS, fields, id=f"1-{state.seq + 1}")
    await client.xadd(EVENTS, {"h": b"\xc1"}, id=f"1-{state.seq + 2}")
    await client.hset("seatrush:{autumn}:meta", "seq", state.seq + 2)
    await stand.sign_up("last")
    await record_all(stand, recorder(stand))
    letters = await stand.runtime.ledger.dead_letters(CAMPAIGN)
    assert [letter.seq for letter in letters] == [state.seq + 1, state.seq + 2]
    assert letters[0].fields == {name.encode(): value for name, value in fields.items()}
    applied = [event.seq for event in await stand.runtime.ledger.events(CAMPAIGN, 0, 1_000)]
    assert applied == [*range(1, state.seq + 1), state.seq + 3]


async def test_a_stream_with_a_gap_is_recorded_up_to_it(stand: Stand) -> None:
    await sell(stand)
    await stand.administrator.xdel(EVENTS, "1-5")
    by = recorder(stand)
    counted = metrics.RECORDER_GAPS.labels(CAMPAIGN)
    before = counted._value.get()
    for _ in range(2):
        await by.run_once()
        assert await recorded(stand) == 4
    assert await by.run_once() > 0
    assert await recorded(stand) == 4
    assert counted._value.get() == before + 1


async def test_sales_stop_when_redis_is_behind_the_ledger(stand: Stand) -> None:
    await sell(stand)
    await record_all(stand, recorder(stand))
    client = stand.administrator
    await client.hset("seatrush:{autumn}:meta", "seq", 7)
    await client.delete("seatrush:{autumn}:lease:recorder")
    await recorder(stand).run_once()
    assert (await stand.sign_up("m99")).outcome == "not_ready"


async def copy(stand: Stand) -> dict[str, bytes]:
    """All keys of the campaign as they are now."""
    client = stand.administrator
    return {name: await client.dump(name) for name in await client.keys("seatrush:{autumn}:*")}


async def restore(stand: Stand, keys: dict[str, bytes]) -> None:
    """Put a copy in the place of what there is, as a replica does that lagged when it was promoted."""
    client = stand.administrator
    for name, dumped in keys.items():
        await client.restore(name, 0, dumped, replace=True)


async def test_a_log_that_is_another_is_not_recorded_and_sales_stop(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 40}])))
    before = await copy(stand)
    by = recorder(stand)
    for member in ("anna", "bert"):
        await stand.sign_up(member)
    await record_all(stand, by)
    recorded_before = await stand.runtime.ledger.events(CAMPAIGN, 0, 100)
    await restore(stand, before)
    for member in ("carl", "dora", "emil"):
        assert (await stand.sign_up(member)).outcome == "confirmed"
    diverged = metrics.DIVERGED_LOGS.labels(CAMPAIGN)
    told = diverged._value.get()
    for _ in range(2):
        await by.run_once()
    assert await stand.runtime.ledger.events(CAMPAIGN, 0, 100) == recorded_before
    assert (await stand.sign_up("fred")).outcome == "not_ready"
    assert diverged._value.get() == told + 1
    seq = len(recorded_before)
    assert f"autumn: event {seq} is another in Redis than in the ledger: closed until" in caplog.text


async def test_one_log_that_is_another_does_not_hold_up_the_others(stand: Stand) -> None:
    await several(stand, "autumn", "whole")
    by = recorder(stand)
    while await by.run_once() and await recorded(stand) == 0:
        pass
    await stand.administrator.xdel(EVENTS, f"1-{await recorded(stand)}")
    for name in ("autumn", "whole"):
        await stand.sign_up("m9", within=name)
    await by.run_once()
    assert await stand.runtime.ledger.events("whole", 0, 99) == await stand.log("whole")
    assert (await stand.sign_up("m8")).outcome == "not_ready"
    assert (await stand.sign_up("m8", within="whole")).outcome == "confirmed"


async def test_the_stream_is_trimmed_below_what_is_recorded(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 5_000}])))
    by = recorder(stand, kept=100)
    for start in range(0, 3_000, 500):
        await asyncio.gather(
            *(
                stand.decisions.sign_up(CAMPAIGN, "soap", Person(f"m{index}"), "", "", "http")
                for index in range(start, start + 500)
            )
        )
        await record_all(stand, by)
    length = await stand.runtime.streams.length(CAMPAIGN)
    assert 100 <= length <= 1_300
    assert len(await stand.runtime.ledger.events(CAMPAIGN, 0, 10_000)) == 3_002


async def test_what_is_kept_does_not_count_as_waiting(stand: Stand) -> None:
    """A stream that holds more than may wait, all of it recorded, stops no sale."""
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 5_000}])))
    stand.runtime.backlog._entries_max = NOTED_EVERY_ENTRIES
    await asyncio.gather(*(stand.sign_up(f"m{index}") for index in range(NOTED_EVERY_ENTRIES)))
    assert (await stand.sign_up("m")).outcome == "not_ready"
    await record_all(stand, recorder(stand, kept=1_000_000))
    assert await stand.runtime.streams.length(CAMPAIGN) >= NOTED_EVERY_ENTRIES
    assert (await stand.sign_up("m")).outcome == "confirmed"


async def test_redis_is_told_anew_what_a_recorder_that_died_did_not_tell(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 5_000}])))
    await asyncio.gather(*(stand.sign_up(f"m{index}") for index in range(NOTED_EVERY_ENTRIES)))
    log = await stand.log()
    await stand.runtime.ledger.record(CAMPAIGN, 1, 0, log)
    stand.runtime.backlog._entries_max = NOTED_EVERY_ENTRIES
    assert (await stand.sign_up("m")).outcome == "not_ready"
    await recorder(stand).run_once()
    assert (await stand.sign_up("m")).outcome == "confirmed"


async def several(stand: Stand, *names: str) -> None:
    """Campaigns with three enrollments each."""
    for name in names:
        await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 9}]), name=name))
        for member in ("m1", "m2", "m3"):
            await stand.sign_up(member, within=name)


class CountsTransactions(Broken):
    async def record_many(self, batches: Sequence[Batch]) -> None:
        self.calls += 1
        await self.ledger.record_many(batches)


async def test_campaigns_are_recorded_together(stand: Stand) -> None:
    names = [f"c{number:02}" for number in range(40)]
    await several(stand, *names)
    ledger = CountsTransactions(stand.runtime.ledger)
    await recorder(stand, ledger).run_once()  # type: ignore[arg-type]
    assert ledger.calls == 2
    for name in names:
        assert await stand.runtime.ledger.events(name, 0, 99) == await stand.log(name)


async def test_one_campaign_at_fault_does_not_hold_up_the_others(stand: Stand) -> None:
    names = ["fenced", "gap", "poisoned", "whole"]
    await several(stand, *names)
    by = recorder(stand)
    await by._take_leases()
    await stand.runtime.ledger.record("fenced", 1, 0, (await stand.log("fenced"))[:2])
    await stand.administrator.xdel("seatrush:{gap}:events", "1-3")
    last = (await stand.log("poisoned"))[-1]
    assert last.record is not None
    record = msgspec.structs.replace(last.record, seat=99, seq=last.seq + 1)
    fields = {"h": msgspec.msgpack.encode(last.header), "r": msgspec.msgpack.encode(record)}
    await stand.administrator.xadd("seatrush:{poisoned}:events", fields, id=f"1-{last.seq + 1}")
    counted = metrics.DEAD_LETTERS.labels("poisoned")
    before = counted._value.get()
    await by.run_once()
    assert await stand.runtime.ledger.events("whole", 0, 99) == await stand.log("whole")
    assert [event.seq for event in await stand.runtime.ledger.events("fenced", 0, 99)] == [1, 2]
    assert [event.seq for event in await stand.runtime.ledger.events("gap", 0, 99)] == [1, 2]
    assert await stand.runtime.ledger.dead_letter_counts() == {"poisoned": 1}
    assert counted._value.get() == before + 1
    await by.run_once()
    assert await stand.runtime.ledger.events("fenced", 0, 99) == await stand.log("fenced")


async def test_one_campaign_that_everybody_wants_is_not_held_up_by_many(stand: Stand) -> None:
    names = [f"c{number:02}" for number in range(40)]
    for name in names:
        await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 999}]), name=name))
    await asyncio.gather(*(stand.sign_up(f"m{index}", within="c07") for index in range(900)))
    await stand.sign_up("m1", within="c08")
    await recorder(stand).run_once()
    for name in names:
        log = await stand.runtime.ledger.events(name, 0, 1_000)
        # A transaction of 32 campaigns takes 250 of each.
        assert log == (await stand.log(name))[: 250 if name == "c07" else None]


class StandingClock(SystemClock):
    """A clock on which nothing takes any time."""

    def monotonic_s(self) -> float:
        return 1_000.0


async def test_under_load_a_round_gathers_and_a_first_event_does_not_wait(stand: Stand) -> None:
    await sell(stand)
    by = recorder(stand)
    by._clock = StandingClock()
    assert await by.run_once() == pytest.approx(GATHER_S)
    assert await recorded(stand) == len(await stand.log())
    assert await by.run_once() == 0, "nothing came, so the next event is recorded as it comes"


async def test_a_lease_that_another_holds_is_left_to_it(stand: Stand) -> None:
    await sell(stand)
    first, second = recorder(stand), recorder(stand)
    await first._take_leases()
    await second.run_once()
    assert (list(first._cursors), list(second._cursors)) == ([CAMPAIGN], [])
    assert await recorded(stand) == 0
