"""Members: what each member is in, as the scripts keep it in MEMBERS."""

import msgspec
from msgspec import Struct


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """A live enrollment of a member; `engine/lua/includes/records.lua` has the same order."""

    offering: str
    enrollment: str
    key: str
    """The idempotency key of its sign-up; "" without one, and once its first answer is in REQUESTS."""
    wanted: str
    """The pool that its sign-up asked for, or ""."""
    position: int
    """The position on the waitlist that its sign-up was answered with."""
    wish: int = 0
    """Its rank among the member's wishes while it is entered in a draw, else 0."""


_entries = msgspec.msgpack.Decoder(list[Entry])


def decode(packed: bytes) -> list[Entry] | None:
    """A member's entries in the order of sign-up, None when they cannot be read."""
    try:
        return _entries.decode(packed)
    except msgspec.DecodeError:
        return None
