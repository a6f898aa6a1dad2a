"""Campaign documents: publish one, see those in force with live counts."""

import asyncio
from typing import Final

import msgspec
from msgspec import Raw

from api import answers, bodies, paging, problems, views
from api.answer import Answer
from api.call import CHANNEL, Call
from api.shown import Shown
from engine.domain import document
from engine.domain.campaign import Campaign
from engine.domain.faults import Fault
from engine.domain.person import within
from engine.live.counts import Counts
from engine.publishing import Published

CAMPAIGNS_PATH: Final = "/v1/campaigns/{}"
PUBLISH_TRIES_MAX: Final = 5
"""How often a document is tried again because another was published meanwhile."""


async def publish(call: Call) -> Answer:
    """PUT /campaigns/{campaign}."""
    raw = await bodies.read_json(call, document.MAX_BYTES)
    if isinstance(raw, Answer):
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
    published = await _put_in_force(call, campaign)
    if isinstance(published, list):
        return problems.invalid(published, call.language)
    if isinstance(published, str):
        return problems.response(published, call.language)
    headers = {"ETag": f'"{published.version}"'}
    if published.created:
        headers["Location"] = CAMPAIGNS_PATH.format(name)
    seen = views.Publication(name, published.version, published.changed)
    return answers.json(seen, status=201 if published.created else 200, headers=headers)


async def _put_in_force(call: Call, campaign: Campaign) -> Published | list[Fault] | str:
    """Publish over the version that was looked at: its unit and the conditions are those that hold for it."""
    catalog, publisher, name = call.api.runtime.catalog, call.api.runtime.publisher, campaign.campaign
    # What this process knows may be a moment old.
    in_force = await catalog.find(name) and await catalog.load(name)
    for _ in range(PUBLISH_TRIES_MAX):
        if in_force is not None and not within(in_force.unit, call.person.unit):
            return "forbidden"
        version = in_force.version if in_force else 0
        if not _holds(call, version):
            break
        published = await publisher.publish(campaign, call.person.sub, CHANNEL, version)
        if published != "precondition_failed":
            return published
        in_force = await catalog.load(name)
    return "precondition_failed"


def _holds(call: Call, version: int) -> bool:
    """Whether If-Match and If-None-Match (RFC 9110, 13.1) hold for the version in force, 0 for none."""
    wanted, unwanted = call.header("If-Match"), call.header("If-None-Match")
    if wanted is not None and not _names(wanted, version):
        return False
    return unwanted is None or not _names(unwanted.replace("W/", ""), version)


def _names(tags: str, version: int) -> bool:
    """An entity tag is a version, or a version and a seq as GET answers it: the part before the dot counts."""
    named = {tag.strip().strip('"').partition(".")[0] for tag in tags.split(",")}
    return version > 0 and not named.isdisjoint({"*", str(version)})


async def find(call: Call) -> Answer:
    """GET /campaigns/{campaign}."""
    found = await _with_counts(call, call.parameter("campaign"))
    if isinstance(found, Answer):
        return found
    shown, counts = found
    return answers.cached(call, shown.campaign(counts), _etag(shown, counts))


async def find_offering(call: Call) -> Answer:
    """GET /campaigns/{campaign}/offerings/{offering}."""
    found = await _with_counts(call, call.parameter("campaign"))
    if isinstance(found, Answer):
        return found
    shown, counts = found
    offering = call.parameter("offering")
    if offering not in shown.definition.offerings:
        return problems.response("not_found", call.language)
    return answers.cached(call, shown.offering(offering, counts), _etag(shown, counts))


async def listing(call: Call) -> Answer:
    """GET /campaigns."""
    page = paging.read(call.request.query, str)
    if isinstance(page, list):
        return problems.invalid(page, call.language)
    after = page.after or ""
    names = [name for name in call.api.runtime.catalog.names() if name > after]
    found = await asyncio.gather(*(_with_counts(call, name) for name in names[: page.limit]))
    pairs = [pair for pair in found if not isinstance(pair, Answer)]
    following = paging.cursor(names[page.limit - 1]) if len(names) > page.limit else None
    body = msgspec.json.encode(
        {"campaigns": [Raw(shown.campaign(counts)) for shown, counts in pairs], "next": following}
    )
    parts = [(shown.definition.campaign, shown.definition.version, counts.seq) for shown, counts in pairs]
    return answers.cached(call, body, answers.etag_of(parts, following))


def _etag(shown: Shown, counts: Counts) -> str:
    return f'"{shown.definition.version}.{counts.seq}"'


async def _with_counts(call: Call, campaign: str) -> tuple[Shown, Counts] | Answer:
    """The definition in force and its counts, or the refusal."""
    catalog = call.api.runtime.catalog
    definition = catalog.get(campaign) or await catalog.find(campaign)
    if definition is None:
        return problems.response("not_ready" if catalog.is_lost(campaign) else "not_found", call.language)
    counts = await call.api.runtime.counts.read(campaign)
    if counts is not None and counts.version != definition.version:
        definition = await catalog.load(campaign)
    if counts is None or definition is None:
        return problems.response("not_ready", call.language)
    return call.api.showcase.of(definition), counts
