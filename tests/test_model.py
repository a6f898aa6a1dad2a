"""Random sequences of all calls, over campaigns that mix policies: each answer and event is what the model says.

The model (tests/model.py) is written from the contract. One step is one call, or several of one kind that share a
batch. The clock of Redis is not to be turned, so for a hold or an offer to be past its time its moment is brought
nearer; the short ones of the last test are waited for.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final

import msgspec
import pytest
import uvloop
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from api import views
from engine.audit import Audit
from engine.domain import draw, events, lottery
from engine.domain.campaign import Campaign, Kind, Limit
from engine.domain.draw import Draw
from engine.domain.enrollment import Record
from engine.domain.events import Event
from engine.domain.person import Person
from engine.invitations import Listed
from engine.live import keys
from engine.live.counts import CountsReader
from engine.live.decisions import Change, Decision
from engine.publishing import Published
from engine.workers.recorder import Recorder
from tests import model, stand
from tests.model import FIRST, SLOTS, Answer, Code, Gives, Offering, Oracle, Pool, Request, Shape, Told
from tests.stand import Stand, at, open_stand

UNITS: Final = {"m0": "a", "m1": "a.b", "m2": "b", "m3": "", "m4": "", "m5": "ab"}
NAMES: Final = ("one", "two", "three", "four")
POOLS: Final = ("own", "open")
DAY: Final = (datetime.now(UTC) + timedelta(days=10)).date()

SEEDS: Final = 8
GIVES: Final[list[Gives]] = ["first_come", "ballot", "grace", "poll"]
KINDS: Final[tuple[Kind, ...]] = ("workshop", "pack")
LONG_S: Final = 3_600
SHORT_S: Final = 2
MARGIN_S: Final = 1
"""What would be over sooner is waited for before the next call, which takes less."""

MOMENTS: Final = {
    "before": {"opens": at(hours=1), "closes": at(days=1)},
    "open": {"opens": at(hours=-3), "closes": at(days=1)},
    "late": {"opens": at(hours=-3), "closes": at(days=1)},
    "closed": {"opens": at(hours=-3), "closes": at(hours=-1)},
}
RELEASES: Final = {"never": {}, "later": {"releases": at(days=1)}, "past": {"releases": at(hours=-2)}}
AROUND: Final = ("b", "ab")
BEGUN, TO_COME = [at(hours=-2), at(minutes=-90)], [at(days=1), at(days=2)]
PAST: Final = at(hours=-1)
INTENTS_OPEN: Final = at(hours=-4)
HOUR_S: Final = 3_600
DAY_S: Final = 24 * HOUR_S
LATER: Final = at(hours=20)
AGO: Final = at(hours=-1.5)
UNTIL: Final = {"before": LATER, "open": LATER, "late": AGO, "closed": AGO}
GRACE_S: Final = {"before": 4 * HOUR_S, "open": 4 * HOUR_S, "late": HOUR_S, "closed": HOUR_S}


def document(name: str, shape: Shape, ttl_s: int) -> Campaign:
    """The campaign document of a shape."""
    offerings = [_offering(each, ttl_s) for each in shape.offerings]
    is_voted_on = shape.votes_max and any(each.gives == "poll" for each in shape.offerings)
    votes = {"votes_max": shape.votes_max} if is_voted_on else {}
    rules = {
        "limits": msgspec.to_builtins(list(shape.limits)),
        "overlaps_allowed": shape.overlaps_allowed,
        **votes,
    }
    return stand.campaign(*offerings, name=name, rules=rules)


def _offering(shape: Offering, ttl_s: int) -> dict[str, Any]:
    day, starts, ends = SLOTS[shape.slot]
    on = DAY + timedelta(days=day)
    promotion = {"promotion": "offer", "offer_ttl_s": ttl_s} if shape.offers else {}
    return stand.offering(
        shape.name,
        kind=shape.kind,
        sessions=[{"starts": f"{on}T{starts:02}:00:00+08:00", "ends": f"{on}T{ends:02}:00:00+08:00"}],
        pools=[
            {"pool": pool.name, "capacity": pool.capacity}
            | ({"eligible": {"units": list(pool.units)}} if pool.units else {})
            | RELEASES[pool.release]
            | ({"codes": True} if pool.codes else {})
            | ({"merges": _stages(pool)} if pool.around else {})
            for pool in shape.pools
        ],
        policy=_policy(shape, ttl_s),
        waitlist={"size_max": shape.waiting_max} | promotion,
        hold_ttl_s=ttl_s if shape.holds else 0,
        **MOMENTS[shape.window],
        **({} if shape.cancellable else {"cancel_until": PAST}),
    )


def _policy(shape: Offering, ttl_s: int) -> dict[str, Any]:
    if shape.gives == "poll":
        order, kept = "votes" if shape.by_votes else "draw", {"kept_s": ttl_s} if shape.kept else {}
        until = UNTIL[shape.window]
        return {"name": "poll", "threshold": shape.demand, "until": until, "seats_by": order, **kept}
    if shape.gives == "second_class":
        kept = {"kept_s": DAY_S} if shape.kept else {}
        return {"name": "second_class", "of": FIRST, "waiting": shape.demand, **kept}
    if shape.gives != "grace":
        return {"name": shape.gives}
    intents = {"intents_open": INTENTS_OPEN} if shape.intents else {}
    return {"name": "first_come", "grace_s": GRACE_S[shape.window], **intents}


def _stages(pool: Pool) -> list[dict[str, Any]]:
    moments = [*BEGUN[: pool.begun], *TO_COME[pool.begun :]]
    return [{"at": moment, "units": [unit]} for moment, unit in zip(moments, pool.around, strict=True)]


# Strategies

POOL_SETS: Final = st.one_of(
    st.builds(lambda capacity: (Pool("open", capacity),), st.integers(0, 3)),
    st.builds(
        lambda own, rest, release: (Pool("own", own, ("a",), release), Pool("open", rest)),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from(["never", "later", "past"]),
    ),
    st.builds(
        lambda own, rest, begun, release: (
            Pool("own", own, ("a",), release, AROUND, begun),
            Pool("open", rest, ("b",), "never", ("a.b", "ab"), begun),
        ),
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from(["never", "later"]),
    ),
    st.builds(
        lambda own, rest: (Pool("own", own, ("a.b",), "never", ("a", "b")), Pool("open", rest)),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    st.builds(
        lambda own, other, release: (Pool("own", own, ("a",), release), Pool("open", other, ("b",))),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from(["never", "later"]),
    ),
    st.builds(
        lambda own, rest, units, others, release: (
            Pool("own", own, units, release, codes=True),
            Pool("open", rest, others),
        ),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from([(), ("a",)]),
        st.sampled_from([(), ("b",)]),
        st.sampled_from(["never", "later", "past"]),
    ),
)


def offerings(name: str) -> st.SearchStrategy[Offering]:
    return st.builds(
        Offering,
        name=st.just(name),
        pools=POOL_SETS,
        slot=st.integers(0, len(SLOTS) - 1),
        kind=st.sampled_from(["workshop", "pack"]),
        gives=st.sampled_from(GIVES if name == FIRST else [*GIVES, "second_class"]),
        intents=st.booleans(),
        demand=st.integers(1, 3),
        by_votes=st.booleans(),
        kept=st.booleans(),
        waiting_max=st.sampled_from([3, 2, 1, 0]),
        offers=st.booleans(),
        holds=st.booleans(),
    )


LIMITS: Final = st.sampled_from(
    [
        (),
        (Limit(max=1, per="campaign"),),
        (Limit(max=2, per="campaign"),),
        (Limit(max=1, per="day"),),
        (Limit(max=1, per="campaign", kinds=["pack"]),),
        (Limit(max=1, per="day", kinds=["workshop"]), Limit(max=2, per="campaign")),
    ]
)


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """One to three offerings, some of them to be drawn."""
    number = draw(st.integers(1, 3))
    return in_order(
        Shape(
            tuple(draw(offerings(name)) for name in NAMES[:number]),
            draw(LIMITS),
            draw(st.booleans()),
            draw(st.integers(1, 3)),
        )
    )


def in_order(shape: Shape) -> Shape:
    """With one second class at most, and none without a first."""
    seconds = [each.name for each in shape.offerings if each.gives == "second_class"]
    for name in seconds[1:] if shape.find(FIRST) else seconds:
        shape = model.changed(shape, name, gives="first_come")
    return shape


UNKNOWN_CODE: Final = "f" * 32
"""Of a request: this one, or "0" for the newest that was issued, "1" for the one before."""

REQUESTS: Final = st.builds(
    Request,
    member=st.sampled_from(list(UNITS)),
    offering=st.sampled_from([*NAMES, "one", "two", "three"]),
    key=st.sampled_from(["", "", "k1", "k2", "k3"]),
    wanted=st.sampled_from(["", "", "", *POOLS]),
    wish=st.sampled_from([0, 0, 0, 1, 2]),
    code=st.sampled_from(["", "", "0", "1", "2", UNKNOWN_CODE]),
)
ISSUES: Final = st.builds(
    Code,
    offering=st.sampled_from([*NAMES, "one", "two", "three"]),
    pool=st.sampled_from(["own", "own", "own", "open"]),
    uses=st.integers(1, 2),
    member=st.sampled_from(["", "", *UNITS]),
    revoked=st.just(False),
)
PLACES: Final = st.integers(0, 9)
CHANGES: Final = st.lists(
    st.tuples(PLACES, st.sampled_from(["member", "member", "officer", "another"])), min_size=1, max_size=3
)
EDITS: Final = st.one_of(
    st.tuples(st.just("capacity"), st.sampled_from(POOLS), st.integers(0, 4)),
    st.tuples(st.just("waiting_max"), st.just(""), st.integers(0, 4)),
    st.tuples(st.just("window"), st.just(""), st.sampled_from(["open", "closed", "before", "open", "late"])),
    st.tuples(st.sampled_from(["cancellable", "offers", "holds"]), st.just(""), st.booleans()),
    st.tuples(st.just("release"), st.sampled_from(POOLS), st.just("past")),
    st.tuples(st.just("begun"), st.sampled_from(POOLS), st.sampled_from([1, 2])),
    st.tuples(st.just("demand"), st.just(""), st.integers(1, 3)),
    st.tuples(st.just("removed"), st.just(""), st.none()),
    st.tuples(st.just("added"), st.just(""), offerings("four")),
)


def edited(shape: Shape, name: str, what: str, pool: str, value: Any) -> Shape:
    """The next version of a document. A pool stays released, and a stage begun."""
    found = shape.find(name)
    if what == "added":
        if shape.find(value.name):
            return shape
        return in_order(replace(shape, offerings=(*shape.offerings, value)))
    if found is None or (what == "demand" and found.gives not in ("poll", "second_class")):
        return shape
    if what == "removed":
        if name == FIRST and any(each.gives == "second_class" for each in shape.offerings):
            return shape
        rest = tuple(each for each in shape.offerings if each is not found)
        return replace(shape, offerings=rest) if rest else shape
    if what in ("capacity", "release", "begun"):
        pools = tuple(
            replace(each, **{what: value}) if each.name == pool and _applies(each, what, value) else each
            for each in found.pools
        )
        return model.changed(shape, name, pools=pools)
    return model.changed(shape, name, **{what: value})


def collected(shape: Shape) -> Shape:
    """All entries are there: ballots have closed, grace windows and polls have ended."""
    for each in shape.offerings:
        if each.gives not in ("first_come", "second_class") and not each.is_collected:
            window = "closed" if each.gives == "ballot" else "late"
            shape = model.changed(shape, each.name, window=window)
    return shape


def _applies(pool: Pool, what: str, value: Any) -> bool:
    """Whether an edit is one that a pool can have."""
    match what:
        case "begun":
            return pool.begun < int(value) <= len(pool.around)
        case "release":
            return bool(pool.units) or pool.codes
        case _:
            return True


# The machine


class Bench:
    """The engine's parts, kept over all examples, and the loop that they run on."""

    def __init__(self, runner: asyncio.Runner, opened: Stand, ttl_s: int) -> None:
        self.run = runner.run
        self.stand = opened
        self.ttl_s = ttl_s
        self.campaigns = 0


