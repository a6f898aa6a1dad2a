"""Receipts: the key that they are signed with, and what is signed: confirmed seats and the heads of rolls."""

import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import structs

from engine import keyfile
from engine.domain import chain, receipt
from engine.domain.chain import Link
from engine.domain.enrollment import Record
from engine.domain.receipt import Head, Receipt
from engine.ledger.protocol import Ledger

KEY_BYTES: Final = 32
PAGE_LINES: Final = 200
"""A page is made in one go, some milliseconds, while nothing else is answered."""

Signed = TypeVar("Signed", Receipt, Head)


class ReceiptKeyError(Exception):
    """The key of receipts cannot be used; the message says which one and why."""


class Signer:
    """Signs with a private key of 32 bytes; `key` is the public one, in hex."""

    def __init__(self, private: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(private)
        self.key: Final = self._private.public_key().public_bytes_raw().hex()

    def sign(self, document: Signed) -> Signed:
        """A document with its signature."""
        return structs.replace(document, signature=self._private.sign(receipt.signed_text(document)).hex())


def load(directory: Path, environ_value: str | None) -> Signer:
    """The deployment's signer, by the value of SEATRUSH_RECEIPT_KEY, else by DIR/receipt.key, made when absent.

    Raises ReceiptKeyError.
    """
    if environ_value is not None:
        return _signer(os.fsencode(environ_value), "SEATRUSH_RECEIPT_KEY")
    path = directory / "receipt.key"
    try:
        return _signer(keyfile.read(path, lambda: secrets.token_hex(KEY_BYTES)), str(path))
    except OSError as error:
        raise ReceiptKeyError(f"cannot read or make {path}: {error.strerror}") from error


def _signer(text: bytes, name: str) -> Signer:
    try:
        return Signer(bytes.fromhex(text.decode().strip()))
    except ValueError:
        raise ReceiptKeyError(f"{name} is not {2 * KEY_BYTES} hex digits") from None


def is_signed(document: Receipt | Head) -> bool:
    """Whether the signature of a document is that of the key that it names."""
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(document.key))
        public.verify(bytes.fromhex(document.signature), receipt.signed_text(document))
    except (InvalidSignature, ValueError):
        return False
    return True


class Receipts:
    """What the ledger has of a campaign, signed."""

    def __init__(self, ledger: Ledger, signer: Signer) -> None:
        self._ledger = ledger
        self._signer = signer

    @property
    def key(self) -> str:
        """The public key, in hex."""
        return self._signer.key

    async def receipt(self, campaign: str, record: Record) -> Receipt | None:
        """The receipt of a confirmed seat, None until the ledger has recorded it. Raises protocol.Unavailable."""
        rows = await self._ledger.enrollments(campaign, 1, record.seq - 1)
        # Read after the row, which is written together with the link that binds its line.
        link = await self._ledger.newest_link(campaign)
        if not rows or link is None:
            return None
        known = rows[0].record
        if known.status != "confirmed" or _stated(campaign, known) != _stated(campaign, record):
            return None
        return self._signer.sign(receipt.receipt(campaign, known, link, self.key))

    async def link(self, campaign: str) -> Link | None:
        """How far the chain of a campaign has come; None before its first event is recorded."""
        return await self._ledger.newest_link(campaign)

    def head(self, campaign: str, link: Link) -> Head:
        """The head of a roll."""
        return self._signer.sign(receipt.head(campaign, link, self.key))

    async def roll(self, campaign: str, link: Link) -> AsyncIterator[bytes]:
        """The roll as far as a link, some hundred lines at a time. Raises ledger.protocol.Unavailable."""
        yield chain.heading(campaign) + b"\n"
        after_seq = 0
        while after_seq < link.seq:
            page = await self._ledger.lines(campaign, after_seq, link.seq, PAGE_LINES)
            if not page:
                break
            after_seq = page[-1][0]
            yield b"".join(line + b"\n" for _, line in page)
        yield msgspec.json.encode(self.head(campaign, link)) + b"\n"


def _stated(campaign: str, record: Record) -> tuple[object, ...]:
    """What a receipt says of a record, and that it is of the same state; one side may have forgotten the member."""
    return (
        *(record.seq, record.version, record.offering, record.pool, record.seat, record.decided_at),
        chain.pseudonym(campaign, record.member),
    )
