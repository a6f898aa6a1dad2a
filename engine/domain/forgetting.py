"""Forgetting: what of a campaign's log is about a member, and what stands there once the member is forgotten.

In the place of an id stands the pseudonym that the roll has for it (chain.stand_in), so that the chain, the counts and
who is one and the same stay as they were. Idempotency keys are a member's own words, and are erased.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.domain import chain, events
from engine.domain.events import Event

_ACTOR: Final = 3
_KEY: Final = 6
"""Places in a header, as events.Header orders it."""
_MEMBER: Final = 1
"""The place in a record and in what was issued."""

_encode = msgspec.msgpack.Encoder().encode
_values = msgspec.msgpack.Decoder(list[Any]).decode


class Owned(Struct):
    """What is a member's in a campaign, by its log."""

    enrollments: dict[str, None] = {}
    """Names, in the order of their sign-ups."""
    keys: dict[str, None] = {}
    """Idempotency keys, in the same order."""
    codes: dict[str, None] = {}
    """The ids of invitation codes that are bound to the member."""


def gather(member: str | None, page: Sequence[Event], owned: dict[str, Owned]) -> None:
    """Add what a page of the log says to be a member's, or for None anybody's who is not forgotten yet, by member.

    Raises events.Undecodable.
    """
    for event in page:
        header, record = event.header, event.record
        if record is not None and _is_meant(member, record.member):
            mine = owned.setdefault(record.member, Owned())
            mine.enrollments[header.enrollment] = None
            if header.key:
                mine.keys[header.key] = None
        elif header.type == "codes_issued" and _is_meant(member, event.issue.member):
            owned.setdefault(event.issue.member, Owned()).codes.update(dict.fromkeys(event.issue.ids))


def rewrite(campaign: str, fields: Mapping[bytes, bytes], member: str | None) -> dict[bytes, bytes] | None:
    """The raw fields of an event once a member is forgotten, or for None whoever's enrollment or code it is about.

    None where nothing changes. The line of the roll stays the same. An actor who is not the member of the event is
    forgotten by name alone. Raises events.Undecodable.
    """
    changed: dict[bytes, bytes] = {}
    try:
        header = _values(fields[b"h"])
        record = _values(fields[b"r"]) if b"r" in fields else []
        owner = record[_MEMBER] if record else ""
        if record and _is_meant(member, owner):
            record[_MEMBER] = chain.stand_in(campaign, owner)
            changed[b"r"] = _encode(record)
            if len(header) > _KEY:
                header[_KEY] = ""
        actor = header[_ACTOR]
        if _is_meant(member, actor) and (member is not None or actor == owner):
            header[_ACTOR] = chain.stand_in(campaign, actor)
        packed = _encode(header)
        if packed != _encode(_values(fields[b"h"])):
            changed[b"h"] = packed
        issue = _values(fields[b"c"]) if b"c" in fields else []
        if len(issue) > _MEMBER and _is_meant(member, issue[_MEMBER]):
            issue[_MEMBER] = chain.stand_in(campaign, issue[_MEMBER])
            changed[b"c"] = _encode(issue)
    except (KeyError, IndexError, TypeError, AttributeError, msgspec.DecodeError) as error:
        raise events.Undecodable(str(error)) from error
    return dict(fields) | changed if changed else None


def _is_meant(member: str | None, name: str) -> bool:
    if member is not None:
        return name == member
    return bool(name) and not chain.is_forgotten(name)
