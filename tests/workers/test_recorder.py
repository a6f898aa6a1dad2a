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
from engine.ledger.protocol import Batch, DeadLetter, Ledger
from engine.workers.recorder import GATHER_S, Recorder
from engine.workers.worker import Worker
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


async def test_a_stream_with_a_gap_is_not_recorded_past_it(stand: Stand) -> None:
    await sell(stand)
    await stand.administrator.xdel(EVENTS, "1-5")
    by = recorder(stand)
    await by.run_once()
    assert await recorded(stand) == 0
    assert await by.run_once() > 0


async def test_sales_stop_when_redis_is_behind_the_ledger(stand: Stand) -> None:
    await sell(stand)
    await record_all(stand, recorder(stand))
    client = stand.administrator
    await client.hset("seatrush:{autumn}:meta", "seq", 7)
    await client.delete("seatrush:{autumn}:lease:recorder")
    await recorder(stand).run_once()
    assert (await stand.sign_up("m99")).outcome == "not_ready"


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
    assert await stand.runtime.ledger.events("gap", 0, 99) == []
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
