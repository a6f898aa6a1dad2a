"""Competitions: results of a round, who goes on, and the medals."""

import asyncio
from typing import Final

from api import answers, bodies, paging, problems, views
from api.answer import Answer
from api.call import CHANNEL, Call
from api.handlers.enrollments import Nothing
from engine import tables
from engine.domain import ladder
from engine.domain.definition import Definition
from engine.domain.faults import Fault
from engine.domain.ladder import Round
from engine.domain.person import within
from engine.ladder import Imported, Refusal

RESULTS_PATH: Final = "/v1/campaigns/{}/offerings/{}/results"
MEDIA_TYPES: Final = (tables.CSV, tables.XLSX)
CSV: Final = f"{tables.CSV}; charset=utf-8"


async def import_results(call: Call) -> Answer:
    """PUT …/offerings/{offering}/results."""
    dry_run = call.request.query.get("dry_run", "false")
    if dry_run not in ("true", "false"):
        return problems.invalid([Fault("dry_run", "not_a_boolean")], call.language)
    file = await bodies.read(call, tables.BYTES_MAX, MEDIA_TYPES)
    if isinstance(file, Answer):
        return file
    definition = await _managed(call)
    if isinstance(definition, Answer):
        return definition
    name = call.parameter("offering")
    media_type = call.request.content_type if file else tables.CSV
    imported = await call.api.runtime.ladder.import_results(
        definition, name, media_type, file, call.person.sub, CHANNEL, dry_run=dry_run == "true"
    )
    if isinstance(imported, list):
        return problems.invalid(imported, call.language)
    if isinstance(imported, Refusal):
        return _refused(call, imported)
    return await _imported(call, definition, name, imported, dry_run=dry_run == "true")


async def _imported(
    call: Call, definition: Definition, name: str, imported: Imported, *, dry_run: bool
) -> Answer:
    columns, ranking = imported.columns, imported.ranking
    going = {each.place: each.going for each in imported.advance}
    counts = await call.api.runtime.counts.read(definition.campaign)
    pools = definition.offerings[name].pools
    taken = sum(counts.taken(name, pool) for pool in pools) if counts else 0

    def write() -> Answer:
        cuts = ladder.cuts(ranking, imported.advance) if imported.next else {}
        return answers.json(
            views.ResultsImport(
                campaign=definition.campaign,
                offering=name,
                dry_run=dry_run,
                lines=len(ranking),
                absent=max(0, taken - len(ranking)),
                next_round=imported.next or None,
                cuts=views.result_cuts(cuts, columns),
                results=[views.result_line(line, columns, going.get(line.place, "")) for line in ranking],
            )
        )

    # A large ranking takes a while: the loop stays free for sign-ups.
    return await asyncio.to_thread(write)


async def results(call: Call) -> Answer:
    """GET …/offerings/{offering}/results."""
    page = paging.read(call.request.query, int)
    if isinstance(page, list):
        return problems.invalid(page, call.language)
    definition = await _managed(call)
    if isinstance(definition, Answer):
        return definition
    campaign, name, ledger = definition.campaign, call.parameter("offering"), call.api.runtime.ledger
    if not _has_results(definition, name):
        return problems.response("not_found", call.language)
    known = await ledger.round(campaign, name)
    if known is None:
        return answers.json(views.ResultList(campaign, name, "none", 0, None, {}, [], None))
    lines = await ledger.results(campaign, name, page.limit + 1, page.after or 0)
    following = paging.cursor(lines[page.limit - 1].place) if len(lines) > page.limit else None
    return answers.json(
        views.ResultList(
            campaign=campaign,
            offering=name,
            state=await _state(call, definition, known),
            lines=known.lines,
            next_round=known.next or None,
            cuts=views.result_cuts(known.cuts, known.columns),
            results=[views.result_line(line, known.columns, line.going) for line in lines[: page.limit]],
            next=following,
        )
    )


async def mine(call: Call) -> Answer:
    """GET …/offerings/{offering}/results/me."""
    definition = await _definition(call)
    if isinstance(definition, Answer):
        return definition
    campaign, name, ledger = definition.campaign, call.parameter("offering"), call.api.runtime.ledger
    known = await ledger.round(campaign, name) if _has_results(definition, name) else None
    line = await ledger.result_of(campaign, name, call.person.sub) if known else None
    if known is None or line is None:
        return problems.response("not_found", call.language)
    cuts = views.result_cuts(known.cuts, known.columns)
    return answers.json(
        views.OwnResult(
            state=await _state(call, definition, known),
            lines=known.lines,
            result=views.result_line(line, known.columns, line.going),
            next_round=known.next or None,
            enrollment=line.next_enrollment or None,
            cut=cuts.get(line.pool),
        )
    )


async def advance(call: Call) -> Answer:
    """POST …/offerings/{offering}/advance."""
    nothing = await bodies.read_struct(call, Nothing)
    if isinstance(nothing, Answer):
        return nothing
    definition = await _managed(call)
    if isinstance(definition, Answer):
        return definition
    name = call.parameter("offering")
    known = await call.api.runtime.ladder.advance(definition, name, call.person.sub, CHANNEL)
    if isinstance(known, Refusal):
        return _refused(call, known)
    decided = views.RoundAdvance(
        campaign=known.campaign,
        offering=known.offering,
        next_round=known.next,
        state=await _state(call, definition, known),
        seats=sum(cut.seats for cut in known.cuts.values()),
        substitutes=sum(cut.substitutes for cut in known.cuts.values()),
        cuts=views.result_cuts(known.cuts, known.columns),
    )
    if known.done:
        return answers.json(decided)
    return answers.json(decided, 202, {"Location": RESULTS_PATH.format(known.campaign, name)})


async def nominations(call: Call) -> Answer:
    """GET …/offerings/{offering}/nominations."""
    definition = await _managed(call)
    if isinstance(definition, Answer):
        return definition
    written = await call.api.runtime.ladder.nominations(definition, call.parameter("offering"))
    if isinstance(written, Refusal):
        return _refused(call, written)
    return Answer(200, written.encode(), media_type=CSV)


async def _state(call: Call, definition: Definition, known: Round) -> views.RoundState:
    """How far a round has come whose results were imported."""
    if not known.next:
        return "imported"
    if known.done:
        return "advanced"
    return "advancing" if await call.api.runtime.ladder.has_place(definition, known) else "waiting"


def _has_results(definition: Definition, name: str) -> bool:
    offering = definition.offerings.get(name)
    return offering is not None and offering.document.results is not None


def _refused(call: Call, refusal: Refusal) -> Answer:
    return problems.response(refusal.code, call.language, problems.state(refusal.fact, call.language))


async def _definition(call: Call) -> Definition | Answer:
    """The definition in force, or the refusal."""
    campaign, catalog = call.parameter("campaign"), call.api.runtime.catalog
    definition = await catalog.find(campaign)
    if definition is None:
        return problems.response("not_ready" if catalog.is_lost(campaign) else "not_found", call.language)
    return definition


async def _managed(call: Call) -> Definition | Answer:
    """The definition in force of a campaign that the caller may manage, or the refusal."""
    definition = await _definition(call)
    if isinstance(definition, Answer) or within(definition.unit, call.person.unit):
        return definition
    return problems.response("forbidden", call.language)
