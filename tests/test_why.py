"""Reasons held against what happened: random campaigns, in which every refusal is explained as it was decided.

Whatever is told of a refusal or an enrollment is also counted from the whole log, one event after the other.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from engine.domain.enrollment import SEATED, Record
from engine.domain.events import Event
from engine.domain.person import Person
from engine.domain.why.account import Account
from engine.domain.why.refusal import Refusal
from engine.live.decisions import Decision
from engine.workers.recorder import Recorder
from tests import test_drawing, test_grace, test_polls
from tests.live import test_merges
from tests.model.calls import SETTINGS, SIGNING_UP, Bench, Calls, benches
from tests.model.documents import UNITS
from tests.model.oracle import FIRST, Request
from tests.stand import Stand, open_stand
from tests.test_model_plays import play

GUARDS: Final = {
    "closed",
    "not_open",
    "not_eligible",
    "already_in",
    "not_ready",
    "limit_reached",
    "overlap",
    "sold_out",
}
"""The outcomes that a reason explains."""
SEEDS: Final = 6
STEPS: Final = 60


class Asking(Calls):
    """At its end everybody asks why, of everything."""

    async def _end(self) -> None:
        await super()._end()
        stand = self.bench.stand
        # A rebuild leaves the stream without what is recorded.
        self.log = await stand.runtime.ledger.events(self.name, 0, 100_000)
        for request, decision in self.decided:
            if request.code or (decision.record and decision.record.code):
                # A refusal does not say which code it was asked with.
                continue
            if decision.outcome in GUARDS:
                told = await self._why(request, decision.as_of_seq, decision.outcome)
                assert told.code == decision.outcome, (request, decision, told)
                self._check_refusal(told)
                self._check_fact(told, decision.fact)
            elif decision.record and decision.outcome != "already_in":
                before = await self._why(request, self._before(decision.record), "none")
                assert before.code == "none", (request, decision, before)
        for enrollment, record in self.records.items():
            found = await stand.decisions.find(self.name, enrollment)
            explained = await stand.runtime.explainer.enrollment(self.name, found)
            assert not isinstance(explained, str), explained
            self._check_account(explained.told, enrollment, record)

    def _before(self, record: Record) -> int:
        """The seq right before a sign-up; a seat in a second class gives up the queue for the first before."""
        last = self.log[record.seq - 2]
        gave_up = (
            last.header.type == "cancelled"
            and last.header.channel == SIGNING_UP
            and last.record is not None
            and (last.record.member, last.record.offering) == (record.member, FIRST)
            and record.offering != FIRST
        )
        return record.seq - 1 - gave_up

    async def _why(self, request: Request, seq: int, code: str) -> Refusal:
        person = Person(request.member, UNITS[request.member])
        explained = await self.bench.stand.runtime.explainer.refusal(
            self.name, request.offering, person, request.wanted, seq, code
        )
        assert not isinstance(explained, str), explained
        assert explained.told.seq == seq
        return explained.told

    def _check_fact(self, told: Refusal, fact: int | str) -> None:
        match told.code:
            case "not_open":
                # Of a second class nobody may know when it opens.
                kind, since = ("opens", fact) if fact else ("demand", 0)
                assert (told.chances[0].kind, told.chances[0].since) == (kind, since)
            case "limit_reached":
                assert (told.limit.per if told.limit else "poll") == fact
                assert len(told.mine) >= (told.limit.max if told.limit else told.votes_max) > 0
            case "overlap":
                assert [each.offering for each in told.mine] == [fact]
                assert told.meetings or told.rule.endswith("/policy/of")

    def _check_refusal(self, told: Refusal) -> None:
        now = self._records(told.seq)
        here = [record for record in now.values() if record.offering == told.offering]
        assert told.waiting == sum(record.status == "waitlisted" for record in here)
        assert told.sign_ups == len(here)
        for pool in told.pools:
            held = [record for record in here if record.status in SEATED and record.pool == pool.pool]
            assert pool.taken == len(held)
            assert pool.last_given == max(self._given(told.offering, pool.pool, told.seq), default=0)
        for mine in told.mine:
            record = now[mine.enrollment]
            assert (mine.offering, mine.status, mine.seq) == (record.offering, record.status, record.seq)
        if told.code == "sold_out":
            assert told.mine or told.waiting >= told.waiting_max
            assert all(pool.taken >= pool.capacity for pool in told.pools if pool.may_take)

    def _check_account(self, told: Account, enrollment: str, record: Record) -> None:
        mine = [event for event in self.log if event.header.enrollment == enrollment]
        assert told.enrollment == enrollment
        assert [(step.seq, step.at, step.type) for step in told.steps] == [
            (event.seq, event.header.at, event.header.type) for event in mine
        ]
        assert [(step.status, step.pool, step.seat) for step in told.steps] == [
            (event.record.status, event.record.pool, event.record.seat) for event in mine if event.record
        ]
        assert told.number == sum(
            event.header.type == "enrolled"
            and event.record is not None
            and event.record.offering == record.offering
            for event in self.log[: record.seq]
        )
        assert told.steps[0].position == mine[0].header.position
        assert (told.status, told.seq) == (record.status, self.log[-1].seq)
        assert told.position == self.oracle.position(self.oracle.claims[enrollment])
        if told.given:
            self._check_given(told, record)
        assert (told.drawn is not None) == any(event.header.type == "drawn" for event in mine)

    def _check_given(self, told: Account, record: Record) -> None:
        """What went to others, counted event by event."""
        before = self._records(record.order)
        ahead, behind, left = 0, 0, 0
        for event in self.log[record.order :]:
            other = event.record
            if other is None or other.offering != record.offering:
                continue
            waited = before.get(event.header.enrollment)
            was_ahead = waited is not None and waited.status == "waitlisted"
            if event.header.type == "promoted":
                ahead, behind = ahead + was_ahead, behind + (not was_ahead)
            elif was_ahead and other.status != "waitlisted":
                left += self._status_before(event) == "waitlisted"
        assert told.given
        assert (told.given.ahead, told.given.behind, told.given.left) == (ahead, behind, left)

    def _status_before(self, event: Event) -> str:
        return self._records(event.seq - 1)[event.header.enrollment].status

    def _records(self, seq: int) -> dict[str, Record]:
        return {event.header.enrollment: event.record for event in self.log[:seq] if event.record}

    def _given(self, offering: str, pool: str, until: int) -> Iterator[int]:
        before: dict[str, Record] = {}
        for event in self.log[:until]:
            record, name = event.record, event.header.enrollment
            if record is None:
                continue
            had = name in before and before[name].status in SEATED
            before[name] = record
            if record.status in SEATED and not had and (record.offering, record.pool) == (offering, pool):
                yield event.seq


@pytest.fixture
def bench(redis_server: Callable[[str], str], database_url: str, data_directory: Path) -> Iterator[Bench]:
    """The engine's parts on a Redis of the embedded line and each ledger."""
    with benches(redis_server("valkey"), data_directory, database_url=database_url) as opened:
        yield opened


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_refusal_is_explained_as_it_was_decided(bench: Bench, seed: int) -> None:
    explained: set[str] = set()
    for part in range(5):
        calls = type("Asking", (Asking,), {"bench": bench})()
        play(calls, Random(100 + 5 * seed + part), STEPS)
        explained |= {decision.outcome for _, decision in calls.decided}
    # Campaigns in which nothing is refused would show nothing.
    assert len(explained & GUARDS) >= 4


