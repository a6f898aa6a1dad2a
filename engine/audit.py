"""The audit: what Redis holds of a campaign against what the ledger holds of it, and each against itself.

Sales may go on. Where nothing was decided during the reading, both sides are of one moment and everything is
compared. Where something was, enrollments that differ are read again until they agree or stand still and differ.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.clock import Clock
from engine.domain import enrollment, events
from engine.domain.difference import Difference, Seating
from engine.domain.enrollment import Record
from engine.domain.events import Event
from engine.ledger.protocol import Ledger, Registration, Row
from engine.live.consistency import Consistency, decode
from engine.live.inspection import Inspector, Reading
from engine.live.server import Server
from engine.live.streams import State, Streams

READINGS_MAX: Final = 3
ROUNDS_MAX: Final = 10
PAGE_ROWS: Final = 2_000
POLL_S: Final = 0.05

MOVING: Final = "sales went on: counters, indexes, queues, timers and remembered requests were not compared"

_values = msgspec.msgpack.Decoder(list[Any])


class Result(Struct):
    """What the audit of one campaign found; `notes` are no differences."""

    campaign: str
    seq: int = 0
    recorded_seq: int = 0
    enrollments: int = 0
    differences: list[Difference] = []
    notes: list[str] = []


class Suspect(Struct, frozen=True):
    """An enrollment of which the two sides were read differently."""

    seq: int
    """Its sign-up's: the ledger finds it by this."""
    differences: list[Difference]


class Rows(Struct, frozen=True):
    """The ledger's enrollments, compared with a reading."""

    suspects: dict[str, Suspect]
    seating: Seating
    seats: dict[tuple[str, str], int]
    """The rows in the ledger's table of seats."""


class Unrecorded(Struct, frozen=True):
    """What the events after the ledger's cursor are about."""

    enrollments: frozenset[str] = frozenset()
    published: bool = False


class Auditor:
    """Audits campaigns, waiting up to `wait_s` for the ledger wherever it has to catch up.

    Every method raises live.server.NothingRan or ledger.protocol.Unavailable when a side cannot be asked.
    """

    def __init__(self, server: Server, ledger: Ledger, clock: Clock, wait_s: float) -> None:
        self._inspector = Inspector(server)
        self._streams = Streams(server)
        self._ledger = ledger
        self._clock = clock
        self._wait_s = wait_s

    async def campaigns(self) -> list[str]:
        """Every campaign that the ledger or Redis knows, in order."""
        registered = {registration.campaign for registration in await self._ledger.campaigns()}
        return sorted(registered.union(await self._inspector.campaigns()))

    async def audit(self, campaign: str) -> Result:
        """Compare all that both sides hold of a campaign."""
        result = Result(campaign)
        state, registration = await self._published(campaign)
        if registration is None:
            result.differences.append(Difference("", "is in Redis, and unknown to the ledger"))
            return result
        result.recorded_seq = registration.recorded_seq
        if state is None and not registration.created:
            result.notes.append("is registered, and was never published")
            return result
        reading = rows = None
        if state is not None:
            # What was in Redis when the audit began must arrive; what comes later is waited for as it is read.
            await self._recorded(campaign, state.seq)
            for _ in range(READINGS_MAX):
                reading = await self._inspector.read(campaign)
                if reading is None:
                    break
                registration = await self._recorded(campaign, reading.state.seq)
                unrecorded = await self._unrecorded(registration)
                rows = await self._rows(reading)
                if await self._stands_still(reading, registration):
                    break
        if reading is None or rows is None:
            result.differences.append(Difference("", "has no state in Redis: it is lost"))
            return result
        return result
