"""Live counts of a campaign, read in one step."""

import asyncio
from collections.abc import Mapping

from msgspec import Struct

from engine.live import keys
from engine.live.server import Server, reading


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
    """Reads counts; requests that arrive during a reading share the next one."""

    def __init__(self, server: Server) -> None:
        self._client = server.client
        self._reading: dict[str, asyncio.Task[Counts | None]] = {}

    async def read(self, campaign: str) -> Counts | None:
        """The counts of a campaign, or None when its state is not in Redis. Raises NothingRan."""
        task = self._reading.get(campaign)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read(campaign))
            self._reading[campaign] = task
            task.add_done_callback(lambda _: self._reading.pop(campaign, None))
        return await asyncio.shield(task)

    async def _read(self, campaign: str) -> Counts | None:
        # A reading under way may have been sent before what the caller has seen: it is shared only until it is sent.
        await asyncio.sleep(0)
        self._reading.pop(campaign, None)
        with reading():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.hmget(keys.of(campaign, "META"), ["version", "seq", "gate"])
                pipeline.hgetall(keys.of(campaign, "COUNTS"))
                (version, seq, gate), fields = await pipeline.execute()
        if gate != b"open":
            return None
        return Counts(int(version), int(seq), fields)
