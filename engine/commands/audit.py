"""`audit`: compare Redis with the ledger, on a deployment that runs or on one at rest."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from msgspec import structs

from engine import audit, lock
from engine.audit import Audit, Result
from engine.commands.supervisor import Failed
from engine.config import Settings
from engine.live import embedded
from engine.live.embedded import EmbeddedRedis
from engine.runtime import EMBEDDED_LEDGER, Runtime, open_runtime
from engine.workers.recorder import Recorder

EMBEDDED_REDIS: Final = "redis.conf"
SQLITE: Final = "sqlite:///"


async def run(settings: Settings, campaigns: Sequence[str], *, wait_s: float, as_json: bool) -> int:
    """Print what was found of the campaigns, all when none is named; 0 when all agree, 1 when one does not.

    Raises supervisor.Failed for a campaign that nobody knows and where there is no deployment.
    """
    _demand_deployment(settings)
    async with _attached(settings) as runtime:
        known = await audit.known(runtime.server, runtime.ledger)
        for name in campaigns:
            if name not in known:
                raise Failed(f"campaign {name}: neither the ledger nor Redis knows it")
        results = [
            await Audit(runtime.server, runtime.ledger, runtime.clock, name, wait_s).run()
            for name in dict.fromkeys(campaigns or known)
        ]
    agree = not any(result.differences for result in results)
    if as_json:
        print(msgspec.json.encode({"agree": agree, "campaigns": [_plain(each) for each in results]}).decode())
    else:
        for result in results:
            _print(result)
    return 0 if agree else 1


def _demand_deployment(settings: Settings) -> None:
    """Raise Failed where nothing has run yet: an audit makes no deployment out of a mistyped path."""
    if settings.redis_url is None and not (settings.data / EMBEDDED_REDIS).exists():
        raise Failed(
            f"data directory {settings.data}: no embedded Redis has run here; name another with --redis"
        )
    demand_ledger(settings)


def demand_ledger(settings: Settings) -> None:
    """Raise Failed where there is no ledger yet: what only looks at one makes none."""
    if settings.database_url is None and not (settings.data / EMBEDDED_LEDGER).exists():
        raise Failed(f"data directory {settings.data}: no ledger is here; name another with --database")
    given = settings.database_url or ""
    if given.startswith(SQLITE) and not Path(unquote(given.removeprefix(SQLITE))).exists():
        raise Failed("--database: there is no such file")


@asynccontextmanager
async def _attached(settings: Settings) -> AsyncIterator[Runtime]:
    """A runtime on what runs; where nothing does, on an embedded Redis that is started, and ended, for the audit."""
    async with AsyncExitStack() as stack:
        held = None
        if settings.redis_url is None:
            held = _acquire(settings)
        if held is not None:
            stack.enter_context(held)
            # Whatever it last ran with: what is on its disk is what there is to compare.
            redis = EmbeddedRedis(settings.data, "fsync", inherited=[held.fileno()])
            stack.push_async_callback(redis.stop)
            await redis.start()
        # An audit decides nothing, so that it asks no durability of a server.
        runtime = await stack.enter_async_context(
            open_runtime(structs.replace(settings, durability="memory"))
        )
        if held is not None:
            server, ledger, clock = runtime.server, runtime.ledger, runtime.clock
            await Recorder(server, runtime.streams, ledger, clock, settings.events_kept).close()
        yield runtime


def _acquire(settings: Settings) -> lock.DirectoryLock | None:
    """The data directory's lock, or None where its owner's Redis answers."""
    try:
        return lock.acquire(settings.data)
    except lock.Unavailable:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(embedded.socket_path(settings.data))):
                raise
        return None


def _plain(result: Result) -> dict[str, Any]:
    return {
        "campaign": result.campaign,
        "agree": not result.differences,
        "seq": result.seq,
        "recorded_seq": result.recorded_seq,
        "enrollments": result.enrollments,
        "differences": result.differences,
        "notes": result.notes,
    }


def _print(result: Result) -> None:
    for difference in result.differences:
        print(f"{' '.join(filter(None, (result.campaign, difference.subject)))}: {difference.what}")
    if not result.differences:
        print(
            f"{result.campaign}: agrees, {result.enrollments} enrollments, "
            f"seq {result.seq}, recorded {result.recorded_seq}"
        )
    for note in result.notes:
        print(f"{result.campaign}: note: {note}")
