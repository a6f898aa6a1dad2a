"""What a batch of events does to the ledger's tables, worked out before any database is asked.

Pure, and the same for every dialect. The rules of the schema (a seat is held once, none is above its pool's
capacity) are kept by the database, on the state after the batch.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from engine.domain import chain, enrollment, events, forgetting
from engine.domain.chain import Link
from engine.domain.ladder import Advance, Line, Round
from engine.domain.share import Share
from engine.ledger.protocol import DeadLetter, Fenced, Refused

EnrollmentRow = tuple[str, int, str, str, str, str, str, int, int, int, int, str, int, int]
"""campaign, seq, enrollment, offering, member, pool, status, seat, version, expires_at, decided_at, queues, wish,
turn
"""

_ACTS = frozenset({"enrolled", "confirmed", "declined", "cancelled"})
"""What somebody asked for; the other events follow from these, or from time."""

pack = msgspec.msgpack.Encoder().encode
unpack = msgspec.msgpack.Decoder(dict[bytes, bytes]).decode
"""The raw fields of an event from their column."""


class _Pool(Struct):
    pool: str
    capacity: int


class _Offering(Struct):
    offering: str
    pools: list[_Pool]


class _Document(Struct):
    """As much of a campaign document as the ledger looks at; whatever else it has is none of its business."""

    offerings: list[_Offering]


_document = msgspec.json.Decoder(_Document)


class Changes(Struct):
    """Rows to write, each list in the order of its table's columns; `put` and `pools` replace what is there."""

    campaign: str
    last_seq: int
    events: list[tuple[str, int, int, bytes]]
    dead_letters: list[tuple[str, int, int, bytes, str]]
    put: list[EnrollmentRow]
    """The newest version of each enrollment."""
    definitions: list[tuple[str, int, bytes, str, int]]
    pools: list[tuple[str, str, str, int]] | None
    """Of the newest document; None when there is none."""
    trail: list[tuple[int, str, str, str, str, str]]
    lines: list[bytes]
    """Of the roll, one for each event and each dead letter."""

    def link(self, newest: Link | None) -> Link:
        """The chain with this batch, from how far it has come before.

        Raises Fenced when it has not come to this batch: then somebody recorded who links nothing.
        """
        before = newest or chain.begin(self.campaign)
        if before.seq != self.last_seq - len(self.lines):
            raise Fenced(f"the chain of {self.campaign} ends at {before.seq}")
        return chain.extend(before, self.lines, self.last_seq)

    def freed(self) -> list[tuple[str, int, int]]:
        """(campaign, seq, version) of the enrollments that may have held a seat before."""
        return [(row[0], row[1], row[8]) for row in self.put if row[8] > 1]

    def taken(self) -> list[tuple[str, str, str, int, int, int]]:
        """(campaign, offering, pool, seat, seq, version) of the enrollments that hold a seat now."""
        return [
            (row[0], row[3], row[5], row[7], row[1], row[8])
            for row in self.put
            if row[6] in enrollment.SEATED
        ]


def share_rows(
    campaign: str, number: int, shares: Sequence[Share]
) -> list[tuple[str, int, str, int, int, bool, bool, bytes]]:
    """Rows of what members had in a draw, in the order of their table's columns and of its key."""
    rows = [
        (campaign, number, each.member, each.weight, each.place, each.won, each.counted, pack(each.wishes))
        for each in shares
    ]
    return sorted(rows)


def headcounts_line(changed: int, actor: str, channel: str, at: int) -> tuple[int, str, str, str, str, str]:
    """The line of the audit trail for headcounts that changed."""
    return at, actor, channel, "headcounts", "", f"{changed} changed"


def epoch_line(
    campaign: str, epoch: int, recorded_seq: int, actor: str, at: int
) -> tuple[int, str, str, str, str, str]:
    """The line of the audit trail for a rebuild."""
    return at, actor, "cli", "rebuilt", campaign, f"epoch {epoch} after event {recorded_seq}"


