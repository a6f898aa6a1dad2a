"""Serving: the bound on connections, and an end that answers what is in flight."""

import asyncio
import select
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from api.serving import BoundedServer, serving
from tests.api.client import HERE, Client, person, request, served, serving_on
from tests.api.redis_proxy import RedisProxy, between
from tests.stand import campaign

ALIVE = request("GET", "/healthz")
SIGN_UP = f"{HERE}/offerings/soap/enrollments"


@pytest.fixture
async def proxy(one_redis_url: str, data_directory: Path) -> AsyncIterator[RedisProxy]:
    async with between(one_redis_url, data_directory) as standing:
        yield standing


async def is_served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    try:
        writer.write(ALIVE)
        return b" 200 " in await reader.readline()
    except ConnectionError:
        return False


async def test_connections_are_bounded(one_redis_url: str, data_directory: Path) -> None:
    async with served(one_redis_url, data_directory, connections_max=5) as client:
        for _ in range(3):
            opened = await asyncio.gather(*(client.connect() for _ in range(40)))
            answers = await asyncio.gather(*(is_served(*each) for each in opened))
            assert sum(answers) == 5
            for (reader, writer), answer in zip(opened, answers, strict=True):
                if answer:
                    # The server closes its side when it has seen the end of this one.
                    writer.write_eof()
                    await reader.read()
                writer.close()


async def test_many_who_connect_at_once_do_not_wait_for_a_turn_each(
    one_redis_url: str, data_directory: Path
) -> None:
    async with served(one_redis_url, data_directory) as client:
        with ExitStack() as stack:
            # The system takes them into the backlog while the loop, which is this one, does nothing.
            address = client.url.host, client.url.port
            members = [stack.enter_context(socket.create_connection(address)) for _ in range(100)]
            for each in members:
                each.sendall(ALIVE)
            for _ in range(30):
                await asyncio.sleep(0)
            answered, _, _ = select.select(members, [], [], 0)
            assert len(answered) == 100


async def test_the_end_answers_what_is_in_flight_and_takes_nothing_new(
    proxy: RedisProxy, data_directory: Path
) -> None:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(served(proxy.url, data_directory))
        await client.stand.publish(campaign())
        idle_reader, idle_writer = await client.connect()
        assert await is_served(idle_reader, idle_writer)
        proxy.hold()
        reader, writer = await client.connect()
        writer.write(request("POST", SIGN_UP, person("m1"), b"{}"))
        await proxy.until_held()
        ending = asyncio.create_task(stack.pop_all().aclose())
        # An idle connection is closed as soon as the end begins.
        await idle_reader.read()
        with pytest.raises(OSError):  # noqa: PT011  refused, whatever the system calls it
            await client.connect()
        assert not ending.done()
        proxy.release()
        assert (await reader.readline()).startswith(b"HTTP/1.1 201 ")
        await ending
        for each in (idle_writer, writer):
            each.close()


