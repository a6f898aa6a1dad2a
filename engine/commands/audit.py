"""`audit`: compare Redis with the ledger, on what runs or on a data directory at rest."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from engine import lock
from engine.audit import Audit, Finding
from engine.commands.supervisor import Failed
from engine.config import Settings
from engine.live.embedded import EmbeddedRedis
from engine.runtime import EMBEDDED_LEDGER, Runtime, open_runtime
from engine.workers.recorder import Recorder


async def run(settings: Settings, campaigns: Sequence[str], *, wait_s: float, as_json: bool) -> int:
    """Print what was found; 0 when all agree, 1 otherwise. Raises supervisor.Failed for a campaign nobody knows."""
    async with _attached(settings) as runtime:
        registrations = await runtime.ledger.campaigns()
        unknown = set(campaigns) - {each.campaign for each in registrations}
        if unknown:
            raise Failed(f"the ledger knows no campaign {', '.join(sorted(unknown))}")
        audit = Audit(runtime.server, runtime.ledger, runtime.clock, wait_s)
        findings = [
            await audit.run(each) for each in registrations if each.campaign in campaigns or not campaigns
        ]
    agree = all(finding.agree for finding in findings)
    if as_json:
        print(msgspec.json.encode({"agree": agree, "campaigns": findings}).decode())
    else:
        for finding in findings:
            _print(finding)
    return 0 if agree else 1


def _print(finding: Finding) -> None:
    if finding.agree:
        print(
            f"{finding.campaign}: agrees, {finding.enrollments} enrollments, seq {finding.seq}, "
            f"recorded {finding.recorded_seq}"
        )
    for difference in finding.differences:
        print(f"{finding.campaign} {difference}")
    for note in finding.notes:
        print(f"{finding.campaign} note: {note}")


@asynccontextmanager
async def _attached(settings: Settings) -> AsyncIterator[Runtime]:
    """A runtime on what runs; where nothing does, on the embedded Redis, with what is in its streams recorded."""
    if settings.redis_url is not None:
        async with open_runtime(settings) as runtime:
            yield runtime
        return
    if not (settings.data / EMBEDDED_LEDGER).exists() and settings.database_url is None:
        raise Failed(f"data directory {settings.data} holds no deployment")
    try:
        held = lock.acquire(settings.data)
    except lock.Unavailable:
        async with open_runtime(settings) as runtime:
            yield runtime
        return
    with held:
        redis = EmbeddedRedis(settings.data, settings.durability, inherited=[held.fileno()])
        await redis.start()
        try:
            async with open_runtime(settings) as runtime:
                recorder = Recorder(
                    runtime.server, runtime.streams, runtime.ledger, runtime.clock, settings.events_kept
                )
                await recorder.close()
                yield runtime
        finally:
            await redis.stop()
