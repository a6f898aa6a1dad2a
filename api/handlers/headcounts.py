"""Headcounts: how many people units have, for the quotas that share seats by them."""

import asyncio
from typing import Final

from api import answers, bodies, paging, problems, views
from api.answer import Answer
from api.call import CHANNEL, Call
from engine.domain import shapes
from engine.domain.campaign import UNIT_PATTERN
from engine.domain.faults import Fault
from engine.domain.headcounts import Headcounts
from engine.domain.person import within
from engine.domain.shapes import matches

BYTES_MAX: Final = 1024 * 1024


async def report(call: Call) -> Answer:
    """PUT /headcounts."""
    raw = await bodies.read_json(call, BYTES_MAX)
    if isinstance(raw, Answer):
        return raw
    named = raw.get("headcounts") if isinstance(raw, dict) else None
    if isinstance(named, dict) and any(not within(unit, call.person.unit) for unit in named):
        return problems.response("forbidden", call.language)
    # Ten thousand take a while: the loop stays free for sign-ups.
    reported = await asyncio.to_thread(shapes.convert, Headcounts, raw)
    if isinstance(reported, list):
        return problems.invalid(reported, call.language)
    runtime = call.api.runtime
    changed = await runtime.ledger.report_headcounts(
        reported.headcounts, call.person.sub, CHANNEL, runtime.clock.now_ms()
    )
    return answers.json(views.HeadcountReport(changed))


async def listing(call: Call) -> Answer:
    """GET /headcounts, of one's own unit and those below it, or of one of these with `unit`."""
    query = call.request.query
    page = paging.read(query, str)
    faults = page if isinstance(page, list) else []
    unit = query.get("unit", call.person.unit)
    if "unit" in query and not matches(UNIT_PATTERN, unit):
        faults = [Fault("unit", "not_a_unit"), *faults]
    elif not within(unit, call.person.unit):
        return problems.response("forbidden", call.language)
    if isinstance(page, list) or faults:
        return problems.invalid(faults, call.language)
    rows = await call.api.runtime.ledger.headcounts(unit, page.limit + 1, page.after or "")
    following = paging.cursor(rows[page.limit - 1].unit) if len(rows) > page.limit else None
    seen = [views.headcount(row) for row in rows[: page.limit]]
    return answers.json(views.HeadcountList(seen, following))
