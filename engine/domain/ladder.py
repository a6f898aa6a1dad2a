"""The ladder of a competition: the results of a round, their ranking, and who goes on to the next.

All of it is pure; docs/ladder.md has the rules for those who run a competition.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, Literal

from msgspec import Struct, structs

from engine.domain import chain
from engine.domain.campaign import Medals, Offering, ResultsRule
from engine.domain.faults import Fault, Found, Path, field_name
from engine.domain.policies import advancement

MEMBER: Final = "member"
SCORE: Final = "score"
ROWS_MAX: Final = 20_000
DIGITS_MAX: Final = 15
"""Significant digits of a value: as many as a float holds exactly, so that two are equal as they are written."""

_NUMBER = re.compile(r"[+-]?([0-9]+)(?:\.([0-9]+))?")
_MEMBER_ID = re.compile(r"[!-~]{1,64}")

Going = Literal["", "seat", "substitute"]
Medal = Literal["gold", "silver", "bronze"]


class Row(Struct, frozen=True):
    """A row of a table that is imported. A cell is text, "" for an empty one, or why it must be refused."""

    number: int
    """As a spreadsheet counts, from 1."""
    cells: Sequence[str | Fault]


class Mark(Struct, frozen=True):
    """What a member achieved, as a row says it."""

    row: int
    member: str
    values: list[float]
    """The score, and those of the rule's ties in their order."""


class Seat(Struct, frozen=True):
    """A member's confirmed place in a round."""

    enrollment: str
    pool: str


class Entry(Struct, frozen=True):
    """What one who has a place in the round achieved."""

    member: str
    enrollment: str
    pool: str
    values: list[float]


class Line(Struct, frozen=True):
    """One of a ranking. Places count from 1 and no two are the same."""

    place: int
    member: str
    enrollment: str
    pool: str
    pool_place: int
    """Among those of the same pool."""
    by_lot: bool
    """Whether another has the same values, so that lots decided between the two."""
    values: list[float]
    going: Going = ""
    """To the next round; "" for one who stays, and before it is decided."""
    next_pool: str = ""
    next_enrollment: str = ""
    """Chosen when it is decided, so that whoever carries it out again enrols nobody twice."""


class Advance(Struct, frozen=True):
    """Who goes on."""

    place: int
    going: Going
    pool: str
    """Of the next round."""


class Cut(Struct, frozen=True, array_like=True):
    """How far the seats of the next round went in a pool."""

    seats: int
    substitutes: int
    pool_place: int
    """The last that got a seat, 0 for none."""
    values: list[float]
    """Of the same; empty for none."""


class Round(Struct, frozen=True):
    """An offering whose results were imported, without its lines."""

    campaign: str
    offering: str
    version: int
    """How often they were imported."""
    columns: list[str]
    """What the values of a line are: the score and the ties of the rule that was in force."""
    lines: int
    imported_at: int
    """UTC milliseconds."""
    next: str
    """The round that it was decided for who goes on to it; "" before."""
    actor: str
    """Who decided, and by which door; "" before."""
    channel: str
    cuts: dict[str, Cut]
    """By pool; empty before."""
    done: bool
    """Whether all who go on are enrolled."""


def columns(rule: ResultsRule) -> list[str]:
    """The columns of values, in the order in which they decide."""
    return [SCORE, *(tie.column for tie in rule.ties)]


# Reading


