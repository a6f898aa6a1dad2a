"""`results`, `advance`, `nominations`: a round of a competition from the command line."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from engine import tables
from engine.commands.apply import CHANNEL, actor, language
from engine.config import Settings
from engine.domain import faults, ladder
from engine.domain.definition import Definition
from engine.domain.faults import Fault
from engine.ladder import Imported, Refusal
from engine.runtime import Runtime, open_runtime

_REASONS: Final = {
    "not_found": ("没有这一轮，或文档未写明其成绩、奖牌", "there is no such round, or it has no results or medals"),
    "no_results": ("尚未导入成绩", "no results were imported"),
    "open": ("报名尚未截止", "its sign-up is still open"),
    "advanced": ("晋级已确定，成绩不再变更", "it is decided who goes on: its results do not change any more"),
    "overloaded": ("正在导入其他成绩，请稍后再试", "other results are being imported: try again"),
    "last_round": ("这是最后一轮", "no round comes after it"),
}  # fmt: skip


async def import_results(
    settings: Settings, campaign: str, offering: str, path: Path, *, dry_run: bool
) -> int:
    """Import a file of results: 0, or 1 when one of its rows is wrong, each of which is named."""
    media_type = tables.SUFFIXES.get(path.suffix.lower(), tables.CSV)
    file = await asyncio.to_thread(path.read_bytes)
    if len(file) > tables.BYTES_MAX:
        _print_fault(path, faults.fault("document_too_large", bytes_max=tables.BYTES_MAX))
        return 1
    async with _opened(settings, campaign) as (runtime, definition):
        if definition is None:
            return _refused(campaign, offering, "not_found")
        imported = await runtime.ladder.import_results(
            definition, offering, media_type, file, actor(), CHANNEL, dry_run=dry_run
        )
    if isinstance(imported, Refusal):
        return _refused(campaign, offering, imported.fact or imported.code)
    if isinstance(imported, list):
        for fault in imported:
            _print_fault(path, fault)
        return 1
    if dry_run:
        _print_ranking(imported)
    state = "would be imported" if dry_run else "imported"
    print(f"{campaign}/{offering}: {len(imported.ranking)} results {state}{_going(imported)}")
    return 0


async def advance(settings: Settings, campaign: str, offering: str) -> int:
    """Decide who goes on from a round: 0, also when it was decided before, or 1 when it cannot be."""
    async with _opened(settings, campaign) as (runtime, definition):
        if definition is None:
            return _refused(campaign, offering, "not_found")
        known = await runtime.ladder.advance(definition, offering, actor(), CHANNEL)
    if isinstance(known, Refusal):
        return _refused(campaign, offering, known.fact or known.code)
    seats = sum(cut.seats for cut in known.cuts.values())
    substitutes = sum(cut.substitutes for cut in known.cuts.values())
    state = "all are enrolled" if known.done else "the workers enrol them"
    print(f"{campaign}/{offering}: {seats} go on to {known.next}, {substitutes} substitutes; {state}")
    return 0


async def nominations(settings: Settings, campaign: str, offering: str) -> int:
    """Print who is nominated for medals, as CSV: 0, or 1 when there is no ranking."""
    async with _opened(settings, campaign) as (runtime, definition):
        if definition is None:
            return _refused(campaign, offering, "not_found")
        written = await runtime.ladder.nominations(definition, offering)
    if isinstance(written, Refusal):
        return _refused(campaign, offering, written.fact or written.code)
    print(written.replace("\r\n", "\n"), end="")
    return 0


@asynccontextmanager
async def _opened(settings: Settings, campaign: str) -> AsyncIterator[tuple[Runtime, Definition | None]]:
    """What runs on the data directory, and a campaign's definition in force."""
    async with open_runtime(settings) as runtime:
        yield runtime, await runtime.catalog.find(campaign)


def _refused(campaign: str, offering: str, reason: str) -> int:
    zh, en = _REASONS[reason]
    print(f"{campaign}/{offering}: {zh if language() == 'zh' else en}", file=sys.stderr)
    return 1


def _print_fault(path: Path, fault: Fault) -> None:
    """A fault at its row and column, as `/17/score` names it."""
    print(f"{path}: {fault.path or '/'}: {faults.text(fault, language())}", file=sys.stderr)


def _print_ranking(imported: Imported) -> None:
    going = {each.place: f"{each.going} in {imported.next}/{each.pool}" for each in imported.advance}
    for line in imported.ranking:
        lot = " by lot" if line.by_lot else ""
        print(f"{line.place}\t{line.member}\t{line.pool} {line.pool_place}{lot}\t{going.get(line.place, '')}")


def _going(imported: Imported) -> str:
    if not imported.next:
        return ""
    seats = sum(cut.seats for cut in _cuts(imported))
    substitutes = sum(cut.substitutes for cut in _cuts(imported))
    return f"; {seats} would go on to {imported.next}, {substitutes} substitutes"


def _cuts(imported: Imported) -> Sequence[ladder.Cut]:
    return list(ladder.cuts(imported.ranking, imported.advance).values())