async def test_a_process_that_another_takes_over_from_sees_its_clients_out(
    one_redis_url: str, data_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.serving.DRAIN_S", 600)
    async with served(one_redis_url, data_directory) as client, AsyncExitStack() as stack:
        shared = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        drain = await stack.enter_async_context(serving(client.stand.runtime, shared.dup()))
        # The one that was accepted last has an answer, so both were accepted.
        clients = [await asyncio.open_connection(*shared.getsockname()) for _ in range(2)]
        assert await is_served(*clients[-1])
        await clients[-1][0].readuntil(b"\r\n\r\n")
        assert await clients[-1][0].readline() == b"ok\n"
        await stack.enter_async_context(serving(client.stand.runtime, shared.dup()))
        draining = asyncio.create_task(drain())
        await asyncio.sleep(0)
        newer = await asyncio.open_connection(*shared.getsockname())
        newer[1].write(ALIVE)
        assert b"connection: close" not in (await newer[0].readuntil(b"\r\n\r\n")).lower()
        for reader, writer in clients:
            assert not draining.done()
            writer.write(ALIVE)
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" in answer.lower()
        async with asyncio.timeout(20):
            await draining
        for _, writer in (*clients, newer):
            writer.close()


async def test_who_stays_silent_does_not_hold_up_a_process_that_drains(
    one_redis_url: str, data_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.serving.DRAIN_S", 0.01)
    async with served(one_redis_url, data_directory) as client:
        with socket.create_server(("127.0.0.1", 0)) as shared:
            async with serving(client.stand.runtime, shared.dup()) as drain:
                reader, writer = await asyncio.open_connection(*shared.getsockname())
                assert await is_served(reader, writer)
                async with asyncio.timeout(20):
                    await drain()
            await reader.read()
            assert reader.at_eof()
            writer.close()


async def test_it_ends_while_definitions_are_read(
    one_redis_url: str, data_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.serving.REFRESH_S", 0)
    async with served(one_redis_url, data_directory) as client, asyncio.timeout(20):
        for _ in range(20):
            async with serving_on(client.stand):
                await client.get("/readyz")


async def test_the_end_cuts_nobody_short_who_asks_again_and_again(
    one_redis_url: str, data_directory: Path
) -> None:
    """Of requests that go out without a pause while the server ends, each is answered whole or never taken."""
    answered: list[bytes] = []
    busy = asyncio.Event()
    async with served(one_redis_url, data_directory) as client:
        await client.stand.publish(campaign())

        async def ask_for_ever(member: str) -> None:
            reader, writer = await client.connect()
            while True:
                writer.write(request("POST", SIGN_UP, person(member), b"{}"))
                try:
                    status = await reader.readline()
                except ConnectionError:
                    break
                if not status:
                    break
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                answered.append(await reader.readexactly(length))
                if len(answered) >= 100:
                    busy.set()
            writer.close()

        asking = [asyncio.create_task(ask_for_ever(f"m{number}")) for number in range(8)]
        await busy.wait()
    await asyncio.gather(*asking)
    assert all(each.startswith(b"{") and each.endswith(b"}") for each in answered)


LARGE: Final = "/docs/swagger-ui-bundle.js"


async def asking_without_reading(client: Client, requests: int) -> socket.socket:
    """A connection with a small window on which more was asked for than the system would take."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, (client.url.host, client.url.port))
    await loop.sock_sendall(sock, request("GET", LARGE) * requests)
    return sock


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set once a connection is over, on a server that soon drops who takes nothing."""
    monkeypatch.setattr("api.serving.STALLED_S", 0.2)
    told, event = BoundedServer.connection_lost, asyncio.Event()

    def connection_lost(self: BoundedServer, *arguments: Any) -> None:
        told(self, *arguments)
        event.set()

    monkeypatch.setattr(BoundedServer, "connection_lost", connection_lost)
    return event


async def test_a_client_that_takes_nothing_is_dropped(lost: asyncio.Event, client: Client) -> None:
    """It would hold its connection, and what waits for it, for ever: no timeout of aiohttp's looks at it."""
    with await asking_without_reading(client, 20):
        async with asyncio.timeout(20):
            await lost.wait()


async def test_a_slow_client_is_not_dropped(lost: asyncio.Event, client: Client) -> None:
    with await asking_without_reading(client, 20) as sock:
        for _ in range(50):
            assert await asyncio.get_running_loop().sock_recv(sock, 16 * 1024)
            await asyncio.sleep(0.03)
        assert not lost.is_set()


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: "], ids=["idle", "trickling"])
async def test_a_head_that_does_not_end_does_not_hold_its_connection(
    one_redis_url: str, data_directory: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """However it trickles: what counts is when the connection was opened, or had its last answer."""
    monkeypatch.setattr("api.serving.KEEPALIVE_S", 0.5)
    async with served(one_redis_url, data_directory) as client:
        for first in (b"", ALIVE):
            reader, writer = await client.connect()
            writer.write(first)
            if first:
                await reader.readuntil(b"ok\n")
            writer.write(sent)
            async with asyncio.timeout(10):
                while not reader.at_eof():
                    if sent:
                        with suppress(ConnectionError):
                            writer.write(b"x")
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.05):
                            assert await reader.read() == b""
            writer.close()
