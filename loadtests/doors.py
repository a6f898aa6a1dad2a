"""The doors of the api, as a member's connection: HTTP/1.1 and the WebSocket. Both carry one request at a time."""

import asyncio
from typing import Final, Protocol, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from loadtests import ws_load

RETRIED: Final = frozenset({0, 408, 429, 503})
"""Status of answers that are not definite; 0 is none at all."""


class Listener(Protocol):
    """Who is told what comes in on a connection."""

    def answered(self, connection: "Connection", status: int, retry_after_s: float, body: bytes) -> None:
        """The answer to the request is whole."""

    def opened(self) -> None:
        """The offering that is watched is open."""

    def lost(self, connection: "Connection") -> None:
        """The connection is gone, and not by `close`."""


class Connection(Protocol):
    """An open connection of one member."""

    def send(self, request: bytes) -> None:
        """Send a request as it goes over the wire."""

    def close(self) -> None:
        """Hang up; nobody is told."""


class Asking(Struct, frozen=True):
    """A member, and what goes over the wire: `watch` first, where there is something to wait for, then `request`."""

    member: str
    offering: str
    key: str
    token: str
    request: bytes
    watch: bytes = b""


class Door(Protocol):
    """Opens a connection for a member. Raises OSError."""

    async def __call__(self, listener: Listener, address: tuple[str, int], asking: Asking) -> Connection: ...


async def http(listener: Listener, address: tuple[str, int], asking: Asking) -> Connection:
    """Over HTTP/1.1: any member's requests, since each has its token."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: _Http(listener), *address)
    return connection


async def live(listener: Listener, address: tuple[str, int], asking: Asking) -> Connection:
    """Over the WebSocket: one member's, who is authenticated, and watches what there is to be watched."""
    connection = _Live(listener)
    await connection.open(address, asking)
    return connection


class _Http(asyncio.Protocol):
    """Reads answers that carry a Content-Length."""

    __slots__ = ("_listener", "_received", "_transport")

    def __init__(self, listener: Listener) -> None:
        self._listener: Listener | None = listener
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes) -> None:
        assert self._transport is not None
        self._transport.write(request)

    def close(self) -> None:
        self._listener = None
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        head, separator, body = received.partition(b"\r\n\r\n")
        if not separator or len(body) < int(_header(head, b"\r\ncontent-length: ") or 0):
            self._received = received
            return
        self._received = b""
        status = int(head[9:12])
        retry_after_s = float(_header(head, b"\r\nretry-after: ") or 1) if status in RETRIED else 0
        if self._listener is not None:
            self._listener.answered(self, status, retry_after_s, body)

    def connection_lost(self, error: Exception | None) -> None:
        if self._listener is not None:
            self._listener.lost(self)


def _header(head: bytes, name: bytes) -> bytes:
    _, _, rest = head.lower().partition(name)
    return rest.partition(b"\r\n")[0]


class _Said(Struct, frozen=True, gc=False):
    """What counts of a message of the server."""

    op: str
    status: int = 0
    body: Raw = Raw()
    retry_after: int | UnsetType = UNSET


_decode: Final = msgspec.json.Decoder(_Said).decode


class _Live:
    """A WebSocket; a message that the server does not understand counts as a broken connection."""

    __slots__ = ("_listener", "_socket", "_watching")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._socket = ws_load.Socket(self._received, self._lost)
        self._watching: asyncio.Future[None] | None = None

    async def open(self, address: tuple[str, int], asking: Asking) -> None:
        """Upgraded, authenticated and, where the member watches, told the counts. Raises OSError."""
        await self._socket.connect(*address, asking.token)
        if asking.watch:
            self._watching = asyncio.get_running_loop().create_future()
            self._socket.send(asking.watch)
            await self._watching

    def send(self, request: bytes) -> None:
        self._socket.send(request)

    def close(self) -> None:
        self._socket.close()

    def _received(self, text: bytes) -> None:
        said = _decode(text)
        match said.op:
            case "result":
                retry_after_s = 1 if said.retry_after is UNSET else said.retry_after
                self._listener.answered(self, said.status, retry_after_s, bytes(said.body))
            case "opened":
                self._listener.opened()
            case "counts" if self._watching is not None and not self._watching.done():
                self._watching.set_result(None)
            case "error":
                self._socket.close()
                self._lost(ws_load.Broken(text.decode()))

    def _lost(self, broken: ws_load.Broken) -> None:
        if self._watching is not None and not self._watching.done():
            self._watching.set_exception(broken)
        else:
            self._listener.lost(self)
