"""`serve`, `api`, `work`: a deployment on this machine, or a part of one."""

import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Literal

from engine import lock, metrics
from engine.commands import apply, headcounts, sockets
from engine.commands.supervisor import Failed, Supervisor
from engine.config import Settings
from engine.ledger.connect import connect
from engine.live.embedded import EmbeddedRedis
from engine.runtime import database_url, open_runtime

Command = Literal["serve", "api", "work"]

MEMORY_WARNING: Final = (
    "durability memory: answers are not on disk, a crash loses seats that were given; for rehearsals only"
)

logger = logging.getLogger(__name__)


async def run(
    command: Command,
    settings: Settings,
    environment: dict[str, str],
    documents: Sequence[Path] = (),
    tables: Sequence[Path] = (),
) -> int:
    """Start the parts, say that it is ready, and end all of it in order at SIGTERM.

    Before it is ready, the headcounts of `tables` are reported and the `documents` published, as far as there are none.

    `environment` is what the processes get; SIGHUP restarts them one after the other. Raises supervisor.Failed,
    lock.Unavailable, embedded.StartFailed or ledger.protocol.Unavailable when a part does not start.
    """
    stopping, renewal = asyncio.Event(), asyncio.Event()
    _on_signals(stopping, renewal)
    if settings.durability == "memory":
        logger.warning(MEMORY_WARNING)
    async with AsyncExitStack() as stack:
        inherited: list[int] = []
        if command != "api":
            held = stack.enter_context(lock.acquire(settings.data))
            inherited.append(held.fileno())
        listening: list[socket.socket] = []
        if command != "work":
            listening = sockets.listen(settings.host, settings.port, settings.processes)
            for sock in listening:
                stack.enter_context(sock)
        if command == "serve":
            if settings.redis_url is None:
                durability: Final = "memory" if settings.durability == "memory" else "fsync"
                redis = EmbeddedRedis(settings.data, durability, inherited=inherited)
                stack.push_async_callback(redis.stop)
                await redis.start()
            await migrate(settings)
        counted = _metrics_directory(None if command == "api" else settings.data)
        stack.callback(shutil.rmtree, counted, ignore_errors=True)
        if command != "api" and settings.metrics_port:
            stack.callback(_serve_metrics(settings, counted))
        children = Supervisor(listening, 0 if command == "api" else 1, environment, counted)
        stack.push_async_callback(children.stop)
        await children.start()
        failed = await _prepare(settings, tables, documents) if tables or documents else 0
        if failed:
            return failed
        print(_ready(listening[0].getsockname() if listening else None), flush=True)
        renewing = asyncio.create_task(_renew_when_asked(renewal, children))
        await stopping.wait()
        renewing.cancel()
        await asyncio.wait([renewing])
    return 0


def _on_signals(stopping: asyncio.Event, renewal: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    terminals = [file for file in range(3) if os.isatty(file)]

    def hang_up() -> None:
        # A terminal that is closed sends the same signal, and is none any more.
        (renewal if all(os.isatty(file) for file in terminals) else stopping).set()

    loop.add_signal_handler(signal.SIGHUP, hang_up)


async def _renew_when_asked(renewal: asyncio.Event, children: Supervisor) -> None:
    while True:
        await renewal.wait()
        # However often it is asked for meanwhile, that is one more.
        renewal.clear()
        await children.renew()


def _serve_metrics(settings: Settings, counted: Path) -> Callable[[], None]:
    try:
        return metrics.serve(settings.host, settings.metrics_port, counted)
    except OSError as error:
        raise Failed(f"metrics port {settings.metrics_port} on {settings.host}: {error.strerror}") from None


def _ready(address: tuple[str, int] | None) -> str:
    if address is None:
        return "ready"
    host, port = address[:2]
    return f"ready on http://{f'[{host}]' if ':' in host else host}:{port}"


def _metrics_directory(data: Path | None) -> Path:
    """An empty directory in which processes add up their metrics: in the locked data directory, or a temporary one."""
    if data is None:
        return Path(tempfile.mkdtemp(prefix="seatrush-metrics-"))
    directory = data / "metrics"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    return directory


async def migrate(settings: Settings) -> list[str]:
    """Bring the ledger's schema up to date and return the names of the migrations applied."""
    ledger = connect(database_url(settings))
    try:
        await ledger.open()
        return await ledger.migrate()
    finally:
        await ledger.close()


async def _prepare(settings: Settings, tables: Sequence[Path], documents: Sequence[Path]) -> int:
    async with open_runtime(settings) as runtime:
        for table in tables:
            if failed := await headcounts.report(runtime, table, output=sys.stderr, only_new=True):
                return failed
        return await apply.publish(runtime, documents, output=sys.stderr, only_new=True)
