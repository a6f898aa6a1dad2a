"""Made-up logs of a campaign, in the form in which the Lua scripts write them, with what they must leave behind."""

import random
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from engine.domain.enrollment import LIVE, SEATED, Record, Status
from engine.domain.events import SCHEMA, Event, EventType, Header
from engine.ledger.protocol import DeadLetter

CAMPAIGN: Final = "autumn-2026"
BEGINS: Final = 1_790_000_000_000
POOLS: Final = {("paper-cutting", "own"): 20, ("paper-cutting", "open"): 20, ("soap", "open"): 10}

_pack = msgspec.msgpack.encode


class Log:
    """A log that grows; `records` holds the newest record of every enrollment."""

    def __init__(self, campaign: str = CAMPAIGN, epoch: int = 1) -> None:
        self.campaign = campaign
        self.epoch = epoch
        self.entries: list[Event | DeadLetter] = []
        self.records: dict[str, Record] = {}

    @property
    def seq(self) -> int:
        """Of the newest event."""
        return len(self.entries)

    def published(self, pools: Mapping[tuple[str, str], int] = POOLS, version: int = 1) -> Event:
        """A document with these capacities, by the organizer o-1."""
        offerings = [
            {
                "offering": offering,
                "title": {"zh": "剪纸 🧵𠮷", "en": "Paper cutting"},
                "pools": [
                    {"pool": pool, "capacity": capacity}
                    for (of, pool), capacity in pools.items()
                    if of == offering
                ],
            }
            for offering in dict.fromkeys(offering for offering, _ in pools)
        ]
        document = msgspec.json.encode({"campaign": self.campaign, "offerings": offerings})
        return self._add(
            Header(SCHEMA, "published", self._now(), "o-1", "http", version=version), None, document
        )

    def opened(self, offering: str = "soap") -> Event:
        """An event of the campaign itself."""
        return self._add(Header(SCHEMA, "opened", self._now(), "system", "engine", offering=offering), None)

    def codes_issued(self, ids: Sequence[str], pool: str = "own") -> Event:
        """Invitation codes of one use, by the officer f-1."""
        header = Header(SCHEMA, "codes_issued", self._now(), "f-1", "http", offering="soap", pool=pool)
        return self._add(header, None, codes=_pack((1, "", 0, list(ids))))

    def code_revoked(self, code: str, pool: str = "own") -> Event:
        """One of them, by the organizer o-1."""
        header = Header(SCHEMA, "code_revoked", self._now(), "o-1", "cli", offering="soap", pool=pool)
        return self._add(header, None, codes=_pack((code,)))

    def enrolled(
        self,
        member: str,
        offering: str = "soap",
        pool: str = "open",
        seat: int = 0,
        status: Status = "confirmed",
        actor: str | None = None,
    ) -> Event:
        """A sign-up; the enrollment is called e-<seq>. Without a seat it waits."""
        seq, at = self.seq + 1, self._now()
        if not seat:
            pool, status = "", "waitlisted"
        queues = [] if seat else ["*", "own"]
        record = Record(offering, member, pool, status, seat, seq, 1, 0, at, queues)
        header = Header(SCHEMA, "enrolled", at, actor or member, "http", f"e-{seq}", f"key-{seq}")
        return self._add(header, record)

    def advanced(self, member: str, offering: str = "final") -> Event:
        """One who waits for a round by decision; the enrollment is called e-<seq>."""
        seq, at = self.seq + 1, self._now()
        record = Record(offering, member, "", "waitlisted", 0, seq, 1, 0, at, ["all"])
        header = Header(SCHEMA, "advanced", at, "officer", "http", f"e-{seq}", wanted="all", position=1)
        return self._add(header, record)

    def entered(self, member: str, offering: str = "soap", wish: int = 1) -> Event:
        """A sign-up for a draw; the enrollment is called e-<seq>."""
        seq, at = self.seq + 1, self._now()
        record = Record(offering, member, "", "entered", 0, seq, 1, 0, at, ["*", "own"], wish)
        header = Header(SCHEMA, "enrolled", at, member, "http", f"e-{seq}", f"key-{seq}", wish=wish)
        return self._add(header, record)

    def draw_began(self) -> Event:
        """The entries are what they are."""
        return self._add(Header(SCHEMA, "draw_began", self._now(), "system", "engine"), None)

    def drawn(self, enrollment: str, status: Status, pool: str = "", seat: int = 0) -> Event:
        """An entry's result."""
        old, waits = self.records[enrollment], status == "waitlisted"
        record = msgspec.structs.replace(
            old,
            status=status,
            pool=pool,
            seat=seat,
            version=old.version + 1,
            queues=old.queues if waits else [],
            turn=self.seq + 1 if waits else 0,
        )
        return self._add(Header(SCHEMA, "drawn", self._now(), "system", "engine", enrollment), record)

    def draw_ended(self) -> Event:
        """Every entry has its result."""
        return self._add(Header(SCHEMA, "draw_ended", self._now(), "system", "engine"), None)

    def changed(
        self,
        kind: EventType,
        enrollment: str,
        status: Status,
        pool: str = "",
        seat: int = 0,
        actor: str = "system",
        version: int = 0,
    ) -> Event:
        """A change of an enrollment. One that keeps or gets a seat names it."""
        old = self.records[enrollment]
        record = msgspec.structs.replace(
            old,
            status=status,
            pool=pool or old.pool,
            seat=seat,
            version=version or old.version + 1,
            queues=[],
        )
        return self._add(Header(SCHEMA, kind, self._now(), actor, "http", enrollment), record)

    def cancelled(self, enrollment: str, actor: str | None = None) -> Event:
        """Its member, or somebody else, leaves."""
        return self.changed(
            "cancelled", enrollment, "cancelled", actor=actor or self.records[enrollment].member
        )

    def dead(self, fields: Mapping[bytes, bytes], reason: str) -> DeadLetter:
        """An entry that cannot be applied."""
        letter = DeadLetter(self.campaign, self.epoch, self.seq + 1, fields, reason)
        self.entries.append(letter)
        return letter

    def seats(self) -> dict[tuple[str, str], int]:
        """How many seats are taken per pool."""
        taken: dict[tuple[str, str], int] = {}
        for record in self.records.values():
            if record.status in SEATED:
                taken[record.offering, record.pool] = taken.get((record.offering, record.pool), 0) + 1
        return taken

    def _now(self) -> int:
        return BEGINS + self.seq + 1

    def _add(
        self, header: Header, record: Record | None, document: bytes | None = None, codes: bytes | None = None
    ) -> Event:
        fields = {b"h": _pack(header)}
        if record is not None:
            fields[b"r"] = _pack(record)
            known = self.records.get(header.enrollment)
            if known is None or record.version >= known.version:
                self.records[header.enrollment] = record
        if document is not None:
            fields[b"d"] = document
        if codes is not None:
            fields[b"c"] = codes
        event = Event(self.campaign, self.epoch, self.seq + 1, header, record, fields)
        self.entries.append(event)
        return event


