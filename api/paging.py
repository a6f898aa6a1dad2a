"""Pages of long lists: `limit` entries after a `cursor`, which is opaque to clients."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from engine.domain.faults import Fault

LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 200
CURSOR_CHARACTERS_MAX: Final = 512
_NUMBER_MAX: Final = 2**53

After = TypeVar("After")


class Page(Struct, Generic[After], frozen=True):
    """What a request asks for."""

    limit: int
    after: After | None


def read(query: Mapping[str, str], kind: type[After]) -> Page[After] | list[Fault]:
    """`limit` and `cursor` of a query; `kind` is what the cursor holds."""
    faults = []
    limit, after = LIMIT_DEFAULT, None
    if "limit" in query:
        text = query["limit"]
        limit = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
        if limit < 1:
            faults.append(Fault("limit", "too_small", {"min": 1}))
        elif limit > LIMIT_MAX:
            faults.append(Fault("limit", "too_large", {"max": LIMIT_MAX}))
    if "cursor" in query:
        after = _after(query["cursor"], kind)
        if after is None:
            faults.append(Fault("cursor", "not_a_cursor"))
    return faults or Page(limit, after)


def _after(text: str, kind: type[After]) -> After | None:
    if len(text) > CURSOR_CHARACTERS_MAX:
        return None
    try:
        after = msgspec.msgpack.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
    except (binascii.Error, msgspec.DecodeError, ValueError):
        return None
    parts = after if isinstance(after, tuple) else (after,)
    if any(isinstance(part, int) and not 0 <= part <= _NUMBER_MAX for part in parts):
        return None
    if any(isinstance(part, str) and "\0" in part for part in parts):
        return None
    return after


def cursor(after: object) -> str:
    """The cursor of the page after an entry."""
    return urlsafe_b64encode(msgspec.msgpack.encode(after)).rstrip(b"=").decode()
