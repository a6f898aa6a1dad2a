"""Impatient members: many connections of one process, with patience, retries and reconnects.

A member asks under one key until the answer is definite: after `patience_s` without one it hangs up, connects again
and asks the same; a 503 it believes, and comes back after its Retry-After. Like http_load it does little for a request,
since it shares a machine with what it measures.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Final

from loadtests.doors import RETRIED, Asking, Connection, Door
from loadtests.exchange import Exchange

RECONNECT_S: Final = 0.1
"""Until a member whose connection was refused or broken tries again; as much again at random."""
LOOK_S: Final = 0.02
"""How often it is looked who has lost patience, and whether it is over."""
CONNECTING_MAX: Final = 256
"""Connections that are opened at once in the beginning: no backlog holds 10,000."""


class Crowd:
    """The members of one process, over `connections` of them at once.

    `own_connections`: each member opens a connection, as a phone does, instead of taking the one before's.
    """

    def __init__(
        self,
        door: Door,
        address: tuple[str, int],
        asking: Iterator[Asking],
        connections: int,
        patience_s: float,
        *,
        own_connections: bool,
    ) -> None:
        self.door = door
        self.address = address
        self.own_connections = own_connections
        self.exchanges: list[Exchange] = []
        self.heard_ns: list[int] = []
        """When each member heard that it is open."""
        self.connects = 0
        self.given_up = 0
        """Requests whose member lost patience."""
        self.broken = 0
        """Connections that the server, or the system, refused or broke."""
        self.hung_up = False
        self._asking = asking
        self._patience_ns = int(patience_s * 1e9)
        self._waiting: deque[tuple[int, _Line, int]] = deque()
        """Who waits for an answer since when, in order: patience is the same for all."""
        self._lines = [_Line(self, first) for first in _take(asking, connections)]
        self._busy = len(self._lines)
        self._bodies: dict[bytes, bytes] = {}
        self._connecting: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """Open every connection. Raises OSError."""
        gate = asyncio.Semaphore(CONNECTING_MAX)

        async def one(line: _Line) -> None:
            async with gate:
                await line.connect()

        await asyncio.gather(*(one(line) for line in self._lines))

    async def hear(self, is_over: Callable[[], bool]) -> None:
        """Wait until all have heard that it is open, or `is_over`."""
        # Another process may say that it is over: there is no event to wait for.
        while len(self.heard_ns) < len(self._lines) and not is_over():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)

    async def ask(self, is_over: Callable[[], bool]) -> None:
        """Ask until every member has a definite answer or `is_over`; then hang up whatever is open."""
        for line in self._lines:
            line.ask()
        while self._busy and not is_over():
            await asyncio.sleep(LOOK_S)
            self._lose_patience(time.monotonic_ns() - self._patience_ns)
        self.hung_up = True
        for task in self._connecting:
            task.cancel()
        for line in self._lines:
            line.hang_up()

    def next_asking(self) -> Asking | None:
        """The next member of all; None, once for each line, when no one is left."""
        found = next(self._asking, None)
        self._busy -= found is None
        return found

    def begin(self, connecting: Coroutine[None, None, None]) -> None:
        """Have a member connect, while all others go on."""
        task = asyncio.get_running_loop().create_task(connecting)
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def waits(self, since_ns: int, line: "_Line", turn: int) -> None:
        """Note that a request is out."""
        self._waiting.append((since_ns, line, turn))

    def note(self, asking: Asking, sent_ns: int, status: int, body: bytes) -> None:
        """Write an exchange down."""
        if status >= 400:
            # Thousands of refusals are the same to the byte.
            body = self._bodies.setdefault(body, body)
        now_ns = time.monotonic_ns()
        self.exchanges.append(
            Exchange("sign_up", asking.member, "", sent_ns, now_ns, status, body, asking.offering, asking.key)
        )

    def _lose_patience(self, since_ns: int) -> None:
        while self._waiting and self._waiting[0][0] <= since_ns:
            _, line, turn = self._waiting.popleft()
            self.given_up += line.lose_patience(turn)


def _take(asking: Iterator[Asking], number: int) -> Iterator[Asking]:
    for _, each in zip(range(number), asking, strict=False):
        yield each


class _Line:
    """One place in the crowd: a member, and the connection that it has. A doors.Listener."""

    __slots__ = ("_asking", "_connection", "_crowd", "_has_heard", "_sent_ns", "_turn")

    def __init__(self, crowd: Crowd, first: Asking) -> None:
        self._crowd = crowd
        self._asking: Asking | None = first
        self._connection: Connection | None = None
        self._has_heard = False
        self._sent_ns = 0
        self._turn = 0
        """Counts requests, so that patience lost with one does not end another."""

    async def connect(self) -> None:
        """Open a connection for the member. Raises OSError."""
        assert self._asking is not None
        self._crowd.connects += 1
        self._connection = await self._crowd.door(self, self._crowd.address, self._asking)

    def ask(self) -> None:
        """Send the member's request, connected anew where it is not."""
        if self._crowd.hung_up or self._asking is None:
            return
        if self._connection is None:
            self._crowd.begin(self._ask_anew())
            return
        self._turn += 1
        self._sent_ns = time.monotonic_ns()
        self._connection.send(self._asking.request)
        self._crowd.waits(self._sent_ns, self, self._turn)

    async def _ask_anew(self) -> None:
        try:
            await self.connect()
        except OSError:
            self._crowd.broken += 1
            self._ask_later(_reconnect_s())
        else:
            self.ask()

    def _ask_later(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self.ask)

    def opened(self) -> None:
        """Heard that it is open."""
        if not self._has_heard:
            self._has_heard = True
            self._crowd.heard_ns.append(time.monotonic_ns())

    def answered(self, connection: Connection, status: int, retry_after_s: float, body: bytes) -> None:
        """An answer is whole."""
        if connection is not self._connection or not self._sent_ns or self._asking is None:
            return
        self._note(self._asking, status, body)
        if status in RETRIED:
            self._ask_later(retry_after_s)
            return
        self._asking = self._crowd.next_asking()
        if self._crowd.own_connections or self._asking is None:
            self._close()
        self.ask()

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        if connection is not self._connection:
            return
        self._connection = None
        if self._sent_ns and self._asking is not None:
            self._crowd.broken += 1
            self._note(self._asking, 0, b"")
            self._ask_later(_reconnect_s())

    def lose_patience(self, turn: int) -> bool:
        """Hang up and ask again, if the request of that turn is still without an answer."""
        if turn != self._turn or not self._sent_ns or self._asking is None:
            return False
        self._close()
        self._note(self._asking, 0, b"")
        self.ask()
        return True

    def hang_up(self) -> None:
        """End, whatever is open."""
        self._close()
        if self._sent_ns and self._asking is not None:
            self._note(self._asking, 0, b"")

    def _note(self, asking: Asking, status: int, body: bytes) -> None:
        self._crowd.note(asking, self._sent_ns, status, body)
        self._sent_ns = 0

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _reconnect_s() -> float:
    return RECONNECT_S * (1 + random.random())
