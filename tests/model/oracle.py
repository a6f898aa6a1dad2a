"""What the contract says of a campaign, in plain Python: an oracle that shares no decision with the scripts.

It knows no clock: windows are open or not as the shape says, and it is told which holds and offers are past their time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple

from engine.domain import draw, lottery
from engine.domain.campaign import Kind, Limit
from engine.domain.draw import DrawnOffering, DrawnPool, Entry, Wish
from engine.domain.faults import Fault
from engine.domain.ladder import Line

Window = Literal["before", "open", "late", "closed"]
"""`late`: still open, after the end of a grace window."""
Gives = Literal["first_come", "grace", "ballot", "poll", "second_class", "advancement"]
"""How seats are given. A second class is that of the offering `FIRST`, and whoever advances comes from it."""

FIRST: Final = "one"
"""The offering that may have a second class."""
SEATED: Final = ("confirmed", "held", "offered")
COUNTING: Final = (*SEATED, "waitlisted")
"""What counts for limits and overlaps."""
LIVE: Final = (*COUNTING, "entered")
SLOTS: Final = ((0, 9, 12), (0, 11, 13), (0, 12, 14), (1, 9, 12))
"""Day, start and end of the one session of an offering: the first crosses the second, which crosses the third."""


@dataclass(frozen=True)
class Pool:
    name: str
    capacity: int
    units: tuple[str, ...] = ()
    """Whose it is; empty for everybody's, or for holders of codes alone."""
    release: Literal["never", "later", "past"] = "never"
    around: tuple[str, ...] = ()
    """The unit that each of its stages admits."""
    begun: int = 0
    """How many of them have begun."""
    codes: bool = False

    def is_of(self, unit: str) -> bool:
        if not self.units:
            return not self.codes
        admitted = (*self.units, *self.around[: self.begun])
        return any(unit == each or unit.startswith(each + ".") for each in admitted)


@dataclass(frozen=True)
class Offering:
    name: str
    pools: tuple[Pool, ...]
    slot: int = 0
    kind: Kind = "workshop"
    gives: Gives = "first_come"
    intents: bool = False
    """Whether members may ask before the grace window."""
    waiting_max: int = 0
    offers: bool = False
    holds: bool = False
    window: Window = "open"
    cancellable: bool = True
    demand: int = 1
    """How many must vote, or wait for the first class."""
    by_votes: bool = True
    kept: bool = False
    """Whether seats are kept: for those who voted to confirm, or of a second class for those who wait."""

    def may_take(self, unit: str, wanted: str) -> list[str]:
        """The pools whose seats one may take, in their order."""
        if self.gives == "advancement":
            return []
        eligible = [pool.is_of(unit) for pool in self.pools]
        return [
            pool.name
            for pool, mine in zip(self.pools, eligible, strict=True)
            if (mine or (pool.release == "past" and any(eligible))) and wanted in ("", pool.name)
        ]

    @property
    def is_collected(self) -> bool:
        """Whether its entries are all there, by the clock."""
        return self.window == "closed" or (self.gives in ("grace", "poll") and self.window == "late")

    def crosses(self, other: "Offering") -> bool:
        (day, starts, ends), (other_day, other_starts, other_ends) = SLOTS[self.slot], SLOTS[other.slot]
        return day == other_day and starts < other_ends and other_starts < ends


