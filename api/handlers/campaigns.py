"""Campaign documents: publish one, see those in force with live counts."""

import asyncio
from typing import Final

from aiohttp import web

from api import answers, bodies, paging, problems, views
from api.call import CHANNEL, Call
from engine.domain import document
from engine.domain.definition import Definition
from engine.domain.faults import Fault
from engine.domain.person import within
from engine.live.counts import Counts

CAMPAIGNS_PATH: Final = "/v1/campaigns/{}"


async def publish(call: Call) -> web.Response:
    """PUT /campaigns/{campaign}."""
    raw = await bodies.read_json(call, document.MAX_BYTES)
    if isinstance(raw, web.Response):
        return raw
    unit = raw.get("unit") if isinstance(raw, dict) else None
    if isinstance(unit, str) and not within(unit, call.person.unit):
        return problems.response("forbidden", call.language)
    # A large document takes a while: the loop stays free for sign-ups.
    campaign = await asyncio.to_thread(document.validate, raw)
    if isinstance(campaign, list):
        return problems.invalid(campaign, call.language)
    name = call.parameter("campaign")
    if campaign.campaign != name:
        return problems.invalid([Fault("/campaign", "other_campaign")], call.language)
    in_force = await call.api.runtime.catalog.find(name)
    if in_force is not None and not within(in_force.unit, call.person.unit):
        return problems.response("forbidden", call.language)
    expected = _expected_version(call, in_force)
    if expected == -1:
        return problems.response("precondition_failed", call.language)
    published = await call.api.runtime.publisher.publish(campaign, call.person.sub, CHANNEL, expected)
    if isinstance(published, list):
        return problems.invalid(published, call.language)
    if isinstance(published, str):
        return problems.response(published, call.language)
    headers = {"ETag": f'"{published.version}"'}
    if published.created:
        headers["Location"] = CAMPAIGNS_PATH.format(name)
    seen = views.Publication(name, published.version, published.changed)
    return answers.json(seen, status=201 if published.created else 200, headers=headers)


def _expected_version(call: Call, in_force: Definition | None) -> int | None:
    """The version that If-Match or If-None-Match asks for: None for any, 0 for none yet, -1 for what cannot be.

    An entity tag is a version, or a version and a seq as GET answers it: the part before the dot counts.
    """
    wanted, unwanted = call.header("If-Match"), call.header("If-None-Match")
    version = in_force.version if in_force else 0
    if wanted is not None:
        if wanted.strip() == "*":
            return version or -1
        versions = {tag.strip().strip('"').partition(".")[0] for tag in wanted.split(",")}
        return version if version and str(version) in versions else -1
    if unwanted is not None and unwanted.strip() == "*":
        return 0
    return None


async def find(call: Call) -> web.Response:
    """GET /campaigns/{campaign}."""
    found = await _with_counts(call, call.parameter("campaign"))
    if isinstance(found, web.Response):
        return found
    definition, counts = found
    etag = f'"{definition.version}.{counts.seq}"'
    return answers.cached(call, views.campaign(definition, counts), etag)


async def find_offering(call: Call) -> web.Response:
    """GET /campaigns/{campaign}/offerings/{offering}."""
    found = await _with_counts(call, call.parameter("campaign"))
    if isinstance(found, web.Response):
        return found
    definition, counts = found
    offering = definition.offerings.get(call.parameter("offering"))
    if offering is None:
        return problems.response("not_found", call.language)
    etag = f'"{definition.version}.{counts.seq}"'
    return answers.cached(call, views.offering(offering.document, counts), etag)


async def listing(call: Call) -> web.Response:
    """GET /campaigns."""
    page = paging.read(call.request.query, str)
    if isinstance(page, list):
        return problems.invalid(page, call.language)
    after = page.after or ""
    names = [name for name in call.api.runtime.catalog.names() if name > after]
    found = await asyncio.gather(*(_with_counts(call, name) for name in names[: page.limit]))
    pairs = [pair for pair in found if not isinstance(pair, web.Response)]
    following = paging.cursor(names[page.limit - 1]) if len(names) > page.limit else None
    seen = views.CampaignList([views.campaign(definition, counts) for definition, counts in pairs], following)
    parts = [(definition.campaign, definition.version, counts.seq) for definition, counts in pairs]
    return answers.cached(call, seen, answers.etag_of(parts, following))


async def _with_counts(call: Call, campaign: str) -> tuple[Definition, Counts] | web.Response:
    """The definition in force and its counts, or the refusal."""
    catalog = call.api.runtime.catalog
    definition = await catalog.find(campaign)
    if definition is None:
        return problems.response("not_ready" if catalog.is_lost(campaign) else "not_found", call.language)
    counts = await call.api.runtime.counts.read(campaign)
    if counts is not None and counts.version != definition.version:
        definition = await catalog.load(campaign)
    if counts is None or definition is None:
        return problems.response("not_ready", call.language)
    return definition, counts
