"""Both ledgers for the tests that every ledger must pass."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.ledger.connect import connect
from engine.ledger.protocol import Ledger


@pytest.fixture(params=["sqlite", "postgres"])
def blank_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without a schema, of each dialect in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    url: str = request.getfixturevalue("blank_postgres_url")
    return url


@pytest.fixture(params=["sqlite", "postgres"])
async def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty ledger, of each dialect in turn."""
    if request.param == "postgres":
        url: str = request.getfixturevalue("postgres_url")
        return url
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = connect(url)
    await ledger.open()
    await ledger.migrate()
    await ledger.close()
    return url


@pytest.fixture
async def ledger(ledger_url: str) -> AsyncIterator[Ledger]:
    """An empty, open ledger, of each dialect in turn."""
    ledger = connect(ledger_url)
    await ledger.open()
    yield ledger
    await ledger.close()


@pytest.fixture
async def other(ledger_url: str) -> AsyncIterator[Ledger]:
    """The same database as `ledger`, as another process has it: with connections of its own."""
    ledger = connect(ledger_url)
    await ledger.open()
    yield ledger
    await ledger.close()