@dataclass(frozen=True)
class Shape:
    """A campaign document, as far as it decides anything."""

    offerings: tuple[Offering, ...]
    limits: tuple[Limit, ...] = ()
    overlaps_allowed: bool = True
    votes_max: int = 0
    """How many votes a member has; 0 for any number."""

    def find(self, name: str) -> Offering | None:
        return next((each for each in self.offerings if each.name == name), None)

    def get(self, name: str) -> Offering:
        found = self.find(name)
        assert found, name
        return found

    def overlapping(self, name: str) -> list[str]:
        if self.overlaps_allowed:
            return []
        mine = self.get(name)
        return [each.name for each in self.offerings if each.name != name and each.crosses(mine)]

    def limit_reached(self, name: str, others: Sequence[str]) -> set[str]:
        """Per what the limits are that leave no room for one more."""
        found: set[str] = set()
        for limit in self.limits:
            if limit.kinds and self.get(name).kind not in limit.kinds:
                continue
            counted = [other for other in others if not limit.kinds or self.get(other).kind in limit.kinds]
            if limit.per == "day":
                counted = [other for other in counted if self.day(other) == self.day(name)]
            if len(counted) >= limit.max:
                found.add(limit.per)
        return found

    def day(self, name: str) -> int:
        return SLOTS[self.get(name).slot][0]


@dataclass
class Claim:
    """An enrollment."""

    enrollment: str
    offering: str
    member: str
    key: str
    wanted: str
    number: int
    """Its place in the order of sign-up."""
    status: str = "waitlisted"
    pool: str = ""
    seat: int = 0
    version: int = 1
    wish: int = 0
    code: str = ""
    """The code that it came in by."""
    expires_at: int = 0
    """Set by who hears of it."""


class Told(NamedTuple):
    """An enrollment after a change, and what changed it."""

    type: str
    enrollment: str
    member: str
    offering: str
    status: str
    pool: str
    seat: int
    version: int
    wish: int
    code: str


class Code(NamedTuple):
    """An invitation code."""

    offering: str
    pool: str
    uses: int
    member: str
    """Whose it is, "" for whoever has it."""
    revoked: bool = False


class Request(NamedTuple):
    """A sign-up."""

    member: str
    offering: str
    key: str = ""
    wanted: str = ""
    wish: int = 0
    code: str = ""


class Answer(NamedTuple):
    """What a call must be answered with."""

    outcome: str
    facts: frozenset[str] = frozenset()
    """Any of them may be named; all that there are to choose from."""
    shown: Told | None = None
    position: int = 0


