"""The audit: Redis against the ledger, campaign by campaign, with every difference named.

Neither member ids nor keys are named, only enrollments, offerings and pools.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from engine.clock import Clock
from engine.domain.enrollment import Record
from engine.ledger.protocol import Ledger, Registration
from engine.live import inspection
from engine.live.consistency import violations
from engine.live.inspection import Snapshot
from engine.live.server import Server
from engine.live.streams import Streams

PAGE_ENTRIES: Final = 2_000
LOOK_S: Final = 0.05
READINGS_MAX: Final = 5
MOVING: Final = "it was changing all the while: its indexes were not checked, only each enrollment"

_KEPT_BY_BOTH: Final = tuple(field for field in Record.__struct_fields__ if field != "queues")


class Finding(Struct, frozen=True):
    """What the audit has to say of one campaign."""

    campaign: str
    agree: bool
    seq: int
    recorded_seq: int
    enrollments: int
    differences: list[str]
    notes: list[str]


class Audit:
    """Compares the campaigns of one deployment."""

    def __init__(self, server: Server, ledger: Ledger, clock: Clock, wait_s: float) -> None:
        self._server = server
        self._streams = Streams(server)
        self._ledger = ledger
        self._clock = clock
        self._wait_s = wait_s

    async def run(self, registration: Registration) -> Finding:
        """Compare one campaign, after waiting until the ledger has what Redis has now.

        Raises live.server.NothingRan or ledger.protocol.Unavailable.
        """
        for _ in range(READINGS_MAX):
            snapshot = await inspection.read(self._server, registration.campaign)
            if snapshot is None:
                lost = ["its state is not in Redis"] if registration.created else []
                return _finding(registration, 0, 0, lost, [])
            finding = await self._compare(registration.campaign, snapshot)
            if finding is not None:
                return finding
        return await self._compare_moving(registration.campaign)

    async def _compare(self, campaign: str, snapshot: Snapshot) -> Finding | None:
        """The comparison of one moment, or None when either side moved meanwhile."""
        recorded = await self._drained(campaign, snapshot.seq)
        differences = [
            *_positions(snapshot, recorded),
            *await self._log(campaign),
            *_flat(_differing(snapshot.records, await self._ledger_records(campaign))),
            *violations(snapshot),
            *await self._compare_rest(campaign, snapshot),
        ]
        if not await self._stands_still(campaign, snapshot, recorded):
            return None
        return _finding(recorded, snapshot.seq, len(snapshot.records), differences, [])

    async def _compare_moving(self, campaign: str) -> Finding:
        """The comparison of each enrollment by itself, while sales go on."""
        in_ledger = await self._ledger_records(campaign)
        in_redis = await inspection.read_records(self._server, campaign, list(in_ledger))
        differences = [*await self._log(campaign), *await self._persisting(campaign, in_redis, in_ledger)]
        registration = await self._registration(campaign)
        seq = registration.recorded_seq
        return _finding(registration, seq, len(in_redis), differences, [MOVING])

    async def _stands_still(self, campaign: str, snapshot: Snapshot, recorded: Registration) -> bool:
        """Whether both sides are still as they were read, so that all of it is of one moment."""
        state = await self._streams.state(campaign)
        return (
            state is not None and state.seq == snapshot.seq and await self._registration(campaign) == recorded
        )

    async def _drained(self, campaign: str, seq: int) -> Registration:
        """The registration, once the ledger has recorded `seq` or the wait is over, for good."""
        deadline_s = self._clock.monotonic_s() + self._wait_s
        while True:
            registration = await self._registration(campaign)
            if registration.recorded_seq >= seq:
                return registration
            if self._clock.monotonic_s() >= deadline_s:
                self._wait_s = 0
                return registration
            await asyncio.sleep(LOOK_S)

    async def _registration(self, campaign: str) -> Registration:
        known = await self._ledger.campaigns()
        return next(each for each in known if each.campaign == campaign)

    async def _log(self, campaign: str) -> list[str]:
        """Dead letters, and seqs that neither they nor the ledger's events have."""
        letters = await self._ledger.dead_letters(campaign)
        lines = [f"event {letter.seq} is a dead letter: {letter.reason}" for letter in letters]
        known, after_seq = {letter.seq for letter in letters}, 0
        while page := await self._ledger.events(campaign, after_seq, PAGE_ENTRIES):
            for event in page:
                lines += [
                    f"event {seq} is not in the ledger"
                    for seq in range(after_seq + 1, event.seq)
                    if seq not in known
                ]
                after_seq = event.seq
        return lines

    async def _persisting(
        self, campaign: str, in_redis: Mapping[str, Record], in_ledger: Mapping[str, Record]
    ) -> list[str]:
        """Differences of enrollments that stay when they are read again: either side may just have moved on."""
        suspects = _differing(in_redis, in_ledger)
        for _ in range(READINGS_MAX):
            if not suspects:
                break
            names = list(suspects)
            again = await inspection.read_records(self._server, campaign, names)
            state = await self._streams.state(campaign)
            await self._drained(campaign, state.seq if state else 0)
            in_ledger = await self._ledger_records(campaign)
            suspects = _differing(again, {name: in_ledger[name] for name in names if name in in_ledger})
        return _flat(suspects)

    async def _ledger_records(self, campaign: str) -> dict[str, Record]:
        found: dict[str, Record] = {}
        after_seq = 0
        while page := await self._ledger.enrollments(campaign, PAGE_ENTRIES, after_seq):
            found.update((row.enrollment, row.record) for row in page)
            after_seq = page[-1].record.seq
        return found

    async def _compare_rest(self, campaign: str, snapshot: Snapshot) -> list[str]:
        differences = []
        definition = await self._ledger.definition(campaign)
        if definition is None or definition.version != snapshot.version:
            version = definition.version if definition else 0
            differences.append(
                f"the definition is version {snapshot.version} in Redis, {version} in the ledger"
            )
        elif msgspec.json.decode(definition.document, type=type(snapshot.document)) != snapshot.document:
            differences.append(f"version {snapshot.version} of the definition differs")
        seated: dict[tuple[str, str], int] = {}
        for record in snapshot.records.values():
            if record.seat:
                place = (record.offering, record.pool)
                seated[place] = seated.get(place, 0) + 1
        rows = await self._ledger.seats(campaign)
        for place in sorted(seated.keys() | rows.keys()):
            redis_seats, ledger_seats = seated.get(place, 0), rows.get(place, 0)
            if redis_seats != ledger_seats:
                where = "/".join(place)
                differences.append(
                    f"{where} has {redis_seats} seats taken in Redis, {ledger_seats} in the ledger"
                )
        return differences


