"""Fork: where a campaign's log in Redis has become another than the ledger's, and which answers each has alone.

It comes of a failover to a replica that lagged, or of an old copy that was restored: the end of the log is lost, and
its numbers may have been given again. What was lost before it came to the ledger either is known to nobody.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from engine.domain import events
from engine.domain.difference import Difference
from engine.domain.events import Event, Undecodable
from engine.live.inspection import Log
from engine.live.streams import Entry, Streams

PAGE_ENTRIES: Final = 2_000


class Apart(Struct, frozen=True):
    """An event that the ledger has and Redis has not, and what Redis has under its number, if anything."""

    recorded: Event
    kept: Entry | None


class Fork:
    """Compares the ledger's log with the stream, page by page, from the first to the last; `kept` is the stream's."""

    def __init__(self, streams: Streams, campaign: str, kept: Log) -> None:
        self.altered: list[Difference] = []
        """Events that differ, with others behind them that do not."""
        self._streams = streams
        self._campaign = campaign
        self._kept = kept
        self._apart: list[Apart] = []

    async def compare(self, page: Sequence[Event]) -> None:
        """Take the next page of the ledger's log into account."""
        if (
            not page
            or page[-1].seq < self._kept.first
            or (not self._kept.first and page[-1].seq <= self._kept.seq)
        ):
            return
        epoch, after_seq = page[0].epoch, page[0].seq - 1
        entries = await self._streams.read(self._campaign, epoch, after_seq, len(page))
        by_id = {entry.id: entry for entry in entries}
        for event in page:
            kept = by_id.get(b"%d-%d" % (event.epoch, event.seq))
            if kept is not None and kept.fields == event.fields:
                self.altered += [
                    Difference(f"event {each.recorded.seq}", "in the stream and in the ledger's log differ")
                    for each in self._apart
                ]
                self._apart.clear()
            elif kept is not None or event.seq > self._kept.seq:
                self._apart.append(Apart(event, kept))

    async def differences(self, recorded_seq: int) -> list[Difference]:
        """What is not the same up to the end of the ledger's log: the answers that Redis lost, and gave instead."""
        if not self._apart:
            return []
        first = self._apart[0].recorded
        found = [Difference("", f"its log in Redis is another than the ledger's from event {first.seq} on")]
        found += [_named(each.recorded, "is lost in Redis") for each in self._apart]
        instead = [each.kept for each in self._apart if each.kept]
        after_seq = recorded_seq
        while more := await self._streams.read(self._campaign, first.epoch, after_seq, PAGE_ENTRIES):
            instead += more
            after_seq = events.parse_id(more[-1].id)[1]
        return found + [self._instead(entry) for entry in instead]

    def _instead(self, entry: Entry) -> Difference:
        try:
            return _named(events.decode(self._campaign, entry.id, entry.fields), "is not in the ledger")
        except Undecodable:
            return Difference(f"event {events.parse_id(entry.id)[1]}", "in the stream cannot be read")


def _named(event: Event, what: str) -> Difference:
    """The answer that an event is, by its enrollment and its number."""
    told = event.header.type if event.record is None else event.record.status
    seat = f", seat {event.record.seat}" if event.record and event.record.seat else ""
    subject = event.header.enrollment or event.header.offering
    return Difference(subject, f"{what}: event {event.seq}, {told}{seat}")