def read(rule: ResultsRule, rows: Sequence[Row], found: Found) -> list[Mark]:
    """The marks of a table whose first row names its columns: `member` and those of the rule, in any order.

    Blank rows are passed over. Every fault is added at `/<row>/<column>`; where there is one, marks may lack values.
    """
    filled = [row for row in rows if any(isinstance(cell, Fault) or cell.strip() for cell in row.cells)]
    if len(filled) < 2:
        found.add(None, "no_rows")
        return []
    header, *rest = filled
    names = [cell.strip() if isinstance(cell, str) else "" for cell in header.cells]
    if not _check_header(header, names, [MEMBER, *columns(rule)], found):
        return []
    if len(rest) > ROWS_MAX:
        found.add(None, "too_many", max=ROWS_MAX)
        return []
    marks, first_with = [], dict[str, int]()
    for row in rest:
        cells = _named(row, names, found)
        member = _member(cells[MEMBER], (_at(row), MEMBER), found)
        values = [_value(cells[name], (_at(row), name), found) for name in columns(rule)]
        if member is None:
            continue
        first = first_with.setdefault(member, row.number)
        if first != row.number:
            found.add((_at(row), MEMBER), "duplicate", first=f"/{first}/{MEMBER}")
        marks.append(Mark(row.number, member, [value for value in values if value is not None]))
    return marks


def seated(marks: Sequence[Mark], seats: Mapping[str, Seat], found: Found) -> list[Entry]:
    """The marks of those who have a place in the round; that another has none is a fault."""
    entries = []
    for mark in marks:
        seat = seats.get(mark.member)
        if seat is None:
            found.add(((None, mark.row), MEMBER), "no_seat")
        else:
            entries.append(Entry(mark.member, seat.enrollment, seat.pool, mark.values))
    return entries


def _at(row: Row) -> Path:
    return (None, row.number)


def _check_header(header: Row, names: Sequence[str], due: Sequence[str], found: Found) -> bool:
    """Whether a header has each column that is due once, and no other."""
    before = found.count
    for name in due:
        if name not in names:
            found.add((_at(header), name), "missing")
    for index, name in enumerate(names):
        if name and name not in due:
            found.add((_at(header), index + 1), "unknown_field", field=field_name(name))
        elif name and name in names[:index]:
            found.add((_at(header), name), "duplicate_key")
        if isinstance(fault := header.cells[index], Fault):
            found.place((_at(header), index + 1), fault)
    return found.count == before


def _named(row: Row, names: Sequence[str], found: Found) -> dict[str, str | Fault]:
    """The cells of a row by column; what stands in no column is a fault."""
    cells: dict[str, str | Fault] = dict.fromkeys(names, "")
    for index, cell in enumerate(row.cells):
        name = names[index] if index < len(names) else ""
        if name:
            cells[name] = cell.strip() if isinstance(cell, str) else cell
        elif isinstance(cell, Fault) or cell.strip():
            found.add((_at(row), index + 1), "no_header")
    return cells


def _member(cell: str | Fault, path: Path, found: Found) -> str | None:
    if isinstance(cell, Fault):
        found.place(path, cell)
    elif not cell:
        found.add(path, "missing")
    elif not _MEMBER_ID.fullmatch(cell):
        found.add(path, "not_a_member_id")
    else:
        return cell
    return None


def _value(cell: str | Fault, path: Path, found: Found) -> float | None:
    if isinstance(cell, Fault):
        found.place(path, cell)
    elif not cell:
        found.add(path, "missing")
    elif cell.lstrip("+-").lower() in ("inf", "infinity", "nan"):
        found.add(path, "not_finite")
    elif (number := _NUMBER.fullmatch(cell)) is None:
        found.add(path, "not_a_number")
    elif len((number[1] + (number[2] or "").rstrip("0")).lstrip("0")) > DIGITS_MAX:
        found.add(path, "number_too_long")
    else:
        return float(cell)
    return None


# Ranking


def rank(rule: ResultsRule, entries: Sequence[Entry]) -> list[Line]:
    """The ranking: by score, then by each tie's column, then by lot."""
    signs = [-1 if order == "highest" else 1 for order in (rule.order, *(tie.order for tie in rule.ties))]

    def key(entry: Entry) -> list[float]:
        return [sign * value for sign, value in zip(signs, entry.values, strict=True)]

    ranking, pool_places = list[Line](), dict[str, int]()
    for _, group in groupby(sorted(entries, key=key), key):
        equal = list(group)
        lots = draw_lots([entry.enrollment for entry in equal])
        for entry in sorted(equal, key=lambda entry: lots[entry.enrollment]):
            pool_place = pool_places[entry.pool] = pool_places.get(entry.pool, 0) + 1
            ranking.append(
                Line(
                    *(len(ranking) + 1, entry.member, entry.enrollment, entry.pool, pool_place),
                    *(len(equal) > 1, entry.values),
                )
            )
    return ranking


