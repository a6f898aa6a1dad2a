"""Durability replica on a cluster: each node's decisions wait for its own replica, also while a slot moves."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.live import keys
from engine.live.decisions import Decision
from tests import redis_cluster
from tests.redis_cluster import RedisCluster, slot_of
from tests.stand import Stand, campaign, offering, open_stand


@pytest.fixture
async def waiting(cluster: RedisCluster, data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts on an empty cluster, which wait for replicas."""
    ledger = f"sqlite:///{data_directory}/ledger.db"
    async with open_stand(cluster.url, ledger, data_directory, durability="replica") as opened:
        yield opened


async def test_every_master_has_a_replica_that_is_waited_for(cluster: RedisCluster, waiting: Stand) -> None:
    names = [f"c{number}" for number in range(9)]
    assert len({cluster.owner(slot_of(name)).port for name in names}) == redis_cluster.MASTERS
    assert await waiting.runtime.server.replicas() == 1
    for name in names:
        await waiting.publish(campaign(offering(), name=name))
    told = await asyncio.gather(*(waiting.sign_up("anna", within=name) for name in names))
    assert {each.outcome for each in told} == {"confirmed"}


async def test_answers_are_known_at_each_step_of_a_move(cluster: RedisCluster, waiting: Stand) -> None:
    name = "moving"
    # A node that is importing serves a script only when it has all keys, so all are made to exist.
    pools = [{"pool": "open", "capacity": 2}, {"pool": "guests", "capacity": 1, "codes": True}]
    await waiting.publish(
        campaign(offering("soap", waitlist={"size_max": 9}), offering("clay", pools=pools), name=name)
    )
    await waiting.issue("guests", "clay", within=name)
    first, *_ = [await waiting.sign_up(member, key="k", within=name) for member in ("anna", "bert", "carl")]
    clay = await waiting.sign_up("anna", "clay", key="l", within=name)
    await waiting.sign_up("bert", "clay", within=name)
    await waiting.cancel(clay.enrollment, "anna", within=name)
    slot, loop = slot_of(name), asyncio.get_running_loop()
    assert cluster.owner(slot).client.exists(*keys.campaign_keys(name)) == len(keys.PARTS)
    told: dict[str, Decision] = {}

    async def look(step: str) -> None:
        told[step] = await waiting.sign_up("anna", key="k", within=name)

    def between(step: str) -> None:
        if step != "half":
            asyncio.run_coroutine_threadsafe(look(step), loop).result(redis_cluster.TIMEOUT_S)

    target = cluster.others(cluster.owner(slot))[0]
    await asyncio.to_thread(cluster.move, slot, target, between)
    assert {step: each.enrollment for step, each in told.items()} == dict.fromkeys(
        ("migrating", "moved", "taken", "done"), first.enrollment
    )
