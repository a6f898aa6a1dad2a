"""Redis forgets its scripts."""

import asyncio
from random import Random

from tests.faults.kind import Promise
from tests.faults.stand import Needs
from tests.faults.trial import Trial


class ScriptFlush:
    """SCRIPT FLUSH, several times a second."""

    name = "script-flush"
    promise: Promise = "keeps"
    needs = Needs()

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        with trial.stand.redis() as client:
            while trial.left_s > 0:
                await asyncio.to_thread(client.script_flush)
                await trial.pause(chance, 0.01, 0.3)
