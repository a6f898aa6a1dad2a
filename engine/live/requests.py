"""Requests: what Redis remembers of answered sign-ups, so that a replay is answered with the same bytes.

A sign-up's record and its entry in MEMBERS say it until the enrollment changes; REQUESTS has it from then on.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from engine.domain.difference import Difference
from engine.domain.events import Event
from engine.live import members
from engine.live.consistency import decode
from engine.live.inspection import Reading

_values = msgspec.msgpack.Decoder(list[Any])


class Requests:
    """What a reading remembers, held against the sign-ups in the ledger's log."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._unexplained = dict(reading.requests)
        self._explained: set[str] = set()
        """The enrollments whose key in MEMBERS is that of their sign-up."""
        self._found: list[Difference] = []

    def compare(self, page: Sequence[Event]) -> None:
        """Look for the requests of a page of the log."""
        for event in page:
            header, record = event.header, event.record
            if header.type != "enrolled" or not header.key or record is None:
                continue
            answer = self._remembered(record.member, header.key)
            if answer is None:
                self._found.append(Difference(header.enrollment, "Redis does not remember its request"))
            elif answer != [
                *(header.enrollment, header.wanted, record.status, record.pool, record.seat),
                *(record.expires_at, header.position),
            ]:
                what = "Redis remembers another answer to its request than the ledger's log"
                self._found.append(Difference(header.enrollment, what))

    def differences(self, unrecorded: frozenset[str]) -> Iterator[Difference]:
        """What was found, once all pages were seen; `unrecorded` enrollments have events that were not."""
        yield from self._found
        names = [str((_answer(packed) or [""])[0]) for packed in self._unexplained.values()]
        for packed in self._reading.members.values():
            keyed = [entry.enrollment for entry in members.decode(packed) or () if entry.key]
            names += [name for name in keyed if name not in self._explained]
        for name in names:
            if name not in self._reading.enrollments:
                yield Difference(name, "Redis remembers a request for it, and it does not exist")
            elif name not in unrecorded:
                yield Difference(name, "Redis remembers a request for it that is not in the ledger's log")

    def _remembered(self, member: str, key: str) -> list[Any] | None:
        """What a replay would be answered with, as `_answer` has it; None when it would be a new sign-up."""
        listed = self._reading.members.get(member)
        if listed is None:
            return None
        for entry in members.decode(listed) or ():
            if entry.key == key:
                self._explained.add(entry.enrollment)
                record = decode(self._reading.enrollments.get(entry.enrollment, b""))
                if record is None:
                    return []
                return [
                    *(entry.enrollment, entry.wanted, record.status, record.pool, record.seat),
                    *(record.expires_at, entry.position),
                ]
        packed = self._unexplained.pop(f"{member} {key}", None)
        return None if packed is None else _answer(packed)


def _answer(packed: bytes) -> list[Any]:
    """{enrollment, wanted, status, pool, seat, expires_at, position}; empty when it cannot be read."""
    try:
        return _values.decode(packed)
    except msgspec.DecodeError:
        return []
