"""Members are forgotten after plays of the model: what others have, the audit, the roll and rebuilds hold."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.audit import Audit
from engine.domain import chain, roll
from engine.domain.enrollment import NOT_OVER, Record
from engine.forgetting import Forgotten
from engine.live.inspection import Inspector
from engine.receipts import Receipts
from tests import rebuilds
from tests.model.calls import SIGNER, Bench, Calls, benches
from tests.model.documents import UNITS
from tests.stand import Stand
from tests.test_model_plays import _compete, _merge, _vote, play

Play = Callable[[Calls, Random], None]


@pytest.fixture
def bench(redis_server: Callable[[str], str], data_directory: Path) -> Iterator[Bench]:
    """The engine's parts on a Redis of the embedded line."""
    with benches(redis_server("valkey"), data_directory) as opened:
        yield opened


async def records(stand: Stand, name: str) -> dict[str, Record]:
    await rebuilds.record(stand)
    return {row.enrollment: row.record for row in await stand.runtime.ledger.enrollments(name, 10_000)}


async def lines(stand: Stand, name: str) -> list[bytes]:
    link = await stand.runtime.ledger.newest_link(name)
    assert link is not None
    pages = [page async for page in Receipts(stand.runtime.ledger, SIGNER).roll(name, link)]
    return b"".join(pages).splitlines()


async def forget(stand: Stand, name: str, chosen: list[str]) -> None:
    """Forget some members, one after the other, and hold what is left against what was there."""
    runtime = stand.runtime
    for member in chosen:
        before, told = await records(stand, name), await lines(stand, name)
        mine = {each for each, record in before.items() if record.member == member}
        done = await runtime.forgetter.forget(name, member, "cli:tester", "cli", 10)
        after = await records(stand, name)
        assert (done.enrollments, done.is_nothing) == (len(mine), done == Forgotten(name))
        assert after.keys() == before.keys()
        assert done.cancelled == sum(before[each].status in NOT_OVER for each in mine)
        for each, record in after.items():
            if each in mine:
                assert record.member == chain.stand_in(name, member)
                assert record.status not in NOT_OVER
            elif record != before[each]:
                assert (before[each].status, record.status in ("confirmed", "offered")) == (
                    "waitlisted",
                    True,
                )
        # Its last line is the head of the time.
        assert (await lines(stand, name))[: len(told) - 1] == told[:-1]
    verdict = roll.verify(await lines(stand, name))
    assert verdict.mismatches == []
    result = await Audit(runtime.server, runtime.ledger, runtime.clock, name, 5).run()
    assert (result.differences, result.notes) == ([], [])
    state = await rebuilds.state(stand, name)
    await rebuilds.lose(stand, name)
    await rebuilds.rebuild(stand, name)
    assert await rebuilds.state(stand, name) == state
    reading = await Inspector(runtime.server).read(name)
    assert reading is not None
    assert not reading.members.keys() & set(chosen)
    assert not {field.partition(" ")[0] for field in reading.requests} & set(chosen)
    for member in chosen:
        assert (await runtime.forgetter.look(name, member)).is_nothing


def crowd(calls: Any, pick: Random) -> None:
    play(calls, pick, 40)


@pytest.mark.parametrize("played", [crowd, _vote, _merge, _compete])
def test_some_are_forgotten(bench: Bench, played: Play) -> None:
    for seed in range(2):
        calls = type("Calls", (Calls,), {"bench": bench})()
        played(calls, Random(seed))
        bench.run(forget(bench.stand, calls.name, Random(seed).sample(list(UNITS), 3)))
