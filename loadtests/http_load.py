"""A load generator: prepared HTTP/1.1 requests over many connections, one after the other on each.

It does so little for a request that it does not become what is measured. It reads answers that carry a
Content-Length, and no others.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import Final, cast

import uvloop
from msgspec import Struct

PACED_CONNECTIONS: Final = 8


class Load(Struct, frozen=True):
    """What came of a load."""

    seconds: float
    statuses: dict[int, int]
    latencies_s: list[float]
    """One for each answer, in the order of the answers."""

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return sum(self.statuses.values()) / self.seconds


class Pace(Struct, frozen=True):
    """Requests that are sent at a steady pace, as long as the load lasts."""

    requests: Iterator[bytes]
    per_second: float


def request(
    method: str,
    path: str,
    token: str = "",
    body: bytes = b"",
    key: str = "",
    content_type: str = "application/json",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """One request as it goes over the wire."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: localhost",
        *(f"{name}: {text}" for name, text in headers.items()),
    ]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if key:
        lines.append(f"Idempotency-Key: {key}")
    if body:
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    elif method != "GET":
        lines.append("Content-Length: 0")
    return "\r\n".join([*lines, "", ""]).encode() + body


def run(
    host: str,
    port: int,
    requests: Iterable[bytes],
    connections: int,
    clocked: AbstractContextManager[object] | None = None,
    beside: Pace | None = None,
) -> Load:
    """Send every request and wait for every answer. Raises ConnectionError when the server hangs up.

    `clocked` is entered when all connections are open, right before the clock runs, and left after it. What goes on
    `beside` the load is not counted; it must be answered 201.
    """
    return uvloop.run(_run(host, port, deque(requests), connections, clocked or nullcontext(), beside))


async def _run(
    host: str,
    port: int,
    requests: deque[bytes],
    connections: int,
    clocked: AbstractContextManager[object],
    beside: Pace | None,
) -> Load:
    loop = asyncio.get_running_loop()
    pacing = []
    if beside:
        pacing = [loop.create_task(_keep_pace(host, port, beside)) for _ in range(PACED_CONNECTIONS)]
    statuses: Counter[int] = Counter()
    latencies: list[float] = []
    clients = [_Client(requests, statuses, latencies, loop.create_future()) for _ in range(connections)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, host, port)  # type: ignore[misc]
    with clocked:
        began = time.perf_counter()
        for client in clients:
            client.send_next()
        await asyncio.gather(*(client.done for client in clients))
        seconds = time.perf_counter() - began
    for client in clients:
        client.transport.close()
    for task in pacing:
        task.cancel()
    for ended in await asyncio.gather(*pacing, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended
    return Load(seconds, dict(statuses), latencies)


async def _keep_pace(host: str, port: int, pace: Pace) -> None:
    """One of the connections that keep the pace together."""
    loop = asyncio.get_running_loop()
    queue: deque[bytes] = deque()
    statuses: Counter[int] = Counter()
    client = _Client(queue, statuses, [], loop.create_future())
    await loop.create_connection(lambda: client, host, port)
    due = loop.time()
    try:
        while statuses.keys() <= {201}:
            due += PACED_CONNECTIONS / pace.per_second
            await asyncio.sleep(due - loop.time())
            queue.append(next(pace.requests))
            client.done = loop.create_future()
            client.send_next()
            await client.done
        raise RuntimeError(f"what goes on beside the load was answered {dict(statuses)}")
    finally:
        client.transport.close()


class _Client(asyncio.Protocol):
    """One connection: takes the next request of all when its answer is whole."""

    transport: asyncio.Transport

    def __init__(
        self,
        requests: deque[bytes],
        statuses: Counter[int],
        latencies: list[float],
        done: asyncio.Future[None],
    ) -> None:
        self._requests = requests
        self._statuses = statuses
        self._latencies = latencies
        self.done = done
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self.transport = cast("asyncio.Transport", transport)

    def send_next(self) -> None:
        """Send the next request, if there is one."""
        if self._requests:
            self._sent_at = time.perf_counter()
            self.transport.write(self._requests.popleft())
        elif not self.done.done():
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        status = int(head[9:12])
        # Without a body, whatever length it names (RFC 9110, 15.4.5).
        if status != 304 and len(body) < _content_length(head):
            return
        self._latencies.append(time.perf_counter() - self._sent_at)
        self._statuses[status] += 1
        self._received = b""
        self.send_next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionResetError("the server closed a connection"))


def _content_length(head: bytes) -> int:
    start = head.lower().index(b"content-length:") + 15
    return int(head[start:].split(b"\r\n", 1)[0])
