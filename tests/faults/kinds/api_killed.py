"""An api process is killed in the middle of requests."""

import os
import signal
from random import Random

from tests.faults.kind import Promise
from tests.faults.stand import SEVERAL
from tests.faults.trial import Trial

KILLS_MAX = 3
"""A process that dies soon after its start is replaced ever later."""


class ApiKilled:
    """kill -9, again and again; another process goes on, the dead one is replaced."""

    name = "api-killed"
    promise: Promise = "keeps"
    needs = SEVERAL

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        for _ in range(KILLS_MAX):
            await trial.pause(chance, 0.1, 0.6)
            pids = await trial.stand.pids("api")
            if pids:
                os.kill(chance.choice(pids), signal.SIGKILL)
            if trial.left_s <= 0:
                return
