"""A wire between two parts that fails when it is told to: it delays, loses or cuts what goes over it, at any byte.

It knows nothing of what it carries, so that a request or an answer may end in the middle.
"""

import asyncio
import socket
import struct
from pathlib import Path
from random import Random
from typing import Final, NamedTuple, Self, TypeAlias

Address: TypeAlias = Path | tuple[str, int]

CHUNK_BYTES: Final = 65_536
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: the end of a connection is a reset."""


class Wire:
    """Carries connections that come to `address` on to `upstream`, both a Unix socket's path or a host and port."""

    def __init__(self, upstream: Address, address: Address) -> None:
        self.cuts = 0
        """How many connections were cut so far."""
        self._upstream = upstream
        self._address = address
        self._delay_s = 0.0
        self._passing = asyncio.Event()
        self._passing.set()
        self._losing = False
        self._chance: Random | None = None
        self._whole_bytes_max = 0
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it is reached."""
        if isinstance(self._address, Path):
            return f"unix://{self._address}"
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    async def __aenter__(self) -> Self:
        if isinstance(self._address, Path):
            self._server = await asyncio.start_unix_server(self._serve, self._address)
        else:
            self._server = await asyncio.start_server(self._serve, *self._address)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.heal()
        if self._server is not None:
            self._server.close()
        await self.cut_all()

    def delay(self, seconds: float) -> None:
        """Hold up each piece for so long, either way."""
        self._delay_s = seconds

    def lose(self) -> None:
        """Swallow everything, either way; connections stay open, as over a network that is torn."""
        self._losing = True

    def cut_after(self, bytes_max: int, chance: Random) -> None:
        """Cut every connection after at most so many bytes more, counted both ways."""
        self._whole_bytes_max, self._chance = bytes_max, chance

    def heal(self) -> None:
        """Carry everything again. What was swallowed stays lost."""
        self._delay_s, self._losing, self._chance = 0.0, False, None

    async def cut_all(self) -> None:
        """Cut every connection that is open now."""
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        ends, cut = [writer], True
        try:
            if isinstance(self._upstream, Path):
                answers, upstream = await asyncio.open_unix_connection(self._upstream)
            else:
                answers, upstream = await asyncio.open_connection(*self._upstream)
            ends.append(upstream)
            cut = await self._carry_both(_Way(reader, upstream), _Way(answers, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in ends:
                _close(end, reset=cut)
            self._connections.discard(task)

    async def _carry_both(self, *ways: "_Way") -> bool:
        """Carry until one side hangs up; True when the connection was cut."""
        left = _Left()
        tasks = [asyncio.ensure_future(self._carry(way, left)) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.cuts += left.is_cut
        return left.is_cut

    async def _carry(self, way: "_Way", left: "_Left") -> None:
        while piece := await way.reader.read(CHUNK_BYTES):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            if self._losing:
                continue
            if self._chance is not None:
                piece = left.take(piece, self._chance, self._whole_bytes_max)
            way.writer.write(piece)
            await way.writer.drain()
            if left.is_cut:
                return


class _Way(NamedTuple):
    """One direction of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class _Left:
    """How much may still go over a connection that is to be cut."""

    def __init__(self) -> None:
        self.is_cut = False
        self._bytes: int | None = None

    def take(self, piece: bytes, chance: Random, bytes_max: int) -> bytes:
        """What of a piece still goes."""
        if self._bytes is None:
            self._bytes = chance.randint(0, bytes_max)
        piece = piece[: self._bytes]
        self._bytes -= len(piece)
        self.is_cut = self._bytes == 0
        return piece


def _close(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    sock = writer.get_extra_info("socket")
    if reset and sock is not None and sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.close()
