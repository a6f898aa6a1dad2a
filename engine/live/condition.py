"""The condition of each Redis node: its memory, its append-only file, how long it has been up."""

from typing import Any

from msgspec import Struct

from engine.live.server import Server


class Condition(Struct, frozen=True):
    """What a node says of itself."""

    memory_share: float
    """The part of `maxmemory` that is used; where there is no limit, of the machine's memory."""
    aof_bytes: int
    """The size of its append-only file, 0 without one; to rewrite it takes as much again on the disk, at most."""
    persists: bool
    """Whether its last write, and its last rewrite, of the append-only file succeeded."""
    up_s: int


class ConditionReader:
    """Reads conditions: one INFO to each node."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def read(self) -> dict[str, Condition]:
        """The condition of each node that answers, by its address. Raises NothingRan when none does."""
        return await self._server.each(_condition)


async def _condition(client: Any) -> Condition:
    info = await client.info("server", "memory", "persistence")
    limit = info["maxmemory"] or info["total_system_memory"]
    return Condition(
        memory_share=info["used_memory"] / limit if limit else 0.0,
        aof_bytes=info.get("aof_current_size", 0),
        persists=info["aof_last_write_status"] == info["aof_last_bgrewrite_status"] == "ok",
        up_s=info["uptime_in_seconds"],
    )
