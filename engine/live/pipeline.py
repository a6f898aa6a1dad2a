"""Pipelines: the calls that a process has for one server at the same time share one write and one read.

It is group commit once more, over the calls of all campaigns: in a rush that is spread over many of them, each
campaign's batch is small, and what a trip costs would be paid for each.
"""

import asyncio
import math
from typing import Any, Final

import hiredis
import redis.asyncio
from msgspec import Struct
from redis import exceptions

from engine.live.group_commit import GroupCommit, Limits, Overloaded

CALLS_MAX: Final = 64
"""Calls in one pipeline. All of them wait for the last; more at once save no CPU any more."""
MARK: Final = """#!lua flags=allow-oom
return redis.call('EXISTS', KEYS[1]) == 1 and redis.call('HINCRBY', KEYS[1], 'mark', 1) or 0
"""
"""A write for WAIT to wait for, in a hash that is wherever the call could run: also while its slot moves.

A bare HINCRBY would be refused at maxmemory, where cancellations still run, and would make a campaign that is lost
look as if something of it were there.
"""


class Call(Struct, frozen=True):
    """A command, and the hash that is marked behind it if its reply is to wait for replicas; "" if it is not."""

    words: tuple[Any, ...]
    mark: str = ""


class NotSent(Exception):
    """There was no connection, or no place to wait for one: the call has not left this process."""


class NotReplicated(exceptions.RedisError):
    """Too few replicas have acknowledged in time what a reply rests on."""


class Pipeline:
    """Calls to one server, through a pool of connections that never retry.

    `together` is off for connections on which each command needs another ahead of it. A pipeline is answered within
    `timeout_s`, and what has waited so long is not sent any more. Half of that is how long `replicas` have to
    acknowledge what the replies with a mark rest on.
    """

    def __init__(
        self,
        pool: redis.asyncio.ConnectionPool,
        *,
        timeout_s: float,
        together: bool = True,
        replicas: int = 0,
    ) -> None:
        self._pool: Any = pool
        self._timeout_s = timeout_s
        self._together = together
        self._replicas = replicas
        self._wait = ("WAIT", replicas, max(1, round(timeout_s * 1000 / 2)))
        limits = Limits(
            batch_entries_max=CALLS_MAX if together else 1,
            waiting_s_max=timeout_s,
            given_back_s=timeout_s,
            only_full_beside=False,
        )
        self._calls: GroupCommit[Call, Any] = GroupCommit(self._exchange, limits)

    async def call(self, *words: Any, mark: str = "") -> Any:
        """Send a command with all others of this turn of the loop, and return its own reply.

        `mark` is a hash in the slot of the command's: with it, and `replicas`, the reply is given once so many replicas
        have all that was written before it, by whichever connection. Raises NotSent; redis-py's ResponseError or
        BusyLoadingError, as the server says; or another RedisError, when the reply is lost, or NotReplicated.
        """
        try:
            reply = await self._calls.submit(Call(words, mark if self._replicas else ""))
        except Overloaded as error:
            raise NotSent("too many calls wait for the server") from error
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def _exchange(self, calls: list[Call]) -> list[Any]:
        """A reply for each call, which is an exception where there is none."""
        commands: list[tuple[Any, ...]] = []
        for call in calls:
            commands.append(call.words)
            if call.mark:
                # Behind the call: it covers what the call has read. A call that wrote nothing has no offset of its own
                # to wait for, and what it read may be a moment old.
                commands.append(("EVAL", MARK, 1, call.mark))
        if len(commands) > len(calls):
            commands.append(self._wait)
        replies = await self._send(commands)
        if len(commands) == len(calls):
            return replies
        return self._replicated(calls, replies)

    def _replicated(self, calls: list[Call], replies: list[Any]) -> list[Any]:
        """The replies to the calls, where replicas have what they rest on; an error that the server named stands."""
        acknowledged = replies.pop()
        enough = isinstance(acknowledged, int) and acknowledged >= self._replicas
        each, found = iter(replies), []
        for call in calls:
            reply = next(each)
            if call.mark:
                marked = isinstance(next(each), int)
                if not (isinstance(reply, Exception) or (marked and enough)):
                    reply = NotReplicated("too few replicas have acknowledged in time")
            found.append(reply)
        return found

    async def _send(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """A reply for each command, which is an exception where there is none."""
        try:
            connection = await self._connection()
        except (exceptions.RedisError, OSError) as error:
            refusal = NotSent(str(error))
            refusal.__cause__ = error
            return [refusal] * len(commands)
        replies: list[Any] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                for written in [commands] if self._together else [[each] for each in commands]:
                    # Not by the connection itself, which packs and times each command by itself: 15 µs a call.
                    await connection.send_packed_command([hiredis.pack_command(each) for each in written])
                    due = len(replies) + len(written)
                    while len(replies) < due:
                        replies.append(await _reply(connection))
        except (exceptions.RedisError, OSError) as error:
            replies += [error] * (len(commands) - len(replies))
            await connection.disconnect(nowait=True)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await self._pool.release(connection)
        return replies

    async def _connection(self) -> Any:
        connection = await self._pool.get_connection()
        if connection.should_reconnect():
            try:
                await connection.disconnect(nowait=True)
                await connection.connect()
            except BaseException:
                await self._pool.release(connection)
                raise
        return connection


async def _reply(connection: Any) -> Any:
    """The next reply; an error that the server says is one too, and those of other calls follow it."""
    try:
        return await connection.read_response(disconnect_on_error=False, timeout=math.inf)
    except (exceptions.ResponseError, exceptions.BusyLoadingError) as error:
        return error
