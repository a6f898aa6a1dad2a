"""The api for each test: on one line of Redis, or on both where a test looks at decisions."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import redis

from engine.live import embedded
from tests.api.client import CANARY, Client, served


@pytest.fixture
def one_redis_url(redis_server: Callable[[str], str]) -> str:
    """An empty Redis of the line that is embedded."""
    url = redis_server("valkey" if embedded.find_in_wheel() else "redis")
    with redis.Redis.from_url(url) as connection:
        connection.flushall()
    return url


@pytest.fixture
async def client(one_redis_url: str, data_directory: Path) -> AsyncIterator[Client]:
    """The api on an empty Redis, with a ledger in SQLite."""
    async with served(one_redis_url, data_directory) as serving:
        yield serving


@pytest.fixture
async def client_on_both(redis_url: str, data_directory: Path) -> AsyncIterator[Client]:
    """The same on each line of Redis in turn."""
    async with served(redis_url, data_directory) as serving:
        yield serving


@pytest.fixture
def no_canary_in_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever the level and the logger, no record of the test may show the canary, or any token."""
    caplog.set_level(logging.DEBUG)
    yield
    formatter = logging.Formatter("%(name)s %(message)s")
    for record in caplog.get_records("call"):
        line = formatter.format(record)
        assert CANARY not in line, record.name
        assert "eyJ" not in line, record.name
