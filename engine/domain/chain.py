"""The chain: what everybody may know of a campaign's log, a line for each event, and each bound to all before it.

The lines are JSON, and the file of them is the campaign's roll. The digests are a hash chain (S. Haber and
W. S. Stornetta, "How to time-stamp a digital document", Journal of Cryptology 3, 1991): each is made of the one before
and of a line, so that the newest says what every line is, and how many there are. docs/roll.md says the same for those
who write it anew.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from engine.domain import enrollment, events
from engine.domain.campaign import Id
from engine.domain.events import Event

FORMAT: Final = "seatrush-roll-1"
PSEUDONYM_DIGITS: Final = 32
FORGOTTEN_PATTERN: Final = f"~[0-9a-f]{{{PSEUDONYM_DIGITS}}}"
"""What stands for the id of a forgotten member: the pseudonym behind a tilde. No token's `sub` has this form."""

Digits32 = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Digits64 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Positive = Annotated[int, Meta(ge=1, le=2**53)]
Count = Annotated[int, Meta(ge=0, le=2**53)]


class Heading(Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of a roll."""

    format: Literal["seatrush-roll-1"]
    campaign: Id


class Entry(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """The line of an event. Fields that do not apply are left out; the others are in this order."""

    seq: Positive
    type: events.EventType | Literal["dead_letter"]
    """`dead_letter` stands for an event that could not be applied."""
    at: Count = 0
    """UTC milliseconds."""
    sign_up: Count = 0
    """The seq of the sign-up, by which an enrollment goes."""
    member: Digits32 | Literal[""] = ""
    """The pseudonym."""
    offering: Id | Literal[""] = ""
    pool: Id | Literal[""] = ""
    seat: Count = 0
    status: enrollment.Status | Literal[""] = ""
    version: Count = 0
    """Of `published`; of `draw_began` and `draw_ended` the number of the draw."""
    stage: Count = 0
    """Of `merged`."""
    codes: Count = 0
    """How many `codes_issued` issued."""
    capacities: dict[Id, dict[Id, Count]] = {}
    """Of `published`: seats by offering and pool."""
    digest: Digits64 | Literal[""] = ""
    """SHA-256 of the document of `published`, or of the raw fields of a dead letter, as the ledger keeps them."""


class Link(Struct, frozen=True):
    """How far a chain has come."""

    seq: int
    """Of the last line that it binds; 0 for none but the heading."""
    digest: str
    """64 hex digits."""


class _Pool(Struct):
    pool: str
    capacity: int


class _Offering(Struct):
    offering: str
    pools: list[_Pool]


class _Document(Struct):
    offerings: list[_Offering]


_encode = msgspec.json.Encoder().encode
_document = msgspec.json.Decoder(_Document)
_is_forgotten = re.compile(FORGOTTEN_PATTERN).fullmatch
_ERASED: Final = b"\x81\xc4\x01~\xc4\x40"
"""How fields that were erased begin: a msgpack map of "~" to 64 bytes, which are the digest in hex."""
_is_erased = re.compile(re.escape(_ERASED) + b"[0-9a-f]{64}").fullmatch


def pseudonym(campaign: str, member: str) -> str:
    """The name of a member in the roll of a campaign, 32 hex digits; of a forgotten one it is what the id holds."""
    if is_forgotten(member):
        return member[1:]
    return hashlib.sha256(f"{campaign}\n{member}".encode()).hexdigest()[:PSEUDONYM_DIGITS]


def is_forgotten(member: str) -> bool:
    """Whether this stands for a member who was forgotten."""
    return member.startswith("~") and _is_forgotten(member) is not None


def stand_in(campaign: str, member: str) -> str:
    """What stands for a forgotten member in a campaign; of one who is forgotten already it is the same."""
    return f"~{pseudonym(campaign, member)}"


def heading(campaign: str) -> bytes:
    """The first line of a campaign's roll, without its line feed."""
    return _encode(Heading(FORMAT, campaign))


def line(event: Event) -> bytes:
    """The line of an event, without its line feed. Raises events.Undecodable."""
    header, record = event.header, event.record
    if record is not None:
        entry = Entry(
            event.seq,
            header.type,
            header.at,
            record.seq,
            pseudonym(event.campaign, record.member),
            record.offering,
            record.pool,
            record.seat,
            record.status,
        )
    else:
        entry = Entry(
            event.seq,
            header.type,
            header.at,
            offering=header.offering,
            pool=header.pool,
            version=header.version,
            stage=header.stage,
            codes=len(event.issue.ids) if header.type == "codes_issued" else 0,
            capacities=_capacities(event.document),
            digest=_sha256(event.document) if event.document is not None else "",
        )
    return _encode(entry)


def dead_line(seq: int, fields: bytes) -> bytes:
    """The line of an event that could not be applied, from its raw fields as the ledger keeps them."""
    digest = fields[len(_ERASED) :].decode() if _is_erased(fields) else _sha256(fields)
    return _encode(Entry(seq, "dead_letter", digest=digest))


def erase(fields: bytes) -> bytes:
    """What is kept in the place of raw fields that cannot be read: their digest, so that the line stays the same."""
    return fields if _is_erased(fields) else _ERASED + _sha256(fields).encode()


def begin(campaign: str) -> Link:
    """The chain of a campaign before its first event."""
    return Link(0, _sha256(heading(campaign)))


def extend(link: Link, lines: Iterable[bytes], last_seq: int) -> Link:
    """The chain after more lines, of which the last is that of event `last_seq`."""
    digest = link.digest.encode()
    for each in lines:
        digest = hashlib.sha256(digest + each).hexdigest().encode()
    return Link(last_seq, digest.decode())


def _capacities(document: bytes | None) -> dict[str, dict[str, int]]:
    if document is None:
        return {}
    try:
        offerings = _document.decode(document).offerings
    except msgspec.DecodeError as error:
        raise events.Undecodable(f"the document: {error}") from error
    return {each.offering: {pool.pool: pool.capacity for pool in each.pools} for each in offerings}


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
