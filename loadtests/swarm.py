"""A swarm: processes of impatient members who all want a seat at one moment.

They share the machine with what they measure, so that one process is right for the most; more where one would
saturate, or would need more than its 20,000 open files.
"""

import asyncio
import multiprocessing
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent import futures
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier, Event
from threading import BrokenBarrierError
from typing import Final

import msgspec
import uvloop
from msgspec import Struct

from api import tokens
from engine.domain.person import Person
from loadtests import doors, http_load, ws_load
from loadtests.doors import RETRIED, Asking, Door
from loadtests.exchange import Exchange
from loadtests.impatient import Crowd

PATIENCE_S: Final = 5.0
TOKEN_TTL_S: Final = 3600
CONNECTED_WITHIN_S: Final = 120
SETTLING_CONNECTIONS: Final = 64
SETTLED_S: Final = 60
"""How long those who were left without an answer are asked for again in the end."""


DOORS: Final[dict[str, Door]] = {"http": doors.http, "live": doors.live}


class Part(Struct, frozen=True):
    """What one client process does: its members are numbers, and each wants one of the offerings in turn."""

    host: str
    port: int
    secret: bytes
    campaign: str
    offerings: tuple[str, ...]
    members: Sequence[int]
    connections: int
    patience_s: float = PATIENCE_S
    seconds: float | None = None
    """Until all hang up, whatever is open; None: until every member has a definite answer."""
    own_connections: bool = False
    """Whether each member opens a connection, as a phone does, or takes the one before's; always over the WebSocket."""
    door: str = "http"
    """One of DOORS."""
    waits_to_hear: bool = False
    """Whether all of them watch, over the WebSocket, and ask when all have heard that it is open."""
    silence_s: float = 0
    """How long a process does nothing after the end, before it reports: that would disturb what is measured then."""


class Swarmed(Struct, frozen=True):
    """What came of a swarm. Times are CLOCK_MONOTONIC in nanoseconds, as in Exchange."""

    began_ns: int
    ended_ns: int
    exchanges: list[Exchange]
    connects: int
    given_up: int
    """Requests whose member lost patience."""
    broken: int
    """Connections that the server, or the system, refused or broke."""
    heard_ns: list[int]
    """When each member heard that it is open, of those that waited to hear."""


class Running:
    """A swarm at work."""

    def __init__(self, over: Event, parts: Sequence[Future[Swarmed]]) -> None:
        self._over = over
        self._parts = parts

    def wait(self, seconds: float) -> None:
        """Wait for the end, and after so many seconds have all hang up."""
        futures.wait(self._parts, seconds)
        self._over.set()

    def result(self) -> Swarmed:
        """Wait for the end, and put together what the processes report."""
        parts = [part.result() for part in self._parts]
        return Swarmed(
            min(part.began_ns for part in parts),
            max(part.ended_ns for part in parts),
            [exchange for part in parts for exchange in part.exchanges],
            sum(part.connects for part in parts),
            sum(part.given_up for part in parts),
            sum(part.broken for part in parts),
            [moment for part in parts for moment in part.heard_ns],
        )


class _Shared:
    """What the processes of a swarm share: they begin together, and may be told to end."""

    barrier: Barrier
    over: Event


def split(part: Part, processes: int) -> list[Part]:
    """The same over several processes: each has a share of the members and of the connections."""
    return [
        msgspec.structs.replace(
            part, members=part.members[number::processes], connections=part.connections // processes
        )
        for number in range(processes)
    ]


@contextmanager
def running(parts: Sequence[Part]) -> Iterator[Running]:
    """Swarm from a process for each part, which begin together once all are connected: this waits for that."""
    context = multiprocessing.get_context("spawn")
    barrier, over = context.Barrier(len(parts) + 1), context.Event()
    with ProcessPoolExecutor(len(parts), context, _prepare, (barrier, over)) as processes:
        found = Running(over, [processes.submit(_work, part) for part in parts])
        try:
            barrier.wait(CONNECTED_WITHIN_S)
            yield found
        except BrokenBarrierError:
            found.result()  # which says why
            raise
        finally:
            over.set()


def run(parts: Sequence[Part]) -> Swarmed:
    """Swarm, and wait for the end of it."""
    with running(parts) as found:
        return found.result()


def unanswered(exchanges: Iterable[Exchange]) -> list[int]:
    """The numbers of those who asked and have no definite answer, in order."""
    definite: dict[str, bool] = {}
    for exchange in exchanges:
        definite[exchange.member] = definite.get(exchange.member, False) or exchange.status not in RETRIED
    return sorted(_number(member) for member, is_so in definite.items() if not is_so)


def settle(part: Part, exchanges: Iterable[Exchange]) -> Swarmed:
    """Ask for all who were left without an answer, calmly and with the same keys."""
    left = unanswered(exchanges)
    connections = min(SETTLING_CONNECTIONS, max(1, len(left)))
    calm = msgspec.structs.replace(
        part, members=left, connections=connections, seconds=SETTLED_S, waits_to_hear=False, silence_s=0
    )
    return run([calm])


def asking(part: Part) -> Iterator[Asking]:
    """What the members of a part send: each has a token that nobody has seen, and a key."""
    expires = time.time() + TOKEN_TTL_S
    for number in part.members:
        member, key = _subject(number), f"k-{number:07}"
        offering = part.offerings[number % len(part.offerings)]
        token = tokens.sign(part.secret, Person(member), expires)
        watch = b""
        if part.door == "live":
            request = ws_load.sign_up(part.campaign, offering, key).frames
            if part.waits_to_hear:
                watch = ws_load.watch(part.campaign, [offering])
        else:
            path = f"/v1/campaigns/{part.campaign}/offerings/{offering}/enrollments"
            request = http_load.request("POST", path, token, b"{}", key)
        yield Asking(member, offering, key, token, request, watch)


def _subject(number: int) -> str:
    return f"m-{number:07}"


def _number(subject: str) -> int:
    return int(subject.removeprefix("m-"))


def _prepare(barrier: Barrier, over: Event) -> None:
    _Shared.barrier, _Shared.over = barrier, over


def _work(part: Part) -> Swarmed:
    """What one process does."""
    try:
        return uvloop.run(_swarm(part))
    except BaseException:
        _Shared.barrier.abort()
        raise


async def _swarm(part: Part) -> Swarmed:
    everyone = asking(part)
    if part.seconds is None:
        # Made before it begins: nobody signs a token at the moment of the opening.
        everyone = iter(list(everyone))
    crowd = Crowd(
        DOORS[part.door],
        (part.host, part.port),
        everyone,
        part.connections,
        part.patience_s,
        own_connections=part.own_connections or part.door == "live",
    )
    await crowd.connect()
    await asyncio.to_thread(_Shared.barrier.wait)
    began_ns = time.monotonic_ns()
    ends_ns = began_ns + int((part.seconds or 0) * 1e9)

    def is_over() -> bool:
        return _Shared.over.is_set() or (part.seconds is not None and time.monotonic_ns() > ends_ns)

    if part.waits_to_hear:
        await crowd.hear(is_over)
    await crowd.ask(is_over)
    ended_ns = time.monotonic_ns()
    await asyncio.sleep(part.silence_s)
    return Swarmed(
        began_ns, ended_ns, crowd.exchanges, crowd.connects, crowd.given_up, crowd.broken, crowd.heard_ns
    )