ResultRow = tuple[str, str, int, str, str, str, int, bool, bytes, str, str, str]
"""campaign, offering, place, member, enrollment, pool, pool_place, by_lot, marks, going, next_pool, next_enrollment"""


def result_rows(campaign: str, offering: str, ranking: Sequence[Line]) -> list[ResultRow]:
    """Rows of a ranking, in the order of their table's columns and of its key."""
    return [
        (
            *(campaign, offering, line.place, line.member, line.enrollment, line.pool, line.pool_place),
            *(line.by_lot, pack(line.values), line.going, line.next_pool, line.next_enrollment),
        )
        for line in ranking
    ]


def forgotten_line(campaign: str, offering: str, at: int) -> tuple[int, str, str, str, str, str]:
    """The line of the audit trail for results that are forgotten."""
    return at, "system", "engine", "forgotten", campaign, offering


def going_rows(
    decided: Round, going: Sequence[tuple[Advance, str]]
) -> list[tuple[str, str, int, str, str, str]]:
    """Who goes on, as `set_going` takes them."""
    return [
        (decided.campaign, decided.offering, each.place, each.going, each.pool, enrollment)
        for each, enrollment in going
    ]


def trail_of(
    decided: Round, going: Sequence[tuple[Advance, str]], at: int
) -> tuple[int, str, str, str, str, str]:
    """The line of the audit trail for who goes on."""
    seats = sum(each.going == "seat" for each, _ in going)
    detail = f"{decided.offering} to {decided.next}: {seats} seats, {len(going) - seats} substitutes"
    return at, decided.actor, decided.channel, "advanced", decided.campaign, detail


def reduce(campaign: str, epoch: int, after_seq: int, batch: Sequence[events.Event | DeadLetter]) -> Changes:
    """Reduce consecutive events to rows.

    Raises ValueError when they are not after_seq + 1, after_seq + 2, … of this campaign and epoch, and Refused when
    one of them contradicts itself.
    """
    if not batch:
        raise ValueError("an empty batch")
    changes = Changes(campaign, after_seq + len(batch), [], [], [], [], None, [], [])
    latest: dict[int, tuple[str, enrollment.Record]] = {}
    for seq, entry in enumerate(batch, after_seq + 1):
        if entry.seq != seq or entry.epoch != epoch or entry.campaign != campaign:
            raise ValueError(
                f"expected {campaign} {epoch}-{seq}, got {entry.campaign} {entry.epoch}-{entry.seq}"
            )
        fields = pack(entry.fields)
        if isinstance(entry, DeadLetter):
            changes.dead_letters.append((campaign, seq, epoch, fields, entry.reason))
            changes.lines.append(chain.dead_line(seq, fields))
            continue
        changes.events.append((campaign, seq, epoch, fields))
        if entry.record is not None:
            _check_signup(entry, entry.record)
            known = latest.get(entry.record.seq)
            if known is None or entry.record.version >= known[1].version:
                latest[entry.record.seq] = (entry.header.enrollment, entry.record)
        if entry.header.type in _ACTS:
            _note_act(changes, entry)
        elif entry.header.type == "published":
            _note_version(changes, entry)
        elif entry.header.type in ("codes_issued", "code_revoked"):
            _note_codes(changes, entry)
        changes.lines.append(chain.line(entry))
    changes.put = [_row(campaign, name, record) for name, record in latest.values()]
    return changes


def logged_line(campaign: str, seq: int, epoch: int, fields: bytes, *, is_dead: bool) -> bytes:
    """The line of the roll of what was recorded; an event that cannot be read any more is as a dead letter."""
    event = None if is_dead else readable(campaign, seq, epoch, fields)
    if event is not None:
        try:
            return chain.line(event)
        except events.Undecodable:
            pass
    return chain.dead_line(seq, fields)


def readable(campaign: str, seq: int, epoch: int, fields: bytes) -> events.Event | None:
    """An event from its raw fields as the ledger keeps them; None when it cannot be read any more."""
    try:
        return events.decode(campaign, b"%d-%d" % (epoch, seq), unpack(fields))
    except (events.Undecodable, msgspec.DecodeError):
        return None


