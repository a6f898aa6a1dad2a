"""Sign up, look, cancel, confirm, decline; lists of enrollments."""

from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from api import answers, bodies, managed, paging, problems, views
from api.answer import Answer
from api.call import CHANNEL, Call
from engine.domain import campaign as documents
from engine.domain import invitation, shapes
from engine.domain.faults import Fault
from engine.domain.person import within
from engine.ledger.protocol import Row
from engine.live.decisions import Change, Decision

KEY_CHARACTERS_MAX: Final = 64
RESERVED: Final = frozenset({"party", "member"})


class SignUp(Struct, frozen=True, forbid_unknown_fields=True):
    """What a member may ask for; nothing is the rule."""

    pool: documents.Id | None = None
    """Only this pool will do."""
    wish: documents.Wish | None = None
    """For a draw: its rank among one's wishes, 1 first; else it comes after those that are entered."""
    code: invitation.Code | None = None
    """An invitation code: it opens its pool, beside those that one is eligible for."""


ANY_POOL: Final = SignUp()


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """An empty object."""


async def sign_up(call: Call) -> Answer:
    """POST …/offerings/{offering}/enrollments."""
    key = call.header("Idempotency-Key")
    faults = [] if key is None or is_key(key) else [Fault("Idempotency-Key", "not_a_key")]
    raw = await bodies.read_json(call, bodies.SMALL_BYTES_MAX)
    if isinstance(raw, Answer):
        return raw
    asked = ANY_POOL if raw == {} else _sign_up_body(raw)
    if isinstance(asked, list):
        faults += asked
    if faults or isinstance(asked, list):
        return problems.invalid(faults, call.language)
    campaign = call.parameter("campaign")
    made = await call.api.runtime.decisions.sign_up(
        campaign,
        call.parameter("offering"),
        call.person,
        key or "",
        asked.pool or "",
        CHANNEL,
        asked.wish or 0,
        invitation.identify(campaign, asked.code) if asked.code else "",
    )
    return answers.decision(call, campaign, made)


def is_key(key: str) -> bool:
    """Whether a text is 1 to 64 visible ASCII characters."""
    return 1 <= len(key) <= KEY_CHARACTERS_MAX and key.isascii() and key.isprintable() and " " not in key


async def find(call: Call) -> Answer:
    """GET …/enrollments/{enrollment}."""
    return answers.decision(call, call.parameter("campaign"), await visible(call))


async def visible(call: Call) -> Decision:
    """The enrollment that a call names, or the refusal; another's is as none, except to officers."""
    campaign = call.parameter("campaign")
    member = "" if await _acts_for(call, campaign) else call.person.sub
    return await call.api.runtime.decisions.find(campaign, call.parameter("enrollment"), member)


async def cancel(call: Call) -> Answer:
    """DELETE …/enrollments/{enrollment}."""
    for_others = await _acts_for(call, call.parameter("campaign"))
    return await _change(call, call.api.runtime.decisions.cancel, for_others=for_others)


async def confirm(call: Call) -> Answer:
    """POST …/enrollments/{enrollment}/confirm."""
    return await _change(call, call.api.runtime.decisions.confirm)


async def decline(call: Call) -> Answer:
    """POST …/enrollments/{enrollment}/decline."""
    return await _change(call, call.api.runtime.decisions.decline)


async def mine(call: Call) -> Answer:
    """GET /campaigns/{campaign}/me."""
    campaign = call.parameter("campaign")
    found = await call.api.runtime.decisions.mine(campaign, call.person.sub)
    if isinstance(found, Decision):
        return answers.refusal(call, campaign, found)
    seen = [
        views.enrollment(campaign, made.enrollment, made.record, made.position)
        for made in found
        if made.record
    ]
    return answers.json(views.EnrollmentList(seen, None))


async def mine_everywhere(call: Call) -> Answer:
    """GET /me/enrollments, from the ledger."""
    page = paging.read(call.request.query, tuple[int, str])
    if isinstance(page, list):
        return problems.invalid(page, call.language)
    rows = await call.api.runtime.ledger.enrollments_of(call.person.sub, page.limit + 1, page.after)
    return _page(rows, page.limit, lambda row: (row.record.decided_at, row.enrollment))


async def roster(call: Call) -> Answer:
    """GET …/offerings/{offering}/roster, from the ledger."""
    page = paging.read(call.request.query, tuple[int, int])
    if isinstance(page, list):
        return problems.invalid(page, call.language)
    found = await managed.offering(call)
    if isinstance(found, Answer):
        return found
    rows = await call.api.runtime.ledger.roster(*found, page.limit + 1, page.after)
    return _page(rows, page.limit, lambda row: (int(row.record.status == "waitlisted"), row.record.order))


def _sign_up_body(raw: object) -> SignUp | list[Fault]:
    asked = shapes.convert(SignUp, raw)
    if not isinstance(asked, list):
        return asked
    return [
        Fault(fault.path, "not_available") if fault.path.removeprefix("/") in RESERVED else fault
        for fault in asked
    ]


async def _acts_for(call: Call, campaign: str) -> bool:
    """Whether the caller is an officer of the campaign's unit, or of one above it."""
    if "officer" not in call.person.roles:
        return False
    definition = await call.api.runtime.catalog.find(campaign)
    return definition is not None and within(definition.unit, call.person.unit)


async def _change(
    call: Call, verb: Callable[[str, Change], Awaitable[Decision]], *, for_others: bool = False
) -> Answer:
    nothing = await bodies.read_struct(call, Nothing)
    if isinstance(nothing, Answer):
        return nothing
    campaign, actor = call.parameter("campaign"), call.person.sub
    change = Change(call.parameter("enrollment"), "" if for_others else actor, actor, CHANNEL)
    return answers.decision(call, campaign, await verb(campaign, change))


def _page(rows: list[Row], limit: int, after: Callable[[Row], object]) -> Answer:
    """A page of `limit` rows, of which one more was asked for to know whether there is a next page."""
    seen = [views.enrollment(row.campaign, row.enrollment, row.record, row.position) for row in rows[:limit]]
    return answers.json(
        views.EnrollmentList(seen, paging.cursor(after(rows[limit - 1])) if len(rows) > limit else None)
    )
