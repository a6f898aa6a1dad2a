"""Failovers on real servers: what was answered is kept where that is promised, and named where it is lost."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from engine import metrics
from engine.audit import Audit, Result
from engine.ledger.protocol import Unavailable
from engine.live.decisions import Decision
from engine.live.server import NothingRan
from engine.workers.recorder import Recorder
from tests import redis_replicas
from tests.redis_replicas import Replicated
from tests.stand import CAMPAIGN, Stand, campaign, offering, open_stand

BUYERS = 16
PASSING = {"unknown", "not_ready"}
ENOUGH = 200
WITHIN_S = 30


@pytest.fixture(scope="module")
def pair() -> Iterator[Replicated]:
    """A primary with a replica, and no sentinels."""
    with redis_replicas.running("redis", replicas=1, sentinels=0) as found:
        yield found


@asynccontextmanager
async def standing(url: str, directory: Path, **settings: Any) -> AsyncIterator[Stand]:
    ledger = f"sqlite:///{directory}/ledger.db"
    async with open_stand(url, ledger, directory, events_kept=100_000, **settings) as opened:
        yield opened


class Sale:
    """Members who sign up, and some who cancel, and who ask again with the same key until they are answered."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self._numbers = iter(range(1_000_000))
        self._over = asyncio.Event()
        self._answered = asyncio.Condition()
        self.answers: list[tuple[str, Decision]] = []
        self.cancelled: set[str] = set()
        self.passed: dict[str, int] = dict.fromkeys(PASSING, 0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Going on for as long as the block."""
        async with asyncio.TaskGroup() as group:
            for _ in range(BUYERS):
                group.create_task(self._buy())
            yield
            self._over.set()

    async def more(self, answers: int) -> None:
        """Wait until so many more are answered."""
        async with asyncio.timeout(WITHIN_S), self._answered:
            wanted = len(self.answers) + answers
            await self._answered.wait_for(lambda: len(self.answers) >= wanted)

    async def _buy(self) -> None:
        while not self._over.is_set():
            number = next(self._numbers)
            member = f"m{number}"
            decision = await self._ask(lambda member=member: self._stand.sign_up(member, key="k"))
            async with self._answered:
                self.answers.append((member, decision))
                self._answered.notify_all()
            if number % 4 == 0:
                name = decision.enrollment
                await self._ask(lambda name=name, member=member: self._stand.cancel(name, member))
                self.cancelled.add(name)

    async def _ask(self, ask: Any) -> Decision:
        while True:
            decision: Decision = await ask()
            if decision.outcome not in PASSING:
                return decision
            self.passed[decision.outcome] += 1
            await asyncio.sleep(0.02)


@asynccontextmanager
async def recording(stand: Stand) -> AsyncIterator[None]:
    """The workers at work, who bring everything into the ledger before they end."""
    workers = stand.runtime.workers()
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            await worker.stop()


async def audit(stand: Stand) -> Result:
    runtime = stand.runtime
    return await Audit(runtime.server, runtime.ledger, runtime.clock, CAMPAIGN, 0).run()


@pytest.fixture
def watched() -> Iterator[Replicated]:
    """A primary with two replicas and three sentinels."""
    with redis_replicas.running("valkey") as found:
        yield found


async def test_with_replicas_a_failover_loses_no_answer(watched: Replicated, data_directory: Path) -> None:
    first = watched.primary()
    async with standing(watched.url, data_directory, durability="replica", decision_timeout_s=2) as stand:
        await stand.publish(
            campaign(offering(pools=[{"pool": "open", "capacity": 5_000}], waitlist={"size_max": 5_000}))
        )
        sale = Sale(stand)
        async with recording(stand), sale.running():
            await sale.more(ENOUGH)
            first.kill()
            await sale.more(ENOUGH)
        assert (await asyncio.to_thread(watched.primary)).port != first.port
        assert sum(sale.passed.values()) > 0
        log = await stand.log()
        assert [event.seq for event in log] == list(range(1, len(log) + 1))
        newest = {event.header.enrollment: event.record for event in log if event.record}
        for member, decision in sale.answers:
            record = newest[decision.enrollment]
            assert (record.member, record.seq) == (member, decision.record and decision.record.seq)
            assert (record.status == "cancelled") == (decision.enrollment in sale.cancelled)
        seats = [(each.pool, each.seat) for each in newest.values() if each.seat]
        assert len(seats) == len(set(seats))
        assert [event.fields for event in await stand.runtime.ledger.events(CAMPAIGN, 0, 100_000)] == [
            event.fields for event in log
        ]
        audited = await audit(stand)
        assert (audited.differences, audited.notes) == ([], [])


class Address:
    """An address that leads to one server, and after a failover to another, as that of a balancer does."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._passing: set[asyncio.Task[None]] = set()
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Address"]:
        """Taking connections for as long as the block."""
        async with await asyncio.start_server(self._pass, "127.0.0.1", 0) as server:
            self.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self
            await self.lead_to(self._target)

    async def lead_to(self, port: int, *, abruptly: bool = True) -> None:
        """Lead to another; `abruptly`, what goes to the server of before ends."""
        self._target = port
        if not abruptly:
            return
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_copy(reader, far_writer))
                    group.create_task(_copy(far_reader, writer))
            finally:
                far_writer.close()
        except* (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while some := await reader.read(1 << 16):
        writer.write(some)
    raise ConnectionError


@pytest.fixture
async def address(pair: Replicated) -> AsyncIterator[Address]:
    """The address of a primary that is empty, whose replica follows it."""
    pair.heal()
    async with Address(pair.servers[0].port).open() as opened:
        yield opened


async def lose(
    pair: Replicated, address: Address, stand: Stand, *, recorded: bool = True
) -> dict[str, Decision]:
    """Sell three seats that the replica does not hear of, have them recorded, or not, and promote it."""
    primary, replica = pair.servers
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 5}])))
    await stand.sign_up("early", key="k")
    pair.wait_for(primary)
    replica.promote()
    lost = {member: await stand.sign_up(member, key="k") for member in ("anna", "bert", "carl")}
    assert {each.outcome for each in lost.values()} == {"confirmed"}
    if recorded:
        await recorder(stand).close()
    primary.kill()
    await address.lead_to(replica.port)
    return lost


