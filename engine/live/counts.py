"""Live counts of a campaign: read in one step, and remembered for as long as they are news."""

import asyncio
import math
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from engine.clock import Clock
from engine.domain import outcome
from engine.domain.instants import iso
from engine.live.decisions import Decisions
from engine.live.server import Server

AGE_S_MAX: Final = 0.1
"""How old counts may be that are shown. Of what this process has decided none is left out."""


class Counts(Struct, frozen=True):
    """How many seats are taken and how many members wait, after `seq`."""

    version: int
    seq: int
    fields: Mapping[bytes, bytes]

    def taken(self, offering: str, pool: str) -> int:
        """Seats of a pool that are confirmed, held or offered."""
        return int(self.fields.get(f"taken/{offering}/{pool}".encode(), 0))

    def waiting(self, offering: str) -> int:
        """Members on an offering's waitlist."""
        return int(self.fields.get(f"waiting/{offering}".encode(), 0))

    def entered(self, offering: str) -> int:
        """Entries in a draw that has not settled them yet."""
        return int(self.fields.get(f"entered/{offering}".encode(), 0))

    def met_at(self, offering: str) -> str | None:
        """When as many had voted or waited as a poll or a second class needs, None before."""
        met = int(self.fields.get(f"met/{offering}".encode(), 0))
        return iso(met) if met else None

    def draw(self, offering: str) -> int:
        """The number of an offering's draw, 0 before it has begun."""
        return int(self.fields.get(f"draw/{offering}".encode(), 0))


class _Remembered(Struct, frozen=True):
    counts: Counts
    until_s: float
    """When they are too old, or time brings about something new."""


class CountsReader:
    """Reads counts. Those who ask while a reading is about to be sent share it, and those who ask soon after.

    A look is never older than an answer that this process gave before it, nor than `AGE_S_MAX` where other processes
    decide too.
    """

    def __init__(self, server: Server, decisions: Decisions, clock: Clock) -> None:
        self._server = server
        self._decisions = decisions
        self._clock = clock
        self._reading: dict[str, asyncio.Task[Counts | None]] = {}
        self._remembered: dict[str, _Remembered] = {}

    async def read(self, campaign: str) -> Counts | None:
        """The counts of a campaign, or None when its state is not in Redis. Raises NothingRan or Unknown."""
        known = self._remembered.get(campaign)
        if (
            known is not None
            and known.counts.seq >= self._decisions.newest_seq(campaign)
            and self._clock.monotonic_s() < known.until_s
        ):
            return known.counts
        task = self._reading.get(campaign)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read(campaign))
            self._reading[campaign] = task
        return await asyncio.shield(task)

    async def _read(self, campaign: str) -> Counts | None:
        # Once it is sent, a reading may be older than what the next caller has seen.
        await asyncio.sleep(0)
        del self._reading[campaign]
        sent_s = self._clock.monotonic_s()
        reply = await self._server.call("counts", campaign)
        while reply[0].decode() == outcome.BEHIND:
            await self._decisions.advance(campaign)
            sent_s = self._clock.monotonic_s()
            reply = await self._server.call("counts", campaign)
        if reply[0].decode() != outcome.DECIDED:
            self._remembered.pop(campaign, None)
            return None
        _, version, seq, due_ms, flat = reply
        counts = Counts(version, seq, dict(zip(flat[::2], flat[1::2], strict=True)))
        due_s = float(due_ms) / 1000 if due_ms else math.inf
        self._remembered[campaign] = _Remembered(counts, sent_s + min(AGE_S_MAX, due_s))
        return counts
