"""A Redis server: connections that never retry by themselves, and script calls whose fate is always named.

A decision that was sent may have happened even when its reply is lost, so only a reply which proves that nothing
ran is tried again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import redis.asyncio
from redis import exceptions
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from engine import metrics
from engine.live import keys, scripts
from engine.live.pipeline import Command, NotSent, Pipeline

T = TypeVar("T")

logger = logging.getLogger(__name__)

VERSION_MIN: Final = (7, 0)
CONNECTIONS_MAX: Final = 64
PORT: Final = 6379
RETRY_DELAYS_S: Final = (0.02, 0.05, 0.1, 0.2)
"""Waits before a call is tried again that is proven not to have run."""

_PASSING: Final = frozenset({"LOADING", "READONLY", "TRYAGAIN", "BUSY", "CLUSTERDOWN"})
"""Error codes that prove that nothing ran, and may be gone a moment later."""
_NOTHING_RAN: Final = _PASSING | {
    "MASTERDOWN",
    "OOM",
    "MISCONF",
    "NOREPLICAS",
    "NOPERM",
    "NOAUTH",
}


class NothingRan(Exception):
    """The server is not ready: it is proven that the call had no effect.

    `code` is Redis's own, such as LOADING, "" for none; `passing`: a retry may soon succeed.
    """

    def __init__(self, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.passing = code in _PASSING


class Unreachable(NothingRan):
    """There is no connection."""


class Elsewhere(NothingRan):
    """Another node of a cluster has the slot, by MOVED, or has its keys already while the slot moves, by ASK.

    `host` is "" where the node has the same one.
    """

    def __init__(self, error: exceptions.AskError) -> None:
        super().__init__(str(error), "MOVED" if isinstance(error, exceptions.MovedError) else "ASK")
        self.host: str = error.host
        self.port: int = error.port


class Unknown(Exception):
    """The call was sent and its reply is lost: whether it had an effect is not known."""


@contextmanager
def reading() -> Iterator[None]:
    """Around commands that change nothing that matters: whatever fails in them, NothingRan says it."""
    try:
        yield
    except (exceptions.RedisError, OSError) as error:
        raise _refusal(error) from error


class Unsuitable(exceptions.ConnectionError):
    """The server's version or durability is not what the settings ask for."""


