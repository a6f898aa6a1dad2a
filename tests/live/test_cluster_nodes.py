"""The nodes of a Redis Cluster: how they are found, what each must be like, and what is left out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine import config
from engine.live import keys
from engine.live.cluster import Cluster
from engine.live.condition import Condition, ConditionReader
from engine.live.server import NothingRan, Unreachable
from tests import redis_servers
from tests.redis_cluster import RedisCluster

NOBODY = "redis://127.0.0.1:1"


@asynccontextmanager
async def connected(*urls: str, fsync: bool = True) -> AsyncIterator[Cluster]:
    """A cluster by the URLs of some of its nodes."""
    cluster = Cluster(urls, fsync=fsync, timeout_s=5)
    try:
        yield cluster
    finally:
        await cluster.close()


async def hear(cluster: Cluster) -> Any:
    """Ask something that takes a key."""
    return await cluster.ask(keys.DIRECTORY, lambda client: client.hgetall(keys.DIRECTORY))


async def condition(cluster: Cluster) -> dict[str, Condition]:
    """Ask every node."""
    return await ConditionReader(cluster).read()


def url(cluster: RedisCluster, number: int = 0) -> str:
    """One node's."""
    return f"redis://127.0.0.1:{cluster.nodes[number].port}"


async def test_any_node_will_do(cluster: RedisCluster) -> None:
    for number in range(len(cluster.nodes)):
        async with connected(NOBODY, url(cluster, number)) as opened:
            await opened.ping()
            assert await hear(opened) == {}
            assert (await condition(opened)).keys() == {f"127.0.0.1:{node.port}" for node in cluster.nodes}


async def test_no_node_answers() -> None:
    async with connected(NOBODY, "redis://127.0.0.1:2") as opened:
        for ask in (
            opened.ping,
            lambda: hear(opened),
            lambda: condition(opened),
            lambda: opened.call("advance", "autumn"),
        ):
            with pytest.raises(Unreachable, match=":2"):
                await ask()


@pytest.mark.parametrize("line", redis_servers.LINES)
async def test_a_server_that_is_no_cluster(redis_server: Any, line: str) -> None:
    with redis_servers.running(line) as single:
        async with connected(single, fsync=False) as opened:
            with pytest.raises(NothingRan, match="cluster support disabled"):
                await opened.ping()


async def test_every_node_must_keep_what_it_answers(cluster: RedisCluster) -> None:
    """A replica too: it may be the master when it matters."""
    for node in (cluster.nodes[0], cluster.replica_of(cluster.others(cluster.nodes[-1])[0])):
        node.client.config_set("appendfsync", "everysec")
        try:
            async with connected(cluster.url.replace("-cluster", "").split(",")[0]) as opened:
                with pytest.raises(NothingRan, match="appendfsync always"):
                    await opened.ping()
            async with connected(url(cluster), fsync=False) as opened:
                await opened.ping()
        finally:
            node.client.config_set("appendfsync", "always")


async def test_user_and_password_are_for_every_node(cluster: RedisCluster) -> None:
    for node in cluster.nodes:
        node.client.execute_command("ACL", "SETUSER", "seatrush", "on", ">pa,ss", "~*", "+@all")
    with_user = cluster.url.replace("://", "://seatrush:pa,ss@")
    async with connected(*config.cluster_nodes(with_user)) as opened:
        await opened.ping()
        assert await opened.ask(keys.DIRECTORY, lambda client: client.acl_whoami()) == "seatrush"
        for number in range(9):
            key = keys.of(f"c{number}", "META")
            assert await opened.ask(key, lambda client, key=key: client.hgetall(key)) == {}  # type: ignore[misc]


async def test_streams_of_other_nodes_are_seen_while_one_is_down(cluster: RedisCluster) -> None:
    streams = {keys.of(f"c{number}", "EVENTS"): "0" for number in range(12)}
    async with connected(url(cluster), url(cluster, 1)) as opened:
        assert await opened.newer(streams, 1, 0) == {}
        waiting = asyncio.create_task(opened.newer(streams, 1, 60_000))
        await opened.ask(
            "seatrush:{c3}:events", lambda client: client.xadd("seatrush:{c3}:events", {"h": "1"})
        )
        assert list(await waiting) == ["seatrush:{c3}:events"]
        for key in streams:
            await opened.ask(key, lambda client, key=key: client.xadd(key, {"h": "1"}))  # type: ignore[misc]
        assert sorted(await opened.newer(streams, 1, 60_000)) == sorted(streams)
        slots = {key: cluster.nodes[0].client.cluster("KEYSLOT", key) for key in streams}
        down = cluster.owner(slots["seatrush:{c3}:events"])
        served = [key for key, slot in slots.items() if cluster.owner(slot) is not down]
        down.kill()
        try:
            assert sorted(await opened.newer(streams, 1, 60_000)) == sorted(served)
            left = {f"127.0.0.1:{node.port}" for node in cluster.nodes if node is not down}
            assert (await condition(opened)).keys() == left
        finally:
            down.start()
