"""Streams: a campaign's log in Redis, read after a seq and trimmed below one."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from engine.live import keys
from engine.live.server import Server


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
    recorded_seq: int = 0
    """A seq up to which the ledger has all; it may have come further."""


class Streams:
    """The logs of all campaigns. Every method raises NothingRan when the server cannot be asked."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def state(self, campaign: str) -> State | None:
        """Where the campaign stands, or None when it has no whole state in Redis."""
        meta = keys.of(campaign, "META")
        fields = await self._server.ask(
            meta, lambda client: client.hmget(meta, ["epoch", "seq", "version", "gate", "recorded"])
        )
        if None in fields[:4]:
            return None
        epoch, seq, version, gate, recorded = fields
        return State(int(epoch), int(seq), int(version), gate.decode(), int(recorded or 0))

    async def read(self, campaign: str, epoch: int, after_seq: int, entries_max: int) -> list[Entry]:
        """Up to `entries_max` entries after a seq, in order."""
        stream = keys.of(campaign, "EVENTS")
        entries = await self._server.ask(
            stream, lambda client: client.xrange(stream, min=f"({epoch}-{after_seq}", count=entries_max)
        )
        return [Entry(entry_id, fields) for entry_id, fields in entries]

    async def entry(self, campaign: str, entry_id: bytes) -> Entry | None:
        """The entry with an id, None where there is none.

        Where decisions wait for replicas, so does this: these have every entry that was read before.
        """
        stream = keys.of(campaign, "EVENTS")
        found = await self._server.command(stream, "XRANGE", stream, entry_id, entry_id, replicated=True)
        return entry_of(found)

    async def next(
        self, after: Mapping[str, tuple[int, int]], entries_max: int, idle_ms_max: int
    ) -> dict[str, list[Entry]]:
        """The entries after their (epoch, seq) of the campaigns that have some, up to `entries_max` of each.

        Waits up to `idle_ms_max` for the first.
        """
        names = {keys.of(campaign, "EVENTS"): campaign for campaign in after}
        ids = {key: "{}-{}".format(*after[campaign]) for key, campaign in names.items()}
        found = await self._server.newer(ids, entries_max, idle_ms_max)
        return {
            names[key]: [Entry(entry_id, fields) for entry_id, fields in entries]
            for key, entries in found.items()
        }

    async def length(self, campaign: str) -> int:
        """The number of entries in the stream, recorded ones that are kept included."""
        stream = keys.of(campaign, "EVENTS")
        return int(await self._server.ask(stream, lambda client: client.xlen(stream)))

    async def note_recorded(self, campaign: str, epoch: int, recorded_seq: int, kept_from_seq: int) -> None:
        """Tell Redis up to where the ledger has recorded, and drop entries below those that are kept.

        Never more, so that nothing that is not recorded is lost. May also raise Unknown; asked again, it has no other
        effect.
        """
        await self._server.call("recorded", campaign, [str(epoch), recorded_seq, max(0, kept_from_seq)])

    async def lease(self, campaign: str, worker: str, holder: str, ttl_ms: int) -> bool:
        """Take or renew a lease; False while another holds it."""
        key = keys.lease(campaign, worker)
        known = await self._server.command(key, "SET", key, holder, "NX", "GET", "PX", ttl_ms)
        if known is None:
            return True
        if known != holder.encode():
            return False
        # Another may have taken it between the two calls: the fence in the ledger keeps that harmless.
        return bool(await self._server.command(key, "PEXPIRE", key, ttl_ms))

    async def is_leased(self, campaign: str, worker: str) -> bool:
        """Whether some worker of a kind holds a campaign's lease."""
        key = keys.lease(campaign, worker)
        return bool(await self._server.command(key, "EXISTS", key))

    async def release(self, campaign: str, worker: str, holder: str) -> None:
        """Give a lease back, if it is still this holder's."""
        key = keys.lease(campaign, worker)

        async def give(client: Any) -> None:
            if await client.get(key) == holder.encode():
                await client.delete(key)

        await self._server.ask(key, give)


def entry_of(reply: Sequence[Any]) -> Entry | None:
    """The first entry of a reply to XRANGE, as the server gives it."""
    if not reply:
        return None
    entry_id, flat = reply[0]
    return Entry(entry_id, dict(zip(flat[::2], flat[1::2], strict=True)))
