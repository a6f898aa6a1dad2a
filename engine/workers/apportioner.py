"""The apportioner: until an offering opens, its quotas follow the headcounts.

What the pools are to be is a function of the document in force and of the headcounts in the ledger, so whoever is
killed is done over again by the next look, and of two who publish at once the version in force lets one through.
"""

import logging
from typing import ClassVar, Final

from engine.clock import Clock
from engine.domain.definition import Definition, milliseconds
from engine.ledger.protocol import Ledger, Unavailable
from engine.live.catalog import Catalog
from engine.live.server import NothingRan, Unknown
from engine.publishing import Published, Publisher

LOOK_EVERY_S: Final = 2.0

logger = logging.getLogger(__name__)


class Apportioner:
    """Publishes campaigns anew whose headcounts have changed. Several may run."""

    name: ClassVar[str] = "apportioner"

    def __init__(self, publisher: Publisher, catalog: Catalog, ledger: Ledger, clock: Clock) -> None:
        self._publisher = publisher
        self._catalog = catalog
        self._ledger = ledger
        self._clock = clock
        self._done: dict[str, tuple[int, int]] = {}
        """By campaign: the version, and the newest headcounts that it has."""

    async def run_once(self) -> float:
        """Look at every campaign with quotas; one that cannot be asked does not keep the others from it."""
        failure: NothingRan | Unknown | Unavailable | None = None
        try:
            await self._catalog.refresh()
        except NothingRan as error:
            failure = error
        line = await self._ledger.headcounts_line()
        for name in self._catalog.names():
            definition = self._catalog.get(name)
            if definition is None or not self._may_change(definition):
                self._done.pop(name, None)
            elif self._done.get(name) != (definition.version, line):
                try:
                    await self._recompute(definition, line)
                except (NothingRan, Unknown, Unavailable) as error:
                    failure = error
        if failure is not None:
            raise failure
        return LOOK_EVERY_S

    def _may_change(self, definition: Definition) -> bool:
        now_ms = self._clock.now_ms()
        return any(
            offering.quotas and milliseconds(offering.opens) > now_ms
            for offering in definition.document.offerings
        )

    async def _recompute(self, definition: Definition, line: int) -> None:
        name = definition.campaign
        answer = await self._publisher.recompute(definition)
        if isinstance(answer, Published):
            self._done[name] = answer.version, line
            if answer.changed:
                logger.info("%s: pools by new headcounts, version %d", name, answer.version)
        elif isinstance(answer, list):
            # Until the document or a headcount changes it stays so.
            self._done[name] = definition.version, line
            logger.warning("%s: quotas cannot be recomputed: %s", name, [each.code for each in answer])
        else:
            # Another version is in force, an offering has opened meanwhile, or the state is not ready.
            await self._catalog.load(name)

    async def close(self) -> None:
        """Nothing is held."""
