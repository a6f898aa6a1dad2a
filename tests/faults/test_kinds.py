"""Every kind of fault, with two seeds each: what was acknowledged stands. `scripts/faults` tries more, and longer."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import product

import pytest
import pytest_asyncio

from tests.faults import stand
from tests.faults.kinds import KINDS
from tests.faults.stand import Needs, Stand
from tests.faults.trial import Trial

SEEDS = (1, 2)
SECONDS = 0.5


class Stands:
    """The stand of the last test, for the next one that needs the same."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._stand: Stand | None = None

    async def of(self, needs: Needs) -> Stand:
        """A stand that is ready."""
        if self._stand is None or self._stand.needs != needs:
            await self.close()
            self._stand = await self._stack.enter_async_context(stand.opened(needs))
        return self._stand

    async def close(self) -> None:
        """End the last one."""
        self._stand = None
        await self._stack.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stands() -> AsyncIterator[Stands]:
    """Stands of which one at a time is there."""
    opened = Stands()
    yield opened
    await opened.close()


def in_order() -> list[str]:
    """The kinds that need the same one after the other."""
    needs: list[Needs] = []
    for kind in KINDS.values():
        if kind.needs not in needs:
            needs.append(kind.needs)
    return sorted(KINDS, key=lambda name: needs.index(KINDS[name].needs))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("name", "seed"), list(product(in_order(), SEEDS)))
async def test_fault(stands: Stands, name: str, seed: int) -> None:
    result = await Trial(await stands.of(KINDS[name].needs), KINDS[name], seed, SECONDS).run()
    assert result.violations == [], result.in_words()
