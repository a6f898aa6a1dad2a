"""Consistency: whether a campaign's log in the ledger is whole."""

from collections.abc import AsyncIterator, Iterator
from itertools import groupby
from typing import Final

import msgspec

from engine.domain import events
from engine.domain.difference import Difference
from engine.domain.events import Event
from engine.ledger.protocol import Ledger

PAGE_EVENTS: Final = 2_000


class Log:
    """The log up to the recorder's cursor, read once; `differences` is complete after that."""

    def __init__(self, ledger: Ledger, campaign: str, recorded_seq: int) -> None:
        self.differences: list[Difference] = []
        self.is_readable = True
        """False when an event cannot be read: the reading stopped there."""
        self._ledger = ledger
        self._campaign = campaign
        self._recorded_seq = recorded_seq

    async def pages(self) -> AsyncIterator[list[Event]]:
        """All events in order, some thousand at a time."""
        letters = await self._ledger.dead_letters(self._campaign)
        self.differences += [
            Difference(f"event {letter.seq}", f"is a dead letter: {letter.reason}") for letter in letters
        ]
        missing = set(range(1, self._recorded_seq + 1)).difference(letter.seq for letter in letters)
        after_seq = 0
        while after_seq < self._recorded_seq:
            try:
                page = await self._ledger.events(self._campaign, after_seq, PAGE_EVENTS)
            except (events.Undecodable, msgspec.DecodeError):
                self.differences.append(Difference("", f"an event after {after_seq} cannot be read"))
                self.is_readable = False
                return
            if not page:
                break
            missing.difference_update(event.seq for event in page)
            after_seq = page[-1].seq
            yield page
        for first, last in _runs(missing):
            name = f"event {first}" if first == last else f"events {first} to {last}"
            self.differences.append(Difference(name, "missing in the ledger's log"))


def _runs(numbers: set[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of consecutive numbers."""
    for _, run in groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        yield members[0], members[-1]
