"""Reading the ledger: the same for every dialect, which only has to run a named query."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from engine.domain import chain, events
from engine.domain.chain import Link
from engine.domain.enrollment import Record
from engine.domain.ladder import Cut, Line, Round
from engine.domain.share import History, Share, Summary, Wished
from engine.ledger import batch
from engine.ledger.protocol import (
    DeadLetter,
    Definition,
    Headcount,
    Held,
    Logged,
    PoolDue,
    Registration,
    Row,
    TrailRow,
)

_summary = msgspec.msgpack.Decoder(Summary)
_cuts = msgspec.msgpack.Decoder(dict[str, Cut])
_columns = msgspec.msgpack.Decoder(list[str])
_values = msgspec.msgpack.Decoder(list[float])
_wishes = msgspec.msgpack.Decoder(list[Wished])

INTEGER_MAX = 2**63 - 1
LINKED_AT_ONCE: Final = 1_000
"""Events of one link."""
LINKS_AT_ONCE: Final = 5


class Reading(ABC):
    """The reading half of `protocol.Ledger`."""

    @abstractmethod
    async def _rows(self, query: str, *arguments: object) -> Sequence[tuple[Any, ...]]:
        """The rows of a query of `queries.sql`. Raises Unavailable."""

    @abstractmethod
    async def _add_link(self, campaign: str, link: Link) -> None:
        """Extend a chain, unless another has done so. Raises Unavailable."""

    async def campaigns(self) -> list[Registration]:
        """Every campaign, in order of its name."""
        return [registration(row) for row in await self._rows("campaigns", None)]

    async def enrollments_of(
        self, member: str, limit: int, after: tuple[int, str] | None = None
    ) -> list[Row]:
        """A member's enrollments over all campaigns, newest first, after the row (decided_at, enrollment)."""
        return [
            _row(row)
            for row in await self._rows("enrollments_of", member, *(after or (INTEGER_MAX, "")), limit)
        ]

    async def roster(
        self, campaign: str, offering: str, limit: int, after: tuple[int, int] | None = None
    ) -> list[Row]:
        """Live enrollments of an offering, those who wait last, after the row (0 or 1 waiting, order)."""
        return [
            _row(row) for row in await self._rows("roster", campaign, offering, *(after or (0, 0)), limit)
        ]

    async def enrollments(self, campaign: str, limit: int, after: int = 0) -> list[Row]:
        """All enrollments of a campaign in order of their seq, after one; positions are 0."""
        return [_row(row) for row in await self._rows("enrollments", campaign, after, limit)]

    async def sign_ups(self, campaign: str, member: str, until: int, limit: int) -> list[Row]:
        """A member's enrollments of a campaign up to a seq, the newest first; positions are 0."""
        return [_row(row) for row in await self._rows("sign_ups", campaign, member, until, limit)]

    async def seats(self, campaign: str) -> dict[tuple[str, str], int]:
        """The number of rows in the table of seats per (offering, pool)."""
        return {(offering, pool): count for offering, pool, count in await self._rows("seats", campaign)}

    async def events(self, campaign: str, after_seq: int, limit: int) -> list[events.Event]:
        """Recorded events after a seq, in order."""
        return [
            events.decode(campaign, b"%d-%d" % (epoch, seq), batch.unpack(fields))
            for campaign, epoch, seq, fields in await self._rows("events", campaign, after_seq, limit)
        ]

    async def newest_link(self, campaign: str) -> Link | None:
        """How far a campaign's chain has come; None before its first event."""
        rows = await self._rows("newest_link", campaign)
        return Link(*rows[0]) if rows else None

    async def links(self, campaign: str, after_seq: int, limit: int) -> list[Link]:
        """The chain after a seq, a link for each batch that was recorded."""
        return [Link(*row) for row in await self._rows("links", campaign, after_seq, limit)]

    async def lines(
        self, campaign: str, after_seq: int, until_seq: int, limit: int
    ) -> list[tuple[int, bytes]]:
        """Lines of the roll by their seq, after one, up to another."""
        return [
            (seq, batch.logged_line(campaign, seq, epoch, bytes(fields), is_dead=bool(is_dead)))
            for seq, epoch, fields, is_dead in await self._rows(
                "whole_log", campaign, after_seq, until_seq, limit
            )
        ]

    async def link(self, campaign: str, until_seq: int) -> bool:
        """Bring the chain nearer to `until_seq`, as `protocol.Ledger.link` says."""
        newest = await self.newest_link(campaign) or chain.begin(campaign)
        for _ in range(LINKS_AT_ONCE):
            if newest.seq >= until_seq:
                break
            page = await self.lines(campaign, newest.seq, until_seq, LINKED_AT_ONCE)
            last_seq = page[-1][0] if len(page) == LINKED_AT_ONCE else until_seq
            newest = chain.extend(newest, (line for _, line in page), last_seq)
            await self._add_link(campaign, newest)
        return newest.seq >= until_seq

    async def log_about(
        self, campaign: str, member: str | None, after_seq: int, until_seq: int, limit: int
    ) -> list[Logged]:
        """What of the log may name a member, as `protocol.Ledger.log_about` says."""
        named = None if member is None else member.encode()
        rows = await self._rows("log_about", campaign, after_seq, until_seq, named, limit)
        return [
            Logged(
                seq,
                None if is_dead else batch.readable(campaign, seq, epoch, bytes(fields)),
                batch.forgotten_fields(campaign, bytes(fields), member, is_dead=bool(is_dead)) is not None,
            )
            for seq, epoch, fields, is_dead in rows
        ]

    async def held(self, campaign: str, member: str) -> Held:
        """What the tables have of a member in a campaign."""
        (row,) = await self._rows("held", campaign, member)
        return Held(*row)

    async def forgotten(self) -> dict[str, int]:
        """The campaigns of which everybody was forgotten, and up to which seq."""
        return dict(await self._rows("forgotten"))

    async def definition(self, campaign: str, version: int | None = None) -> Definition | None:
        """A version of the campaign document, by default the newest recorded."""
        rows = await self._rows("definition", campaign, version)
        return Definition(*rows[0]) if rows else None

    async def draw(self, campaign: str, number: int) -> bytes | None:
        """The file of a draw; None while there is none."""
        rows = await self._rows("draw", campaign, number)
        return bytes(rows[0][0]) if rows else None

    async def share(self, campaign: str, number: int, member: str) -> Share | None:
        """What a member had in a draw, None without an entry."""
        rows = await self._rows("share", campaign, number, member)
        if not rows:
            return None
        name, weight, place, won, counted, wishes = rows[0]
        return Share(name, weight, place, bool(won), _wishes.decode(wishes), bool(counted))

    async def summary(self, campaign: str, number: int) -> Summary | None:
        """A draw in a few numbers, None while there is none."""
        rows = await self._rows("summary", campaign, number)
        return _summary.decode(rows[0][0]) if rows else None

    async def histories(
        self, unit: str, besides: tuple[str, int], member: str | None = None
    ) -> dict[str, History]:
        """Losses and wins in the draws of a unit's campaigns, each campaign once, by member, or of one member.

        `besides` names a draw that does not count, by campaign and number."""
        rows = await self._rows("histories", unit, *besides, member)
        return {name: History(losses, wins) for name, losses, wins in rows}

    async def headcounts(self, unit: str, limit: int, after: str = "") -> list[Headcount]:
        """The newest headcounts of a unit and those below it, by their names, after one."""
        return [Headcount(*row) for row in await self._rows("headcounts", unit, after, limit)]

    async def headcounts_at(self, units: Sequence[str], at: int) -> dict[str, int]:
        """What units had at a moment, as `protocol.Ledger.headcounts_at` says."""
        return dict(await self._rows("headcounts_at", msgspec.json.encode(units).decode(), at))

    async def headcounts_line(self) -> int:
        """Grows with every change of a headcount; 0 before the first."""
        ((line,),) = await self._rows("headcounts_line")
        return int(line)

    async def round(self, campaign: str, offering: str) -> Round | None:
        """A round, None before results were imported."""
        rows = await self._rows("round", campaign, offering)
        return _round(rows[0]) if rows else None

    async def rounds_due(self) -> list[Round]:
        """The rounds of which it is decided who goes on, and not all of them are enrolled."""
        return [_round(row) for row in await self._rows("rounds_due")]

    async def pools_due(self, campaign: str) -> list[PoolDue]:
        """The pools that those go on to who are not all enrolled, in order."""
        return [PoolDue(*row) for row in await self._rows("pools_due", campaign)]

    async def results(self, campaign: str, offering: str, limit: int, after: int = 0) -> list[Line]:
        """The ranking of a round after a place."""
        return [_line(row) for row in await self._rows("results", campaign, offering, after, limit)]

    async def result_of(self, campaign: str, offering: str, member: str) -> Line | None:
        """A member's line in the ranking of a round."""
        rows = await self._rows("result_of", campaign, offering, member)
        return _line(rows[0]) if rows else None

    async def dead_letters(self, campaign: str) -> list[DeadLetter]:
        """Events that could not be applied, in order of seq."""
        return [
            DeadLetter(campaign, epoch, seq, batch.unpack(fields), reason)
            for campaign, epoch, seq, fields, reason in await self._rows("dead_letters", campaign)
        ]

    async def dead_letter_counts(self) -> dict[str, int]:
        """The number of dead letters of each campaign that has any."""
        rows = await self._rows("dead_letter_counts")
        return {str(campaign): int(count) for campaign, count in rows}

    async def trail(self, campaign: str, limit: int) -> list[TrailRow]:
        """The newest lines of the audit trail of a campaign, or for "" of what belongs to none."""
        return [TrailRow(*row) for row in await self._rows("trail", campaign, limit)]


def registration(row: tuple[Any, ...]) -> Registration:
    """A row of the query `campaigns`."""
    campaign, unit, epoch, created, recorded_seq = row
    return Registration(campaign, unit, epoch, bool(created), recorded_seq)


def _row(row: tuple[Any, ...]) -> Row:
    campaign, enrollment, *values, queues, wish, turn, position = row
    record = Record(*(*values, queues.split(), wish, turn))
    return Row(campaign, enrollment, record, position)


def _round(row: tuple[Any, ...]) -> Round:
    campaign, offering, version, columns, lines, imported_at, following, actor, channel, cuts, done = row
    return Round(
        *(campaign, offering, version, _columns.decode(columns), lines, imported_at),
        *(following, actor, channel, _cuts.decode(cuts), bool(done)),
    )


def _line(row: tuple[Any, ...]) -> Line:
    place, member, enrollment, pool, pool_place, by_lot, values, *going = row
    return Line(place, member, enrollment, pool, pool_place, bool(by_lot), _values.decode(values), *going)
