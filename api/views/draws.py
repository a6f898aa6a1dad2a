"""A member's own part in a draw."""

from typing import Annotated

from msgspec import Meta, Struct

from api.views.values import Count
from engine.domain.enrollment import Status
from engine.drawing import Mine


class DrawWish(Struct, frozen=True):
    """What a draw made of one wish, and how far the seats went."""

    offering: str
    status: Status
    pool: str | None
    entries: Count
    """Members who wished for this offering."""
    free: Count
    """Seats that there were to be drawn."""
    seats: Count
    """Of these, that the draw gave."""
    last_place: Count | None
    """The last place in the order that got one of them; null when there were none."""
    blocked: bool
    """Whether there was a seat for one, and what one had in the campaign stood against it: a limit, or an overlap."""


class DrawShare(Struct, frozen=True):
    """A member's own part in a draw."""

    member: str
    """The pseudonym, as in the draw's file."""
    weight: Annotated[float, Meta(ge=0)]
    """1 is usual: of the entry that was drawn, before the draw what it would be now. 0 where votes made the order."""
    losses: Count
    """Campaigns of the unit whose draws so far gave no seat."""
    wins: Count
    """Those whose draws gave one."""
    place: Count | None
    """In the order of the draw, from 1; null until it is over, and for one who had no entry."""
    members: Count | None
    """How many were drawn."""
    wishes: list[DrawWish]
    """What became of one's own, by rank."""


def draw_share(mine: Mine) -> DrawShare:
    """A member's own part in a draw."""
    share, summary = mine.share, mine.summary
    wishes: list[DrawWish] = []
    if share and summary:
        for wished in share.wishes:
            cut = summary.cuts[wished.offering]
            wishes.append(
                DrawWish(
                    offering=wished.offering,
                    status=wished.status,
                    pool=wished.pool or None,
                    entries=cut.entries,
                    free=cut.free,
                    seats=cut.seats,
                    last_place=cut.last_place or None,
                    blocked=wished.blocked,
                )
            )
    return DrawShare(
        member=mine.pseudonym,
        weight=mine.weight / 1_000,
        losses=mine.losses,
        wins=mine.wins,
        place=share.place if share else None,
        members=summary.members if summary else None,
        wishes=wishes,
    )
