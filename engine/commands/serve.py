"""`serve`, `api`, `work`: a deployment on this machine, or a part of one."""

import asyncio
import logging
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Literal

from engine import lock
from engine.commands import apply, supervisor
from engine.commands.supervisor import Role, Supervisor
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
    command: Command, settings: Settings, environment: dict[str, str], documents: Sequence[Path] = ()
) -> int:
    """Start the parts, publish `documents`, say that it is ready, and end all of it in order at SIGTERM.

    `environment` is what the processes get. Raises supervisor.Failed, lock.Unavailable, embedded.StartFailed or
    ledger.protocol.Unavailable when a part does not start.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    if settings.durability == "memory":
        logger.warning(MEMORY_WARNING)
    async with AsyncExitStack() as stack:
        inherited: list[int] = []
        if command != "api":
            held = stack.enter_context(lock.acquire(settings.data))
            inherited.append(held.fileno())
        sock = None
        if command != "work":
            sock = stack.enter_context(supervisor.bind(settings.host, settings.port))
        if command == "serve":
            if settings.redis_url is None:
                redis = EmbeddedRedis(settings.data, settings.durability, inherited=inherited)
                stack.push_async_callback(redis.stop)
                await redis.start()
            await migrate(settings)
        metrics = _metrics_directory(None if command == "api" else settings.data)
        stack.callback(shutil.rmtree, metrics, ignore_errors=True)
        children = Supervisor(
            _roles(command, settings), environment | {"PROMETHEUS_MULTIPROC_DIR": str(metrics)}, sock
        )
        stack.push_async_callback(children.stop)
        await children.start()
        failed = await _publish(settings, documents) if documents else 0
        if failed:
            return failed
        print(_ready(sock.getsockname() if sock else None), flush=True)
        await stopping.wait()
    return 0


def _roles(command: Command, settings: Settings) -> list[Role]:
    workers: list[Role] = [] if command == "api" else ["work"]
    apis: list[Role] = [] if command == "work" else ["api"] * settings.processes
    return workers + apis


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


async def _publish(settings: Settings, documents: Sequence[Path]) -> int:
    async with open_runtime(settings) as runtime:
        return await apply.publish(runtime, documents, output=sys.stderr)