def draw_lots(enrollments: Sequence[str]) -> dict[str, str]:
    """A lot, 64 hex digits, for each of those who are equal; the lowest comes first.

    It is SHA-256 over the digest of all of their ids, in order, a newline, and the own id. The ids are random numbers
    that were on disk before there were results: who sets these cannot choose the lots, and everybody can repeat them.
    """
    together = hashlib.sha256("\n".join(sorted(enrollments)).encode()).hexdigest()
    return {each: hashlib.sha256(f"{together}\n{each}".encode()).hexdigest() for each in enrollments}


# Going on


def next_round(offerings: Sequence[Offering], name: str) -> Offering | None:
    """The round whose seats go to the best of an offering, None after the last."""
    return next((each for each in offerings if each.policy.from_ == name), None)


def still_in(ranking: Sequence[Line], seats: Mapping[str, Seat]) -> list[Line]:
    """The lines of those whose place in the round is the one with which they were imported; not of forgotten ones."""
    return [
        line
        for line in ranking
        if line.member in seats
        and seats[line.member].enrollment == line.enrollment
        and not chain.is_forgotten(line.member)
    ]


def advance(ranking: Sequence[Line], offering: Offering, following: Offering) -> list[Advance]:
    """Who of a ranking goes on from one round to the following: first those with seats, then those who wait, by place.

    Lines may be left out of the ranking: those behind take their places.

    The best of each pool have seats. What is left of a pool of the following round goes to the first of its
    substitutes, as if somebody had declined.
    """
    best, substitutes = following.policy.best or 0, following.policy.substitutes or 0
    leads = {pool.pool: advancement.pools_above(pool, following.pools) for pool in offering.pools}
    left = {pool.pool: pool.capacity for pool in following.pools}
    seated, waiting = list[Advance](), list[Advance]()
    pool_places, ranked = Counter[str](), list[tuple[Line, int]]()
    for line in ranking:
        pool_places[line.pool] += 1
        ranked.append((line, pool_places[line.pool]))
    for line, pool_place in ranked:
        for pool in leads.get(line.pool, ()):
            if pool_place <= best:
                left[pool] -= 1
                seated.append(Advance(line.place, "seat", pool))
    for line, pool_place in ranked:
        for pool in leads.get(line.pool, ()):
            if best < pool_place <= best + substitutes:
                if left[pool] > 0:
                    left[pool] -= 1
                    seated.append(Advance(line.place, "seat", pool))
                else:
                    waiting.append(Advance(line.place, "substitute", pool))
    return [*sorted(seated, key=lambda each: each.place), *waiting]


def cuts(ranking: Sequence[Line], going: Sequence[Advance]) -> dict[str, Cut]:
    """How far the seats of the next round went in each pool of a ranking."""
    by_place = {each.place: each.going for each in going}
    found: dict[str, Cut] = {line.pool: Cut(0, 0, 0, []) for line in ranking}
    for line in ranking:
        cut = found[line.pool]
        match by_place.get(line.place):
            case "seat":
                found[line.pool] = Cut(cut.seats + 1, cut.substitutes, line.pool_place, line.values)
            case "substitute":
                found[line.pool] = structs.replace(cut, substitutes=cut.substitutes + 1)
    return found


def nominate(medals: Medals, ranking: Sequence[Line]) -> Iterator[tuple[Medal, Line]]:
    """The medals from the first place on, as far as the ranking goes."""
    numbers: dict[Medal, int] = {"gold": medals.gold, "silver": medals.silver, "bronze": medals.bronze}
    names = [medal for medal, number in numbers.items() for _ in range(number)]
    yield from zip(names, ranking, strict=False)