class Server:
    """One Redis or Valkey server, by URL.

    `fsync` asks for `appendonly yes` and `appendfsync always`, checked at every connect. `connection_class` is
    another than the URL says, whose commands are sent one by one.
    """

    def __init__(
        self,
        url: str,
        *,
        fsync: bool,
        timeout_s: float,
        connection_class: type[AbstractConnection] | None = None,
    ) -> None:
        self._fsync = fsync
        address = urlsplit(url)
        self.name = f"{address.hostname}:{address.port or PORT}" if address.hostname else address.scheme
        """Its address, `unix` for a socket."""
        self._pool: Any = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS_MAX,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=self._greet,
            protocol=2,
        )
        if connection_class is not None:
            # As an option of `from_url` it would give way to the URL's.
            self._pool.connection_class = connection_class
        self._pipeline = Pipeline(self._pool, timeout_s=timeout_s, together=connection_class is None)
        # Any, since redis-py types a reply as the union of what all its modes of decoding may give.
        self.client: Any = redis.asyncio.Redis(connection_pool=self._pool)

    async def close(self) -> None:
        """Close every connection."""
        await self.client.aclose()
        await self._pool.disconnect()

    async def ping(self) -> None:
        """Raise NothingRan, with the reason, unless the server answers and suits the settings."""
        with reading():
            await self.client.ping()

    async def _greet(self, connection: AbstractConnection) -> None:
        await connection.on_connect()
        version = await _ask(connection, "INFO", "server")
        if _version(version) < VERSION_MIN:
            raise Unsuitable("the Redis server is older than 7.0")
        if not self._fsync:
            return
        reply = await _ask(connection, "CONFIG", "GET", "append*")
        config = dict(zip(reply[::2], reply[1::2], strict=True))
        if config.get(b"appendonly") != b"yes" or config.get(b"appendfsync") != b"always":
            raise Unsuitable(
                "durability fsync needs a Redis server with appendonly yes and appendfsync always; "
                "set them there, or choose durability memory for a rehearsal"
            )

    async def call(
        self, verb: str, campaign: str, args: Sequence[bytes | str | int | float] = ()
    ) -> list[Any]:
        """Run a verb of `engine/lua` on a campaign and return its reply.

        Raises NothingRan or Unknown.
        """
        script = scripts.load(verb)
        command = (script.digest, len(keys.PARTS), *keys.campaign_keys(campaign), *args)
        for delay_s in (*RETRY_DELAYS_S, None):
            try:
                return await self.evaluate(script, command)
            except NothingRan as error:
                if delay_s is None or not error.passing:
                    raise
                metrics.REDIS_RETRIES.labels(error.code).inc()
                await asyncio.sleep(delay_s)
        raise AssertionError("the last try returns or raises")

    async def ask(self, key: str, question: Callable[[Any], Awaitable[T]]) -> T:
        """Put a question to redis-py's client of the server that has a key, and return its answer.

        A question is a few commands about keys of one slot; asked again, it has no other effect. Raises NothingRan.
        """
        with reading():
            return await question(self.client)

    async def each(self, question: Callable[[Any], Awaitable[T]]) -> dict[str, T]:
        """Put a question to redis-py's client of every node; the answers of those that answer, by their names.

        Raises NothingRan when none does.
        """
        with reading():
            return {self.name: await question(self.client)}

    async def command(self, key: str, *words: str | int) -> Any:
        """Send one command about a key, beside what else goes to its server; asked again, it has no other effect.

        Raises NothingRan.
        """
        with reading():
            try:
                return await self._pipeline.call(*words)
            except NotSent as error:
                raise _refusal(error.__cause__ or error) from error

    async def newer(
        self, after: Mapping[str, str], entries_max: int, idle_ms_max: int
    ) -> dict[str, list[Any]]:
        """The entries after an id of the streams that have some, up to `entries_max` of each.

        Waits up to `idle_ms_max` for the first. Raises NothingRan.
        """
        with reading():
            found = await self.client.xread(after, count=entries_max, block=idle_ms_max)
        return {key.decode(): entries for key, entries in found}

    async def evaluate(self, script: scripts.Script, command: Command) -> list[Any]:
        """Send a script once, by its digest, the first word of `command`. Raises NothingRan or Unknown."""
        reply: list[Any]
        try:
            try:
                reply = await self._pipeline.call("EVALSHA", *command)
            except exceptions.NoScriptError:
                metrics.REDIS_RETRIES.labels("NOSCRIPT").inc()
                reply = await self._pipeline.call("EVAL", script.source, *command[1:])
        except NotSent as error:
            raise _refusal(error.__cause__ or error) from error
        except (exceptions.ResponseError, exceptions.BusyLoadingError) as error:
            if isinstance(error, exceptions.AskError) or _code(error) in _NOTHING_RAN:
                raise _refusal(error) from error
            logger.error("script %s failed: %s", script.name, error)
            raise Unknown(str(error)) from error
        except (exceptions.RedisError, OSError) as error:
            raise Unknown(str(error)) from error
        return reply


async def _ask(connection: AbstractConnection, *command: str) -> Any:
    await connection.send_command(*command)
    return await connection.read_response()


def _version(info: bytes) -> tuple[int, ...]:
    """The version from INFO; a Valkey server reports the Redis version it stands for."""
    for line in info.decode().splitlines():
        name, _, value = line.partition(":")
        if name == "redis_version":
            return tuple(int(part) for part in value.split(".")[:2])
    return (0,)


def _refusal(error: BaseException) -> NothingRan:
    """An error as what it proves, where nothing ran."""
    if isinstance(error, exceptions.AskError):
        return Elsewhere(error)
    if isinstance(error, exceptions.ResponseError | exceptions.BusyLoadingError | Unsuitable):
        return NothingRan(str(error), _code(error))
    return Unreachable(str(error))


def _code(error: BaseException) -> str:
    """Redis's own code of an error reply, such as LOADING."""
    return getattr(error, "status_code", None) or str(error).partition(" ")[0]
