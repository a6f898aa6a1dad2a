"""Requests: what Redis remembers of answered sign-ups, so that a replay is answered with the same bytes."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from engine.domain.difference import Difference
from engine.domain.events import Event
from engine.live.inspection import Reading

_values = msgspec.msgpack.Decoder(list[Any])


class Requests:
    """REQUESTS of a reading, held against the sign-ups in the ledger's log."""

    def __init__(self, reading: Reading) -> None:
        self._enrollments = reading.enrollments
        self._unexplained = dict(reading.requests)
        self._found: list[Difference] = []

    def compare(self, page: Sequence[Event]) -> None:
        """Look for the requests of a page of the log."""
        for event in page:
            header, record = event.header, event.record
            if header.type != "enrolled" or not header.key or record is None:
                continue
            packed = self._unexplained.pop(f"{record.member} {header.key}", None)
            if packed is None:
                self._found.append(Difference(header.enrollment, "Redis does not remember its request"))
            elif _answer(packed) != [
                *(header.enrollment, header.wanted, record.status, record.pool, record.seat),
                *(record.expires_at, header.position),
            ]:
                what = "Redis remembers another answer to its request than the ledger's log"
                self._found.append(Difference(header.enrollment, what))

    def differences(self, unrecorded: frozenset[str]) -> Iterator[Difference]:
        """What was found, once all pages were seen; `unrecorded` enrollments have events that were not."""
        yield from self._found
        for packed in self._unexplained.values():
            name = str((_answer(packed) or [""])[0])
            if name not in self._enrollments:
                yield Difference(name, "Redis remembers a request for it, and it does not exist")
            elif name not in unrecorded:
                yield Difference(name, "Redis remembers a request for it that is not in the ledger's log")


def _answer(packed: bytes) -> list[Any]:
    """{enrollment, wanted, status, pool, seat, expires_at, position}; empty when it cannot be read."""
    try:
        return _values.decode(packed)
    except msgspec.DecodeError:
        return []
