"""Differences: what an audit finds where two things that should agree do not."""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from engine.domain import enrollment
from engine.domain.enrollment import Record

RECORDED: Final = tuple(field for field in Record.__struct_fields__ if field != "code")
"""The fields that the ledger's rows have; the rest is in its log."""


class Difference(Struct, frozen=True):
    """One finding, in one line. It never names a member: ids of members may be personal."""

    subject: str
    """An enrollment, an offering, `<offering>/<pool>`, `event <seq>`, or "" for the campaign itself."""
    what: str


class Seating:
    """Who holds which seat on one side of an audit, found record by record.

    `capacities` is by (offering, pool); `side` is how the side is called: "Redis" or "the ledger".
    """

    def __init__(self, capacities: Mapping[tuple[str, str], int], side: str) -> None:
        self.held: dict[tuple[str, str], dict[int, str]] = {}
        """The first holder of each seat number, by (offering, pool)."""
        self.taken: dict[tuple[str, str], int] = {}
        """The enrollments with a seat, by (offering, pool)."""
        self._capacities = capacities
        self._side = side
        self._found: list[Difference] = []

    def add(self, name: str, record: Record) -> None:
        """Take an enrollment into account, once."""
        if record.status not in enrollment.SEATED:
            return
        place = (record.offering, record.pool)
        self.taken[place] = self.taken.get(place, 0) + 1
        holder = self.held.setdefault(place, {}).setdefault(record.seat, name)
        seat = f"seat {record.seat} of {'/'.join(place)} in {self._side}"
        if holder != name:
            self._found.append(Difference(name, f"holds {seat}, which {holder} holds too"))
        if not 1 <= record.seat <= self._capacities.get(place, 0):
            capacity = self._capacities.get(place, 0)
            self._found.append(Difference(name, f"holds {seat}, whose seats are 1 to {capacity}"))

    def differences(self) -> Iterator[Difference]:
        """Seats held twice, seats that are not there, and pools with more seats taken than they have."""
        yield from self._found
        for place, taken in self.taken.items():
            capacity = self._capacities.get(place, 0)
            if taken > capacity:
                what = f"{taken} seats are taken in {self._side}, its capacity is {capacity}"
                yield Difference("/".join(place), what)


def between(name: str, live: Record | None, recorded: Record | None) -> Iterator[Difference]:
    """Where an enrollment in Redis and in the ledger differ; None stands for one that is not there."""
    if live is None or recorded is None:
        if live is not None:
            yield Difference(name, "is in Redis, missing in the ledger")
        elif recorded is not None:
            yield Difference(name, "is in the ledger, missing in Redis")
        return
    for field in RECORDED:
        here, there = getattr(live, field), getattr(recorded, field)
        if here == there:
            continue
        if field == "member":
            yield Difference(name, "is one member's in Redis, another's in the ledger")
        else:
            yield Difference(name, f"{field} is {_shown(here)} in Redis, {_shown(there)} in the ledger")


def _shown(value: object) -> str:
    return (" ".join(value) if isinstance(value, list) else str(value)) or "none"