def recorder(stand: Stand) -> Recorder:
    runtime = stand.runtime
    return Recorder(runtime.server, runtime.streams, runtime.ledger, runtime.clock, 100)


def named(decision: Decision, what: str) -> tuple[str, str]:
    """How the audit names an answer."""
    assert decision.record is not None
    seat = decision.record.seat
    return decision.enrollment, f"{what}: event {decision.as_of_seq}, confirmed, seat {seat}"


async def unavailable() -> NoReturn:
    raise Unavailable("no route")


async def test_nothing_is_sold_from_a_replica_that_lagged(
    pair: Replicated,
    address: Address,
    data_directory: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with standing(address.url, data_directory) as stand:
        lost = await lose(pair, address, stand)
        diverged = metrics.DIVERGED_LOGS.labels(CAMPAIGN)
        before = diverged._value.get()
        # No worker has looked: whoever connects notices it, and waits for the ledger to say.
        with monkeypatch.context() as context:
            context.setattr(stand.runtime.ledger, "campaigns", unavailable)
            assert (await stand.sign_up("dora")).outcome == "not_ready"
            assert pair.servers[1].client.hget("seatrush:{autumn}:meta", "gate") == "open"
            with pytest.raises(NothingRan, match="is compared with the ledger first, which does not answer"):
                await stand.runtime.server.ping()
        assert (await stand.sign_up("dora")).outcome == "not_ready"
        assert (await stand.sign_up("anna", key="k")).outcome == "not_ready"
        assert diverged._value.get() == before + 1
        assert "closed until `seatrush rebuild autumn`" in caplog.text
        told = [(each.subject, each.what) for each in (await audit(stand)).differences]
        for decision in lost.values():
            assert named(decision, "is lost in Redis") in told


async def test_what_was_answered_and_not_recorded_is_missed_too(
    pair: Replicated, address: Address, data_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing(address.url, data_directory) as stand:
        lost = await lose(pair, address, stand, recorded=False)
        assert (await stand.sign_up("dora")).outcome == "not_ready"
    seq = max(each.as_of_seq for each in lost.values())
    assert (
        f"Redis is at seq {seq - 3}, this process has answered up to seq {seq}, and the ledger has 0"
        in caplog.text
    )


async def test_a_log_whose_numbers_were_given_again_is_noticed(
    pair: Replicated, address: Address, data_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # With durability memory nothing is compared when a connection is made, and the lost numbers are given to others.
    async with standing(address.url, data_directory, durability="memory") as stand:
        lost = await lose(pair, address, stand)
        given = [await stand.sign_up(member, key="k") for member in ("dora", "emil", "fred", "gert")]
        assert [each.as_of_seq for each in given][:3] == [each.as_of_seq for each in lost.values()]
        recorded = await stand.runtime.ledger.events(CAMPAIGN, 0, 100)
        await recorder(stand).run_once()
        assert await stand.runtime.ledger.events(CAMPAIGN, 0, 100) == recorded
        assert "is another in Redis than in the ledger" in caplog.text
        assert (await stand.sign_up("hans")).outcome == "not_ready"
        told = [(each.subject, each.what) for each in (await audit(stand)).differences]
        for decision in lost.values():
            assert named(decision, "is lost in Redis") in told
        for decision in given:
            assert named(decision, "is not in the ledger") in told


async def test_a_replica_that_has_everything_goes_on(
    pair: Replicated, address: Address, data_directory: Path
) -> None:
    primary, replica = pair.servers
    async with standing(address.url, data_directory) as stand:
        await stand.publish(campaign(offering()))
        anna = await stand.sign_up("anna", key="k")
        await recorder(stand).close()
        pair.wait_for(primary)
        primary.kill()
        replica.promote()
        await address.lead_to(replica.port)
        assert (await stand.sign_up("anna", key="k")).enrollment == anna.enrollment
        assert (await stand.sign_up("bert")).outcome == "confirmed"
        await recorder(stand).close()
        assert (await audit(stand)).differences == []


async def test_who_is_told_read_only_connects_anew(
    pair: Replicated, address: Address, data_directory: Path
) -> None:
    primary, replica = pair.servers
    async with standing(address.url, data_directory) as stand:
        await stand.publish(campaign(offering()))
        anna = await stand.sign_up("anna", key="k")
        pair.wait_for(primary)
        replica.promote()
        primary.follow(replica.port)
        # The connections that there are still lead to the old primary.
        await address.lead_to(replica.port, abruptly=False)
        assert (await stand.sign_up("bert")).outcome == "confirmed"
        assert (await stand.sign_up("anna", key="k")).enrollment == anna.enrollment
        assert int(replica.client.hget("seatrush:{autumn}:meta", "seq")) == anna.as_of_seq + 1
