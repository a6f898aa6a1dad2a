"""Headcounts: how many people units have, as they are reported."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from engine.domain.campaign import Unit

HEADCOUNT_MAX: Final = 10_000_000
ENTRIES_MAX: Final = 10_000

Headcount = Annotated[int, Meta(ge=0, le=HEADCOUNT_MAX)]


class Headcounts(Struct, frozen=True, forbid_unknown_fields=True):
    """How many people each of some units has; of all others nothing is said."""

    headcounts: Annotated[dict[Unit, Headcount], Meta(min_length=1, max_length=ENTRIES_MAX)]
