"""The lifecycle of a worker: a fault that nobody foresaw does not end it, and is told without what it quotes."""

import asyncio
from typing import ClassVar

import pytest

from engine.workers import worker
from engine.workers.worker import Worker

QUOTED = "m-1001"


class Stumbling:
    """A task that fails once as no task should, and then says that it goes on."""

    name: ClassVar[str] = "stumbling"

    def __init__(self) -> None:
        self.rounds = 0
        self.went_on = asyncio.Event()

    async def run_once(self) -> float:
        self.rounds += 1
        if self.rounds == 1:
            raise ZeroDivisionError(QUOTED)
        self.went_on.set()
        return 60

    async def close(self) -> None:
        return


async def test_an_unforeseen_fault_does_not_end_a_worker(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BACKOFF_S", (0.0,))
    task = Stumbling()
    running = Worker(task)
    running.start()
    async with asyncio.timeout(10):
        await task.went_on.wait()
    await running.stop()
    assert "stumbling failed: ZeroDivisionError" in caplog.text
    assert QUOTED not in caplog.text
