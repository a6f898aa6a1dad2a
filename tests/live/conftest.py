"""A stand for each line of Redis."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stand import Stand, open_stand


@pytest.fixture
async def stand(redis_url: str, data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts on an empty Redis, with a ledger in SQLite."""
    async with open_stand(redis_url, f"sqlite:///{data_directory}/ledger.db", data_directory) as opened:
        yield opened
