"""The audit: clean where both agree, and each kind of difference named; no false one while sales go on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.audit import Audit, Finding
from engine.domain.enrollment import Record
from engine.live import keys
from engine.workers.recorder import Recorder
from engine.workers.worker import Worker
from tests.stand import CAMPAIGN, Stand, campaign, offering, open_stand

Tamper = Callable[[Stand, list[str]], Awaitable[Any]]


@pytest.fixture
async def stand(redis_url: str, data_directory: Path) -> AsyncIterator[Stand]:
    """A stand with a recorder at work."""
    async with open_stand(redis_url, f"sqlite:///{data_directory}/ledger.db", data_directory) as opened:
        runtime = opened.runtime
        worker = Worker(Recorder(runtime.server, runtime.streams, runtime.ledger, runtime.clock, 10_000))
        worker.start()
        yield opened
        await worker.stop()


async def audit(stand: Stand, wait_s: float = 10) -> Finding:
    registrations = await stand.runtime.ledger.campaigns()
    opened = stand.runtime
    return await Audit(opened.server, opened.ledger, opened.clock, wait_s).run(registrations[0])


async def sold(stand: Stand) -> list[str]:
    """A campaign with a held and two cancelled seats and a waitlist; the enrollments in the order of sign-up."""
    pools = [{"pool": "own", "capacity": 1, "eligible": {"units": ["a"]}}, {"pool": "open", "capacity": 4}]
    waitlist = {"size_max": 9}
    await stand.publish(campaign(offering(pools=pools, waitlist=waitlist), offering("b", hold_ttl_s=600)))
    given = [(await stand.sign_up(f"member#{number}", key="k", unit="a")).enrollment for number in range(7)]
    given.append((await stand.sign_up("member#0", "b")).enrollment)
    given.append((await stand.sign_up("member#1", "b")).enrollment)
    await stand.cancel(given[0])
    await stand.cancel(given[7])
    return given


async def test_what_agrees(stand: Stand) -> None:
    given = await sold(stand)
    finding = await audit(stand)
    assert finding.agree, finding.differences
    assert (finding.enrollments, finding.notes) == (len(given), [])
    assert finding.seq == finding.recorded_seq


def redis_command(name: str, part: str, *arguments: Any) -> Tamper:
    async def tamper(stand: Stand, given: list[str]) -> None:
        await getattr(stand.runtime.server.client, name)(keys.of(CAMPAIGN, part), *arguments)

    return tamper


def record(index: int, **changed: Any) -> Tamper:
    async def tamper(stand: Stand, given: list[str]) -> None:
        client, key = stand.runtime.server.client, keys.of(CAMPAIGN, "ENROLLMENTS")
        kept = msgspec.msgpack.decode(await client.hget(key, given[index]), type=Record)
        await client.hset(key, given[index], msgspec.msgpack.encode(msgspec.structs.replace(kept, **changed)))

    return tamper


async def forget_enrollment(stand: Stand, given: list[str]) -> None:
    await stand.runtime.server.client.hdel(keys.of(CAMPAIGN, "ENROLLMENTS"), given[1])


async def forget_timer(stand: Stand, given: list[str]) -> None:
    await stand.runtime.server.client.zrem(keys.of(CAMPAIGN, "TIMERS"), f"expires/{given[8]}")


def ledger(statement: str) -> Tamper:
    async def tamper(stand: Stand, given: list[str]) -> None:
        running: Any = stand.runtime.ledger
        await running._write(lambda connection: connection.execute(statement))

    return tamper


@pytest.mark.parametrize(
    ("tamper", "named"),
    [
        (redis_command("delete", "META"), "its state is not in Redis"),
        (redis_command("hset", "META", "gate", "closed"), "its gate is closed"),
        (redis_command("hset", "META", "epoch", 2), "it is at epoch 2 in Redis, 1 in the ledger"),
        (redis_command("hset", "META", "seq", 5), "Redis is at seq 5, behind the ledger's"),
        (redis_command("hset", "META", "seq", 99), "events are not in the ledger"),
        (
            redis_command("hset", "META", "version", 9),
            "the definition is version 9 in Redis, 1 in the ledger",
        ),
        (forget_enrollment, ": is not in Redis"),
        (forget_timer, "timer expires/"),
        (record(1, status="held"), ": status is held in Redis, confirmed in the ledger"),
        (record(1, version=7), ": version is 7 in Redis, 1 in the ledger"),
        (record(1, member="other"), ": member is someone in Redis, someone in the ledger"),
        (record(1, seat=2), "as "),
        (record(1, seat=99), "above its capacity"),
        (record(1, seat=0), ": is confirmed with seat 0"),
        (redis_command("hset", "COUNTS", "taken/soap/open", 3), "taken of soap/open is counted as 3"),
        (redis_command("hset", "COUNTS", "mark/soap/open", 9), "mark of soap/open is 9"),
        (redis_command("hset", "COUNTS", "waiting/soap", 0), "waiting of soap is counted as 0"),
        (
            redis_command("zadd", "FREE", {"soap/open/00000002": 0}),
            "free numbers has soap/open/00000002 wrongly",
        ),
        (redis_command("delete", "FREE"), "free numbers lacks b/open/00000001"),
        (redis_command("hdel", "MEMBERS", "member#1"), "is live, but not in its member's list"),
        (redis_command("delete", "WAITING"), "waiting lacks soap/"),
        (redis_command("delete", "QUEUES"), "queues lacks soap/*/"),
        (
            redis_command(
                "hset", "REQUESTS", "m9 k", msgspec.msgpack.encode(["x" * 16, "", "confirmed", "", 0, 0, 0])
            ),
            "a replay would answer with it",
        ),
        (ledger("DELETE FROM seats WHERE seat = 2"), "soap/open has 4 seats taken in Redis, 3 in the ledger"),
        (ledger("DELETE FROM events WHERE seq = 4"), "event 4 is not in the ledger"),
    ],
)
async def test_each_difference_is_named(stand: Stand, tamper: Tamper, named: str) -> None:
    given = await sold(stand)
    assert (await audit(stand)).agree
    await tamper(stand, given)
    finding = await audit(stand, wait_s=0.1)
    assert not finding.agree
    assert any(named in line for line in finding.differences), finding.differences
    assert not any("member#" in line for line in finding.differences)


async def test_no_difference_is_seen_that_is_not_there_while_sales_go_on(stand: Stand) -> None:
    pools = [{"pool": "open", "capacity": 500}]
    await stand.publish(campaign(offering(pools=pools, waitlist={"size_max": 500})))
    selling = True

    async def sell(number: int) -> None:
        turn = 0
        while selling:
            given = await stand.sign_up(f"m{number}-{turn}", key="k")
            if turn % 2 and given.record:
                await stand.cancel(given.enrollment)
            turn += 1

    sellers = [asyncio.create_task(sell(number)) for number in range(4)]
    for _ in range(5):
        finding = await audit(stand)
        assert finding.agree, finding.differences
    selling = False
    await asyncio.gather(*sellers)
    finding = await audit(stand)
    assert (finding.differences, finding.notes) == ([], [])
