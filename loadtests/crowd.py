"""A crowd that wants nothing: connections that say nothing, or trickle a head or a body that does not end.

It is a process of its own, with files of its own. What the server closes is opened again.
"""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Final

from api import open_files

TRICKLE_S: Final = 2.0
"""How often each that trickles sends a byte."""
CONNECT_TIMEOUT_S: Final = 60
TOGETHER: Final = 200
"""Connections that are opened at once."""

SILENT: Final = b""
HEAD: Final = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Trickled: "
BODY: Final = (
    b"POST /v1/campaigns/crowd/offerings/none/enrollments HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 10000\r\n\r\n"
)
OPENINGS: Final = (SILENT, HEAD, BODY)


@contextmanager
def running(host: str, port: int, connections: int) -> Iterator[None]:
    """A crowd, for as long as the block; it begins when all are connected. Raises RuntimeError when they cannot be."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(theirs, host, port, connections), daemon=True)
    process.start()
    try:
        if not ours.poll(CONNECT_TIMEOUT_S):
            raise RuntimeError("the crowd did not connect in time")
        if (connected := ours.recv()) != connections:
            raise RuntimeError(f"only {connected} of the crowd could connect")
        yield
    finally:
        process.kill()
        process.join()


class _Member(asyncio.Protocol):
    """One of the crowd."""

    def __init__(self, opening: bytes) -> None:
        self.opening = opening
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.trickle(self.opening)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None

    def trickle(self, data: bytes) -> None:
        if isinstance(self.transport, asyncio.WriteTransport) and not self.transport.is_closing():
            self.transport.write(data)


def _main(pipe: Connection, host: str, port: int, connections: int) -> None:
    open_files.room_for(connections)
    asyncio.run(_stand_about(pipe, host, port, connections))


async def _stand_about(pipe: Connection, host: str, port: int, connections: int) -> None:
    members = [_Member(OPENINGS[number % len(OPENINGS)]) for number in range(connections)]
    told = False
    while True:
        for start in range(0, connections, TOGETHER):
            some = members[start : start + TOGETHER]
            await asyncio.gather(*(_see_to(each, host, port) for each in some), return_exceptions=True)
            if told:
                await asyncio.sleep(TRICKLE_S * TOGETHER / connections)
        if not told:
            pipe.send(sum(each.transport is not None for each in members))
            told = True


async def _see_to(member: _Member, host: str, port: int) -> None:
    if member.transport is None:
        await asyncio.get_running_loop().create_connection(lambda: member, host, port)
    elif member.opening:
        member.trickle(b"x")
