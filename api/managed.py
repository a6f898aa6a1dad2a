"""What officers and organizers manage: the campaigns of their unit and below."""

from api import problems
from api.answer import Answer
from api.call import Call
from engine.domain.definition import Definition
from engine.domain.person import within


async def campaign(call: Call) -> Definition | Answer:
    """The definition in force of the campaign that the address names, or the refusal."""
    name, catalog = call.parameter("campaign"), call.api.runtime.catalog
    definition = await catalog.find(name)
    if definition is None:
        return problems.response("not_ready" if catalog.is_lost(name) else "not_found", call.language)
    if not within(definition.unit, call.person.unit):
        return problems.response("forbidden", call.language)
    return definition


async def offering(call: Call) -> tuple[str, str] | Answer:
    """The campaign and the offering that the address names, where there are such, or the refusal."""
    definition, name = await campaign(call), call.parameter("offering")
    if isinstance(definition, Answer):
        return definition
    if name not in definition.offerings:
        return problems.response("not_found", call.language)
    return definition.campaign, name
