"""The one place that turns what the engine says into a response."""

import hashlib
from typing import Any, Final

import msgspec
from aiohttp.hdrs import IF_NONE_MATCH

from api import problems, views
from api.answer import Answer
from api.call import Call
from engine.domain import outcome
from engine.domain.enrollment import Record
from engine.domain.faults import Fault
from engine.domain.instants import iso
from engine.live.decisions import Decision

ENROLLMENT_PATH: Final = "/v1/campaigns/{}/enrollments/{}"

encode = msgspec.json.Encoder().encode
"""A value as JSON, in bytes."""


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """A value as JSON."""
    return Answer(status, encode(value), headers)


def cached(call: Call, body: bytes, etag: str) -> Answer:
    """JSON that is ready, under an entity tag, or 304 when the client has it."""
    return unchanged(call, etag) or Answer(200, body, _tagged(etag))


def unchanged(call: Call, etag: str) -> Answer | None:
    """304 when the client has what is under an entity tag."""
    if call.request.headers.get(IF_NONE_MATCH) == etag or _names(call.header(IF_NONE_MATCH), etag):
        return Answer(304, headers=_tagged(etag))
    return None


def _tagged(etag: str) -> dict[str, str]:
    return {"ETag": etag, "Cache-Control": "no-cache"}


def _names(wanted: str | None, etag: str) -> bool:
    """Whether an If-None-Match names the tag in one of the ways that few clients use."""
    if wanted is None:
        return False
    return wanted.strip() == "*" or etag in [part.strip().removeprefix("W/") for part in wanted.split(",")]


def etag_of(*parts: object) -> str:
    """An entity tag for what is made of many parts."""
    return f'"{hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()}"'


def decision(call: Call, campaign: str, made: Decision) -> Answer:
    """The answer to a request that the engine decided."""
    if made.record is None:
        return refusal(call, campaign, made)
    status, body = enrollment(campaign, made.record, made)
    headers = None
    if status in (201, 202):
        headers = {"Location": ENROLLMENT_PATH.format(campaign, made.enrollment)}
    return Answer(status, body, headers)


def enrollment(campaign: str, record: Record, made: Decision) -> tuple[int, bytes]:
    """Status and body of a success."""
    seen = views.enrollment(campaign, made.enrollment, record, made.position)
    return outcome.SUCCESSES[made.outcome].status, encode(seen)


def _title(call: Call, campaign: str, offering: str) -> str:
    """What an offering is called, or its id where it has gone since."""
    definition = call.api.runtime.catalog.get(campaign)
    found = definition.offerings.get(offering) if definition else None
    if found is None:
        return offering
    title = found.document.title
    return title.zh if call.language == "zh" else title.en


def refusal(call: Call, campaign: str, made: Decision) -> Answer:
    """A refusal by the engine, with what it has to say."""
    fact, seq = made.fact, made.as_of_seq or None
    match made.outcome:
        case "not_open" if isinstance(fact, int):
            now_ms = call.api.runtime.clock.now_ms()
            return problems.not_open(fact, now_ms, iso(fact), call.language, made.as_of_seq)
        case "invalid":
            return problems.invalid([Fault("/wish", "nothing_drawn")], call.language)
        case "not_open":
            return problems.response("not_open", call.language, as_of_seq=made.as_of_seq)
        case "overlap":
            other = _title(call, campaign, str(fact))
            return problems.response("overlap", call.language, other, as_of_seq=seq, offering=fact)
        case "wrong_state":
            state = problems.state(str(fact), call.language)
            return problems.response("wrong_state", call.language, state, as_of_seq=seq)
        case "not_eligible" if fact:
            return problems.not_opened(str(fact), call.language, seq)
        case "limit_reached":
            return problems.response("limit_reached", call.language, as_of_seq=seq, per=fact)
        case code:
            return problems.response(code, call.language, str(fact), as_of_seq=seq)
