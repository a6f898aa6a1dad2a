"""The lifecycle of every worker: start, run_once until stopped, stop.

A worker keeps nothing that it cannot find again, so that it may die at any point and several may run at once.
"""

import asyncio
import logging
from typing import ClassVar, Final, Protocol

from engine.failures import fit_to_log
from engine.ledger.protocol import Unavailable
from engine.live.server import NothingRan, Unknown

logger = logging.getLogger(__name__)

BACKOFF_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)


class Task(Protocol):
    """What a worker does; learn one and you know them all."""

    name: ClassVar[str]

    async def run_once(self) -> float:
        """Do what there is to do and return after how many seconds to look again; 0 for at once.

        May raise NothingRan, Unknown or Unavailable: the worker then waits a little and looks again.
        """

    async def close(self) -> None:
        """Give back what others could take over at once, such as leases."""


class Worker:
    """Runs a task until it is stopped."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin in the background."""
        self._running = asyncio.create_task(self._run(), name=self._task.name)

    async def stop(self) -> None:
        """Finish the round in progress, then end."""
        self._stopping.set()
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                idle_s = await self._task.run_once()
                failures = 0
            except (NothingRan, Unknown, Unavailable) as error:
                idle_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
                failures += 1
                logger.warning("%s: %s; again in %s s", self._task.name, error, idle_s)
            except Exception as error:
                # Its end would be seen by nobody, and what it does would be done by nobody.
                idle_s = BACKOFF_S[-1]
                logger.error("%s failed: %s", self._task.name, fit_to_log(error))
            await self._idle(idle_s)
        try:
            await self._task.close()
        except (NothingRan, Unknown, Unavailable) as error:
            logger.warning("%s: %s while stopping", self._task.name, error)

    async def _idle(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