def _finding(
    registration: Registration, seq: int, enrollments: int, differences: list[str], notes: list[str]
) -> Finding:
    return Finding(
        campaign=registration.campaign,
        agree=not differences,
        seq=seq,
        recorded_seq=registration.recorded_seq,
        enrollments=enrollments,
        differences=differences,
        notes=notes,
    )


def _positions(snapshot: Snapshot, recorded: Registration) -> Iterator[str]:
    """How far both sides are, and whether requests are taken."""
    if snapshot.gate != "open":
        yield f"its gate is {snapshot.gate}: it takes no requests"
    if snapshot.epoch != recorded.epoch:
        yield f"it is at epoch {snapshot.epoch} in Redis, {recorded.epoch} in the ledger"
    if recorded.recorded_seq < snapshot.seq:
        yield f"{snapshot.seq - recorded.recorded_seq} events are not in the ledger"
    if recorded.recorded_seq > snapshot.seq:
        yield f"Redis is at seq {snapshot.seq}, behind the ledger's {recorded.recorded_seq}"


def _flat(suspects: Mapping[str, list[str]]) -> list[str]:
    return [line for lines in suspects.values() for line in lines]


def _differing(in_redis: Mapping[str, Record], in_ledger: Mapping[str, Record]) -> dict[str, list[str]]:
    """What differs, by enrollment."""
    found: dict[str, list[str]] = {}
    for name in in_redis.keys() - in_ledger.keys():
        found[name] = [f"{name}: is not in the ledger"]
    for name, recorded in in_ledger.items():
        live = in_redis.get(name)
        if live is None:
            found[name] = [f"{name}: is not in Redis"]
            continue
        lines = [
            f"{name}: {field} is {_shown(field, live)} in Redis, {_shown(field, recorded)} in the ledger"
            for field in _KEPT_BY_BOTH
            if getattr(live, field) != getattr(recorded, field)
        ]
        if lines:
            found[name] = lines
    return found


def _shown(field: str, record: Record) -> str:
    # A member is named by no message.
    return "someone" if field == "member" else str(getattr(record, field)) or "none"