def test_whatever_is_called(bench: Bench) -> None:
    machine = type("Asking", (Asking,), {"bench": bench})
    run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=10))


SCENARIOS: Final = [
    scenario
    for module in (test_polls, test_grace, test_drawing, test_merges)
    for name, scenario in vars(module).items()
    if name.startswith("test_") and list(inspect.signature(scenario).parameters) == ["stand"]
]
"""Tests of what the random campaigns do not have; whoever is refused in them asks why."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_refusals_of_other_tests(
    scenario: Callable[[Stand], Awaitable[None]],
    redis_server: Callable[[str], str],
    data_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[tuple[tuple[Any, ...], Decision]] = []
    async with open_stand(
        redis_server("valkey"), f"sqlite:///{data_directory}/l.db", data_directory
    ) as stand:
        await stand.administrator.flushall()
        sign_up = stand.decisions.sign_up

        async def remembered(*asked: Any) -> Decision:
            decision = await sign_up(*asked)
            given.append((asked, decision))
            return decision

        monkeypatch.setattr(stand.decisions, "sign_up", remembered)
        await scenario(stand)
        runtime = stand.runtime
        await Recorder(runtime.server, runtime.streams, runtime.ledger, runtime.clock, 100_000).close()
        for (campaign, offering, person, _, wanted, *_), decision in given:
            if decision.outcome in GUARDS and decision.as_of_seq:
                explained = await runtime.explainer.refusal(
                    campaign, offering, person, wanted, decision.as_of_seq, decision.outcome
                )
                assert not isinstance(explained, str), explained
                assert explained.told.code == decision.outcome, (offering, decision, explained.told)
