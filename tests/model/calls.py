"""All calls on a campaign, each held against the oracle: its answer, the events, and the state after it."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
import uvloop
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)

from api import views
from engine import tables
from engine.audit import Audit
from engine.domain import draw, events, lottery, roll
from engine.domain.draw import Draw
from engine.domain.enrollment import Record
from engine.domain.events import Event
from engine.domain.ladder import Round
from engine.domain.person import Person
from engine.invitations import Listed
from engine.ladder import Imported
from engine.live import keys
from engine.live.counts import CountsReader
from engine.live.decisions import Change, Decision
from engine.publishing import Published
from engine.receipts import Receipts, Signer
from engine.workers.recorder import Recorder
from tests import rebuilds
from tests.model import oracle
from tests.model.documents import (
    CHANGES,
    EDITS,
    ISSUES,
    LONG_S,
    MARGIN_S,
    NAMES,
    REQUESTS,
    SHORT_S,
    UNITS,
    UNKNOWN_CODE,
    collected,
    document,
    edited,
    shapes,
)
from tests.model.oracle import FIRST, Answer, Code, Oracle, Request, Shape, Told
from tests.stand import Stand, open_stand

SIGNING_UP: Final = "http"
CHANGING: Final = "live"
"""The door of each kind of call, so that the log tells a queue that was left from one that a sign-up gave up."""
SIGNER: Final = Signer(bytes(32))


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
        self.epoch = 1
        self.seq = 0
        self.version = 0
        self.records: dict[str, Record] = {}
        self.bytes: dict[tuple[str, str], bytes] = {}
        self.decided: list[tuple[Request, Decision]] = []
        """Every sign-up, and what it was answered with."""
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

    @rule(lost=st.booleans())
    def rebuild(self, lost: bool) -> None:
        self._step(self._rebuild(lost))

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
                    *(each.key, each.wanted, SIGNING_UP, each.wish, each.code),
                )
                for each in requests
            )
        )
        answers = [
            self.oracle.sign_up(each, decision.enrollment)
            for each, decision in zip(requests, given, strict=True)
        ]
        await self._heard()
        self.decided += zip(requests, given, strict=True)
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
                getattr(decisions, verb)(self.name, Change(enrollment, member, member or "officer", CHANGING))
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

    async def _rebuild(self, lost: bool) -> None:
        """Every key is again what it was, also where all of them were lost."""
        stand = self.bench.stand
        # What was brought nearer comes about first: the log does not know of it.
        self.oracle.pass_time()
        await stand.decisions.advance(self.name)
        await self._heard()
        before = await rebuilds.state(stand, self.name)
        if lost:
            await rebuilds.record(stand)
            await rebuilds.lose(stand, self.name)
        self.epoch = (await rebuilds.rebuild(stand, self.name)).epoch
        assert await rebuilds.state(stand, self.name) == before
        await self._heard()

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

    async def _advance(self, marks: Mapping[str, int], interrupted: bool) -> None:
        """Results of the first round are imported, it is decided who goes on, and that is carried out."""
        runtime = self.bench.stand.runtime
        definition = runtime.catalog.get(self.name)
        assert definition
        rows = "".join(f"{member},{mark}\r\n" for member, mark in marks.items())
        file = f"member,score\r\n{rows}".encode()
        given = await runtime.ladder.import_results(
            definition, FIRST, tables.CSV, file, "organizer", "http", dry_run=False
        )
        assert isinstance(given, Imported), given
        decided = await runtime.ladder.advance(definition, FIRST, "organizer", "http")
        assert isinstance(decided, Round), decided
        self.oracle.assign(decided.next, await runtime.ledger.results(self.name, FIRST, 100))
        assert await runtime.ladder.carry_out(decided)
        if interrupted:
            # As another worker does that has not seen the end.
            assert await runtime.ladder.carry_out(decided)
        await self._heard()

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
        entries = await runtime.streams.read(self.name, self.epoch, self.seq, 10_000)
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
        assert list(oracle.violations(self.oracle.shape, UNITS, self.oracle.codes, state)) == []

    def _remember(self, event: Event) -> None:
        record, enrollment = event.record, event.header.enrollment
        if record is None:
            if event.header.type in ("threshold_met", "opened"):
                self.oracle.opened_at[event.header.offering] = event.header.at
            return
        before = self.records.get(enrollment)
        if before is None:
            assert (record.seq, record.version) == (event.seq, 1)
            assert event.header.type in ("enrolled", "advanced")
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
        """Everything is as the model has it, every key brings its first answer, the audit and the roll are clean."""
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
        link = await runtime.ledger.newest_link(self.name)
        assert link is not None
        pages = [page async for page in Receipts(runtime.ledger, SIGNER).roll(self.name, link)]
        verdict = roll.verify(b"".join(pages).splitlines())
        assert (verdict.mismatches, verdict.seq) == ([], self.seq)
        assert verdict.seats == sum((await runtime.ledger.seats(self.name)).values())


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


@contextmanager
def benches(
    redis_url: str, data_directory: Path, ttl_s: int = LONG_S, database_url: str | None = None
) -> Iterator[Bench]:
    """The engine's parts on an empty Redis, with a ledger in SQLite unless another is named."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()
        ledger = database_url or f"sqlite:///{data_directory}/ledger.db"
        opened = runner.run(stack.enter_async_context(open_stand(redis_url, ledger, data_directory)))
        runner.run(opened.administrator.flushall())
        try:
            yield Bench(runner, opened, ttl_s)
        finally:
            runner.run(stack.aclose())