def enrolled_as(record: Record) -> Record:
    """Without the queues, which are not shown."""
    return msgspec.structs.replace(record, queues=[])


class Calls(RuleBasedStateMachine):
    """All calls, in any order. What is checked after each is in `_heard`."""

    bench: ClassVar[Bench]

    def __init__(self) -> None:
        super().__init__()
        self.name = ""
        self.oracle = Oracle(Shape(()), UNITS)
        self.seq = 0
        self.version = 0
        self.records: dict[str, Record] = {}
        self.bytes: dict[tuple[str, str], bytes] = {}
        self.is_sound = False

    @initialize(shape=shapes())
    def begin(self, shape: Shape) -> None:
        if self.bench.ttl_s != LONG_S:
            shape = replace(
                shape, offerings=tuple(replace(each, holds=True, offers=True) for each in shape.offerings)
            )
        self.bench.campaigns += 1
        self.name = f"campaign-{self.bench.campaigns}"
        self.oracle = Oracle(shape, UNITS)
        self.bench.run(self._publish(shape))
        self.is_sound = True

    @rule(requests=st.lists(REQUESTS, min_size=1, max_size=5))
    def sign_up(self, requests: list[Request]) -> None:
        self._step(self._sign_up(requests))

    @rule(code=ISSUES, number=st.integers(1, 2))
    def issue(self, code: Code, number: int) -> None:
        self._step(self._issue(code, number))

    @precondition(lambda self: self.oracle.codes)
    @rule(place=st.integers(0, 3))
    def revoke(self, place: int) -> None:
        self._step(self._revoke(place))

    @rule(verb=st.sampled_from(["cancel", "cancel", "confirm", "decline"]), whose=CHANGES)
    def change(self, verb: str, whose: list[tuple[int, str]]) -> None:
        self._step(self._change(verb, whose))

    @rule(names=st.lists(st.tuples(st.sampled_from(NAMES), EDITS), min_size=1, max_size=3))
    def publish(self, names: list[tuple[str, tuple[str, str, Any]]]) -> None:
        shape = self.oracle.shape
        for name, edit in names:
            shape = edited(shape, name, *edit)
        self._step(self._publish(shape))

    @precondition(lambda self: self.oracle.running())
    @rule(number=st.integers(1, 3))
    def let_expire(self, number: int) -> None:
        self._step(self._let_expire(number))

    @precondition(lambda self: any(map(self.oracle.is_collecting, self.oracle.shape.offerings)))
    @rule(closed=st.booleans())
    def draw(self, closed: bool) -> None:
        if closed:
            self._step(self._publish(collected(self.oracle.shape)))
        self._step(self._draw())

    @rule()
    def look(self) -> None:
        self._step(self._look())

    def teardown(self) -> None:
        if self.is_sound:
            self.bench.run(self._end())

    def _step(self, step: Any) -> None:
        self.is_sound = False
        self.bench.run(self._in_time(step))
        self.is_sound = True

    async def _in_time(self, step: Any) -> None:
        """Wait for what would be over while the step goes on."""
        try:
            await self._wait_for_short_ones(MARGIN_S)
        finally:
            await step

    # Steps

    async def _sign_up(self, requests: Sequence[Request]) -> None:
        decisions = self.bench.stand.decisions
        requests = [each._replace(code=self._code(each.code)) for each in requests]
        given = await asyncio.gather(
            *(
                decisions.sign_up(
                    self.name,
                    each.offering,
                    Person(each.member, UNITS[each.member]),
                    *(each.key, each.wanted, "http", each.wish, each.code),
                )
                for each in requests
            )
        )
        answers = [
            self.oracle.sign_up(each, decision.enrollment)
            for each, decision in zip(requests, given, strict=True)
        ]
        await self._heard()
        for request, answer, decision in zip(requests, answers, given, strict=True):
            self._compare(answer, decision)
            if answer.shown and answer.outcome != "already_in" and request.key:
                shown = self._shown(decision)
                assert shown == self.bytes.setdefault((request.member, request.key), shown)

    def _code(self, which: str) -> str:
        issued = list(self.oracle.codes)
        if len(which) != 1:
            return which
        return issued[-1 - int(which)] if int(which) < len(issued) else ""

    async def _issue(self, code: Code, number: int) -> None:
        terms = {"codes": number, "uses": code.uses, "member": code.member or None}
        given = await self.bench.stand.try_issue(code.pool, code.offering, self.name, **terms)
        ids = [] if isinstance(given, str) else [each.id for each in given.secrets]
        why = self.oracle.issue(ids, code)
        if isinstance(given, str):
            assert given == why
        else:
            assert [each.code for each in given.faults] == ([why] if why else [])
            assert len(ids) == (0 if why else number)
        await self._heard()

    async def _revoke(self, place: int) -> None:
        code = self._code(str(place)) or UNKNOWN_CODE
        known = self.oracle.codes.get(code)
        offering = known.offering if known else "one"
        given = await self.bench.stand.runtime.invitations.revoke(
            self.name, offering, code, "organizer", "http"
        )
        if known:
            self.oracle.revoke(code)
            assert isinstance(given, Listed)
            assert (given.entry.revoked, given.entry.used) == (1, self.oracle.used(code))
        else:
            self.oracle.pass_time()
            assert given == "not_found"
        await self._heard()

    async def _change(self, verb: str, whose: Sequence[tuple[int, str]]) -> None:
        decisions = self.bench.stand.decisions
        asked, claims = [], list(self.oracle.claims.values())
        for place, who in whose:
            # The newest first; beyond the last there is none.
            claim = claims[-1 - place] if place < len(claims) else None
            enrollment, member = (claim.enrollment, claim.member) if claim else ("x" * 16, "m0")
            if who == "another":
                member = next(each for each in UNITS if each != member)
            asked.append((enrollment, "" if who == "officer" and verb == "cancel" else member))
        given = await asyncio.gather(
            *(
                getattr(decisions, verb)(self.name, Change(enrollment, member, member or "officer", "http"))
                for enrollment, member in asked
            )
        )
        answers = [getattr(self.oracle, verb)(*each) for each in asked]
        await self._heard()
        for answer, decision in zip(answers, given, strict=True):
            self._compare(answer, decision)

    async def _publish(self, shape: Shape) -> None:
        before = self.oracle.shape if self.version else None
        given = await self.bench.stand.try_publish(document(self.name, shape, self.bench.ttl_s))
        faults = self.oracle.publish(shape)
        await self._heard(ordered=False)
        if faults:
            assert isinstance(given, list), (given, faults)
            assert {(fault.path, fault.code) for fault in given} == faults
            return
        is_changed = shape != before
        self.version += is_changed
        assert given == Published(self.version, before is None, is_changed)

    async def _let_expire(self, number: int) -> None:
        """The next holds and offers are past their time; whatever is asked next has to find that."""
        if self.bench.ttl_s != LONG_S:
            return await self._wait_for_short_ones(SHORT_S)
        timers = keys.of(self.name, "TIMERS")
        now_ms = self.bench.stand.runtime.clock.now_ms()
        pending = len(self.oracle.overdue)
        for place, claim in enumerate(self.oracle.running()[:number]):
            await self.bench.stand.runtime.server.command(
                *(
                    timers,
                    "ZADD",
                    timers,
                    "XX",
                    now_ms - 1_000 + pending + place,
                    f"expires/{claim.enrollment}",
                )
            )
            self.oracle.overdue.append(claim.enrollment)
        return None

    async def _wait_for_short_ones(self, within_s: float) -> None:
        if self.bench.ttl_s == LONG_S:
            return
        clock, until = self.bench.stand.runtime.clock, 0
        until = clock.now_ms() + int(within_s * 1000)
        ending = [each for each in self.oracle.running() if each.expires_at <= until]
        if ending:
            await asyncio.sleep((ending[-1].expires_at - clock.now_ms() + 2) / 1000)
            # An offer that follows one that is over may be over as well by now; its time began when that was seen.
            self.oracle.overdue += [each.enrollment for each in ending]

    async def _draw(self) -> None:
        runtime = self.bench.stand.runtime
        definition = runtime.catalog.get(self.name)
        assert definition
        drawn, number = definition.lottery, self.oracle.draws + 1
        seed = lottery.seed(drawn.secret, number) if drawn else b""
        due = self.oracle.due()
        drew = await runtime.drawing.draw_if_due(self.name)
        assert drew == self.oracle.draw(self.name, drawn.commitment if drawn else "", seed)
        await self._heard()
        assert [await runtime.drawing.number(self.name, name) for name in due] == [number] * len(due)
        if drew:
            file = await runtime.drawing.read(self.name, number)
            assert file
            assert draw.verify(msgspec.json.decode(file, type=Draw)) == []

    async def _look(self) -> None:
        """Everybody's enrollments, and the counts."""
        decisions = self.bench.stand.decisions
        self.oracle.pass_time()
        runtime = self.bench.stand.runtime
        # One that remembers nothing.
        counts = await CountsReader(runtime.server, decisions, runtime.clock).read(self.name)
        await self._heard()
        assert counts
        for offering in self.oracle.shape.offerings:
            name = offering.name
            assert counts.waiting(name) == len(self.oracle.queues.get(name, []))
            is_opened = counts.met_at(name) is not None
            assert is_opened == (name in self.oracle.opened and offering.gives in ("poll", "second_class"))
            assert counts.entered(name) == len(self.oracle.live(offering=name, statuses=("entered",)))
            for pool in offering.pools:
                assert counts.taken(name, pool.name) == len(self.oracle.taken(name, pool.name))
            page = await self.bench.stand.runtime.invitations.page(self.name, name, 1_000)
            assert isinstance(page, list)
            codes = {code: each for code, each in self.oracle.codes.items() if each.offering == name}
            assert [(each.id, each.entry.used, bool(each.entry.revoked)) for each in page] == [
                (code, self.oracle.used(code), each.revoked) for code, each in codes.items()
            ]
        for member in UNITS:
            mine = await decisions.mine(self.name, member)
            assert isinstance(mine, list)
            live = self.oracle.live(member)
            assert [each.enrollment for each in mine] == [each.enrollment for each in live]
            for claim, found in zip(live, mine, strict=True):
                shown, position = self.oracle.show(claim), self.oracle.position(claim)
                self._compare(Answer("changed", shown=shown, position=position), found)

    # What is checked

    async def _heard(self, *, ordered: bool = True) -> None:
        """The log has what the model tells, with no gap, and the state is one that may be."""
        runtime = self.bench.stand.runtime
        entries = await runtime.streams.read(self.name, 1, self.seq, 10_000)
        log = [events.decode(self.name, entry.id, entry.fields) for entry in entries]
        assert [event.seq for event in log] == list(range(self.seq + 1, self.seq + 1 + len(log)))
        self.seq += len(log)
        told = [
            _told(event.header.type, event.header.enrollment, event.record) for event in log if event.record
        ]
        expected, self.oracle.told = self.oracle.told, []
        if not ordered:
            told.sort(key=lambda each: (each.enrollment, each.version))
            expected.sort(key=lambda each: (each.enrollment, each.version))
        assert told == expected
        for event in log:
            self._remember(event)
        state = [_told("", name, record) for name, record in self.records.items()]
        assert list(model.violations(self.oracle.shape, UNITS, self.oracle.codes, state)) == []

    def _remember(self, event: Event) -> None:
        record, enrollment = event.record, event.header.enrollment
        if record is None:
            if event.header.type in ("threshold_met", "opened"):
                self.oracle.opened_at[event.header.offering] = event.header.at
            return
        before = self.records.get(enrollment)
        if before is None:
            assert (event.header.type, record.seq, record.version) == ("enrolled", event.seq, 1)
            assert record.decided_at == event.header.at
        else:
            assert (record.seq, record.decided_at) == (before.seq, before.decided_at)
        is_running = record.status in ("held", "offered")
        assert record.expires_at == (event.header.at + self.bench.ttl_s * 1000 if is_running else 0)
        assert record.turn == (before.turn if before and before.turn else self._turn(event, record))
        self.records[enrollment] = record
        self.oracle.claims[enrollment].expires_at = record.expires_at

    def _turn(self, event: Event, record: Record) -> int:
        return event.seq if (event.header.type, record.status) == ("drawn", "waitlisted") else 0

    def _compare(self, answer: Answer, decision: Decision) -> None:
        assert decision.outcome == answer.outcome, (decision, answer)
        assert not answer.facts or decision.fact in answer.facts
        assert decision.as_of_seq <= self.seq
        if answer.shown is None:
            assert decision.record is None
            return
        assert decision.record
        assert _told(answer.shown.type, decision.enrollment, decision.record) == answer.shown
        assert decision.position == answer.position
        newest = self.records[decision.enrollment]
        if decision.record.version == newest.version:
            assert enrolled_as(decision.record) == enrolled_as(newest)

    def _shown(self, decision: Decision) -> bytes:
        assert decision.record
        body = views.enrollment(self.name, decision.enrollment, decision.record, decision.position)
        return msgspec.json.encode((decision.outcome, body))

    async def _end(self) -> None:
        """Everything is as the model has it, every key brings its first answer, and the audit finds nothing."""
        await self._in_time(self._look())
        for claim in self.oracle.claims.values():
            found = await self.bench.stand.decisions.find(self.name, claim.enrollment)
            shown, position = self.oracle.show(claim), self.oracle.position(claim)
            self._compare(Answer("changed", shown=shown, position=position), found)
        first = [request for request, _ in self.oracle.first.values()]
        present = [each for each in first if self.oracle.shape.find(each.offering)]
        if present:
            await self._in_time(self._sign_up(present))
        runtime = self.bench.stand.runtime
        await Recorder(runtime.server, runtime.streams, runtime.ledger, runtime.clock, 100_000).close()
        result = await Audit(runtime.server, runtime.ledger, runtime.clock, self.name, 5).run()
        assert (result.differences, result.notes) == ([], [])


