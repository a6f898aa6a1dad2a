"""A Redis with fsync always that is asked without HTTP: campaigns on it, batches for its scripts, and its own CPU."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from engine.live import keys
from loadtests.bench import machine
from tests import redis_servers
from tests.stand import Stand, campaign, offering, open_stand

LINES: Final = redis_servers.LINES
SEATS_MAX: Final = 10_000_000
IN_FLIGHT: Final = 2
BACKLOG: Final = str(2**40)
"""Nobody records here, so nothing may stop sales because the ledger is behind."""

_encode = msgspec.msgpack.encode


class Direct:
    """One server of a line. Its CPU is that of its process, user and system; it rewrites its AOF when told to only."""

    def __init__(self, stand: Stand, client: Any, pid: int, version: str, fsync_s: float) -> None:
        self.client = client
        self.pid = pid
        self.version = version
        self.fsync_s = fsync_s
        self._stand = stand

    async def publish(self, name: str, capacity: int = SEATS_MAX) -> None:
        """Put a campaign in force with one offering, `seats`, of one pool that is open to all."""
        pools = [{"pool": "open", "capacity": capacity}]
        await self._stand.publish(campaign(offering("seats", pools=pools), name=name))

    async def sign_up(self, name: str, batch: bytes, expected: str) -> None:
        """Ask for a batch that `sign_ups` made. Raises RuntimeError unless all of it is answered as expected."""
        status, *packed = await self._stand.runtime.server.call("sign_up", name, [batch, BACKLOG])
        told = {answer[0] for answer in msgspec.msgpack.decode(packed[0])} if packed else {status.decode()}
        if told != {expected}:
            raise RuntimeError(f"not all sign-ups for {name} were answered {expected}: {told}")

    async def cpu_s(self, calls: Iterable[Awaitable[Any]]) -> float:
        """The server's CPU seconds for calls, two of them in flight."""
        pending = iter(calls)

        async def send() -> None:
            for call in pending:
                await call

        before = machine.cpu_s([self.pid])
        await asyncio.gather(*(send() for _ in range(IN_FLIGHT)))
        return machine.cpu_s([self.pid]) - before

    async def newest_event(self, name: str) -> dict[bytes, bytes]:
        """The fields of the last event of a campaign."""
        entries = await self.client.xrevrange(keys.of(name, "EVENTS"), count=1)
        fields: dict[bytes, bytes] = entries[0][1]
        return fields

    async def trim(self, name: str) -> int:
        """Drop what the recorder would drop, if all events were in the ledger; returns how many are left."""
        stream, kept = keys.of(name, "EVENTS"), self._stand.runtime.settings.events_kept
        streams = self._stand.runtime.streams
        state = await streams.state(name)
        assert state is not None, "it was published"
        await streams.note_recorded(name, state.epoch, state.seq, state.seq - kept + 1)
        await self.client.xtrim(stream, maxlen=kept, approximate=False)
        return int(await self.client.xlen(stream))


def sign_ups(requests: int, entries: int, *, keyed: bool = True) -> list[bytes]:
    """Batches of sign-ups as the api sends them, each of a member of 16 bytes and, if `keyed`, a key of 32."""
    return [
        _encode(
            [_sign_up(secrets.token_hex(16) if keyed else "") for _ in range(min(entries, requests - first))]
        )
        for first in range(0, requests, entries)
    ]


def _sign_up(key: str) -> tuple[Any, ...]:
    member = f"m-{secrets.token_hex(7)}"
    return (1, member, key, secrets.token_urlsafe(12), "seats", "", "1", member, "http", 0, "", 1)


@asynccontextmanager
async def running(line: str) -> AsyncIterator[Direct]:
    """An empty server of a line, with an empty ledger beside it."""
    with redis_servers.running(line) as url, tempfile.TemporaryDirectory() as directory:
        async with open_stand(url, f"sqlite:///{directory}/ledger.db", Path(directory)) as stand:
            client = stand.administrator
            await client.config_set("auto-aof-rewrite-percentage", 0)
            about = await client.info("server")
            version = str(about.get("valkey_version") or about["redis_version"])
            data = Path((await client.config_get("dir"))["dir"])
            yield Direct(stand, client, about["process_id"], version, machine.fsync_s(data))
