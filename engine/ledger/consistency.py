"""Consistency: whether a campaign's log in the ledger is whole, and the one that was linked."""

from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import groupby
from typing import Final

import msgspec

from engine.domain import chain, events
from engine.domain.chain import Link
from engine.domain.difference import Difference
from engine.domain.events import Event
from engine.ledger import batch
from engine.ledger.protocol import DeadLetter, Ledger

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
        linked = _Chain(self._ledger, self._campaign, self._recorded_seq, letters)
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
            await linked.add(page, after_seq)
            yield page
        for first, last in _runs(missing):
            self.differences.append(Difference(_named(first, last), "missing in the ledger's log"))
        self.differences += await linked.end()


class _Chain:
    """The chain of a log, held against the links that were made when it was recorded."""

    def __init__(
        self, ledger: Ledger, campaign: str, recorded_seq: int, letters: Sequence[DeadLetter]
    ) -> None:
        self._ledger = ledger
        self._campaign = campaign
        self._recorded_seq = recorded_seq
        self._letters = {letter.seq: letter for letter in letters}
        self._link = chain.begin(campaign)
        """What the log leads to; from each link that was made on anew, so that every batch is judged by itself."""
        self._made = self._link
        """The last of them."""
        self._differences: list[Difference] = []

    async def add(self, page: Sequence[Event], last_seq: int) -> None:
        """Go on to a seq with all events up to it."""
        lines = {event.seq: _line(event) for event in page if event.seq <= self._recorded_seq}
        for seq, letter in self._letters.items():
            if self._link.seq < seq <= last_seq:
                lines.setdefault(seq, chain.dead_line(seq, batch.pack(letter.fields)))
        ordered = deque(sorted(lines.items()))
        while links := await self._ledger.links(self._campaign, self._made.seq, PAGE_EVENTS):
            for made in links:
                if made.seq > min(last_seq, self._recorded_seq):
                    self._extend(ordered, last_seq)
                    return
                self._extend(ordered, made.seq)
                self._compare(made)
        self._extend(ordered, last_seq)

    async def end(self) -> list[Difference]:
        """What was found, of the whole log."""
        await self.add([], self._recorded_seq)
        if self._made.seq != self._recorded_seq:
            what = f"the chain ends with event {self._made.seq}, recorded are {self._recorded_seq}"
            self._differences.append(Difference("", what))
        return self._differences

    def _extend(self, ordered: deque[tuple[int, bytes]], until_seq: int) -> None:
        """With the lines up to a seq, which are taken out."""
        lines = []
        while ordered and ordered[0][0] <= until_seq:
            lines.append(ordered.popleft()[1])
        self._link = chain.extend(self._link, lines, until_seq)

    def _compare(self, made: Link) -> None:
        if self._link.digest != made.digest:
            named = _named(self._made.seq + 1, made.seq)
            self._differences.append(
                Difference(named, "not as linked when recorded: added, left out or changed")
            )
        self._link = self._made = made


def _line(event: Event) -> bytes:
    try:
        return chain.line(event)
    except events.Undecodable:
        return chain.dead_line(event.seq, batch.pack(event.fields))


def _named(first: int, last: int) -> str:
    return f"event {first}" if first == last else f"events {first} to {last}"


def _runs(numbers: set[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of consecutive numbers."""
    for _, run in groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        yield members[0], members[-1]