def _told(kind: str, enrollment: str, record: Record) -> Told:
    return Told(
        *(kind, enrollment, record.member, record.offering, record.status, record.pool, record.seat),
        *(record.version, record.wish, record.code),
    )


SETTINGS: Final = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=30,
    phases=[Phase.generate, Phase.shrink],
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def bench(redis_server: Any, data_directory: Path) -> Iterator[Bench]:
    """The engine's parts on a Redis of the embedded line, with a ledger in SQLite."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()
        ledger = f"sqlite:///{data_directory}/ledger.db"
        opened = runner.run(
            stack.enter_async_context(open_stand(redis_server("valkey"), ledger, data_directory))
        )
        runner.run(opened.runtime.server.client.flushall())
        try:
            yield Bench(runner, opened, LONG_S)
        finally:
            runner.run(stack.aclose())


def test_every_call_does_what_the_model_says(bench: Bench) -> None:
    machine = type("Calls", (Calls,), {"bench": bench})
    run_state_machine_as_test(machine, settings=SETTINGS)


def test_holds_and_offers_that_are_over_by_the_clock(bench: Bench) -> None:
    bench.ttl_s = SHORT_S
    machine = type("Calls", (Calls,), {"bench": bench})
    run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=4, stateful_step_count=15))


def _offer(pick: Random, name: str) -> Offering:
    own, rest = (
        Pool("own", pick.randint(0, 2), ("a",), pick.choice(["never", "later", "past"])),
        pick.randint(0, 2),
    )
    by_code = replace(own, units=pick.choice([(), ("a",)]), codes=True)
    merging = replace(own, around=AROUND, begun=pick.randint(0, 2))
    narrow = Pool("own", pick.randint(1, 3), ("a.b",), "never", ("ab", "b"))
    pools = pick.choice(
        [
            (Pool("open", rest + 1),),
            (own, Pool("open", rest)),
            (own, Pool("open", rest, ("b",))),
            (by_code, Pool("open", rest)),
            (by_code, Pool("open", rest, ("b",))),
            (merging, Pool("open", rest, ("b",), "never", ("a.b", "ab"))),
            (narrow, Pool("open", rest)),
            (narrow, Pool("open", 0)),
        ]
    )
    slot, kind = pick.randrange(len(SLOTS)), pick.choice(KINDS)
    second: Gives = "poll" if name == FIRST else "second_class"
    return Offering(
        name,
        pools,
        slot,
        kind,
        gives=pick.choice(["first_come", "first_come", "first_come", "ballot", "grace", "poll", second]),
        intents=pick.random() < 0.5,
        demand=pick.randint(1, 4),
        by_votes=pick.random() < 0.5,
        kept=pick.random() < 0.3,
        waiting_max=pick.randint(0, 4),
        offers=pick.random() < 0.3,
        holds=pick.random() < 0.4,
    )


def _limits(pick: Random) -> tuple[Limit, ...]:
    kinds: list[Kind] | None = pick.choice([None, None, list(KINDS[1:])])
    return (Limit(pick.randint(1, 2), pick.choice(["campaign", "day"]), kinds),) * pick.randint(0, 1)


def _edit(pick: Random, *, collecting: bool) -> tuple[str, str, Any]:
    what = pick.choice(
        ["capacity"] * 4
        + ["waiting_max", "cancellable", "offers", "holds", "release", "window", "added", "removed"]
        + ["begun"] * 4
    )
    pool = pick.choice(POOLS)
    values: dict[str, Any] = {
        "capacity": pick.randint(0, 4),
        "waiting_max": pick.randint(0, 4),
        "release": "past",
        "begun": pick.randint(1, 2),
        "window": "open" if collecting or pick.random() < 0.7 else pick.choice(["closed", "late", "before"]),
        "added": _offer(pick, "four"),
    }
    return what, pool, values.get(what, pick.random() < 0.5)


def _draw_collected(calls: Calls, pick: Random, name: str) -> None:
    """Once all are collected a pool may still be released, and no entry can be withdrawn."""
    shape = collected(calls.oracle.shape)
    calls._step(
        calls._publish(edited(shape, name, "release", "own", "past") if pick.random() < 0.5 else shape)
    )
    entered = [
        place for place, each in enumerate(reversed(calls.oracle.claims.values())) if each.status == "entered"
    ]
    calls._step(calls._change("cancel", [(place, "member") for place in entered[:2]] or [(0, "member")]))
    calls._step(calls._draw())


def _request(calls: Calls, pick: Random, name: str) -> Request:
    """In half of the cases with a code, mostly one of the offering."""
    codes = [code for code, each in calls.oracle.codes.items() if each.offering == name]
    return Request(
        *(pick.choice(list(UNITS)), name, pick.choice(["", "", "k1", "k2", "k3"])),
        *(pick.choice(["", "", "", *POOLS]), 0),
        pick.choice([*codes, "0", UNKNOWN_CODE]) if pick.random() < 0.5 else "",
    )


def play(calls: Calls, pick: Random, steps: int) -> None:
    """Many calls that mostly have an effect, which the machine above seldom finds."""
    shape = tuple(_offer(pick, name) for name in NAMES[: pick.randint(2, 3)])
    calls.begin(in_order(Shape(shape, _limits(pick), pick.random() < 0.5, pick.choice([0, 1, 2]))))
    for _ in range(steps):
        names = [each.name for each in calls.oracle.shape.offerings]
        step = pick.choices(
            ["sign_up", "change", "publish", "expire", "issue", "revoke", "draw", "look"],
            [10, 7, 2, 2, 2, 0.3, 0.5, 0.5],
        )[0]
        if step == "sign_up":
            requests = [_request(calls, pick, pick.choice(names)) for _ in range(pick.randint(1, 4))]
            calls._step(calls._sign_up(requests))
        elif step == "change":
            live = [
                place
                for place, each in enumerate(reversed(calls.oracle.claims.values()))
                if each.seat or pick.random() < 0.3
            ]
            whose = [
                (place, pick.choice(["member", "officer"])) for place in live[: pick.randint(1, 2)] or [0]
            ]
            calls._step(calls._change(pick.choice(["cancel", "cancel", "confirm", "decline"]), whose))
        elif step == "publish":
            name = pick.choice(names)
            collecting = calls.oracle.is_collecting(calls.oracle.shape.get(name))
            edit = _edit(pick, collecting=collecting)
            calls._step(calls._publish(edited(calls.oracle.shape, name, *edit)))
        elif step == "issue":
            member = pick.choice([""] * 6 + [*UNITS])
            code = Code(pick.choice(names), pick.choice(["own"] * 4 + ["open"]), pick.randint(1, 3), member)
            calls._step(calls._issue(code, pick.randint(1, 2)))
        elif step == "revoke":
            calls._step(calls._revoke(pick.randint(0, 2)))
        elif step == "expire":
            calls._step(calls._let_expire(pick.randint(1, 3)))
        elif step == "draw":
            to_draw = [each.name for each in filter(calls.oracle.is_collecting, calls.oracle.shape.offerings)]
            if to_draw:
                _draw_collected(calls, pick, to_draw[0])
        else:
            calls._step(calls._look())
    calls.teardown()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_crowded_campaigns(bench: Bench, seed: int) -> None:
    for part in range(5):
        calls = type("Calls", (Calls,), {"bench": bench})()
        play(calls, Random(5 * seed + part), 60)


def _merge(calls: Calls, pick: Random) -> None:
    """Members sign up for pools that merge, some leave, and one stage after the other begins."""
    around = tuple(pick.sample(["a", "b", "ab"], 2))
    offerings = tuple(
        Offering(
            name,
            (Pool("own", pick.randint(1, 4), ("a.b",), "never", around), Pool("open", pick.randint(0, 2))),
            gives=pick.choice(["first_come", "first_come", "first_come", "ballot", "grace"]),
            waiting_max=pick.randint(3, 6),
            offers=pick.random() < 0.3,
        )
        for name in NAMES[:2]
    )
    calls.begin(Shape(offerings))
    for stage in (1, 2):
        for _ in range(4):
            requests = [Request(member, pick.choice(NAMES[:2])) for member in pick.sample(list(UNITS), 4)]
            calls._step(calls._sign_up(requests))
            if pick.random() < 0.4:
                calls._step(calls._change("cancel", [(pick.randint(0, 5), "member")]))
        for name in pick.sample(NAMES[:2], 2):
            calls._step(calls._publish(edited(calls.oracle.shape, name, "begun", "own", stage)))
    for name in NAMES[:2]:
        # One seat more goes to whoever has waited longest of all whom the pool admits by now.
        calls._step(calls._publish(edited(calls.oracle.shape, name, "capacity", "own", pick.randint(4, 5))))
    drawn = [each.name for each in offerings if each.gives != "first_come"]
    if drawn:
        _draw_collected(calls, pick, drawn[0])
    calls.teardown()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_pools_that_merge(bench: Bench, seed: int) -> None:
    for part in range(5):
        calls = type("Calls", (Calls,), {"bench": bench})()
        _merge(calls, Random(5 * seed + part))
