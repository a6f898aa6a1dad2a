"""A campaign's log, played from its beginning: after each event the state must be one that the rules allow.

It is written from the contract and shares no decision with the Lua scripts: an oracle for campaigns with policy
first_come, limits per campaign, one version, no invitation codes, and no pool that is released or merges while the log
runs.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from engine.domain import definition, eligibility
from engine.domain.campaign import Campaign, Offering
from engine.domain.enrollment import LIVE, Record
from engine.domain.events import Event
from engine.domain.person import Person
from loadtests.exchange import CHANGES, Exchange, Refusal, Violation
from loadtests.lifecycle import ASKED_FOR, Lifecycle, refused


class _Pool:
    """The seats of a pool, and who holds each."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.holders: dict[int, str] = {}
        self.taken = 0
        """More than there are holders once a seat was sold twice."""
        self._mark = 0
        self._freed: list[int] = []

    @property
    def is_full(self) -> bool:
        return self.taken >= self.capacity

    def lowest_free(self) -> int:
        while self._freed and self._freed[0] in self.holders:
            heapq.heappop(self._freed)
        return self._freed[0] if self._freed else self._mark + 1

    def take(self, seat: int, enrollment: str) -> None:
        self.taken += 1
        self.holders.setdefault(seat, enrollment)
        for skipped in range(self._mark + 1, min(seat, self.capacity + 1)):
            heapq.heappush(self._freed, skipped)
        self._mark = max(self._mark, seat)

    def free(self, seat: int, enrollment: str) -> None:
        self.taken -= 1
        if self.holders.get(seat) == enrollment:
            del self.holders[seat]
            heapq.heappush(self._freed, seat)


class _Waiting:
    """One who waits: which pools will do."""

    def __init__(self, seq: int, pools: Sequence[str]) -> None:
        self.seq = seq
        self.pools = pools


