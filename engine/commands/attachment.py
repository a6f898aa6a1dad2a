"""Attachment: how a command gets at a deployment, one that runs or one at rest."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from msgspec import structs

from engine import lock
from engine.commands.supervisor import Failed
from engine.config import Settings
from engine.live import embedded
from engine.live.embedded import EmbeddedRedis
from engine.runtime import EMBEDDED_LEDGER, Runtime, open_runtime
from engine.workers.recorder import Recorder

EMBEDDED_REDIS: Final = "redis.conf"
SQLITE: Final = "sqlite:///"


@asynccontextmanager
async def attached(settings: Settings, *, redis_lost: bool = False) -> AsyncIterator[Runtime]:
    """A runtime on what runs; where nothing does, on an embedded Redis that is started, and ended, for the command.

    What is on its way to the ledger is recorded then. With `redis_lost` the embedded Redis need not have run here.
    Raises supervisor.Failed where nothing has run yet: no deployment is made out of a mistyped path.
    """
    _demand_deployment(settings, redis_lost=redis_lost)
    async with AsyncExitStack() as stack:
        held = None
        if settings.redis_url is None:
            held = _acquire(settings)
        if held is not None:
            stack.enter_context(held)
            # Whatever it last ran with: what is on its disk is what there is.
            redis = EmbeddedRedis(settings.data, "fsync", inherited=[held.fileno()])
            stack.push_async_callback(redis.stop)
            await redis.start()
        # Nobody is answered here, so that no durability is asked of a server.
        runtime = await stack.enter_async_context(
            open_runtime(structs.replace(settings, durability="memory"))
        )
        if held is not None:
            server, ledger, clock = runtime.server, runtime.ledger, runtime.clock
            await Recorder(server, runtime.streams, ledger, clock, settings.events_kept).close()
        yield runtime


def demand_ledger(settings: Settings) -> None:
    """Raise Failed where there is no ledger yet: what only looks at one makes none."""
    if settings.database_url is None and not (settings.data / EMBEDDED_LEDGER).exists():
        raise Failed(f"data directory {settings.data}: no ledger is here; name another with --database")
    given = settings.database_url or ""
    if given.startswith(SQLITE) and not Path(unquote(given.removeprefix(SQLITE))).exists():
        raise Failed("--database: there is no such file")


def _demand_deployment(settings: Settings, *, redis_lost: bool) -> None:
    if not redis_lost and settings.redis_url is None and not (settings.data / EMBEDDED_REDIS).exists():
        raise Failed(
            f"data directory {settings.data}: no embedded Redis has run here; name another with --redis"
        )
    demand_ledger(settings)


def _acquire(settings: Settings) -> lock.DirectoryLock | None:
    """The data directory's lock, or None where its owner's Redis answers."""
    try:
        return lock.acquire(settings.data)
    except lock.Unavailable:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(embedded.socket_path(settings.data))):
                raise
        return None
