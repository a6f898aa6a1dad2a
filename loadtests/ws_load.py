"""A load generator: prepared messages over many WebSockets (RFC 6455), one after the other on each.

Like http_load it does so little for a message that it does not become what is measured: frames are masked before the
clock runs, and of an answer only `op`, `id` and `status` are read.
"""

import asyncio
import base64
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, cast

import msgspec
import uvloop
from msgspec import Struct

from loadtests.http_load import Load

PATH: Final = "/v1/live"
OPENING_CONNECTIONS_MAX: Final = 256
_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
_FINAL, _MASKED = 0x80, 0x80
_KEY: Final = base64.b64encode(b"seatrush-loadgen").decode()
"""The same for all: its answer proves that no cache is in between, and none is."""


class Message(Struct, frozen=True, gc=False):
    """What one step sends, frames as they go over the wire, and the id of the `result` it waits for."""

    id: str
    frames: bytes


class Conversation(Struct, frozen=True):
    """All that one connection does: it is opened with `token` (empty: none), then sends its messages in turn."""

    token: str
    messages: Sequence[Message]


class _Answer(Struct, frozen=True, gc=False):
    """What counts of a message of the server."""

    op: str
    id: str = ""
    status: int = 0
    code: str = ""


_decode: Final = msgspec.json.Decoder(_Answer).decode
_encode: Final = msgspec.json.Encoder().encode


class Broken(ConnectionError):
    """The server refused the connection, ended it, or did not understand a message; the text says which."""