def rush(length: int, seed: int = 1) -> Log:
    """Sign-ups, cancellations, and promotions into the seats that these free; the same for the same arguments."""
    chance = random.Random(seed)
    log = Log()
    log.published()
    free = {place: list(range(1, capacity + 1)) for place, capacity in POOLS.items()}
    living: list[str] = []
    while log.seq < length:
        if living and chance.random() < 0.45:
            name = living.pop(chance.randrange(len(living)))
            left = log.records[name]
            log.cancelled(name)
            if left.seat:
                _give_on(log, left, living, free)
        else:
            offering, pool = place = chance.choice(list(POOLS))
            seat = free[place].pop(0) if free[place] else 0
            log.enrolled(f"m-{chance.randrange(500)}", offering, pool, seat)
            living.append(f"e-{log.seq}")
    return log


def _give_on(log: Log, left: Record, living: list[str], free: Mapping[tuple[str, str], list[int]]) -> None:
    """`living` is in the order in which they wait."""
    for name in living:
        record = log.records[name]
        if record.offering == left.offering and record.status == "waitlisted":
            log.changed("promoted", name, "confirmed", left.pool, left.seat)
            return
    free[left.offering, left.pool].append(left.seat)


def ballot(members: int, seed: int = 1) -> Log:
    """A draw, and what comes after it; the same for the same arguments.

    Some wait since before it, and the members' entries follow. They are drawn in any order: seats while there are, the
    next 25 of each offering wait. Then some leave, so that who waits moves up, and others join the queue.
    """
    chance = random.Random(seed)
    log = Log()
    log.published()
    offerings = list(dict.fromkeys(offering for offering, _ in POOLS))
    for number in range(6):
        log.enrolled(f"early-{number}", offerings[number % 2])
    entries = []
    for number in range(members):
        for wish, offering in enumerate(chance.sample(offerings, chance.choice((1, 2))), 1):
            log.entered(f"m-{number}", offering, wish)
            entries.append(f"e-{log.seq}")
    log.draw_began()
    chance.shuffle(entries)
    free = {place: list(range(1, capacity + 1)) for place, capacity in POOLS.items()}
    left = dict.fromkeys(offerings, 25)
    for name in entries:
        offering = log.records[name].offering
        place = next((place for place, seats in free.items() if place[0] == offering and seats), None)
        if place is not None:
            log.drawn(name, "confirmed", place[1], free[place].pop(0))
        elif left[offering]:
            left[offering] -= 1
            log.drawn(name, "waitlisted")
        else:
            log.drawn(name, "not_drawn")
    log.draw_ended()
    for number in range(20):
        log.enrolled(f"late-{number}", chance.choice(offerings))
        living = sorted(
            (name for name, record in log.records.items() if record.status in LIVE),
            key=lambda name: log.records[name].order,
        )
        name = chance.choice(living)
        living.remove(name)
        before = log.records[name]
        log.cancelled(name)
        if before.seat:
            _give_on(log, before, living, free)
    return log
