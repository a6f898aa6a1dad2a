"""Redis is killed."""

import os
import signal
from random import Random

from tests.faults.kind import Promise
from tests.faults.stand import Needs
from tests.faults.trial import Trial


class RedisKilled:
    """kill -9 of the embedded server, which is started again on what it had written."""

    name = "redis-killed"
    promise: Promise = "keeps"
    needs = Needs()

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        await trial.pause(chance, 0.0, 0.7 * trial.seconds)
        (pid,) = await trial.stand.pids("redis")
        os.kill(pid, signal.SIGKILL)