@dataclass
class Oracle:
    shape: Shape
    units: Mapping[str, str]
    claims: dict[str, Claim] = field(default_factory=dict)
    queues: dict[str, list[Claim]] = field(default_factory=dict)
    """Who waits for each offering, in order."""
    first: dict[tuple[str, str], tuple[Request, Answer]] = field(default_factory=dict)
    """By member and key: what succeeded under it, and the answer."""
    overdue: list[str] = field(default_factory=list)
    """Holds and offers that are past their time and have not been looked at since."""
    told: list[Told] = field(default_factory=list)
    draws: int = 0
    """How many were held."""
    drawn: set[str] = field(default_factory=set)
    """The offerings that were in one."""
    opened: set[str] = field(default_factory=set)
    """The polls that have their votes, and the second classes that have opened."""
    opened_at: dict[str, int] = field(default_factory=dict)
    """When; set by who hears of it."""
    codes: dict[str, Code] = field(default_factory=dict)

    # The state

    def live(self, member: str = "", offering: str = "", statuses: Sequence[str] = LIVE) -> list[Claim]:
        return [
            each
            for each in self.claims.values()
            if each.status in statuses and member in ("", each.member) and offering in ("", each.offering)
        ]

    def taken(self, offering: str, pool: str) -> set[int]:
        return {each.seat for each in self.live(offering=offering, statuses=SEATED) if each.pool == pool}

    def position(self, claim: Claim) -> int:
        return self.queues[claim.offering].index(claim) + 1 if claim.status == "waitlisted" else 0

    def running(self) -> list[Claim]:
        """Holds and offers that will be over, the next first."""
        found = [
            each for each in self.live(statuses=("held", "offered")) if each.enrollment not in self.overdue
        ]
        return sorted(found, key=lambda each: (each.expires_at, each.enrollment))

    def show(self, claim: Claim, why: str = "") -> Told:
        return Told(
            *(why, claim.enrollment, claim.member, claim.offering, claim.status, claim.pool, claim.seat),
            *(claim.version, claim.wish, claim.code),
        )

    def used(self, code: str) -> int:
        """How many enrollments that are not over came in by a code."""
        return len([each for each in self.live() if each.code == code])

    # Calls

    def sign_up(self, request: Request, fresh: str) -> Answer:
        """`fresh` is the enrollment that it becomes, if it does."""
        offering = self.shape.find(request.offering)
        if offering is None or request.wanted not in ("", *(pool.name for pool in offering.pools)):
            return Answer("not_found")
        self.pass_time()
        if (request.member, request.key) in self.first:
            before, answer = self.first[request.member, request.key]
            same = (before.offering, before.wanted) == (request.offering, request.wanted)
            return answer if same else Answer("key_reused")
        # Whether anything is drawn may have changed since, so a replay is answered before.
        if request.wish and offering.gives not in ("grace", "ballot", "poll"):
            return Answer("invalid")
        twin = self._twin(offering, request.member)
        shut = self._shut(offering, twin)
        if shut:
            return Answer(shut)
        pools, reason = offering.may_take(self.units[request.member], request.wanted), ""
        if request.code:
            reason = self._unopened(offering, request, pools)
        if reason or not (pools or request.code):
            return Answer("not_eligible", frozenset({reason}))
        for present in self.live(request.member, offering.name):
            return Answer("already_in", shown=self.show(present), position=self.position(present))
        if self.is_collecting(offering) and offering.is_collected:
            return Answer("not_ready")
        return self._within_rules(offering, request, pools, fresh, twin)

    def _shut(self, offering: Offering, twin: Claim | None) -> str:
        """Why nobody signs up for the offering now, or only others, or ""."""
        if offering.window == "closed" or self._is_over(offering):
            return "closed"
        if offering.window == "before" and not (offering.gives == "grace" and offering.intents):
            return "not_open"
        is_opened = offering.name in self.opened and (twin or not offering.kept)
        return "not_open" if offering.gives == "second_class" and not is_opened else ""

    def _within_rules(
        self, offering: Offering, request: Request, pools: Sequence[str], fresh: str, twin: Claim | None
    ) -> Answer:
        left = twin if twin and offering.gives == "second_class" and twin.status == "waitlisted" else None
        live = self.live(request.member, statuses=COUNTING)
        others = [each.offering for each in live if each is not left]
        limits = self.shape.limit_reached(offering.name, others)
        votes = [each for each in self.live(request.member, statuses=("entered",)) if self._is_vote(each)]
        if offering.gives == "poll" and self.is_collecting(offering) and self.shape.votes_max:
            limits = {"poll"} if len(votes) >= self.shape.votes_max else limits
        if limits:
            return Answer("limit_reached", frozenset(limits))
        crossing = set(self.shape.overlapping(offering.name)).intersection(others)
        if twin and not left:
            crossing = {twin.offering}
        if crossing:
            return Answer("overlap", frozenset(crossing))
        return self._enrol(offering, request, pools, fresh, left)

    def _is_over(self, offering: Offering) -> bool:
        """A ballot is drawn once, and of a poll without its votes nothing comes."""
        is_failed = offering.gives == "poll" and offering.name not in self.opened
        return offering.name in self.drawn and (offering.gives == "ballot" or is_failed)

    def _is_vote(self, claim: Claim) -> bool:
        return self.shape.get(claim.offering).gives == "poll"

    def _twin(self, offering: Offering, member: str) -> Claim | None:
        """What the member has in the other of two classes."""
        second = next((each.name for each in self.shape.offerings if each.gives == "second_class"), "")
        other = {FIRST: second, second: FIRST}.get(offering.name, "") if second else ""
        return next(iter(self.live(member, other)), None) if other else None

    def _unopened(self, offering: Offering, request: Request, pools: Sequence[str]) -> str:
        """Why the request's code opens nothing, or ""."""
        code = self.codes.get(request.code)
        taking = [each.name for each in offering.pools if each.codes]
        if code is None or code.offering != offering.name or code.pool not in taking:
            return "code_unknown"
        if code.member not in ("", request.member) or request.wanted not in ("", code.pool):
            return "code_unknown"
        if code.revoked:
            return "code_revoked"
        mine = [each.code for each in self.live(request.member, offering.name)]
        is_used_up = self.used(request.code) >= code.uses
        return "code_used_up" if is_used_up and code.pool not in pools and request.code not in mine else ""

    def _enrol(
        self, offering: Offering, request: Request, pools: Sequence[str], fresh: str, left: Claim | None
    ) -> Answer:
        """`left` is the place in the queue for the first class that goes with a seat in the second."""
        claim = Claim(fresh, offering.name, request.member, request.key, request.wanted, len(self.claims))
        opened = self.codes[request.code].pool if request.code else ""
        free = self._first_free(offering, [*pools, opened])
        if (opened not in pools and free in ("", opened)) or self.is_collecting(offering):
            claim.code = request.code if opened not in pools else ""
        if self.is_collecting(offering):
            ranks = [each.wish for each in self.live(request.member, statuses=("entered",))]
            claim.status, claim.wish = "entered", request.wish or max(ranks, default=0) + 1
        elif free:
            if left:
                self._leave(left, "cancelled", "cancelled")
            self._seat(claim, free, "held" if offering.holds else "confirmed")
        elif not left and len(self.queues.get(offering.name, [])) < offering.waiting_max:
            self.queues.setdefault(offering.name, []).append(claim)
        else:
            return Answer("sold_out")
        self.claims[fresh] = claim
        self.told.append(self.show(claim, "enrolled"))
        self._note_demand(offering)
        answer = Answer(claim.status, shown=self.show(claim), position=self.position(claim))
        if request.key:
            self.first[request.member, request.key] = request, answer
        return answer

    def cancel(self, enrollment: str, member: str) -> Answer:
        self.pass_time()
        claim = self._visible(enrollment, member)
        if claim is None:
            return Answer("not_found")
        if claim.status in ("lapsed", "not_drawn"):
            return Answer("wrong_state", frozenset({claim.status}))
        if claim.status != "cancelled":
            offering = self.shape.get(claim.offering)
            if not offering.cancellable or (claim.status == "entered" and self._is_settled(offering)):
                return Answer("too_late")
            self._leave(claim, "cancelled", "cancelled")
        return Answer("changed", shown=self.show(claim))

    def _is_settled(self, offering: Offering) -> bool:
        """Whether entries cannot be taken back."""
        return offering.is_collected or (offering.gives == "poll" and offering.name in self.opened)

    def confirm(self, enrollment: str, member: str) -> Answer:
        return self._take_or_leave(enrollment, member, "confirmed")

    def decline(self, enrollment: str, member: str) -> Answer:
        return self._take_or_leave(enrollment, member, "cancelled")

    def _take_or_leave(self, enrollment: str, member: str, status: str) -> Answer:
        self.pass_time()
        claim = self._visible(enrollment, member)
        if claim is None:
            return Answer("not_found")
        if claim.status == "lapsed":
            return Answer("too_late")
        if claim.status not in (status, "held", "offered"):
            return Answer("wrong_state", frozenset({claim.status}))
        if claim.status != status and status == "confirmed":
            self._change(claim, status, "confirmed")
        elif claim.status != status:
            self._leave(claim, status, "declined")
        return Answer("changed", shown=self.show(claim))

    def publish(self, shape: Shape) -> set[tuple[str, str]]:
        """The faults, as (path, code); none when it is in force."""
        self.pass_time()
        faults = {(fault.path, fault.code) for fault in self._forbidden(shape)}
        if not faults:
            self.shape = shape
            self.drawn = {each.name for each in shape.offerings if each.name in self.drawn}
            self.opened &= {each.name for each in shape.offerings}
            for offering in shape.offerings:
                self._promote(offering)
                self._note_demand(offering)
        return faults

    def _forbidden(self, shape: Shape) -> Iterator[Fault]:
        for offering in self.shape.offerings:
            if self.live(offering=offering.name) and not shape.find(offering.name):
                yield Fault("/offerings", "has_live_enrollments")
        for index, offering in enumerate(shape.offerings):
            if offering.name in self.drawn and not offering.is_collected:
                if offering.gives == "poll" and offering.name in self.opened:
                    continue
                field = {"ballot": "closes", "poll": "policy/until"}.get(offering.gives, "opens")
                yield Fault(f"/offerings/{index}/{field}", "draw_is_over")
            for number, pool in enumerate(offering.pools):
                if pool.capacity < max(self.taken(offering.name, pool.name), default=0):
                    yield Fault(f"/offerings/{index}/pools/{number}/capacity", "below_live_seats")

    def is_collecting(self, offering: Offering) -> bool:
        return offering.gives in ("grace", "ballot", "poll") and offering.name not in self.drawn

    def due(self) -> list[str]:
        """The offerings of the next draw that can be held: those of one moment, but a poll by votes alone."""
        found = [
            each
            for each in self.shape.offerings
            if self.is_collecting(each) and (each.is_collected or each.name in self.opened)
        ]
        if not found:
            return []
        first = min(found, key=lambda each: (self._moment(each), each.name))
        if self._by_votes(first):
            return [first.name]
        same = [each for each in found if self._moment(each) == self._moment(first)]
        return [each.name for each in same if not self._by_votes(each)]

    def _moment(self, offering: Offering) -> int:
        """As the windows have it: grace windows end before polls, and those before anything closes."""
        known = {"grace": 1, "poll": 2, "ballot": 3}[offering.gives]
        return self.opened_at[offering.name] if offering.name in self.opened else known

    def _by_votes(self, offering: Offering) -> bool:
        """Also a poll of which nothing comes, which needs no lots."""
        return offering.gives == "poll" and (offering.by_votes or offering.name not in self.opened)

    def draw(self, campaign: str, commitment: str, seed: bytes) -> bool:
        """Whether there is a draw to hold now; it is held then."""
        names_drawn = self.due()
        if not names_drawn:
            return False
        self.pass_time()
        entered = [each for each in self.live(statuses=("entered",)) if each.offering in names_drawn]
        names = {lottery.pseudonym(campaign, commitment, each.member): each.member for each in entered}
        entries = [
            Entry(name, 1000, self._holding(member), self._wishes(member, names_drawn))
            for name, member in names.items()
        ]
        by_wish = {(each.member, each.offering): each for each in entered}
        ordered = None
        if self._by_votes(self.shape.get(names_drawn[0])):
            first = sorted(entered, key=lambda each: each.number)
            pseudonyms = {member: name for name, member in names.items()}
            ordered = list(dict.fromkeys(pseudonyms[each.member] for each in first))
        self.drawn |= set(names_drawn)
        self.draws += 1
        for result in draw.decide(seed, self.shape.limits, self._stock(names_drawn), entries, ordered):
            claim, offering = by_wish[names[result.member], result.offering], self.shape.get(result.offering)
            claim.version += 1
            claim.status = result.status
            if result.status == "confirmed":
                is_kept = offering.holds or (offering.gives == "poll" and offering.kept)
                self._seat(claim, result.pool, "held" if is_kept else "confirmed")
            elif result.status == "waitlisted":
                self.queues.setdefault(result.offering, []).append(claim)
            self.told.append(self.show(claim, "drawn"))
            self._note_demand(offering)
        return True

    def _holding(self, member: str) -> list[str]:
        return [each.offering for each in self.live(member, statuses=COUNTING)]

    def _wishes(self, member: str, drawn: Sequence[str]) -> list[Wish]:
        ranked = sorted(self.live(member, statuses=("entered",)), key=lambda each: (each.wish, each.number))
        ranked = [each for each in ranked if each.offering in drawn]
        return [Wish(each.offering, self.wants(each)) for each in ranked]

    def _stock(self, drawn: Sequence[str]) -> list[DrawnOffering]:
        return [
            DrawnOffering(
                offering=each.name,
                kind=each.kind,
                days=[self.shape.day(each.name) + 1],
                overlaps=self.shape.overlapping(each.name),
                waitlist=0 if self._is_over(each) and each.gives == "poll" else each.waiting_max,
                pools=[
                    DrawnPool(
                        pool.name,
                        0
                        if self._is_over(each) and each.gives == "poll"
                        else pool.capacity - len(self.taken(each.name, pool.name)),
                    )
                    for pool in each.pools
                    if each.name in drawn
                ],
            )
            for each in self.shape.offerings
        ]

    # What follows from a call

    def pass_time(self) -> None:
        """What is past its time is over before anything else is decided."""
        while self.overdue:
            self._leave(self.claims[self.overdue.pop(0)], "lapsed", "lapsed")

    def _visible(self, enrollment: str, member: str) -> Claim | None:
        claim = self.claims.get(enrollment)
        return claim if claim and member in ("", claim.member) else None

    def _first_free(self, offering: Offering, names: Sequence[str]) -> str:
        free = [each.name for each in offering.pools if self._is_free(offering, each) and each.name in names]
        return free[0] if free else ""

    def _is_free(self, offering: Offering, pool: Pool) -> bool:
        return len(self.taken(offering.name, pool.name)) < pool.capacity

    def _seat(self, claim: Claim, pool: str, status: str) -> None:
        taken = self.taken(claim.offering, pool)
        claim.seat = next(seat for seat in range(1, len(taken) + 2) if seat not in taken)
        claim.pool, claim.status = pool, status

    def _change(self, claim: Claim, status: str, why: str) -> None:
        claim.status = status
        claim.version += 1
        claim.expires_at = 0
        self.told.append(self.show(claim, why))

    def _leave(self, claim: Claim, status: str, why: str) -> None:
        if claim.status == "waitlisted":
            self.queues[claim.offering].remove(claim)
        claim.seat = 0
        self._change(claim, status, why)
        self._promote(self.shape.get(claim.offering))

    def assign(self, offering: str, lines: Sequence[Line]) -> None:
        """Those who go on to an offering are in it; who is there already stays as they are."""
        self.pass_time()
        found = self.shape.get(offering)
        going = [each for each in lines if each.going == "seat"]
        going += [each for each in lines if each.going == "substitute"]
        for line in going:
            if line.next_enrollment in self.claims or self.live(line.member, offering):
                continue
            pool = next(each for each in found.pools if each.name == line.next_pool)
            claim = Claim(line.next_enrollment, offering, line.member, "", line.next_pool, len(self.claims))
            if line.going == "seat" and self._is_free(found, pool):
                self._seat(claim, pool.name, "held" if found.holds else "confirmed")
            else:
                self.queues.setdefault(offering, []).append(claim)
            self.claims[claim.enrollment] = claim
            self.told.append(self.show(claim, "advanced"))
        self._promote(found)

    def _promote(self, offering: Offering) -> None:
        """Free seats go to the first who waits and may take them."""
        if offering.gives == "advancement" and not offering.cancellable:
            return
        queue = self.queues.get(offering.name, [])
        for pool in offering.pools:
            while self._is_free(offering, pool):
                claim = next((each for each in queue if pool.name in self.wants(each)), None)
                if claim is None:
                    break
                queue.remove(claim)
                self._seat(claim, pool.name, "waitlisted")
                self._change(claim, "offered" if offering.offers else "confirmed", "promoted")

    def _note_demand(self, offering: Offering) -> None:
        """Enough votes open a poll, and enough who wait for the first class open the second."""
        votes = len(self.live(offering=offering.name, statuses=("entered",)))
        is_voted_on = offering.gives == "poll" and self.is_collecting(offering) and not offering.is_collected
        if is_voted_on and votes >= offering.demand:
            self.opened.add(offering.name)
        for each in self.shape.offerings if offering.name == FIRST else ():
            waiting = len(self.queues.get(FIRST, []))
            if each.gives == "second_class" and waiting >= each.demand and each.window in ("open", "late"):
                self.opened.add(each.name)

    def wants(self, claim: Claim) -> list[str]:
        """The pools whose seats one who waits or is entered may take, in their order."""
        offering = self.shape.get(claim.offering)
        if offering.gives == "advancement":
            return [claim.wanted]
        pools = offering.may_take(self.units[claim.member], claim.wanted)
        if claim.code:
            pools.append(self.codes[claim.code].pool)
        return [each.name for each in offering.pools if each.name in pools]

    def issue(self, ids: Sequence[str], code: Code) -> str:
        """What it must be answered with, "" when the codes are issued."""
        self.pass_time()
        offering = self.shape.find(code.offering)
        if offering is None:
            return "not_found"
        if code.pool not in [each.name for each in offering.pools if each.codes]:
            return "takes_no_codes"
        self.codes |= dict.fromkeys(ids, code)
        return ""

    def revoke(self, code: str) -> None:
        self.pass_time()
        self.codes[code] = self.codes[code]._replace(revoked=True)


