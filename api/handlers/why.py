"""Why: a refusal or an enrollment, explained from the ledger's log."""

import re
from collections.abc import Mapping
from typing import Final, get_args

from msgspec import Struct

from api import answers, problems, views
from api.answer import Answer
from api.call import Call
from api.handlers import enrollments
from engine.domain.campaign import ID_PATTERN
from engine.domain.faults import Fault
from engine.domain.why.guards import Code

SEQ_MAX: Final = 2**53

CODES: Final[tuple[str, ...]] = get_args(Code)

_ID: Final = re.compile(ID_PATTERN)


async def refusal(call: Call) -> Answer:
    """GET …/offerings/{offering}/why."""
    asked = _query(call.request.query)
    if isinstance(asked, list):
        return problems.invalid(asked, call.language)
    campaign = call.parameter("campaign")
    explained = await call.api.runtime.explainer.refusal(
        campaign, call.parameter("offering"), call.person, asked.pool, asked.as_of_seq, asked.code
    )
    if explained == "invalid":
        return problems.invalid([Fault("as_of_seq", "seq_to_come")], call.language)
    if isinstance(explained, str):
        return _refused(call, explained)
    return answers.json(views.refusal_reason(campaign, explained, call.language), headers=_said_in(call))


async def enrollment(call: Call) -> Answer:
    """GET …/enrollments/{enrollment}/why."""
    campaign = call.parameter("campaign")
    found = await enrollments.visible(call)
    if found.record is None:
        return answers.refusal(call, campaign, found)
    explained = await call.api.runtime.explainer.enrollment(campaign, found)
    if isinstance(explained, str):
        return _refused(call, explained)
    return answers.json(views.enrollment_reason(campaign, explained, call.language), headers=_said_in(call))


def _said_in(call: Call) -> dict[str, str]:
    return {"Content-Language": "zh-CN" if call.language == "zh" else "en"}


def _refused(call: Call, code: str) -> Answer:
    return problems.response("not_found" if code == "too_long" else code, call.language)


class _Asked(Struct, frozen=True):
    as_of_seq: int | None
    pool: str
    code: str


def _query(query: Mapping[str, str]) -> _Asked | list[Fault]:
    """What a query asks for, as the refusal named it."""
    faults, seq = [], None
    if "as_of_seq" in query:
        text = query["as_of_seq"]
        seq = int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else -1
        if seq < 1:
            faults.append(Fault("as_of_seq", "too_small", {"min": 1}))
        elif seq > SEQ_MAX:
            faults.append(Fault("as_of_seq", "too_large", {"max": SEQ_MAX}))
    pool, code = query.get("pool", ""), query.get("refused_as", "")
    if "pool" in query and not _ID.fullmatch(pool):
        faults.append(Fault("pool", "not_an_id"))
    if "refused_as" in query and code not in CODES:
        faults.append(Fault("refused_as", "not_one_of", {"allowed": ", ".join(CODES)}))
    return faults or _Asked(seq, pool, code)