class Replay:
    """Plays the log and looks at each refusal at the moment as of which it was decided.

    `units` are those of the members who are known: only of them it is known which pools they may take.
    """

    def __init__(
        self,
        campaign: Campaign,
        units: Mapping[str, str],
        refusals: Iterable[tuple[Exchange, Refusal]] = (),
    ) -> None:
        self.records: dict[str, Record] = {}
        """The newest of each enrollment."""
        self._units = units
        self._lifecycle = Lifecycle(campaign)
        self._freed: set[str] = set()
        """Offerings in which a seat was given back since the last decision."""
        self._offerings = {offering.offering: offering for offering in campaign.offerings}
        self._masks = {name: eligibility.compile_mask(each) for name, each in self._offerings.items()}
        self._limits = [limit for limit in campaign.rules.limits if limit.per == "campaign"]
        crossing = definition.overlaps(campaign)
        self._overlaps = {
            name: set() if campaign.rules.overlaps_allowed else set(others)
            for name, others in zip(self._offerings, crossing, strict=True)
        }
        self._pools = {
            (name, pool.pool): _Pool(pool.capacity)
            for name, offering in self._offerings.items()
            for pool in offering.pools
        }
        self._queues: dict[str, dict[str, _Waiting]] = {name: {} for name in self._offerings}
        """Who waits, in order of seq."""
        self._members: dict[str, list[str]] = defaultdict(list)
        """The offerings that each member is in."""
        self._refusals: dict[int, list[tuple[Exchange, Refusal]]] = defaultdict(list)
        for exchange, refusal in refusals:
            self._refusals[refusal.as_of_seq].append((exchange, refusal))

    def run(self, log: Iterable[Event]) -> Iterator[Violation]:
        """Every violation, in the order of the log."""
        for event in log:
            if event.header.type in ASKED_FOR:
                yield from self._given_on(event.seq)
            yield from self._lifecycle.apply(event, self.records.get(event.header.enrollment))
            if event.record is not None:
                yield from self._apply(event, event.record)
            for exchange, refusal in self._refusals.pop(event.seq, ()):
                why = self._unfounded(exchange, refusal.code)
                if why:
                    yield Violation("refusal", f"{refusal.code} as of seq {event.seq}: {why}")
        for seq in self._refusals:
            yield Violation("refusal", f"decided as of seq {seq}, which the log does not have")
        self._freed.update(self._queues)
        yield from self._given_on(0)

    def positions(self, offering: str) -> list[str]:
        """Those who wait, in their order."""
        return list(self._queues[offering])

    def _given_on(self, seq: int) -> Iterator[Violation]:
        """Whether what was given back went to those who wait, before seq; 0 for the end."""
        for name in self._freed:
            for enrollment, waiting in self._queues[name].items():
                if any(not self._pools[name, pool].is_full for pool in waiting.pools):
                    when = f"at seq {seq}" if seq else "at the end"
                    yield Violation("idle", f"{enrollment} waits for {name} beside a free seat {when}")
                    break
        self._freed.clear()

    def _apply(self, event: Event, record: Record) -> Iterator[Violation]:
        enrollment, seq = event.header.enrollment, event.seq
        before = self.records.get(enrollment)
        if (before is None) != (event.header.type == "enrolled"):
            yield Violation("version", f"{enrollment} is {event.header.type} at seq {seq}, out of its order")
        if record.version != (before.version if before else 0) + 1:
            yield Violation("version", f"{enrollment} has version {record.version} at seq {seq}")
        if record.seq != (before.seq if before else seq):
            yield Violation("version", f"{enrollment} has seq {record.seq} at seq {seq}")
        self.records[enrollment] = record
        if event.header.type == "confirmed" and before and before.seat and before.seat == record.seat:
            return
        waited = self._leave(enrollment, before) if before else None
        if record.status not in LIVE:
            return
        yield from self._check_member(record, seq)
        self._members[record.member].append(record.offering)
        wanted = event.header.wanted
        pools = waited.pools if waited else self._may_take(record.member, record.offering, wanted)
        if record.seat:
            yield from self._take_seat(event, record, pools)
        else:
            yield from self._wait(event, record, pools)

    def _leave(self, enrollment: str, record: Record) -> _Waiting | None:
        """Forget where an enrollment was; returns its place in the queue, if it had one."""
        if record.seat:
            self._pools[record.offering, record.pool].free(record.seat, enrollment)
            self._freed.add(record.offering)
        if record.status in LIVE:
            self._members[record.member].remove(record.offering)
        return self._queues[record.offering].pop(enrollment, None)

    def _check_member(self, record: Record, seq: int) -> Iterator[Violation]:
        others = self._members[record.member]
        if record.offering in others:
            yield Violation("once", f"{record.member} is twice in {record.offering} at seq {seq}")
        for other in self._overlaps[record.offering].intersection(others):
            yield Violation("overlap", f"{record.member} is in {other} and {record.offering} at seq {seq}")
        if self._is_limited(record.member, record.offering):
            yield Violation("limit", f"{record.member} has {len(others) + 1} enrollments at seq {seq}")

    def _take_seat(self, event: Event, record: Record, pools: Sequence[str]) -> Iterator[Violation]:
        path, seat, seq = f"{record.offering}/{record.pool}", record.seat, event.seq
        pool = self._pools[record.offering, record.pool]
        if pool.is_full or not 1 <= seat <= pool.capacity:
            yield Violation("capacity", f"{path} is oversold at seq {seq}: seat {seat} of {pool.capacity}")
        if seat in pool.holders:
            yield Violation("seat", f"seat {seat} of {path} is sold twice at seq {seq}")
        elif seat != pool.lowest_free():
            yield Violation(
                "seat", f"seat {seat} of {path} is given at seq {seq}, {pool.lowest_free()} is free"
            )
        if record.member in self._units:
            first = next((name for name in pools if not self._pools[record.offering, name].is_full), None)
            if record.pool not in pools:
                yield Violation("eligible", f"{record.member} may not take a seat of {path} at seq {seq}")
            elif event.header.type == "enrolled" and first != record.pool:
                yield Violation("pool", f"{path} is given at seq {seq} while {first} has a free seat")
        for waiting in self._queues[record.offering].values():
            if waiting.seq < record.seq and record.pool in waiting.pools:
                yield Violation("order", f"{path} is given at seq {seq}, while {waiting.seq} waits for it")
                break
        pool.take(seat, event.header.enrollment)

    def _wait(self, event: Event, record: Record, pools: Sequence[str]) -> Iterator[Violation]:
        name, seq, queue = record.offering, event.seq, self._queues[record.offering]
        free = [pool for pool in pools if not self._pools[name, pool].is_full]
        if free:
            yield Violation("idle", f"{record.member} has to wait for {name} at seq {seq}: {free[0]} is free")
        if len(queue) >= self._offerings[name].waitlist.size_max:
            yield Violation("waitlist", f"{name} has {len(queue) + 1} who wait at seq {seq}")
        queue[event.header.enrollment] = _Waiting(record.seq, pools)
        if event.header.position != len(queue):
            yield Violation(
                "position", f"{name} gives position {event.header.position} at seq {seq}, it is {len(queue)}"
            )

    def _may_take(self, member: str, name: str, wanted: str) -> list[str]:
        """The pools that a member may take, in the document's order; none for one who is not known."""
        if member not in self._units:
            return []
        mask = self._masks[name](Person(member, self._units[member]))
        pools = self._offerings[name].pools
        return [
            pool.pool
            for pool, eligible in zip(pools, mask, strict=True)
            if eligible == "1" and wanted in ("", pool.pool)
        ]

    def _is_limited(self, member: str, name: str) -> bool:
        kind = self._offerings[name].kind
        kinds = [self._offerings[other].kind for other in self._members[member]]
        return any(
            sum(not limit.kinds or other in limit.kinds for other in kinds) >= limit.max
            for limit in self._limits
            if not limit.kinds or kind in limit.kinds
        )

    def _unfounded(self, exchange: Exchange, code: str) -> str:
        """What speaks against a refusal at this moment of the log; "" for nothing."""
        if exchange.kind in CHANGES:
            record = self.records.get(exchange.enrollment)
            status = record.status if record else "nowhere"
            return "" if refused(exchange.kind, code, status) else f"{exchange.enrollment} is {status}"
        member, name = exchange.member, exchange.offering
        pools = self._may_take(member, name, exchange.wanted)
        others = self._members[member]
        match code:
            case "not_eligible":
                return f"{member} may take {pools[0]} of {name}" if pools else ""
            case "limit_reached":
                return "" if self._is_limited(member, name) else f"{member} has {len(others)} enrollments"
            case "overlap":
                crosses = self._overlaps[name].intersection(others)
                return "" if crosses else f"{member} is in nothing that overlaps {name}"
            case "sold_out":
                return self._not_sold_out(self._offerings[name], pools)
        return self._lifecycle.unfounded(code, name)

    def _not_sold_out(self, offering: Offering, pools: Sequence[str]) -> str:
        for pool in pools:
            if not self._pools[offering.offering, pool].is_full:
                return f"{offering.offering}/{pool} has a free seat"
        if len(self._queues[offering.offering]) < offering.waitlist.size_max:
            return f"{offering.offering} has room to wait"
        return ""
