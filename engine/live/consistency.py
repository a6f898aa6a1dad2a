"""Consistency: within a campaign's state in Redis, counters and indexes only repeat what the enrollments say."""

from collections import Counter
from collections.abc import Iterable, Iterator

from engine.domain.enrollment import LIVE, SEATED
from engine.live.inspection import Snapshot


def violations(snapshot: Snapshot) -> list[str]:
    """Every way in which a state contradicts itself, one line each."""
    return [
        *_seats(snapshot),
        *_counts(snapshot),
        *_members(snapshot),
        *_waiting(snapshot),
        *_timers(snapshot),
        *(
            f"{name}: a replay would answer with it, but it does not exist"
            for name in sorted(snapshot.answered - snapshot.records.keys())
        ),
    ]


def _capacities(snapshot: Snapshot) -> dict[tuple[str, str], int]:
    return {
        (offering.offering, pool.pool): pool.capacity
        for offering in snapshot.document.offerings
        for pool in offering.pools
    }


def _seats(snapshot: Snapshot) -> Iterator[str]:
    capacities = _capacities(snapshot)
    holders: dict[tuple[str, str, int], str] = {}
    for name, record in snapshot.records.items():
        if (record.status in SEATED) != (record.seat > 0):
            yield f"{name}: is {record.status} with seat {record.seat}"
        if not record.seat:
            continue
        place = (record.offering, record.pool, record.seat)
        if place in holders:
            yield f"{name}: has seat {record.seat} of {record.offering}/{record.pool}, as {holders[place]} has"
        holders[place] = name
        if record.seat > capacities.get(place[:2], 0):
            yield f"{name}: has seat {record.seat} of {record.offering}/{record.pool}, above its capacity"


def _counts(snapshot: Snapshot) -> Iterator[str]:
    taken = Counter((record.offering, record.pool) for record in snapshot.records.values() if record.seat)
    waiting = Counter(
        record.offering for record in snapshot.records.values() if record.status == "waitlisted"
    )
    held: dict[tuple[str, str], set[int]] = {}
    for record in snapshot.records.values():
        if record.seat:
            held.setdefault((record.offering, record.pool), set()).add(record.seat)
    free: set[str] = set()
    for (offering, pool), capacity in _capacities(snapshot).items():
        path = f"{offering}/{pool}"
        yield from _differs(
            f"taken of {path}", snapshot.counts.get(f"taken/{path}", 0), taken[offering, pool]
        )
        mark = snapshot.counts.get(f"mark/{path}", 0)
        seats = held.get((offering, pool), set())
        if mark > capacity or mark < max(seats, default=0):
            yield f"mark of {path} is {mark}, with capacity {capacity} and highest seat {max(seats, default=0)}"
        free |= {f"{path}/{seat:08d}" for seat in range(1, mark + 1) if seat not in seats}
    for offering_document in snapshot.document.offerings:
        offering = offering_document.offering
        yield from _differs(
            f"waiting of {offering}", snapshot.counts.get(f"waiting/{offering}", 0), waiting[offering]
        )
    yield from _sets("free numbers", snapshot.free, free)


def _members(snapshot: Snapshot) -> Iterator[str]:
    live = {
        (record.member, record.offering, name)
        for name, record in snapshot.records.items()
        if record.status in LIVE
    }
    indexed = {
        (member, entry[number], entry[number + 1])
        for member, entry in snapshot.members.items()
        for number in range(0, len(entry), 2)
    }
    for _, _, name in sorted(live - indexed):
        yield f"{name}: is live, but not in its member's list"
    for _, _, name in sorted(indexed - live):
        yield f"{name}: is in a member's list, but not live as its offering and member say"
    for (_, offering), number in Counter((member, offering) for member, offering, _ in live).items():
        if number > 1:
            yield f"a member has {number} live enrollments of {offering}"


def _waiting(snapshot: Snapshot) -> Iterator[str]:
    waiting, queues = set(), set()
    for name, record in snapshot.records.items():
        if record.status == "waitlisted":
            waiting.add(f"{record.offering}/{record.seq:016d}/{name}")
            queues |= {f"{record.offering}/{queue}/{record.seq:016d}/{name}" for queue in record.queues}
    yield from _sets("waiting", snapshot.waiting, waiting)
    yield from _sets("queues", snapshot.queues, queues)


def _timers(snapshot: Snapshot) -> Iterator[str]:
    expiring = {
        f"expires/{name}": record.expires_at for name, record in snapshot.records.items() if record.expires_at
    }
    timed = {name: at for name, at in snapshot.timers.items() if name.startswith("expires/")}
    for name in sorted(expiring.keys() | timed.keys()):
        if expiring.get(name) != timed.get(name):
            yield f"timer {name} is at {timed.get(name)}, but its enrollment says {expiring.get(name)}"


def _differs(what: str, counted: int, actual: int) -> Iterator[str]:
    if counted != actual:
        yield f"{what} is counted as {counted}, the enrollments say {actual}"


def _sets(what: str, indexed: Iterable[str], actual: set[str]) -> Iterator[str]:
    indexed = set(indexed)
    yield from (f"{what} lacks {name}" for name in sorted(actual - indexed))
    yield from (f"{what} has {name} wrongly" for name in sorted(indexed - actual))
