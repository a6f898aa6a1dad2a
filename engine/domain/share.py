"""A member's share in a draw: the weight, the place, what became of each wish; and what earlier draws make of it."""

from typing import Final

from msgspec import Struct

from engine.domain.campaign import Weights
from engine.domain.enrollment import Status

THOUSANDTHS_PER_PERCENT: Final = 10


class Wished(Struct, frozen=True, array_like=True, gc=False):
    """What became of one wish."""

    offering: str
    status: Status
    pool: str
    """Where the seat is, or ""."""
    blocked: bool = False
    """Whether there was a seat, and what the member had in the campaign stood against it: a limit, or an overlap."""


class Share(Struct, frozen=True, gc=False):
    """What a member had in a draw."""

    member: str
    weight: int
    """In thousandths; 0 where the order was that of votes."""
    place: int
    """In the order of the draw, from 1."""
    won: bool
    """Whether the draw gave a seat; a place on a waitlist is none."""
    wishes: list[Wished]
    """By rank."""
    counted: bool = True
    """Whether it counts in later draws: not where votes made the order, or where all wishes were blocked."""


class Cut(Struct, frozen=True, array_like=True):
    """How far the seats of an offering went in a draw."""

    entries: int
    seats: int
    """That the draw gave."""
    last_place: int
    """The last place in the order that got one of them, 0 for none."""
    free: int = 0
    """That were there to be given."""


class Summary(Struct, frozen=True, array_like=True):
    """A draw in a few numbers, for those who ask why."""

    members: int
    cuts: dict[str, Cut]
    """By offering."""


class History(Struct, frozen=True, gc=False):
    """A member's draws of one unit, so far."""

    losses: int = 0
    wins: int = 0


NEVER_DRAWN: Final = History()


def weight(weights: Weights | None, history: History) -> int:
    """The weight of a member's entry, in thousandths: 1000 without a history, or where it does not count."""
    if weights is None:
        return 100 * THOUSANDTHS_PER_PERCENT
    percent = 100 + weights.loss * history.losses - weights.win * history.wins
    return max(weights.min, min(weights.max, percent)) * THOUSANDTHS_PER_PERCENT
