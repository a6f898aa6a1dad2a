"""The worker is killed at any moment."""

import asyncio
import os
import signal
import time
from random import Random

from tests.faults.kind import Promise
from tests.faults.stand import Needs
from tests.faults.trial import LOOK_S, Trial

ORPHANED_S = 0.1


class WorkerKilled:
    """kill -9 of the process that records, promotes and draws; measures how long until its successor has caught up."""

    name = "worker-killed"
    promise: Promise = "keeps"
    needs = Needs()

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        await trial.pause(chance, 0.0, trial.seconds)
        (pid,) = await trial.stand.pids("work")
        os.kill(pid, signal.SIGKILL)
        died_s = time.monotonic()
        # What is decided from now on only its successor can record.
        await asyncio.sleep(ORPHANED_S)
        async with trial.stand.runtime() as opened:
            state = await opened.streams.state(trial.sale)
            assert state is not None
            while True:
                known = {each.campaign: each.recorded_seq for each in await opened.ledger.campaigns()}
                if known[trial.sale] >= state.seq:
                    break
                await asyncio.sleep(LOOK_S)
        trial.measured["until drained, s"] = time.monotonic() - died_s
