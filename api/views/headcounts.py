"""How many people units have."""

from msgspec import Struct

from api.views.values import Count, Moment
from engine.domain.instants import iso
from engine.ledger import protocol


class HeadcountReport(Struct, frozen=True):
    """Headcounts were reported."""

    changed: Count
    """Units whose headcount is not what it was."""


class HeadcountView(Struct, frozen=True):
    """How many people a unit has, as it was last reported."""

    unit: str
    headcount: Count
    reported_at: Moment


class HeadcountList(Struct, frozen=True):
    """A page of headcounts; `next` is the cursor of the page after it."""

    headcounts: list[HeadcountView]
    next: str | None


def headcount(row: protocol.Headcount) -> HeadcountView:
    """A unit's headcount as organizers see it."""
    return HeadcountView(row.unit, row.headcount, iso(row.reported_at))