def violations(
    shape: Shape, units: Mapping[str, str], codes: Mapping[str, Code], told: Sequence[Told]
) -> Iterator[str]:
    """What the state of all enrollments has that no campaign may ever have; it is looked at without the oracle."""
    seats: set[tuple[str, str, int]] = set()
    live = [each for each in told if each.status in LIVE]
    for each in live:
        if each.status in SEATED:
            pool = next(pool for pool in shape.get(each.offering).pools if pool.name == each.pool)
            if not 1 <= each.seat <= pool.capacity or (each.offering, each.pool, each.seat) in seats:
                yield f"seat {each.seat} of {each.offering}/{each.pool}"
            opened = codes[each.code].pool if each.code else ""
            if shape.get(each.offering).gives == "advancement":
                opened = each.pool
            if each.pool not in (*shape.get(each.offering).may_take(units[each.member], ""), opened):
                yield f"{each.member} may not have {each.offering}/{each.pool}"
            seats.add((each.offering, each.pool, each.seat))
        elif each.seat:
            yield f"{each.enrollment} is {each.status} with a seat"
    yield from _misused(codes, live)
    for member in units:
        offerings = [each.offering for each in live if each.member == member]
        if len(set(offerings)) < len(offerings):
            yield f"{member} is twice in one of {offerings}"
        # Who has won a place in a round keeps it, whatever else there is.
        counting = [
            each.offering
            for each in live
            if each.member == member
            and each.status != "entered"
            and shape.get(each.offering).gives != "advancement"
        ]
        for index, name in enumerate(counting):
            others = counting[:index] + counting[index + 1 :]
            # One more than there are others would be too many.
            if shape.limit_reached(name, others):
                yield f"{member} has {counting}, more than a limit"
            if set(shape.overlapping(name)).intersection(others):
                yield f"{member} has {counting}, at the same time"


def _misused(codes: Mapping[str, Code], live: Sequence[Told]) -> Iterator[str]:
    for name, code in codes.items():
        holders = [each for each in live if each.code == name]
        if len(holders) > code.uses:
            yield f"{len(holders)} came in by a code of {code.uses} uses"
        if any(each.offering != code.offering or code.member not in ("", each.member) for each in holders):
            yield f"somebody came in by {code}"


def changed(shape: Shape, name: str, **fields: object) -> Shape:
    """The shape with some fields of an offering changed."""
    return replace(
        shape,
        offerings=tuple(
            replace(each, **fields) if each.name == name else each  # type: ignore[arg-type]
            for each in shape.offerings
        ),
    )
