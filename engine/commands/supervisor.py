"""The supervisor: the parent of a deployment's processes. It starts them, replaces those that die, and ends them."""

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

logger = logging.getLogger(__name__)

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 60.0
RESTART_DELAYS_S: Final = (0.1, 0.5, 2.0, 5.0)
LASTING_S: Final = 30.0
"""A child that lived this long is replaced at once."""

READY: Final = b"ready"
"""What a process writes into its pipe when it is."""

Role = Literal["api", "work"]


class Failed(Exception):
    """A command cannot go on; the message is one line for the operator."""


class Child(Struct):
    """One process, or the place of one that is being replaced."""

    role: Role
    process: asyncio.subprocess.Process
    failures: int = 0


class Supervisor:
    """Runs `roles`, each in a process of its own, with `environment` and the api's bound socket."""

    def __init__(
        self, roles: Sequence[Role], environment: dict[str, str], sock: socket.socket | None
    ) -> None:
        self._roles = roles
        self._environment = environment
        self._socket = sock
        self._children: list[Child] = []
        self._watching: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start every process and wait until all are ready. Raises Failed when one ends instead."""
        self._children = list(await asyncio.gather(*(self._first(role) for role in self._roles)))
        self._watching = [asyncio.create_task(self._replace_forever(child)) for child in self._children]

    async def stop(self) -> None:
        """End the apis, which answer what is in flight, then the workers, which record it."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        for role in ("api", "work"):
            await asyncio.gather(*(_end(child.process) for child in self._children if child.role == role))

    async def _first(self, role: Role) -> Child:
        return Child(role, await self._spawn(role))

    async def _spawn(self, role: Role) -> asyncio.subprocess.Process:
        """Start a process and wait until it is ready. Raises Failed when it ends instead."""
        ready_read, ready_write = os.pipe()
        command = [sys.executable, "-m", "engine.commands.child", role, "--parent", str(os.getpid())]
        command += ["--ready", str(ready_write)]
        inherited = [ready_write]
        if role == "api" and self._socket is not None:
            command += ["--socket", str(self._socket.fileno())]
            inherited.append(self._socket.fileno())
        try:
            process = await asyncio.create_subprocess_exec(
                *command, pass_fds=inherited, env=self._environment, stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(ready_write)
        try:
            # A process that ends closes the pipe without a word.
            if await asyncio.wait_for(_read(ready_read), START_TIMEOUT_S) != READY:
                raise Failed(f"a process ({role}) ended while starting; its reason stands above")
        except BaseException:
            await _end(process)
            raise
        return process

    async def _replace_forever(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            status = await child.process.wait()
            child.failures = 0 if loop.time() - began > LASTING_S else child.failures + 1
            delay_s = RESTART_DELAYS_S[min(child.failures, len(RESTART_DELAYS_S) - 1)]
            logger.error(
                "%s process %d ended with %d; another in %s s", child.role, child.process.pid, status, delay_s
            )
            await asyncio.sleep(delay_s)
            try:
                child.process = await self._spawn(child.role)
            except (Failed, OSError) as error:
                logger.error("%s process could not be started: %s", child.role, error)


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


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def bind(host: str, port: int) -> socket.socket:
    """A bound socket that is not listening yet. Raises Failed when the address cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise Failed(f"host {host}: {error.strerror}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        # Listening tells two who bind at the same time apart; each api process listens again with its own backlog.
        sock.listen(1)
    except OSError as error:
        sock.close()
        reason = "is in use" if error.errno == errno.EADDRINUSE else str(error.strerror)
        raise Failed(f"port {port} on {host} {reason}") from None
    return sock
