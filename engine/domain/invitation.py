"""Invitation codes: how one is written and read, and the id by which everybody but its holder knows it.

A code is 100 random bits in Crockford's base 32 (https://www.crockford.com/base32.html): 20 characters, written in
groups. Neither a letter's case nor hyphens matter, o is read as 0, i and l as 1.
"""

import hashlib
from typing import Annotated, Final

from msgspec import Meta, Struct

from engine.domain.campaign import Id, Instant

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CHARACTERS: Final = 20
GROUP: Final = 5
BITS: Final = 5 * CHARACTERS
ID_DIGITS: Final = 32
PATTERN: Final = "^([0-9A-TV-Za-tv-z]-?){19}[0-9A-TV-Za-tv-z]$"
ID_PATTERN: Final = "^[0-9a-f]{32}$"

PER_CALL_MAX: Final = 1_000
PER_OFFERING_MAX: Final = 100_000
USES_MAX: Final = 1_000_000

Code = Annotated[
    str,
    Meta(
        pattern=PATTERN,
        description="20 characters of Crockford's base 32, with or without hyphens between them",
        extra={"fault": "not_a_code"},
    ),
]

Holder = Annotated[
    str, Meta(pattern="^[!-~]{1,64}$", description="a member's id", extra={"fault": "not_a_key"})
]

_ALIKE: Final = str.maketrans("OIL", "011", "-")


class Terms(Struct, frozen=True, forbid_unknown_fields=True):
    """Invitation codes to be issued, all alike."""

    pool: Id
    codes: Annotated[int, Meta(ge=1, le=PER_CALL_MAX)] = 1
    """How many."""
    uses: Annotated[int, Meta(ge=1, le=USES_MAX)] = 1
    """How many enrollments each is good for at a time."""
    member: Holder | None = None
    """Whose they are; without it, whoever has one may use it."""
    expires: Instant | None = None


def write(number: int) -> str:
    """A number of BITS bits as the code that is handed out: `XXXXX-XXXXX-XXXXX-XXXXX`."""
    characters = "".join(ALPHABET[number >> shift & 31] for shift in range(BITS - 5, -1, -5))
    return "-".join(characters[start : start + GROUP] for start in range(0, CHARACTERS, GROUP))


def identify(campaign: str, code: str) -> str:
    """The id of a code, however it is written.

    The first 32 hex digits of SHA-256(campaign + newline + the code's 20 characters).
    """
    characters = code.upper().translate(_ALIKE)
    return hashlib.sha256(f"{campaign}\n{characters}".encode()).hexdigest()[:ID_DIGITS]
