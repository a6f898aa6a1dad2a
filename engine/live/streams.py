"""Streams: a campaign's log in Redis, read after a seq and trimmed below one."""

from collections.abc import Mapping

from msgspec import Struct

from engine.live import keys
from engine.live.server import Server, reading


class Entry(Struct, frozen=True):
    """One entry as it lies in the stream; domain/events.py decodes it."""

    id: bytes
    fields: Mapping[bytes, bytes]


class State(Struct, frozen=True):
    """Where a campaign's state in Redis stands."""

    epoch: int
    seq: int
    version: int
    gate: str


class Streams:
    """The logs of all campaigns on one server. Every method raises NothingRan when the server cannot be asked."""

    def __init__(self, server: Server) -> None:
        self._client = server.client

    async def state(self, campaign: str) -> State | None:
        """Where the campaign stands, or None when it has no state in Redis."""
        with reading():
            epoch, seq, version, gate = await self._client.hmget(
                keys.of(campaign, "META"), ["epoch", "seq", "version", "gate"]
            )
        if gate is None:
            return None
        return State(int(epoch), int(seq), int(version), gate.decode())

    async def read(self, campaign: str, epoch: int, after_seq: int, entries_max: int) -> list[Entry]:
        """Up to `entries_max` entries after a seq, in order."""
        with reading():
            entries = await self._client.xrange(
                keys.of(campaign, "EVENTS"), min=f"({epoch}-{after_seq}", count=entries_max
            )
        return [Entry(entry_id, fields) for entry_id, fields in entries]

    async def wait(self, after: Mapping[str, tuple[int, int]], idle_ms_max: int) -> list[str]:
        """The campaigns with entries after their (epoch, seq), waiting up to `idle_ms_max` for the first."""
        names = {keys.of(campaign, "EVENTS").encode(): campaign for campaign in after}
        wanted = {keys.of(campaign, "EVENTS"): f"{epoch}-{seq}" for campaign, (epoch, seq) in after.items()}
        with reading():
            found = await self._client.xread(wanted, count=1, block=idle_ms_max)
        return [names[key] for key, _ in found]

    async def next(
        self, after: Mapping[str, tuple[int, int]], entries_max: int, idle_ms_max: int
    ) -> dict[str, list[Entry]]:
        """As `wait`, with up to `entries_max` entries of each campaign: one call for however many there are."""
        names = {keys.of(campaign, "EVENTS").encode(): campaign for campaign in after}
        wanted = {keys.of(campaign, "EVENTS"): f"{epoch}-{seq}" for campaign, (epoch, seq) in after.items()}
        with reading():
            found = await self._client.xread(wanted, count=entries_max, block=idle_ms_max)
        return {
            names[key]: [Entry(entry_id, fields) for entry_id, fields in entries] for key, entries in found
        }

    async def length(self, campaign: str) -> int:
        """The number of entries in the stream, recorded ones that are kept included."""
        with reading():
            return int(await self._client.xlen(keys.of(campaign, "EVENTS")))

    async def trim(self, campaign: str, epoch: int, below_seq: int) -> None:
        """Drop entries below a seq; never more, so that nothing that is not recorded is lost."""
        with reading():
            await self._client.xtrim(
                keys.of(campaign, "EVENTS"), minid=f"{epoch}-{below_seq}", approximate=True
            )

    async def lease(self, campaign: str, worker: str, holder: str, ttl_ms: int) -> bool:
        """Take or renew a lease; False while another holds it."""
        key = keys.lease(campaign, worker)
        with reading():
            known = await self._client.set(key, holder, nx=True, get=True, px=ttl_ms)
            if known is None:
                return True
            if known != holder.encode():
                return False
            # Another may have taken it between the two calls: the fence in the ledger keeps that harmless.
            return bool(await self._client.pexpire(key, ttl_ms))

    async def release(self, campaign: str, worker: str, holder: str) -> None:
        """Give a lease back, if it is still this holder's."""
        key = keys.lease(campaign, worker)
        with reading():
            if await self._client.get(key) == holder.encode():
                await self._client.delete(key)
