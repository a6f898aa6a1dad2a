"""Results of rounds, and who goes on."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from api.views.values import Count
from engine.domain.ladder import Cut, Going, Line


class ResultLine(Struct, frozen=True):
    """One of the ranking of a round."""

    place: Count
    """From 1; no two are the same."""
    member: str
    pool: str
    pool_place: Count
    """Among those of the same pool."""
    by_lot: bool
    """Whether another has the same values, so that lots decided; docs/ladder.md says how."""
    values: dict[str, float]
    """The score and the columns of the ties, in the order in which they decide."""
    going: Literal["seat", "substitute"] | None
    """To the next round; null for one who stays, and before it is decided."""


class ResultCut(Struct, frozen=True):
    """How far the seats of the next round went in a pool."""

    seats: Count
    substitutes: Count
    pool_place: Count | None
    """The last that got a seat; null when there were none."""
    values: dict[str, float] | None
    """What that one achieved."""


RoundState = Literal["none", "imported", "advancing", "waiting", "advanced"]


class ResultList(Struct, frozen=True):
    """A page of a ranking; `next` is the cursor of the page after it."""

    campaign: str
    offering: str
    state: RoundState
    """`none` before results were imported; `advancing` from the decision until all are enrolled.

    `waiting` is the same, while the document in force lacks the next round or some of its pools.
    """
    lines: Count
    next_round: str | None
    """Null before it is decided who goes on to it."""
    cuts: dict[str, ResultCut]
    """By pool; empty before."""
    results: list[ResultLine]
    next: str | None


class ResultsImport(Struct, frozen=True):
    """Results as they rank, and who would go on by them; kept unless it was a dry run."""

    campaign: str
    offering: str
    dry_run: bool
    lines: Count
    absent: Count
    """Seats of the round without a row: these members count as not having taken part."""
    next_round: str | None
    """Null for the last round."""
    cuts: dict[str, ResultCut]
    results: list[ResultLine]


class OwnResult(Struct, frozen=True):
    """A member's own line in a ranking."""

    state: RoundState
    lines: Count
    result: ResultLine
    next_round: str | None
    enrollment: str | None
    """In the next round, of one who goes on to it."""
    cut: ResultCut | None
    """How far the seats went in the member's pool; null before it is decided."""


class RoundAdvance(Struct, frozen=True):
    """It is decided who goes on to the next round."""

    campaign: str
    offering: str
    next_round: str
    state: RoundState
    seats: Count
    substitutes: Count
    cuts: dict[str, ResultCut]


def result_line(line: Line, columns: Sequence[str], going: Going) -> ResultLine:
    """One of a ranking, and where it leads."""
    values = dict(zip(columns, line.values, strict=True))
    return ResultLine(
        *(line.place, line.member, line.pool, line.pool_place, line.by_lot, values), going=going or None
    )


def result_cuts(cuts: Mapping[str, Cut], columns: Sequence[str]) -> dict[str, ResultCut]:
    """How far the seats went in each pool."""
    return {
        pool: ResultCut(
            cut.seats,
            cut.substitutes,
            cut.pool_place or None,
            dict(zip(columns, cut.values, strict=True)) if cut.pool_place else None,
        )
        for pool, cut in cuts.items()
    }
