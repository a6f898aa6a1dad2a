"""Invitation codes of an offering: issue, list, revoke."""

from typing import Final

from api import answers, bodies, managed, paging, problems, views
from api.answer import Answer
from api.call import CHANNEL, Call
from api.handlers.enrollments import Nothing
from engine.domain.invitation import Terms

CODES_PATH: Final = "/v1/campaigns/{}/offerings/{}/codes"


async def issue(call: Call) -> Answer:
    """POST …/offerings/{offering}/codes."""
    terms = await bodies.read_struct(call, Terms)
    if isinstance(terms, Answer):
        return terms
    found = await managed.offering(call)
    if isinstance(found, Answer):
        return found
    issued = await call.api.runtime.invitations.issue(*found, terms, call.person.sub, CHANNEL)
    if isinstance(issued, str):
        return problems.response(issued, call.language)
    if issued.faults:
        return problems.invalid(issued.faults, call.language)
    headers = {"Location": CODES_PATH.format(*found), "Cache-Control": "no-store"}
    return answers.json(views.issued_codes(terms, issued.secrets), status=201, headers=headers)


async def listing(call: Call) -> Answer:
    """GET …/offerings/{offering}/codes."""
    page = paging.read(call.request.query, int)
    if isinstance(page, list):
        return problems.invalid(page, call.language)
    found = await managed.offering(call)
    if isinstance(found, Answer):
        return found
    after = page.after or 0
    listed = await call.api.runtime.invitations.page(*found, page.limit + 1, after)
    if isinstance(listed, str):
        return problems.response(listed, call.language)
    following = paging.cursor(after + page.limit) if len(listed) > page.limit else None
    return answers.json(views.CodeList([views.code(each) for each in listed[: page.limit]], following))


async def revoke(call: Call) -> Answer:
    """DELETE …/offerings/{offering}/codes/{code}."""
    nothing = await bodies.read_struct(call, Nothing)
    if isinstance(nothing, Answer):
        return nothing
    found = await managed.campaign(call)
    if isinstance(found, Answer):
        return found
    revoked = await call.api.runtime.invitations.revoke(
        found.campaign, call.parameter("offering"), call.parameter("code"), call.person.sub, CHANNEL
    )
    if isinstance(revoked, str):
        return problems.response(revoked, call.language)
    return answers.json(views.code(revoked))
