"""Draws: what Redis keeps of draws and of demand that was met, held against the campaign's log."""

from collections.abc import Iterator, Sequence

import msgspec

from engine.domain.difference import Difference
from engine.domain.events import Event
from engine.domain.progress import Progress
from engine.live.inspection import Reading


class Draws:
    """The draws of a reading, held against the ledger's log."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._progress = Progress()
        self._found: list[Difference] = []

    def compare(self, page: Sequence[Event]) -> None:
        """Take a page of the log into account."""
        for event in page:
            try:
                self._progress.apply(event)
            except msgspec.DecodeError:
                self._found.append(Difference(f"event {event.seq}", "has a document that cannot be read"))

    def differences(self) -> Iterator[Difference]:
        """What was found, once all pages were seen."""
        yield from self._found
        told, kept = self._progress, self._reading
        for name, here, there in (("draws", kept.draws, told.draws), ("drawing", kept.drawing, told.drawing)):
            if here != there:
                yield Difference("", f"{name} is {here} in Redis, {there} by the ledger's log")
        for kind, by_offering in (("draw", told.drawn), ("met", told.met)):
            counts = {
                name.removeprefix(f"{kind}/"): count
                for name, count in kept.counts.items()
                if name.startswith(f"{kind}/")
            }
            for offering in sorted(counts.keys() | by_offering.keys()):
                here, there = counts.get(offering, 0), by_offering.get(offering, 0)
                if here != there:
                    yield Difference(offering, f"{kind} is {here} in Redis, {there} by the ledger's log")
