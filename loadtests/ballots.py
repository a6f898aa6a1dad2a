"""The log of a campaign of ballots, played: whoever entered gets one result, and no seat is given twice."""

from collections.abc import Iterable, Iterator
from typing import Final

from engine.domain.campaign import Campaign
from engine.domain.enrollment import SEATED, Record
from engine.domain.events import Event
from loadtests.exchange import Violation

ALSO_EXPECTED: Final = frozenset({("cancel", 409, "too_late")})
"""Answers that a ballot brings besides: an entry is what it is once no more are collected."""


class Ballots:
    """An oracle for the logs of campaigns whose offerings all have the policy `ballot`; it draws nothing itself.

    That the results are those of the seed is for `domain.draw.verify`.
    """

    def __init__(self, campaign: Campaign) -> None:
        self._capacities = {
            (offering.offering, pool.pool): pool.capacity
            for offering in campaign.offerings
            for pool in offering.pools
        }
        self._records: dict[str, Record] = {}
        self._holders: dict[tuple[str, str, int], str] = {}
        self._live: dict[tuple[str, str], str] = {}
        """The enrollment by which a member is in an offering."""
        self._begun: set[str] = set()

    def run(self, log: Iterable[Event]) -> Iterator[Violation]:
        """Every violation, in the order of the log."""
        for event in log:
            if event.header.type == "draw_began":
                self._begun.add(event.header.offering)
            if event.header.type == "draw_ended":
                yield from self._ended(event)
            if event.record is not None:
                yield from self._apply(event, event.record)

    def _apply(self, event: Event, record: Record) -> Iterator[Violation]:
        name, seq, kind = event.header.enrollment, event.seq, event.header.type
        before = self._records.get(name)
        if record.version != (before.version if before else 0) + 1 or (before is None) != (
            kind == "enrolled"
        ):
            yield Violation("version", f"{name} is {kind} at seq {seq}, out of its order")
        if kind == "enrolled" and record.offering in self._begun:
            yield Violation("state", f"{name} enters {record.offering} at seq {seq}, which is being drawn")
        if kind == "drawn" and (before is None or before.status != "entered"):
            yield Violation(
                "once", f"{name} is drawn at seq {seq}, and was {before.status if before else 'not in'}"
            )
        if before is not None and before.seat:
            self._holders.pop((before.offering, before.pool, before.seat), None)
        self._records[name] = record
        yield from self._member(name, record, seq)
        if record.status in SEATED:
            yield from self._take(name, record, seq)

    def _member(self, name: str, record: Record, seq: int) -> Iterator[Violation]:
        place = record.member, record.offering
        if record.status in ("cancelled", "not_drawn"):
            self._live.pop(place, None)
        elif self._live.setdefault(place, name) != name:
            yield Violation("once", f"{record.member} is twice in {record.offering} at seq {seq}")

    def _take(self, name: str, record: Record, seq: int) -> Iterator[Violation]:
        path = f"{record.offering}/{record.pool}"
        if not 1 <= record.seat <= self._capacities[record.offering, record.pool]:
            yield Violation("capacity", f"{path} is oversold at seq {seq}: seat {record.seat}")
        if self._holders.setdefault((record.offering, record.pool, record.seat), name) != name:
            yield Violation("seat", f"seat {record.seat} of {path} is given twice at seq {seq}")

    def _ended(self, event: Event) -> Iterator[Violation]:
        left = sum(
            record.offering == event.header.offering and record.status == "entered"
            for record in self._records.values()
        )
        if left:
            yield Violation("drawn", f"the draw of {event.header.offering} ends, and {left} have no result")
