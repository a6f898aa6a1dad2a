"""The draw of an offering, as everybody may check it, and a member's own part in it."""

from api import answers, problems, views
from api.answer import Answer
from api.call import Call
from engine.domain.definition import Definition
from engine.domain.lottery import Lottery


async def find(call: Call) -> Answer:
    """GET …/offerings/{offering}/draw, from the ledger."""
    found = await _with_draw(call)
    if isinstance(found, Answer):
        return found
    definition, lottery = found
    drawing = call.api.runtime.drawing
    number = await drawing.number(definition.campaign, call.parameter("offering"))
    if not number:
        return problems.response("not_found", call.language)
    # A draw never changes once it is over.
    etag = f'"{lottery.commitment}-{number}"'
    if current := answers.unchanged(call, etag):
        return current
    file = await drawing.read(definition.campaign, number)
    assert file is not None, "it is kept before it is settled"
    return answers.cached(call, file, etag)


async def mine(call: Call) -> Answer:
    """GET …/offerings/{offering}/draw/me, from the ledger."""
    found = await _with_draw(call)
    if isinstance(found, Answer):
        return found
    definition, lottery = found
    offering, member = call.parameter("offering"), call.person.sub
    return answers.json(
        views.draw_share(await call.api.runtime.drawing.mine(definition, lottery, offering, member))
    )


async def _with_draw(call: Call) -> tuple[Definition, Lottery] | Answer:
    """The definition in force and what its draws rest on, or the refusal."""
    campaign, catalog = call.parameter("campaign"), call.api.runtime.catalog
    definition = await catalog.find(campaign)
    if definition is None:
        return problems.response("not_ready" if catalog.is_lost(campaign) else "not_found", call.language)
    if definition.lottery is None or call.parameter("offering") not in definition.offerings:
        return problems.response("not_found", call.language)
    return definition, definition.lottery
