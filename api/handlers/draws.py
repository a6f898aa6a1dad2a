"""The draw of a campaign, as everybody may check it, and a member's own part in it."""

from api import answers, problems, views
from api.answer import Answer
from api.call import Call


async def find(call: Call) -> Answer:
    """GET /campaigns/{campaign}/draw, from the ledger."""
    campaign = call.parameter("campaign")
    catalog = call.api.runtime.catalog
    definition = await catalog.find(campaign)
    if definition is None:
        return problems.response("not_ready" if catalog.is_lost(campaign) else "not_found", call.language)
    if definition.lottery is None:
        return problems.response("not_found", call.language)
    drawing, etag = call.api.runtime.drawing, f'"{definition.lottery.commitment}"'
    if not await drawing.is_over(campaign):
        return problems.response("not_found", call.language)
    # A draw never changes once it is over.
    if current := answers.unchanged(call, etag):
        return current
    file = await drawing.read(campaign)
    assert file is not None, "it is kept before it is settled"
    return answers.cached(call, file, etag)


async def mine(call: Call) -> Answer:
    """GET /campaigns/{campaign}/draw/me, from the ledger."""
    campaign = call.parameter("campaign")
    catalog = call.api.runtime.catalog
    definition = await catalog.find(campaign)
    if definition is None:
        return problems.response("not_ready" if catalog.is_lost(campaign) else "not_found", call.language)
    found = await call.api.runtime.drawing.mine(definition, call.person.sub)
    if found is None:
        return problems.response("not_found", call.language)
    return answers.json(views.draw_share(found))
