"""A Redis Cluster: a server for each node, and a map of which node has which slot.

A campaign lies in one slot, so a call goes to one node. Where the slot has moved, or is moving, the node's reply
proves that nothing ran, and the call follows it; a call whose reply is lost is never sent again, as on one server.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio.connection import Connection, SSLConnection
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from engine import metrics
from engine.live import keys, scripts
from engine.live.server import PORT, Elsewhere, NothingRan, Server, Unreachable, reading

T = TypeVar("T")

REDIRECTS_MAX: Final = 5
"""How often a call is sent on at once; when two nodes send it to and fro for longer, it waits in between."""
PAUSES_S: Final = (0.01, 0.02, 0.05, *[0.1] * 19)
"""Waits while a slot moves, two seconds in all: a move of one slot takes no longer, as a rule."""
REFRESH_S: Final = 0.1
"""The map is read no more often."""
REFRESH_TIMEOUT_S: Final = 1.0
"""How long a node may take for its answer before another one is asked."""
LOOK_S: Final = 0.05
"""How often each node is asked for new entries, since XREAD cannot wait on several slots."""

logger = logging.getLogger(__name__)


class Address(NamedTuple):
    """Where a node listens."""

    host: str
    port: int


class _Asking(Connection):
    """A connection that says ASKING before each command, so that a node also serves a slot that it is importing.

    The permission holds for one command, or for a whole MULTI.
    """

    _greeted = False

    async def connect_check_health(self, *args: Any, **options: Any) -> None:
        self._greeted = False
        await super().connect_check_health(*args, **options)
        self._greeted = True

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if self._greeted:
            await super().send_packed_command(self.pack_command("ASKING"), check_health)
            await self.read_response()
        await super().send_packed_command(command, check_health)


class _AskingOverTls(_Asking, SSLConnection):
    """Likewise."""


class Cluster(Server):
    """A cluster, by the URLs of some of its nodes; the others are found by CLUSTER SLOTS.

    `settings` are Server's, for each node. `client` is that of the first address, for what concerns no key.
    """

    def __init__(self, urls: Sequence[str], **settings: Any) -> None:
        super().__init__(urls[0], **settings)
        self._settings = settings
        self._seeds: dict[Address, Server] = {}
        for url in urls:
            split = urlsplit(url)
            self._seeds[Address(split.hostname or "", split.port or PORT)] = Server(url, **self._settings)
        first = urlsplit(urls[0])
        user, at, _ = first.netloc.rpartition("@")
        self._prefix = f"{first.scheme}://{user}{at}"
        self._asking_class = _AskingOverTls if first.scheme == "rediss" else _Asking
        self._nodes: dict[Address, Server] = {}
        self._importing: dict[Address, Server] = {}
        self._owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._refreshed_s = -REFRESH_S
        self._refreshing: asyncio.Task[None] | None = None
        self._reason = ""

    async def close(self) -> None:
        """Close every connection."""
        if self._refreshing is not None:
            await asyncio.wait([self._refreshing])
        await super().close()
        for server in (*self._seeds.values(), *self._nodes.values(), *self._importing.values()):
            await server.close()

    async def ping(self) -> None:
        """Raise NothingRan unless some node answers, and every node that does suits the settings, replicas too."""
        await self._refresh()
        refusals = await asyncio.gather(*(_ping(server) for server in list(self._nodes.values())))
        for refusal in refusals:
            if refusal is not None and not (refusal.passing or isinstance(refusal, Unreachable)):
                raise refusal
        if all(refusals):
            raise next((refusal for refusal in refusals if refusal), Unreachable(self._reason))

    async def call(
        self, verb: str, campaign: str, args: Sequence[bytes | str | int | float] = ()
    ) -> list[Any]:
        """As Server.call."""
        script = scripts.load(verb)
        names = keys.campaign_keys(campaign)
        command = (script.digest, len(names), *names, *args)
        return await self._follow(names[0], lambda server: server.evaluate(script, command))

    async def ask(self, key: str, question: Callable[[Any], Awaitable[T]]) -> T:
        """As Server.ask; a question whose slot moves while it is asked is asked again as a whole."""
        return await self._follow(key, lambda server: server.ask(key, question))

    async def each(self, question: Callable[[Any], Awaitable[T]]) -> dict[str, T]:
        """As Server.each, the replicas too."""
        await self._refresh()
        nodes = list(self._nodes.values())
        answers = await asyncio.gather(*(_each(node, question) for node in nodes))
        found = {
            name: answer
            for each in answers
            if not isinstance(each, NothingRan)
            for name, answer in each.items()
        }
        if not found:
            raise next((each for each in answers if isinstance(each, NothingRan)), Unreachable(self._reason))
        return found

    async def command(self, key: str, *words: str | bytes | int, replicated: bool = False) -> Any:
        """As Server.command."""
        return await self._follow(key, lambda server: server.command(key, *words, replicated=replicated))

    async def replicas(self) -> int:
        """How many replicas follow the master that has the fewest."""
        await self._refresh()
        masters = {self._at(address) for address in self._owners if address is not None}
        return min(await asyncio.gather(*(master.replicas() for master in masters)), default=0)

    async def newer(
        self, after: Mapping[str, str], entries_max: int, idle_ms_max: int
    ) -> dict[str, list[Any]]:
        """As Server.newer, by looking at each node every `LOOK_S`."""
        ends_s = time.monotonic() + idle_ms_max / 1000
        while True:
            shares: dict[Server, dict[str, str]] = {}
            for key, entry_id in after.items():
                shares.setdefault(await self._owner(_slot(key)), {})[key] = entry_id
            parts = await asyncio.gather(
                *(self._look(server, share, entries_max) for server, share in shares.items())
            )
            found = {key: entries for part in parts for key, entries in part.items()}
            if found or time.monotonic() + LOOK_S > ends_s:
                return found
            await asyncio.sleep(LOOK_S)

    async def _look(self, server: Server, after: Mapping[str, str], entries_max: int) -> dict[str, list[Any]]:
        """The new entries of a node's streams; a stream that it does not have any more is asked for by itself."""
        found: dict[str, list[Any]] = {}
        try:
            with reading():
                async with server.client.pipeline(transaction=False) as pipeline:
                    for key, entry_id in after.items():
                        pipeline.xread({key: entry_id}, count=entries_max)
                    answers = await pipeline.execute(raise_on_error=False)
            for (key, entry_id), answer in zip(after.items(), answers, strict=True):
                streams = answer
                if isinstance(answer, Exception):
                    streams = await self.ask(key, _xread(key, entry_id, entries_max))
                if streams:
                    found[key] = streams[0][1]
        except NothingRan as error:
            # The streams of other nodes do not wait for this one.
            logger.warning("a node of the cluster does not answer: %s", error)
            await self._refresh()
        return found

    async def _follow(self, key: str, send: Callable[[Server], Awaitable[T]]) -> T:
        """Send to the node that has the slot of a key, and on to wherever the replies say, for a bounded time."""
        slot = _slot(key)
        pauses = iter(PAUSES_S)
        redirects = 0
        server = await self._owner(slot)
        while True:
            try:
                return await send(server)
            except NothingRan as error:
                onward = await self._onward(slot, server, error)
                redirects += 1
                if onward is None:
                    raise
                if error.passing or redirects > REDIRECTS_MAX:
                    pause_s = next(pauses, None)
                    if pause_s is None:
                        raise
                    await asyncio.sleep(pause_s)
                metrics.REDIS_RETRIES.labels(error.code or "UNREACHABLE").inc()
                server = onward

    async def _onward(self, slot: int, server: Server, error: NothingRan) -> Server | None:
        """Where to send next what has not run; None where trying again would not help."""
        if isinstance(error, Elsewhere):
            host = error.host or self._host(server)
            if not host:
                return None
            address = Address(host, error.port)
            if error.code == "ASK":
                return self._at(address, asking=True)
            self._owners[slot] = address
            return self._at(address)
        if error.passing:
            if error.code == "CLUSTERDOWN":
                await self._refresh()
            return await self._owner(slot)
        if isinstance(error, Unreachable):
            await self._refresh()
            owner = await self._owner(slot)
            return None if owner is server else owner
        return None

    async def _owner(self, slot: int) -> Server:
        """The node that has a slot, as far as is known. Raises Unreachable when none is."""
        if self._owners[slot] is None:
            await self._refresh()
        address = self._owners[slot]
        if address is None:
            raise Unreachable(self._reason or "no node of the cluster has the campaign's slot")
        return self._at(address)

    def _at(self, address: Address, *, asking: bool = False) -> Server:
        """The node at an address; `asking`, for a slot that it is importing."""
        servers = self._importing if asking else self._nodes
        if address not in servers:
            host = f"[{address.host}]" if ":" in address.host else address.host
            url = f"{self._prefix}{host}:{address.port}"
            connection_class = self._asking_class if asking else None
            servers[address] = Server(
                url, **self._settings, connection_class=connection_class, together=not asking
            )
        return servers[address]

    def _host(self, server: Server) -> str:
        """The host of a server of ours, "" when it has been forgotten meanwhile."""
        every = (*self._nodes.items(), *self._importing.items(), *self._seeds.items())
        return next((address.host for address, each in every if each is server), "")

    async def _refresh(self) -> None:
        """Read the map anew; those who ask at once share one reading, and soon after it they get the same."""
        if self._refreshing is None:
            if time.monotonic() < self._refreshed_s + REFRESH_S:
                return
            self._refreshing = asyncio.create_task(self._read_map())
        await asyncio.shield(self._refreshing)

    async def _read_map(self) -> None:
        try:
            # Any node knows the map, but one that is cut off knows an old one.
            nodes = random.sample(list(self._nodes.items()), len(self._nodes))
            for address, server in (*nodes, *self._seeds.items()):
                try:
                    async with asyncio.timeout(REFRESH_TIMEOUT_S):
                        ranges = await server.client.execute_command("CLUSTER", "SLOTS")
                except (exceptions.RedisError, OSError, TimeoutError) as error:
                    self._reason = str(error) or "no node of the cluster answers in time"
                    continue
                if ranges:
                    await self._draw(ranges, address.host)
                    return
                self._reason = f"{address.host}:{address.port} knows of no node with slots"
            logger.warning("the cluster's map cannot be read: %s", self._reason)
        finally:
            self._refreshed_s = time.monotonic()
            self._refreshing = None

    async def _draw(self, ranges: Sequence[Any], host: str) -> None:
        """Take over a reply to CLUSTER SLOTS, [first, last, master, replica, …] each, by the node at `host`."""
        owners: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        listed: set[Address] = set()
        for first, last, *nodes in ranges:
            addresses = [Address(_text(node[0]) or host, node[1]) for node in nodes]
            owners[first : last + 1] = [addresses[0]] * (last - first + 1)
            listed.update(addresses)
        self._owners = owners
        for address in listed:
            self._at(address)
        await self._forget(listed)

    async def _forget(self, listed: Collection[Address]) -> None:
        """Close the connections to nodes that are not listed any more: they have failed, or left."""
        for servers in (self._nodes, self._importing):
            for address in [each for each in servers if each not in listed]:
                await servers.pop(address).close()


def _xread(key: str, entry_id: str, entries_max: int) -> Callable[[Any], Awaitable[Any]]:
    return lambda client: client.xread({key: entry_id}, count=entries_max)


async def _each(server: Server, question: Callable[[Any], Awaitable[T]]) -> dict[str, T] | NothingRan:
    """A node's answer, or why there is none."""
    try:
        async with asyncio.timeout(REFRESH_TIMEOUT_S):
            return await server.each(question)
    except TimeoutError:
        return Unreachable("a node of the cluster does not answer in time")
    except NothingRan as error:
        return error


async def _ping(server: Server) -> NothingRan | None:
    """Why a node cannot be used, None when it can."""
    try:
        async with asyncio.timeout(REFRESH_TIMEOUT_S):
            await server.ping()
    except TimeoutError:
        return Unreachable("a node of the cluster does not answer in time")
    except NothingRan as error:
        return error
    return None


def _slot(key: str) -> int:
    slot: int = key_slot(key.encode())
    return slot


def _text(host: bytes | None) -> str:
    """A host from CLUSTER SLOTS; "" where the node does not know it, and is to be found where it was asked."""
    text = (host or b"").decode()
    return "" if text == "?" else text