def frame(payload: bytes, opcode: int = _TEXT) -> bytes:
    """One whole frame, masked as a client must."""
    mask, length = os.urandom(4), len(payload)
    if length < 126:
        head = bytes((_FINAL | opcode, _MASKED | length))
    else:
        head = bytes((_FINAL | opcode, _MASKED | 126)) + length.to_bytes(2, "big")
    repeated = (mask * (length // 4 + 1))[:length]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + mask + masked.to_bytes(length, "big")


def auth(token: str) -> bytes:
    """The frame that says whose the connection is from now on."""
    return frame(_encode({"op": "auth", "token": token}))


def watch(campaign: str, offerings: Sequence[str]) -> bytes:
    """The frame that asks for counts and openings."""
    return frame(_encode({"op": "watch", "campaign": campaign, "offerings": offerings}))


def sign_up(campaign: str, offering: str, key: str, *, before: bytes = b"") -> Message:
    """A sign-up; `before` are frames that go out ahead of it, in the same write."""
    return Message(
        key, before + frame(_encode({"op": "sign_up", "id": key, "campaign": campaign, "offering": offering}))
    )


def run(
    host: str,
    port: int,
    conversations: Iterable[Conversation],
    active: int,
    clocked: AbstractContextManager[object] | None = None,
) -> Load:
    """Open every connection, then have `active` of them at work at a time until all messages are answered.

    `clocked` is entered when all are upgraded and authenticated, right before the clock runs, and left after it.
    Raises Broken.
    """
    return uvloop.run(_run(host, port, list(conversations), active, clocked or nullcontext()))


async def _run(
    host: str,
    port: int,
    conversations: Sequence[Conversation],
    active: int,
    clocked: AbstractContextManager[object],
) -> Load:
    statuses: Counter[int] = Counter()
    latencies: list[float] = []
    talks = [_Talk(conversation, statuses, latencies) for conversation in conversations]
    waiting = deque(talks)
    try:
        # A few at a time, so that the server's backlog is never full.
        for first in range(0, len(talks), OPENING_CONNECTIONS_MAX):
            some = talks[first : first + OPENING_CONNECTIONS_MAX]
            await asyncio.gather(*(talk.socket.connect(host, port, talk.token) for talk in some))
        with clocked:
            began = time.perf_counter()
            await asyncio.gather(*(_work(waiting) for _ in range(active)))
            seconds = time.perf_counter() - began
        return Load(seconds, dict(statuses), latencies)
    finally:
        for talk in talks:
            talk.socket.close()


async def _work(waiting: deque["_Talk"]) -> None:
    while waiting:
        await waiting.popleft().run()


class Socket(asyncio.Protocol):
    """One connection. `received` is called with the text of every message, `lost` once with why it ended."""

    def __init__(self, received: Callable[[bytes], None], lost: Callable[[Broken], None]) -> None:
        self._received = received
        self._lost = lost
        self._buffer = b""
        self._why = ""
        self._upgraded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    async def connect(self, host: str, port: int, token: str = "") -> None:
        """Open the connection, upgraded and, with a token, authenticated. Raises Broken, or OSError."""
        await asyncio.get_running_loop().create_connection(lambda: self, host, port)
        lines = [
            f"GET {PATH} HTTP/1.1",
            "Host: localhost",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {_KEY}",
        ]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        self.send("\r\n".join([*lines, "", ""]).encode())
        await self._upgraded

    def send(self, frames: bytes) -> None:
        """Send whole frames."""
        assert self._transport is not None
        self._transport.write(frames)

    def close(self) -> None:
        """End the connection without a word; `lost` is not called."""
        self._lost = _ignore
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._upgraded.done() or self._is_upgraded():
            self._read_frames()

    def connection_lost(self, error: Exception | None) -> None:
        broken = Broken(self._why or str(error or "the server ended a connection"))
        if self._upgraded.done():
            self._lost(broken)
        else:
            self._upgraded.set_exception(broken)

    def _is_upgraded(self) -> bool:
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return False
        if not head.startswith(b"HTTP/1.1 101"):
            self._give_up(f"the upgrade was answered {head[9:12].decode(errors='replace')}")
            return False
        self._buffer = rest
        self._upgraded.set_result(None)
        return True

    def _read_frames(self) -> None:
        buffer, at = self._buffer, 0
        while at + 2 <= len(buffer):
            opcode, length, start = buffer[at], buffer[at + 1], at + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                length = int.from_bytes(buffer[at + 2 : start], "big")
            if start + length > len(buffer):
                break
            at = start + length
            if opcode == _FINAL | _TEXT:
                self._received(buffer[start:at])
            else:
                self._control(opcode, buffer[start:at])
        self._buffer = buffer[at:]

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == _FINAL | _PING:
            self.send(frame(payload, _PONG))
        elif opcode == _FINAL | _CLOSE:
            self._give_up(f"the server closed a connection with {int.from_bytes(payload[:2], 'big')}")
        elif opcode != _FINAL | _PONG:
            self._give_up(f"a frame began with {opcode:#x}")

    def _give_up(self, why: str) -> None:
        self._why = why
        assert self._transport is not None
        self._transport.abort()


def _ignore(broken: Broken) -> None:
    """Nobody is left who wants to know."""


class _Talk:
    """A conversation on its connection: the next message goes out when the last one is answered."""

    def __init__(self, conversation: Conversation, statuses: Counter[int], latencies: list[float]) -> None:
        self.socket = Socket(self._received, self._lost)
        self.token = conversation.token
        self._left = deque(conversation.messages)
        self._statuses = statuses
        self._latencies = latencies
        self._waits_for = ""
        self._sent_at = 0.0
        self._broken: Broken | None = None
        self._done: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Send every message and wait for every result. Raises Broken."""
        if self._broken:
            raise self._broken
        self._done = asyncio.get_running_loop().create_future()
        self._send_next()
        await self._done

    def _send_next(self) -> None:
        if self._left:
            message = self._left.popleft()
            self._waits_for = message.id
            self._sent_at = time.perf_counter()
            self.socket.send(message.frames)
        elif self._done and not self._done.done():
            self._done.set_result(None)

    def _received(self, text: bytes) -> None:
        answer = _decode(text)
        if answer.op == "result" and answer.id == self._waits_for:
            self._latencies.append(time.perf_counter() - self._sent_at)
            self._statuses[answer.status] += 1
            self._send_next()
        elif answer.op == "error":
            self._lost(Broken(f"a message was answered {answer.code or 'error'}"))

    def _lost(self, broken: Broken) -> None:
        self._broken = broken
        if self._done and not self._done.done():
            self._done.set_exception(broken)
