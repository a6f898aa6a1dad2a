"""What a deployment signs: the receipt of a seat, and the head of a campaign's roll.

The signature is Ed25519 (RFC 8032) over the JSON of the same document with "" as its signature: fields in the order
below, no white space. docs/roll.md says the same for those who write it anew.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct, structs

from engine.domain import chain
from engine.domain.campaign import Id
from engine.domain.chain import Count, Digits32, Digits64, Link, Positive
from engine.domain.enrollment import Record
from engine.domain.instants import iso

RECEIPT: Final = "seatrush-receipt-1"
HEAD: Final = "seatrush-head-1"

Signature = Annotated[str, Meta(pattern="^([0-9a-f]{128})?$")]
Instant = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$")]


class Bound(Struct, frozen=True, forbid_unknown_fields=True):
    """How far the campaign's chain had come when something was signed."""

    seq: Count
    """Of the last line of the roll that the digest binds; 0 for none but the heading."""
    digest: Digits64


class Receipt(Struct, frozen=True, forbid_unknown_fields=True):
    """A confirmed seat."""

    format: Literal["seatrush-receipt-1"]
    campaign: Id
    offering: Id
    pool: Id
    seat: Positive
    seq: Positive
    """Of the sign-up."""
    member: Digits32
    """The pseudonym, as in the roll."""
    decided_at: Instant
    """When the sign-up was decided."""
    chain: Bound
    """Of the campaign's roll, at or after the line that gave the seat."""
    key: Digits64
    """The public key, in hex."""
    signature: Signature = ""


class Head(Struct, frozen=True, forbid_unknown_fields=True):
    """How far a campaign's roll has come: who notes this down can tell later whether any line before it was changed."""

    format: Literal["seatrush-head-1"]
    campaign: Id
    seq: Count
    digest: Digits64
    key: Digits64
    """The public key, in hex."""
    signature: Signature = ""


_encode = msgspec.json.Encoder().encode


def receipt(campaign: str, record: Record, link: Link, key: str) -> Receipt:
    """The receipt of a confirmed seat, not signed yet."""
    return Receipt(
        format=RECEIPT,
        campaign=campaign,
        offering=record.offering,
        pool=record.pool,
        seat=record.seat,
        seq=record.seq,
        member=chain.pseudonym(campaign, record.member),
        decided_at=iso(record.decided_at),
        chain=Bound(link.seq, link.digest),
        key=key,
    )


def head(campaign: str, link: Link, key: str) -> Head:
    """The head of a roll, not signed yet."""
    return Head(HEAD, campaign, link.seq, link.digest, key)


def signed_text(document: Receipt | Head) -> bytes:
    """What the signature of a document is over."""
    return _encode(structs.replace(document, signature=""))
