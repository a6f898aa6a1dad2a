"""What all tests share: the event loop that runs in production, both lines of Redis, and a data directory."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
import redis
import uvloop

from tests import redis_servers
from tests.fixtures.postgres import blank_postgres_url, migrated_postgres, postgres_server, postgres_url

__all__ = ["blank_postgres_url", "migrated_postgres", "postgres_server", "postgres_url"]

TESTS: Final = Path(__file__).parent
LOADING: Final = {"loadtests"}
"""Folders of tests of which two at once would measure each other."""


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on uvloop, as the servers do."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of a file share a process; all that load the machine share one, and begin, as they take longest."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item.path)))
    items.sort(key=lambda item: _group(item.path) not in LOADING)


def _group(path: Path) -> str:
    folder = path.relative_to(TESTS).parts[0]
    return folder if folder in LOADING else str(path)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Callable[[str], str]]:
    """The URL of the session's server of a line, started when it is first asked for."""
    urls: dict[str, str] = {}
    with ExitStack() as servers:

        def url(line: str) -> str:
            if line not in urls:
                urls[line] = servers.enter_context(redis_servers.running(line))
            return urls[line]

        yield url


@pytest.fixture(params=redis_servers.LINES)
def redis_url(request: pytest.FixtureRequest, redis_server: Callable[[str], str]) -> str:
    """An empty Redis with fsync always, of each line in turn."""
    return _emptied(redis_server(request.param))


def _emptied(url: str) -> str:
    with redis.Redis.from_url(url) as client:
        client.flushall()
        client.script_flush()
    return url


@pytest.fixture
def data_directory() -> Iterator[Path]:
    """A private directory with a path short enough for the embedded Redis."""
    with redis_servers.short_directory() as directory:
        yield directory


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, data_directory: Path) -> str:
    """An empty database of each ledger in turn."""
    return _database(request, request.param, data_directory)


def _database(request: pytest.FixtureRequest, ledger: str, directory: Path) -> str:
    if ledger == "sqlite":
        return f"sqlite:///{directory}/ledger.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(params=[("valkey", "sqlite"), ("redis", "postgres")], ids="-".join)
def stores(
    request: pytest.FixtureRequest, redis_server: Callable[[str], str], data_directory: Path
) -> tuple[str, str]:
    """An empty Redis and an empty database: both lines and both ledgers, each once."""
    line, ledger = request.param
    return _emptied(redis_server(line)), _database(request, ledger, data_directory)
