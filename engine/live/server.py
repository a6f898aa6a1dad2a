"""A Redis server: connections that never retry by themselves, and script calls whose fate is always named.

A decision that was sent may have happened even when its reply is lost, so only a reply which proves that nothing
ran is tried again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

import redis.asyncio
from redis import exceptions
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from engine import metrics
from engine.live import keys, scripts
from engine.live.pipeline import NotReplicated, NotSent, Pipeline

T = TypeVar("T")
Ask: TypeAlias = Callable[..., Awaitable[Any]]
"""Puts one command to a server: the key that it is about, then its words. Raises as `Server.command` does, or
redis-py's errors."""

logger = logging.getLogger(__name__)

VERSION_MIN: Final = (7, 0)
CONNECTIONS_MAX: Final = 64
PORT: Final = 6379
PROMISES_NOTHING: Final = frozenset({"advance", "counts", "gate", "standing"})
"""Verbs whose answers tell nobody what is theirs, so that they wait for no replica."""
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

    `fsync` asks for `appendonly yes` and `appendfsync always`, `replicas` for `appendonly yes` and for so many that
    follow, checked at every connect; a decision is then answered once so many have acknowledged it. `on_new_server` is
    given every server that this process has not met yet, before anything else is asked of it: one that was promoted or
    started again is a new one. `primary`: it has to be no replica. `connection_class` is another than the URL says;
    `together` as in Pipeline.
    """

    def __init__(
        self,
        url: str,
        *,
        fsync: bool,
        timeout_s: float,
        replicas: int = 0,
        on_new_server: Callable[[Ask], Awaitable[None]] | None = None,
        primary: bool = False,
        connection_class: type[AbstractConnection] | None = None,
        together: bool = True,
    ) -> None:
        self._fsync = fsync
        self._replicas = replicas
        self._on_new_server = on_new_server
        self._primary = primary
        self._known = ""
        self._comparing = asyncio.Lock()
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
        self._pipeline = Pipeline(self._pool, timeout_s=timeout_s, together=together, replicas=replicas)
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
        if _version(_info(await _ask(connection, "INFO", "server"))) < VERSION_MIN:
            raise Unsuitable("the Redis server is older than 7.0")
        if self._fsync or self._replicas:
            await self._check_disk(connection)
        if self._replicas or self._on_new_server or self._primary:
            await self._check_role(connection, _info(await _ask(connection, "INFO", "replication")))

    async def _check_disk(self, connection: AbstractConnection) -> None:
        reply = await _ask(connection, "CONFIG", "GET", "append*")
        config = dict(zip(reply[::2], reply[1::2], strict=True))
        if self._fsync and (config.get(b"appendonly") != b"yes" or config.get(b"appendfsync") != b"always"):
            raise Unsuitable(
                "durability fsync needs a Redis server with appendonly yes and appendfsync always; "
                "set them there, or choose durability memory for a rehearsal"
            )
        if config.get(b"appendonly") != b"yes":
            # One that starts again with nothing would make its replicas empty, too.
            raise Unsuitable("durability replica needs a Redis server with appendonly yes")

    async def _check_role(self, connection: AbstractConnection, told: Mapping[str, str]) -> None:
        if told["role"] != "master":
            if self._primary:
                raise Unsuitable("READONLY the sentinels name a server that is a replica, still or already")
            # When it is promoted, it is to be looked at anew.
            connection.mark_for_reconnect()  # type: ignore[no-untyped-call]
            return
        if (following := _following(told)) < self._replicas:
            raise Unsuitable(
                f"durability replica needs replicas that follow: {following} of {self._replicas}"
            )
        if self._on_new_server is None:
            return
        async with self._comparing:
            # Every promotion gives a new one, and every start.
            if self._known != told["master_replid"]:
                await self._on_new_server(lambda key, *words: _ask(connection, *words))
                self._known = told["master_replid"]

    async def replicas(self) -> int:
        """How many replicas follow. Raises NothingRan."""
        with reading():
            return _following(_info(await self._pipeline.call("INFO", "replication")))

    def _reconnect(self) -> None:
        """Let no call use the connections that there are: behind them may be another server by now, or none."""
        for connection in (*self._pool._available_connections, *self._pool._in_use_connections):
            connection.mark_for_reconnect()

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
                if error.code == "READONLY":
                    self._reconnect()
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

    async def command(self, key: str, *words: str | bytes | int, replicated: bool = False) -> Any:
        """Send one command about a key, beside what else goes to its server; asked again, it has no other effect.

        `replicated`: where decisions wait for replicas, its reply does so, too. Raises NothingRan.
        """
        with reading():
            try:
                return await self._pipeline.call(*words, mark=keys.mark(key) if replicated else "")
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

    async def evaluate(self, script: scripts.Script, command: tuple[Any, ...]) -> list[Any]:
        """Send a script once, by its digest, the first word of `command`. Raises NothingRan or Unknown."""
        reply: list[Any]
        mark = "" if script.name in PROMISES_NOTHING else keys.mark(command[2])
        try:
            try:
                reply = await self._pipeline.call("EVALSHA", *command, mark=mark)
            except exceptions.NoScriptError:
                metrics.REDIS_RETRIES.labels("NOSCRIPT").inc()
                reply = await self._pipeline.call("EVAL", script.source, *command[1:], mark=mark)
        except NotSent as error:
            raise _refusal(error.__cause__ or error) from error
        except (exceptions.ResponseError, exceptions.BusyLoadingError) as error:
            if isinstance(error, exceptions.AskError) or _code(error) in _NOTHING_RAN:
                raise _refusal(error) from error
            logger.error("script %s failed: %s", script.name, error)
            raise Unknown(str(error)) from error
        except NotReplicated as error:
            raise Unknown(str(error)) from error
        except (exceptions.RedisError, OSError) as error:
            # What hangs behind one connection hangs behind all of them.
            self._reconnect()
            raise Unknown(str(error)) from error
        return reply


async def _ask(connection: AbstractConnection, *command: str) -> Any:
    await connection.send_command(*command)
    return await connection.read_response()


def _info(reply: bytes) -> dict[str, str]:
    """What INFO says."""
    lines = (line.partition(":") for line in reply.decode().splitlines())
    return {name: value for name, colon, value in lines if colon}


def _version(info: Mapping[str, str]) -> tuple[int, ...]:
    """The version from INFO; a Valkey server reports the Redis version it stands for."""
    return tuple(int(part) for part in info.get("redis_version", "0").split(".")[:2])


def _following(info: Mapping[str, str]) -> int:
    """How many replicas have come so far that they follow, from INFO."""
    return sum(
        value.startswith("ip=") and "state=online" in value
        for name, value in info.items()
        if name.startswith("slave")
    )


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
