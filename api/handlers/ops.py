"""What ops and machines ask: liveness, readiness, metrics, status."""

import asyncio
from typing import Final

import engine
from api import answers, views
from api.answer import Answer
from api.call import Call
from api.views.ops import State
from engine import metrics
from engine.overview import CampaignOverview

TEXT: Final = "text/plain; charset=utf-8"


async def healthz(call: Call) -> Answer:
    """GET /healthz: the process answers."""
    return Answer(200, b"ok\n", media_type=TEXT)


async def readyz(call: Call) -> Answer:
    """GET /readyz: Redis answers. The definitions are loaded before the first request is taken."""
    await call.api.runtime.server.ping()
    return Answer(200, b"ready\n", media_type=TEXT)


async def expose_metrics(call: Call) -> Answer:
    """GET /metrics, in Prometheus's text format."""
    body = await asyncio.to_thread(metrics.expose)
    return Answer(200, body, media_type=metrics.CONTENT_TYPE)


async def status(call: Call) -> Answer:
    """GET /ops/status."""
    runtime = call.api.runtime
    durability, disk = runtime.settings.durability, runtime.backlog.disk
    overview = await runtime.overview.read()
    fsync_s = await runtime.fsync.median() if durability == "fsync" else None
    replicas = await runtime.server.replicas() if durability == "replica" else None
    totals = await asyncio.to_thread(metrics.totals)
    return answers.json(
        views.OpsStatus(
            campaigns=[
                _campaign(each, totals.decisions.get(each.campaign, {})) for each in overview.campaigns
            ],
            queue_entries=totals.queue_entries,
            batches={
                verb: views.BatchStatus(each.calls, each.entries, round(each.entries / each.calls, 1))
                for verb, each in totals.batches.items()
                if each.calls
            },
            fsync_s=fsync_s,
            durability=durability,
            replicas=replicas,
            ledger_ready=overview.ledger_ready,
            redis={
                node: views.RedisStatus(round(each.memory_share, 4), each.aof_bytes, each.persists, each.up_s)
                for node, each in (await runtime.conditions.read()).items()
            },
            disk_free_bytes=min(disk.free_bytes().values(), default=None),
            disk_free_min_bytes=disk.free_min_bytes,
            build=engine.__version__,
        )
    )


def _campaign(overview: CampaignOverview, decisions: dict[str, int]) -> views.CampaignStatus:
    standing, state = overview.standing, _state(overview)
    return views.CampaignStatus(
        campaign=overview.campaign,
        ready=state == "open",
        state=state,
        remedy=None if state in ("open", "unknown") else f"seatrush rebuild {overview.campaign}",
        version=standing.version if standing else 0,
        seq=standing.seq if standing else 0,
        decisions=decisions,
        taken=standing.taken if standing else 0,
        waiting=standing.waiting if standing else 0,
        stream_entries=standing.stream_entries if standing else 0,
        pending_entries=overview.pending_entries,
        lag_s=overview.pending_s,
        backlog_share=round(overview.backlog_share, 4),
        dead_letters=overview.dead_letters,
    )


def _state(overview: CampaignOverview) -> State:
    if overview.standing is None:
        return "lost" if overview.is_lost else "unknown"
    match overview.standing.gate:
        case "open" | "rebuilding" as gate:
            return gate
        case _:
            return "closed"
