"""Live counts of a campaign, read in one step."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

from engine.domain import outcome
from engine.live.server import Server


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


class CountsReader:
    """Reads counts; requests that arrive while a reading is about to be sent share it.

    `advance` brings about what is due in a campaign.
    """

    def __init__(self, server: Server, advance: Callable[[str], Awaitable[object]]) -> None:
        self._server = server
        self._advance = advance
        self._reading: dict[str, asyncio.Task[Counts | None]] = {}

    async def read(self, campaign: str) -> Counts | None:
        """The counts of a campaign, or None when its state is not in Redis. Raises NothingRan or Unknown."""
        task = self._reading.get(campaign)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read(campaign))
            self._reading[campaign] = task
        return await asyncio.shield(task)

    async def _read(self, campaign: str) -> Counts | None:
        # Once it is sent, a reading may be older than what the next caller has seen.
        await asyncio.sleep(0)
        del self._reading[campaign]
        reply = await self._server.call("counts", campaign)
        while reply[0].decode() == outcome.BEHIND:
            await self._advance(campaign)
            reply = await self._server.call("counts", campaign)
        if reply[0].decode() != outcome.DECIDED:
            return None
        _, version, seq, flat = reply
        return Counts(version, seq, dict(zip(flat[::2], flat[1::2], strict=True)))
