"""The supervisor: the parent of a deployment's processes. It starts them, replaces those that die, and ends them.

Each process has a place, which lasts: what runs there inherits the place's listening socket.
"""

import asyncio
import itertools
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from engine import metrics

logger = logging.getLogger(__name__)

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 60.0
RESTART_DELAYS_S: Final = (0.1, 0.5, 2.0, 5.0)
LASTING_S: Final = 30.0
"""A process that lived this long is replaced at once."""

CHILD: Final = "engine.commands.child"
"""The module that each process runs."""

READY: Final = b"ready"
"""What a process writes into its pipe when it is."""

DRAIN: Final = signal.SIGUSR1
"""Asks a process to end, when another has taken over: an api takes no new connections, and sees the open ones out."""

Role = Literal["api", "work"]


class Failed(Exception):
    """A command cannot go on; the message is one line for the operator."""


class Running(Struct, frozen=True, eq=False):
    """One process; no other that lives has its `number`, by which its metrics are kept."""

    role: Role
    number: int
    process: asyncio.subprocess.Process
    began_s: float


class Place(Struct, eq=False):
    """Where a process runs, or its replacement will."""

    role: Role
    sock: socket.socket | None
    running: Running
    watching: asyncio.Task[None] | None = None
    failures: int = 0


class Supervisor:
    """Runs an api process on each of `sockets`, and `workers` workers.

    They get `environment`, and keep their metrics in the directory `counted`.
    """

    def __init__(
        self, sockets: Sequence[socket.socket], workers: int, environment: dict[str, str], counted: Path
    ) -> None:
        self._roles: list[tuple[Role, socket.socket | None]] = [
            *(("api", sock) for sock in sockets),
            *(("work", None) for _ in range(workers)),
        ]
        self._environment = environment
        self._counted = counted
        self._places: list[Place] = []
        self._alive: dict[int, Running | None] = {}
        """By number; None while a process is being made."""

    async def start(self) -> None:
        """Start every process and wait until all are ready. Raises Failed when one ends instead."""
        starting = [asyncio.create_task(self._spawn(role, sock)) for role, sock in self._roles]
        try:
            running = await asyncio.gather(*starting)
        except BaseException:
            await _cancel(starting)
            raise
        self._places = [
            Place(role, sock, each) for (role, sock), each in zip(self._roles, running, strict=True)
        ]
        for place in self._places:
            place.watching = asyncio.create_task(self._replace_forever(place))

    async def stop(self) -> None:
        """End the apis, which answer what is in flight, then the workers, which record it."""
        await _cancel([place.watching for place in self._places if place.watching])
        for role in ("api", "work"):
            ending = [each for each in self._alive.values() if each and each.role == role]
            await asyncio.gather(*(self._end(each) for each in ending))

    async def renew(self) -> None:
        """A rolling restart: replace one process after the other, the apis first.

        The new one takes over the socket before the old one drains, so that nobody is refused. Where the new one does
        not start, the old one stays.
        """
        logger.info("rolling restart")
        renewed = 0
        for place in self._places:
            old = place.running
            if await self._renew(place):
                renewed += 1
                await self._end(old, DRAIN)
        logger.info("rolling restart ended: %d of %d processes are new", renewed, len(self._places))

    async def _renew(self, place: Place) -> bool:
        """Put a new process into a place, and leave the old one to the caller; False when it does not start."""
        old = place.running
        if place.watching:
            # Otherwise it would replace the old one as well, should that die meanwhile.
            await _cancel([place.watching])
        try:
            place.running = await self._spawn(place.role, place.sock)
        except (Failed, OSError) as error:
            logger.error("%s process %d stays: %s", place.role, old.process.pid, error)
            return False
        finally:
            place.watching = asyncio.create_task(self._replace_forever(place))
        logger.info(
            "%s process %d takes over from %d", place.role, place.running.process.pid, old.process.pid
        )
        return True

    async def _spawn(self, role: Role, sock: socket.socket | None, *, after_death: bool = False) -> Running:
        """Start a process and wait until it is ready. Raises Failed when it does not get there."""
        ready_read, ready_write = os.pipe()
        number = next(number for number in itertools.count() if number not in self._alive)
        self._alive[number] = None
        command = [sys.executable, "-m", CHILD, role, "--parent", str(os.getpid())]
        command += ["--ready", str(ready_write)]
        inherited = [ready_write]
        if after_death:
            command.append("--after-death")
        if sock is not None:
            command += ["--socket", str(sock.fileno())]
            inherited.append(sock.fileno())
        try:
            process = await asyncio.create_subprocess_exec(
                *command, pass_fds=inherited, stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
                env=self._environment | metrics.environment(self._counted, number),
            )  # fmt: skip
        except BaseException:
            os.close(ready_read)
            del self._alive[number]
            raise
        finally:
            os.close(ready_write)
        running = Running(role, number, process, asyncio.get_running_loop().time())
        self._alive[number] = running
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                said = await _read(ready_read)
            # A process that ends closes the pipe without a word.
            if said != READY:
                raise Failed(f"a process ({role}) ended while starting; its reason stands above")
        except TimeoutError:
            await self._end(running)
            raise Failed(f"a process ({role}) was not ready after {START_TIMEOUT_S:.0f} s") from None
        except BaseException:
            await self._end(running)
            raise
        return running

    async def _replace_forever(self, place: Place) -> None:
        while True:
            running = place.running
            status = await self._ended(running)
            logger.error("%s process %d ended with %d", place.role, running.process.pid, status)
            if asyncio.get_running_loop().time() - running.began_s > LASTING_S:
                place.failures = 0
            while place.running is running:
                await asyncio.sleep(RESTART_DELAYS_S[min(place.failures, len(RESTART_DELAYS_S) - 1)])
                place.failures += 1
                try:
                    place.running = await self._spawn(place.role, place.sock, after_death=True)
                except (Failed, OSError) as error:
                    logger.error("%s process could not be started: %s", place.role, error)

    async def _end(self, running: Running, number: signal.Signals = signal.SIGTERM) -> None:
        with suppress(ProcessLookupError):
            running.process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._ended(running)
        except TimeoutError:
            running.process.kill()
            await self._ended(running)

    async def _ended(self, running: Running) -> int:
        """Wait for the end of a process, and return its exit code."""
        status = await running.process.wait()
        # More than one may wait for it, and its number may be another's by now.
        if self._alive.get(running.number) is running:
            del self._alive[running.number]
            metrics.forget(self._counted, running.number)
        return status


async def _cancel(tasks: Sequence[asyncio.Task[Running] | asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _read(descriptor: int) -> bytes:
    """All that comes from a pipe until its other end is closed."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    try:
        return await reader.read()
    finally:
        transport.close()
