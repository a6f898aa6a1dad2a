"""Engines that are broken on purpose: what a trial is for, it must find."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import stand, trial, workload
from tests.faults.kinds.power_cut import PowerCut
from tests.faults.kinds.script_flush import ScriptFlush
from tests.faults.stand import Needs
from tests.faults.trial import LOST, OVERSOLD, TWICE, Trial

SECONDS = 0.8
COPY = Needs(copied=True)


def broken(*changes: tuple[str, str, str]) -> Callable[[Path], None]:
    """Changes a copy of the code: in a file, one text for another."""

    def change(code: Path) -> None:
        for file, old, new in changes:
            path = code / "engine" / file
            text = path.read_text()
            assert old in text, f"{file} has changed: nothing is broken"
            path.write_text(text.replace(old, new))

    return change


OVERSELLS = ("lua/includes/first_come.lua", "pool.taken < pool.capacity", "pool.taken <= pool.capacity")
FORGETS = ("lua/includes/commit.lua", "call_in_chunks('HSET', Key.REQUESTS, request_writes)", "")
LAST_FIRST = (
    "lua/includes/waiting.lua",
    "'ZRANGEBYLEX', Key.QUEUES, '[' .. path, '(' .. path .. ':'",
    "'ZREVRANGEBYLEX', Key.QUEUES, '(' .. path .. ':', '[' .. path",
)


async def test_an_engine_that_oversells_forgets_and_lets_the_last_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workload, "PATIENCE_S", 5.0)
    async with stand.opened(COPY, broken(OVERSELLS, FORGETS, LAST_FIRST)) as opened:
        result = await Trial(opened, ScriptFlush(), 1, SECONDS).run()
    rules = {violation.rule for violation in result.violations}
    assert {"capacity", "replay", "order", "audit"} <= rules
    assert result.count(OVERSOLD)
    assert result.count(TWICE)


async def test_an_engine_that_answers_before_it_is_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "PATIENCE_S", 2.0)
    monkeypatch.setattr(trial, "BACK_WITHIN_S", 20.0)
    forgetful = broken(
        ("live/embedded.py", "appendfsync always", "appendfsync no"),
        ("live/server.py", 'b"always"', 'b"no"'),
    )
    async with stand.opened(COPY, forgetful) as opened:
        result = await Trial(opened, PowerCut(), 1, SECONDS).run()
    rules = {violation.rule for violation in result.violations}
    # The replies that left early are seen by strace, and what is lost by whoever was told.
    assert {"fault", "acknowledged"} <= rules
    assert result.count(LOST)
