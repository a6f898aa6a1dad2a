"""A stand for each line of Redis and each ledger."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.stand import Stand, open_stand


@pytest.fixture
async def stand(redis_url: str, database_url: str, data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts on an empty Redis and an empty ledger."""
    async with open_stand(redis_url, database_url, data_directory) as opened:
        yield opened
