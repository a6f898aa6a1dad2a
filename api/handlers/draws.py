"""The draw of a campaign, as everybody may check it."""

from api import answers, problems
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
    file = await call.api.runtime.drawing.read(campaign)
    if file is None:
        return problems.response("not_found", call.language)
    return answers.cached(call, file, f'"{definition.lottery.commitment}"')
