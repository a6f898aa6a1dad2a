"""The draw of a campaign, as everybody may check it, and a member's own part in it."""

from api import answers, problems, views
from api.answer import Answer
from api.call import Call
from engine.domain.definition import Definition
from engine.domain.policies.ballot import Lottery


async def find(call: Call) -> Answer:
    """GET /campaigns/{campaign}/draw, from the ledger."""
    found = await _with_draw(call)
    if isinstance(found, Answer):
        return found
    definition, lottery = found
    drawing, etag = call.api.runtime.drawing, f'"{lottery.commitment}"'
    if not await drawing.is_over(definition.campaign):
        return problems.response("not_found", call.language)
    # A draw never changes once it is over.
    if current := answers.unchanged(call, etag):
        return current
    file = await drawing.read(definition.campaign)
    assert file is not None, "it is kept before it is settled"
    return answers.cached(call, file, etag)


async def mine(call: Call) -> Answer:
    """GET /campaigns/{campaign}/draw/me, from the ledger."""
    found = await _with_draw(call)
    if isinstance(found, Answer):
        return found
    definition, lottery = found
    mine = await call.api.runtime.drawing.mine(definition, lottery, call.person.sub)
    return answers.json(views.draw_share(mine))


async def _with_draw(call: Call) -> tuple[Definition, Lottery] | Answer:
    """The definition in force and what its draw rests on, or the refusal."""
    campaign, catalog = call.parameter("campaign"), call.api.runtime.catalog
    definition = await catalog.find(campaign)
    if definition is None:
        return problems.response("not_ready" if catalog.is_lost(campaign) else "not_found", call.language)
    if definition.lottery is None:
        return problems.response("not_found", call.language)
    return definition, definition.lottery
