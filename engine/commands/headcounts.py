"""`headcounts`: report how many people units have, from a table."""

import asyncio
import csv
import io
import sys
from pathlib import Path
from typing import Final, TextIO

from msgspec import Struct

from engine.commands import apply
from engine.config import Settings
from engine.domain import shapes
from engine.domain.campaign import Unit
from engine.domain.faults import Fault, fault
from engine.domain.headcounts import ENTRIES_MAX, HEADCOUNT_MAX, Headcount
from engine.runtime import Runtime, open_runtime

COLUMNS: Final = ("unit", "headcount")
BYTES_MAX: Final = 8 * 1024 * 1024
DIGITS_MAX: Final = len(str(HEADCOUNT_MAX)) + 1


class _Row(Struct, frozen=True):
    unit: Unit
    headcount: Headcount


async def run(settings: Settings, path: Path) -> int:
    """Report a file's headcounts, all or none: 0, or 1 with each bad row named."""
    async with open_runtime(settings) as runtime:
        return await report(runtime, path, output=sys.stdout)


async def report(runtime: Runtime, path: Path, output: TextIO, *, only_new: bool = False) -> int:
    """Report a file's headcounts; when a row is bad, all that are bad are named and nothing is reported.

    With `only_new` units that have one already keep it.
    """
    reported = parse(await asyncio.to_thread(path.read_bytes))
    if isinstance(reported, list):
        apply.print_faults(path, reported)
        return 1
    now_ms = runtime.clock.now_ms()
    known = await runtime.ledger.headcounts_at(list(reported), now_ms) if only_new else {}
    fresh = {unit: headcount for unit, headcount in reported.items() if unit not in known}
    changed = await runtime.ledger.report_headcounts(fresh, apply.actor(), apply.CHANNEL, now_ms)
    print(f"{path}: {len(reported)} headcounts, {changed} changed", file=output)
    return 0


def parse(data: bytes) -> dict[str, int] | list[Fault]:
    """Headcounts by unit, or all that is wrong with the table, each fault at `/<line>/<column>`.

    The table is CSV (RFC 4180) in UTF-8, with or without a byte order mark. Its first line names the columns `unit` and
    `headcount`, in either order; each other line has one unit.
    """
    if len(data) > BYTES_MAX:
        return [fault("document_too_large", bytes_max=BYTES_MAX)]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return [fault("not_utf8")]
    rows = _rows(text)
    if isinstance(rows, Fault):
        return [rows]
    if not rows or sorted(rows[0][1]) != sorted(COLUMNS):
        return [_wrong_columns(rows[0][0] if rows else 1)]
    (_, columns), *rest = rows
    if not rest:
        return [fault("too_few", min=1)]
    if len(rest) > ENTRIES_MAX:
        return [fault("too_many", max=ENTRIES_MAX)]
    return _read(columns, rest)


def _rows(text: str) -> list[tuple[int, list[str]]] | Fault:
    """The line and the cells of each row that is not empty."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, line = [], 1
    try:
        for cells in reader:
            if any(cells):
                rows.append((line, [cell.strip() for cell in cells]))
            line = reader.line_num + 1
    except csv.Error:
        return Fault("", "syntax", {"line": line, "column": 1})
    return rows


def _wrong_columns(line: int) -> Fault:
    return Fault(f"/{line}", "not_the_columns", {"columns": ",".join(COLUMNS)})


def _read(columns: list[str], rows: list[tuple[int, list[str]]]) -> dict[str, int] | list[Fault]:
    headcounts: dict[str, int] = {}
    first: dict[str, int] = {}
    faults: list[Fault] = []
    for line, cells in rows:
        if len(cells) != len(columns):
            faults.append(_wrong_columns(line))
            continue
        row = shapes.convert(
            _Row, {name: _value(name, cell) for name, cell in zip(columns, cells, strict=True)}
        )
        if isinstance(row, list):
            faults += [Fault(f"/{line}{each.path}", each.code, each.parameters) for each in row]
        elif row.unit in first:
            faults.append(Fault(f"/{line}/unit", "duplicate", {"first": f"/{first[row.unit]}/unit"}))
        else:
            first[row.unit] = line
            headcounts[row.unit] = row.headcount
    return faults or headcounts


def _value(column: str, cell: str) -> str | int:
    """A cell of digits is a number in the column that has numbers; any other is left for the shape to refuse."""
    is_number = column == "headcount" and cell.isascii() and cell.isdigit() and len(cell) <= DIGITS_MAX
    return int(cell) if is_number else cell
