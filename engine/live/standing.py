"""Standings: how campaigns stand, for ops, each read in one step that changes nothing."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from engine.clock import Clock
from engine.domain import outcome
from engine.live.server import NothingRan, Server, Unknown

logger = logging.getLogger(__name__)

CALLS_AT_ONCE: Final = 16
"""So many of the connections are enough to keep the server busy, and leave the others to decisions."""


class Standing(Struct, frozen=True):
    """How a campaign stands."""

    gate: str
    epoch: int
    version: int
    seq: int
    taken: int
    """Seats that are confirmed, held or offered, as last decided."""
    waiting: int
    stream_entries: int
    pending_ms: int | None
    """How long the oldest event that was not recorded had waited when the reading began; None for none."""
    overdue_ms: int
    """How long the first of what time brings about has been due, 0 for none: see workers/promoter.py."""
    draw_overdue_ms: int
    """How long a draw has been due that has not begun, 0 for none."""
    drawing: int
    """The number of the draw under way, 0 for none."""
    recorded_seq: int
    """The seq up to which the ledger has all, as far as Redis or the caller knew."""


class StandingReader:
    """Reads standings."""

    def __init__(self, server: Server, clock: Clock) -> None:
        self._server = server
        self._clock = clock

    async def read(self, recorded: Mapping[str, tuple[int, int]]) -> dict[str, Standing | None]:
        """Every campaign's standing, given the (epoch, seq) that the ledger had just now; None where its state is lost.

        One that does not answer is left out.
        Raises NothingRan when some calls at once all fail: the server is away, and the others would wait for nothing.
        """
        found: dict[str, Standing | None] = {}
        began_s = self._clock.monotonic_s()
        asked = list(recorded.items())
        for first in range(0, len(asked), CALLS_AT_ONCE):
            chunk = asked[first : first + CALLS_AT_ONCE]
            answers = await asyncio.gather(*(self._read(*each, began_s) for each in chunk))
            failures = [answer for answer in answers if isinstance(answer, Exception)]
            for failure in failures:
                logger.warning("a campaign's standing could not be read: %s", failure)
            if len(failures) == len(chunk):
                raise NothingRan(str(failures[0]))
            for (name, _), answer in zip(chunk, answers, strict=True):
                if not isinstance(answer, Exception):
                    found[name] = answer
        return found

    async def _read(
        self, campaign: str, recorded: tuple[int, int], began_s: float
    ) -> Standing | NothingRan | Unknown | None:
        # While sign-ups rush in, some hundred calls take a second, in which the ledger goes on.
        since_ms = int((self._clock.monotonic_s() - began_s) * 1000)
        try:
            status, *values = await self._server.call("standing", campaign, recorded)
        except (NothingRan, Unknown) as error:
            return error
        if status.decode() != outcome.DECIDED:
            return None
        (
            gate,
            epoch,
            version,
            seq,
            taken,
            waiting,
            entries,
            pending,
            overdue,
            draw_overdue,
            drawing,
            recorded_seq,
        ) = values
        return Standing(
            gate.decode(),
            int(epoch),
            version,
            seq,
            taken,
            waiting,
            entries,
            max(0, int(float(pending)) - since_ms) if pending else None,
            overdue,
            draw_overdue,
            drawing,
            recorded_seq,
        )
