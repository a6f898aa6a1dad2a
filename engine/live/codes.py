"""Codes: what the scripts keep of invitation codes in CODES, held against the log and against who came in by them.

CODES has each code under its id. How many an offering has is under `#<offering>`, and the id of its n-th under
`#<offering>/<n>`, in the order in which they were issued.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from engine.domain import enrollment, events
from engine.domain.difference import Difference
from engine.domain.events import Event
from engine.live.consistency import decode as decode_record
from engine.live.inspection import Reading

LISTED: Final = "#"
"""What the names of the lists in CODES begin with; no id of a code does."""


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """A code; `engine/lua/includes/codes.lua` has the same order."""

    offering: str
    pool: str
    uses: int
    used: int
    """How many enrollments that are not over came in by it."""
    member: str
    """Whose it is; "" for whoever has it."""
    expires_at: int
    """UTC milliseconds; 0 for never."""
    revoked: int
    """1 once it opens nothing any more, else 0."""


_entry = msgspec.msgpack.Decoder(Entry)


def decode(packed: bytes) -> Entry | None:
    """A code from CODES, None when it is not one."""
    try:
        return _entry.decode(packed)
    except msgspec.DecodeError:
        return None


class Codes:
    """The codes of a reading, held against the ledger's log and the reading's enrollments."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._issued: dict[str, Entry] = {}
        """By the log, each as if nobody had used it."""
        self._numbers: dict[str, int] = {}
        self._lists: dict[str, str] = {}
        self._found: list[Difference] = []

    def compare(self, page: Sequence[Event]) -> None:
        """Take a page of the log into account."""
        for event in page:
            try:
                self._add(event)
            except events.Undecodable:
                self._found.append(Difference(f"event {event.seq}", "says nothing readable of its codes"))

    def differences(self) -> Iterator[Difference]:
        """What was found, once all pages were seen."""
        yield from self._found
        used = self._used()
        kept = {name: packed for name, packed in self._reading.codes.items() if not name.startswith(LISTED)}
        for name in sorted(kept.keys() | self._issued.keys() | used.keys()):
            yield from _between(name, kept.get(name), self._issued.get(name), used.get(name, 0))
        lists = {
            name: packed.decode(errors="backslashreplace")
            for name, packed in self._reading.codes.items()
            if name.startswith(LISTED)
        }
        for offering, number in self._numbers.items():
            self._lists[f"{LISTED}{offering}"] = str(number)
        for name in sorted(lists.keys() | self._lists.keys()):
            if lists.get(name) != self._lists.get(name):
                subject = name.removeprefix(LISTED).partition("/")[0]
                yield Difference(subject, f"its list of codes in Redis is not that of the log at {name}")

    def _add(self, event: Event) -> None:
        header, record = event.header, event.record
        if header.type == "enrolled" and record is not None:
            now = decode_record(self._reading.enrollments.get(header.enrollment, b""))
            if now is not None and now.code != record.code:
                what = "came in by another code in Redis than in the ledger's log"
                self._found.append(Difference(header.enrollment, what))
        elif header.type == "codes_issued":
            issue = event.issue
            code = Entry(header.offering, header.pool, issue.uses, 0, issue.member, issue.expires_at, 0)
            for number, name in enumerate(issue.ids, self._numbers.get(header.offering, 0) + 1):
                self._issued[name] = code
                self._lists[f"{LISTED}{header.offering}/{number}"] = name
                self._numbers[header.offering] = number
        elif header.type == "code_revoked" and event.revoked in self._issued:
            self._issued[event.revoked] = msgspec.structs.replace(self._issued[event.revoked], revoked=1)

    def _used(self) -> dict[str, int]:
        """How many enrollments that are not over came in by each code."""
        used: dict[str, int] = {}
        for packed in self._reading.enrollments.values():
            record = decode_record(packed)
            if record is not None and record.code and record.status in enrollment.NOT_OVER:
                used[record.code] = used.get(record.code, 0) + 1
        return used


def _between(name: str, packed: bytes | None, issued: Entry | None, used: int) -> Iterator[Difference]:
    if packed is None:
        yield Difference(f"code {name}", "is not in Redis")
        return
    entry = decode(packed)
    if entry is None:
        yield Difference(f"code {name}", "cannot be read in Redis")
        return
    if issued is None:
        yield Difference(f"code {name}", "is in Redis and was never issued by the ledger's log")
    elif msgspec.structs.replace(entry, used=0) != issued:
        yield Difference(f"code {name}", "is another in Redis than in the ledger's log")
    if entry.used != used:
        yield Difference(f"code {name}", f"used is {entry.used}, {used} by the records")
    if entry.used > entry.uses:
        yield Difference(f"code {name}", f"used is {entry.used}, more than its {entry.uses} uses")
