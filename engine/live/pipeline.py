"""Pipelines: the calls that a process has for one server at the same time share one write and one read.

It is group commit once more, over the calls of all campaigns: in a rush that is spread over many of them, each
campaign's batch is small, and what a trip costs would be paid for each.
"""

import asyncio
import math
from typing import Any, Final, TypeAlias

import hiredis
import redis.asyncio
from redis import exceptions

from engine.live.group_commit import GroupCommit, Limits, Overloaded

Command: TypeAlias = tuple[Any, ...]

CALLS_MAX: Final = 64
"""Calls in one pipeline. All of them wait for the last; more at once save no CPU any more."""


class NotSent(Exception):
    """There was no connection, or no place to wait for one: the call has not left this process."""


class Pipeline:
    """Calls to one server, through a pool of connections that never retry.

    `together` is off for connections on which each command needs another ahead of it. A pipeline is answered within
    `timeout_s`, and what has waited so long is not sent any more.
    """

    def __init__(
        self, pool: redis.asyncio.ConnectionPool, *, timeout_s: float, together: bool = True
    ) -> None:
        self._pool: Any = pool
        self._timeout_s = timeout_s
        limits = Limits(
            batch_entries_max=CALLS_MAX if together else 1,
            waiting_s_max=timeout_s,
            given_back_s=timeout_s,
            only_full_beside=False,
        )
        self._calls: GroupCommit[Command, Any] = GroupCommit(self._exchange, limits)

    async def call(self, *command: Any) -> Any:
        """Send a command with all others of this turn of the loop, and return its own reply.

        Raises NotSent; redis-py's ResponseError or BusyLoadingError, as the server says; or another RedisError, when
        the reply is lost.
        """
        try:
            reply = await self._calls.submit(command)
        except Overloaded as error:
            raise NotSent("too many calls wait for the server") from error
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def _exchange(self, commands: list[Command]) -> list[Any]:
        """A reply for each command, which is an exception where there is none."""
        try:
            connection = await self._pool.get_connection()
        except (exceptions.RedisError, OSError) as error:
            refusal = NotSent(str(error))
            refusal.__cause__ = error
            return [refusal] * len(commands)
        replies: list[Any] = []
        try:
            # Not by the connection itself, which packs and times each command by itself: 15 µs a call.
            await connection.send_packed_command([hiredis.pack_command(command) for command in commands])
            async with asyncio.timeout(self._timeout_s):
                while len(replies) < len(commands):
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


async def _reply(connection: Any) -> Any:
    """The next reply; an error that the server says is one too, and those of other calls follow it."""
    try:
        return await connection.read_response(disconnect_on_error=False, timeout=math.inf)
    except (exceptions.ResponseError, exceptions.BusyLoadingError) as error:
        return error
