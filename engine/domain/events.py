"""Events: the campaign's log, one entry for each `seq`, written by the script that decided.

A stream entry has the id `<epoch>-<seq>` and up to three fields, each in the order that
`engine/lua/includes/commit.lua` writes:

    h   header, msgpack array: Header
    r   msgpack array: the enrollment after the change (enrollment.Record), absent for a campaign's own events
    d   the campaign document as JSON, for `published`
    s   what the campaign's draws rest on (lottery.Lottery), for the first `published` with any
    c   msgpack array: what was issued (Issue), for `codes_issued`; the code's id, for `code_revoked`

No personal data beyond opaque ids.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from engine.domain.enrollment import Record

EventType = Literal[
    "enrolled",  # a sign-up that succeeded: confirmed, held, waitlisted, or entered in a draw
    "drawn",  # an entry's result: confirmed, held, waitlisted or not_drawn
    "advanced",  # the engine's enrolment of one who goes on to a round: confirmed, held or waitlisted
    "promoted",  # a waiting enrollment got a seat: confirmed, or offered
    "confirmed",  # a hold or an offer was taken
    "declined",  # a hold or an offer was left
    "cancelled",
    "lapsed",  # a hold or an offer was past its time
    "published",  # a version of the campaign document
    "opened",  # an offering's window began
    "closed",  # an offering's window ended
    "threshold_met",  # as many have voted as a poll needs
    "draw_began",  # the entries of an offering are what they are
    "draw_ended",  # every entry has its result
    "released",  # a pool was opened to all who are eligible for any pool of its offering
    "codes_issued",  # invitation codes to a pool
    "code_revoked",  # an invitation code opens nothing any more
    "merged",  # a pool was opened to the units of one of its stages
    "forgotten",  # members are under stand-ins from here on, and before it too
]

SCHEMA: Final = 1
"""The version of the layout below; a reader refuses what it does not know."""


class Header(Struct, frozen=True, array_like=True):
    """What every event says. Fields that do not apply are "" or 0."""

    schema: int
    type: EventType
    at: int
    """When it was decided, UTC milliseconds, by the clock of the deciding server."""
    actor: str
    """Who asked: the `sub` of a token, or "system" for what time brings about."""
    channel: str
    """By which door: http, live, cli, or engine."""
    enrollment: str = ""
    key: str = ""
    """The idempotency key of a sign-up."""
    wanted: str = ""
    """The pool a sign-up asked for: with the offering, the fingerprint of its key."""
    position: int = 0
    """The position on the waitlist that the sign-up was answered with."""
    offering: str = ""
    """Of `opened`, `closed`, `released`, `merged`, `threshold_met`, `draw_began` and `draw_ended`, and of codes."""
    pool: str = ""
    """Of `released`, `merged`, `codes_issued` and `code_revoked`."""
    version: int = 0
    """Of `published`: the definition's version. Of `draw_began` and `draw_ended`: the number of the draw."""
    wish: int = 0
    """Of a sign-up for a draw: its rank among the member's wishes."""
    stage: int = 0
    """Of `merged`: the place of the stage among the pool's merges, from 1."""


class Issue(Struct, frozen=True, array_like=True):
    """What `codes_issued` issued: codes that are alike, in the order in which they are listed."""

    uses: int
    """How many enrollments each is good for at a time."""
    member: str
    """Whose they are; "" for whoever has one."""
    expires_at: int
    """UTC milliseconds; 0 for never."""
    ids: list[str]
    """domain/invitation.identify of each."""


class Event(Struct, frozen=True):
    """One entry of a campaign's log, decoded."""

    campaign: str
    epoch: int
    seq: int
    header: Header
    record: Record | None
    fields: Mapping[bytes, bytes]
    """The fields as they came: the ledger keeps them, so that a campaign can be rebuilt from its log alone."""

    @property
    def document(self) -> bytes | None:
        """The campaign document of `published`, as JSON."""
        return self.fields.get(b"d")

    @property
    def issue(self) -> Issue:
        """What `codes_issued` issued. Raises Undecodable."""
        return _codes(self, _issue)

    @property
    def revoked(self) -> str:
        """The id of the code that `code_revoked` revoked. Raises Undecodable."""
        return _codes(self, _revoked)[0]


class Undecodable(Exception):
    """A stream entry is not an event of a known layout; it goes to the dead letters at its seq."""


T = TypeVar("T")

_header = msgspec.msgpack.Decoder(Header)
_issue = msgspec.msgpack.Decoder(Issue)
_revoked = msgspec.msgpack.Decoder(tuple[str])
_record = msgspec.msgpack.Decoder(Record)


def parse_id(entry_id: bytes) -> tuple[int, int]:
    """`b"3-1041"` to epoch and seq. Raises Undecodable."""
    epoch, _, seq = entry_id.partition(b"-")
    try:
        return int(epoch), int(seq)
    except ValueError as error:
        raise Undecodable(f"not an event id: {entry_id!r}") from error


def decode(campaign: str, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Event:
    """Decode one stream entry. Raises Undecodable, which names what is wrong but quotes no content."""
    epoch, seq = parse_id(entry_id)
    try:
        header = _header.decode(fields[b"h"])
        if header.schema != SCHEMA:
            raise Undecodable(f"schema {header.schema} is not known")
        packed = fields.get(b"r")
        record = None if packed is None else _record.decode(packed)
    except KeyError as error:
        raise Undecodable(f"field {error} is missing") from error
    except msgspec.DecodeError as error:
        raise Undecodable(str(error)) from error
    return Event(campaign, epoch, seq, header, record, fields)


def _codes(event: Event, decoder: msgspec.msgpack.Decoder[T]) -> T:
    try:
        return decoder.decode(event.fields.get(b"c", b""))
    except msgspec.DecodeError as error:
        raise Undecodable(str(error)) from error
