"""The key of receipts."""

from typing import Literal

from msgspec import Struct

from engine.domain.chain import Digits64


class ReceiptKey(Struct, frozen=True):
    """What the signatures of receipts and heads are verified with."""

    key: Digits64
    """The public key, 32 bytes in hex."""
    algorithm: Literal["Ed25519"] = "Ed25519"
