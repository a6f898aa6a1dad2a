"""Durability replica: nothing is answered before replicas have what the answer rests on."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.live.server import NothingRan, Server
from engine.workers.recorder import Recorder
from tests import redis_replicas
from tests.redis_cluster import until
from tests.redis_replicas import Replicated
from tests.stand import CAMPAIGN, Stand, campaign, offering, open_stand

META = "seatrush:{autumn}:meta"
TIMEOUT_S = 1.0


@pytest.fixture(scope="module")
def replicated() -> Iterator[Replicated]:
    """A primary with a replica, and no sentinels; the primary's disk is not waited for."""
    with redis_replicas.running("valkey", replicas=1, sentinels=0, appendfsync="everysec") as found:
        yield found


@asynccontextmanager
async def standing(replicated: Replicated, directory: Path, **settings: Any) -> AsyncIterator[Stand]:
    primary = replicated.servers[0]
    primary.client.flushall()
    ledger = f"sqlite:///{directory}/ledger.db"
    asked = {"durability": "replica", "decision_timeout_s": TIMEOUT_S} | settings
    async with open_stand(primary.url, ledger, directory, **asked) as opened:
        yield opened


@pytest.fixture
async def stand(replicated: Replicated, data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts on the emptied primary, which wait for the replica."""
    async with standing(replicated, data_directory) as opened:
        yield opened


@contextmanager
def paused(replicated: Replicated) -> Iterator[None]:
    """For as long as the block the replica acknowledges nothing."""
    replicated.servers[1].pause()
    try:
        yield
    finally:
        replicated.servers[1].resume()


async def test_an_answer_is_on_the_replica(stand: Stand, replicated: Replicated) -> None:
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 5_000}])))
    copy = replicated.servers[1].client
    for _ in range(50):
        given = await asyncio.gather(*(stand.sign_up(f"m{index}", key="k") for index in range(20)))
        assert int(copy.hget(META, "seq")) >= max(each.as_of_seq for each in given)


async def test_while_the_replica_is_silent_everything_is_unknown(
    stand: Stand, replicated: Replicated
) -> None:
    await stand.publish(campaign(offering(), offering("clay", pools=[{"pool": "open", "capacity": 1}])))
    anna = await stand.sign_up("anna", key="k")
    with paused(replicated):
        began_s = time.monotonic()
        unknown = await stand.sign_up("bert", "clay", key="k")
        assert unknown.outcome == "unknown"
        assert time.monotonic() - began_s < TIMEOUT_S
        # What writes nothing by itself, over connections of their own: what it says rests on that seat.
        async with standing_beside(stand) as other:
            *answers, mine, recorded = await asyncio.gather(
                other.sign_up("carl", "clay", key="k"),
                other.sign_up("bert", "clay", key="k"),
                other.sign_up("anna", key="k"),
                other.cancel(anna.enrollment, "bert"),
                other.decisions.find(CAMPAIGN, anna.enrollment),
                other.decisions.mine(CAMPAIGN, "anna"),
                other.runtime.streams.entry(CAMPAIGN, b"1-1"),
                return_exceptions=True,
            )
            assert answers == [unknown] * 5
            assert mine == unknown
            assert isinstance(recorded, NothingRan)
    bert = await stand.sign_up("bert", "clay", key="k")
    assert (bert.outcome, bert.as_of_seq) == ("confirmed", anna.as_of_seq + 1)
    assert (await stand.sign_up("carl", "clay", key="k")).outcome == "sold_out"
    assert (await stand.sign_up("anna", key="k")).enrollment == anna.enrollment


@asynccontextmanager
async def standing_beside(stand: Stand) -> AsyncIterator[Stand]:
    """Another process on the same stores; its connections are there already."""
    settings = stand.runtime.settings
    assert settings.redis_url
    assert settings.database_url
    async with open_stand(
        settings.redis_url,
        settings.database_url,
        settings.data,
        durability="replica",
        decision_timeout_s=TIMEOUT_S,
    ) as opened:
        yield opened


async def test_nothing_is_recorded_that_the_replica_does_not_have(
    stand: Stand, replicated: Replicated
) -> None:
    runtime = stand.runtime
    by = Recorder(runtime.server, runtime.streams, runtime.ledger, runtime.clock, 100)
    await stand.publish(campaign(offering()))
    with paused(replicated):
        assert (await stand.sign_up("anna", key="k")).outcome == "unknown"
        with pytest.raises(NothingRan, match="too few replicas"):
            await by.run_once()
    assert [each.recorded_seq for each in await runtime.ledger.campaigns()] == [0]
    await by.run_once()
    assert len(await runtime.ledger.events(CAMPAIGN, 0, 100)) == len(await stand.log())


async def test_who_waits_shows_what_it_can_without_a_replica(stand: Stand, replicated: Replicated) -> None:
    await stand.publish(campaign(offering()))
    with paused(replicated):
        assert (await stand.runtime.overview.read()).campaigns[0].standing is not None
        assert await stand.runtime.counts.read(CAMPAIGN) is not None
        assert await stand.runtime.server.replicas() == 1


async def test_at_maxmemory_a_cancellation_is_still_answered(stand: Stand, replicated: Replicated) -> None:
    await stand.publish(campaign(offering()))
    given = await stand.sign_up("anna", key="k")
    client = replicated.servers[0].client
    client.config_set("maxmemory", 1)
    try:
        assert (await stand.sign_up("bert")).outcome == "not_ready"
        assert (await stand.cancel(given.enrollment, "anna")).outcome == "changed"
    finally:
        client.config_set("maxmemory", 0)


async def test_where_the_server_itself_demands_more_replicas_nothing_is_decided(
    stand: Stand, replicated: Replicated
) -> None:
    await stand.publish(campaign(offering()))
    client = replicated.servers[0].client
    client.config_set("min-replicas-to-write", 2)
    try:
        assert (await stand.sign_up("anna")).outcome == "not_ready"
    finally:
        client.config_set("min-replicas-to-write", 0)
    assert (await stand.sign_up("anna")).outcome == "confirmed"


async def test_calls_together_each_have_their_mark(stand: Stand) -> None:
    names = [f"c{number}" for number in range(20)]
    for name in names:
        await stand.publish(campaign(offering(), name=name))
    before = await marks(stand, names)
    given = await asyncio.gather(*(stand.sign_up("anna", within=name) for name in names))
    assert {each.outcome for each in given} == {"confirmed"}
    assert await marks(stand, names) == [each + 1 for each in before]


async def marks(stand: Stand, names: list[str]) -> list[int]:
    client = stand.administrator
    return [int(await client.hget(f"seatrush:{{{name}}}:meta", "mark")) for name in names]


async def test_a_campaign_that_is_lost_leaves_no_trace(stand: Stand, replicated: Replicated) -> None:
    await stand.publish(campaign(offering()))
    client = replicated.servers[0].client
    client.flushall()
    assert (await stand.sign_up("anna")).outcome == "not_ready"
    assert client.keys("*") == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"replicas": 2}, "durability replica needs replicas that follow: 1 of 2"),
        ({"durability": "fsync"}, "durability fsync needs a Redis server"),
    ],
)
async def test_what_a_server_does_not_have_is_said_at_the_start(
    replicated: Replicated, data_directory: Path, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(NothingRan, match=reason):
        async with standing(replicated, data_directory, **settings):
            pass


async def test_a_primary_that_keeps_nothing_is_refused(replicated: Replicated) -> None:
    primary = replicated.servers[0]
    server = Server(primary.url, fsync=False, replicas=1, timeout_s=1)
    primary.client.config_set("appendonly", "no")
    try:
        with pytest.raises(NothingRan, match="durability replica needs a Redis server with appendonly yes"):
            await server.ping()
    finally:
        primary.client.config_set("appendonly", "yes")
        await server.close()


async def test_a_replica_that_is_named_a_primary_is_not_asked(replicated: Replicated) -> None:
    server = Server(replicated.servers[1].url, fsync=False, primary=True, timeout_s=1)
    try:
        with pytest.raises(NothingRan, match="READONLY") as caught:
            await server.ping()
        assert caught.value.passing
    finally:
        await server.close()


async def test_a_replica_that_has_gone_is_missed(stand: Stand, replicated: Replicated) -> None:
    primary, replica = replicated.servers
    await stand.publish(campaign(offering()))
    replica.kill()
    try:
        until(lambda: replicated.following(primary) == 0, "the replica has gone")
        assert (await stand.sign_up("anna", key="k")).outcome == "unknown"
        with pytest.raises(NothingRan, match="replicas that follow: 0 of 1"):
            async with standing_beside(stand):
                pass
    finally:
        replica.start()
        replica.follow(primary.port)
        until(lambda: replicated.following(primary) == 1, "the replica follows again")
    again = await stand.sign_up("anna", key="k")
    assert again.record is not None
    assert again.record.status == "confirmed"
