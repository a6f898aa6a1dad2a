"""Pipelines: what goes out together, and that each call has its own fate."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
import redis.asyncio
from redis import exceptions

from engine.live.pipeline import NotSent, Pipeline

TIMEOUT_S = 0.2
Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Scripted:
    """A server that answers each write with the next of its texts; it hangs up after the last."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.writes: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self._answers and (read := await reader.read(1 << 20)):
            self.writes.append(read)
            writer.write(self._answers.pop(0))


@asynccontextmanager
async def piped(serve: Serve, **options: bool) -> AsyncIterator[Pipeline]:
    """A pipeline to a server of ours, which hangs up where `serve` ends."""
    served: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        pool = redis.asyncio.BlockingConnectionPool(
            host="127.0.0.1", port=port, protocol=2, max_connections=4, driver_info=None
        )
        yield Pipeline(pool, timeout_s=TIMEOUT_S, **options)
        await pool.disconnect()
        await asyncio.gather(*served)


async def call_all(pipeline: Pipeline, *words: str) -> list[Any]:
    """Calls of one turn of the loop, each with its answer or its exception."""
    return await asyncio.gather(*(pipeline.call(word) for word in words), return_exceptions=True)


async def test_calls_of_one_turn_share_a_write_and_each_gets_its_own_reply() -> None:
    scripted = Scripted(b":1\r\n-NOSCRIPT none\r\n-LOADING it loads\r\n+done\r\n", b":5\r\n")
    async with piped(scripted.serve) as pipeline:
        one, missing, loading, done = await call_all(pipeline, "a", "b", "c", "d")
        assert (one, done) == (1, b"done")
        assert isinstance(missing, exceptions.NoScriptError)
        assert isinstance(loading, exceptions.BusyLoadingError)
        # What the server says of one call does not cost the others their connection.
        assert await pipeline.call("e") == 5
    assert scripted.writes[0] == b"".join(b"*1\r\n$1\r\n%c\r\n" % letter for letter in b"abcd")
    assert (len(scripted.writes), scripted.connections) == (2, 1)


async def test_only_calls_whose_reply_is_lost_are_unknown() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 20)
        writer.write(b":1\r\n:2\r\n$9\r\nhalf")

    async with piped(serve) as pipeline:
        one, two, *lost = await call_all(pipeline, "a", "b", "c", "d")
        assert (one, two) == (1, 2)
        assert [type(each) for each in lost] == [exceptions.ConnectionError] * 2


async def test_a_reply_that_does_not_come_in_time_is_lost_with_its_connection() -> None:
    stay = asyncio.Event()
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1 << 20))
        writer.write(b":1\r\n" if len(asked) == 1 else b":9\r\n")
        await stay.wait()

    async with piped(serve) as pipeline:
        one, lost = await call_all(pipeline, "a", "b")
        assert one == 1
        assert isinstance(lost, TimeoutError)
        # A late reply cannot be taken for that of the next call.
        assert await pipeline.call("c") == 9
        stay.set()


async def test_nothing_was_sent_without_a_connection() -> None:
    pool = redis.asyncio.BlockingConnectionPool(host="127.0.0.1", port=1)
    pipeline = Pipeline(pool, timeout_s=TIMEOUT_S)
    refused = await call_all(pipeline, "a", "b")
    assert [type(each) for each in refused] == [NotSent] * 2


async def test_calls_beyond_two_pipelines_gather_until_one_lands() -> None:
    answer = asyncio.Condition()
    writes: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while read := await reader.read(1 << 20):
            async with answer:
                writes.append(read)
                answer.notify_all()
                await answer.wait_for(lambda: len(writes) >= 2)
            writer.write(b":0\r\n" * read.count(b"*1"))

    async with piped(serve) as pipeline:
        calls = [asyncio.ensure_future(pipeline.call("a"))]
        async with answer:
            await answer.wait_for(lambda: len(writes) == 1)
        calls += [asyncio.ensure_future(pipeline.call(word)) for word in "bcd"]
        assert await asyncio.gather(*calls) == [0] * 4
        assert [each.count(b"*1") for each in writes] == [1, 3]


async def test_one_by_one_where_each_command_needs_another_ahead() -> None:
    scripted = Scripted(b":1\r\n", b":2\r\n", b":3\r\n")
    async with piped(scripted.serve, together=False) as pipeline:
        assert sorted(await call_all(pipeline, "a", "b", "c")) == [1, 2, 3]
    assert all(each.count(b"*1") == 1 for each in scripted.writes)


@pytest.mark.parametrize("calls", [1_000])
async def test_more_than_one_pipeline_takes(calls: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line == b"*1\r\n":
                await reader.readline()
                writer.write(b"$4\r\n" + (await reader.readline())[:-2] + b"\r\n")

    async with piped(serve) as pipeline:
        words = [f"{number:04}" for number in range(calls)]
        assert await call_all(pipeline, *words) == [word.encode() for word in words]
