"""A stand for each line of Redis, and for a cluster of each."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests import redis_cluster, redis_servers
from tests.redis_cluster import RedisCluster
from tests.stand import Stand, open_stand


@pytest.fixture
async def stand(redis_url: str, data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts on an empty Redis, with a ledger in SQLite."""
    async with open_stand(redis_url, f"sqlite:///{data_directory}/ledger.db", data_directory) as opened:
        yield opened


@pytest.fixture(scope="session", params=redis_servers.LINES)
def running_cluster(request: pytest.FixtureRequest) -> Iterator[RedisCluster]:
    """The session's cluster of each line in turn."""
    with redis_cluster.running(request.param) as cluster:
        yield cluster


@pytest.fixture
def cluster(running_cluster: RedisCluster) -> RedisCluster:
    """An empty cluster that is whole."""
    running_cluster.empty()
    return running_cluster


@pytest.fixture
async def sharded(cluster: RedisCluster, data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts on an empty cluster, with a ledger in SQLite; every event stays in its stream."""
    ledger = f"sqlite:///{data_directory}/ledger.db"
    async with open_stand(cluster.url, ledger, data_directory, events_kept=1_000_000) as opened:
        yield opened