def forgotten_fields(campaign: str, fields: bytes, member: str | None, *, is_dead: bool) -> bytes | None:
    """Raw fields once a member, or for None everybody, is forgotten; None where nothing changes.

    They are fields that have the bytes of the member's id somewhere. Of a dead letter, and of what cannot be read, only
    the digest is left.
    """
    try:
        rewritten = forgetting.rewrite(campaign, unpack(fields), member)
    except (events.Undecodable, msgspec.DecodeError):
        pass
    else:
        if rewritten is None or not is_dead:
            return None if rewritten is None else pack(rewritten)
    erased = chain.erase(fields)
    return None if erased == fields else erased


FORGET: Final = (
    "forget_shares",
    "forget_results",
    "forget_trail",
    "forget_definitions",
    "forget_rounds",
)
"""Statements that each forget in one table; those about who acted do nothing for everybody (NULL)."""

Rewritten = list[tuple[str, int, bytes]]
"""campaign, seq, fields, as `put_fields` takes them."""


def rewritten_rows(
    campaign: str, member: str | None, page: Sequence[tuple[int, int, bytes, bool]]
) -> tuple[Rewritten, Rewritten]:
    """What changes in a page of the log, rows of {seq, epoch, fields, whether it is dead}: events, dead letters."""
    events_, letters = Rewritten(), Rewritten()
    for seq, _, fields, is_dead in page:
        rewritten = forgotten_fields(campaign, bytes(fields), member, is_dead=bool(is_dead))
        if rewritten is not None:
            (letters if is_dead else events_).append((campaign, seq, rewritten))
    return events_, letters


def erased_line(
    campaign: str, member: str | None, actor: str, channel: str, at: int
) -> tuple[int, str, str, str, str, str]:
    """The line of the audit trail for a member, or everybody, who was forgotten."""
    return at, actor, channel, "erased", campaign, "everybody" if member is None else "a member"


def _check_signup(event: events.Event, record: enrollment.Record) -> None:
    """It goes by the seq of the event that made it, so that seq must be the event's own, and earlier ever after."""
    first = event.header.type in ("enrolled", "advanced")
    if (record.seq == event.seq) != first or record.seq > event.seq:
        raise Refused(f"{event.header.type} at {event.seq} of an enrollment that signed up at {record.seq}")


def _note_act(changes: Changes, event: events.Event) -> None:
    header = event.header
    if event.record is None or header.actor in ("system", event.record.member):
        return
    changes.trail.append(
        (header.at, header.actor, header.channel, header.type, event.campaign, header.enrollment)
    )


def _note_version(changes: Changes, event: events.Event) -> None:
    header = event.header
    if event.document is None:
        raise Refused(f"version {header.version} was published without its document")
    try:
        document = _document.decode(event.document)
    except msgspec.DecodeError as error:
        raise Refused(f"the document of version {header.version}: {error}") from error
    changes.definitions.append((event.campaign, header.version, event.document, header.actor, header.at))
    changes.pools = [
        (event.campaign, offering.offering, pool.pool, pool.capacity)
        for offering in document.offerings
        for pool in offering.pools
    ]
    changes.trail.append(
        (header.at, header.actor, header.channel, "published", event.campaign, f"version {header.version}")
    )


def _note_codes(changes: Changes, event: events.Event) -> None:
    header = event.header
    try:
        what = len(event.issue.ids) if header.type == "codes_issued" else event.revoked
    except events.Undecodable as error:
        raise Refused(f"{header.type} without its codes: {error}") from error
    detail = f"{header.offering}/{header.pool}: {what}"
    changes.trail.append((header.at, header.actor, header.channel, header.type, event.campaign, detail))


def _row(campaign: str, name: str, record: enrollment.Record) -> EnrollmentRow:
    return (
        campaign,
        record.seq,
        name,
        record.offering,
        record.member,
        record.pool,
        record.status,
        record.seat,
        record.version,
        record.expires_at,
        record.decided_at,
        " ".join(record.queues),
        record.wish,
        record.turn,
    )
