"""What ops and machines ask: liveness, readiness, metrics, status."""

import asyncio
from typing import Final

import engine
from api import answers, views
from api.answer import Answer
from api.call import Call
from engine import metrics
from engine.ledger.protocol import Registration

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
    decisions = await asyncio.to_thread(metrics.decisions_by_outcome)
    campaigns = [
        await _campaign(call, registration, decisions.get(registration.campaign, {}))
        for registration in await runtime.ledger.campaigns()
        if registration.created
    ]
    return answers.json(
        views.OpsStatus(
            campaigns=campaigns,
            queue_entries=runtime.decisions.waiting,
            durability=runtime.settings.durability,
            build=engine.__version__,
        )
    )


async def _campaign(
    call: Call, registration: Registration, decisions: dict[str, int]
) -> views.CampaignStatus:
    runtime, campaign = call.api.runtime, registration.campaign
    state = await runtime.streams.state(campaign)
    counts = await runtime.counts.read(campaign)
    definition = await runtime.catalog.find(campaign)
    offerings = definition.document.offerings if definition and counts else []
    return views.CampaignStatus(
        campaign=campaign,
        ready=counts is not None and definition is not None,
        version=state.version if state else 0,
        seq=state.seq if state else 0,
        decisions=decisions,
        taken=sum(counts.taken(each.offering, pool.pool) for each in offerings for pool in each.pools)
        if counts
        else 0,
        waiting=sum(counts.waiting(each.offering) for each in offerings) if counts else 0,
        stream_entries=await runtime.streams.length(campaign),
        pending_entries=max(0, state.seq - registration.recorded_seq) if state else 0,
        dead_letters=len(await runtime.ledger.dead_letters(campaign)),
    )
