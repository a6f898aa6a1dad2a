"""Redis is emptied in the middle of a sale, and the campaigns are rebuilt from the ledger."""

import asyncio
import subprocess
import sys
import time
from random import Random

from tests.faults.kind import Promise, Unpromised
from tests.faults.stand import Needs
from tests.faults.trial import BACK_WITHIN_S, LOOK_S, Trial

LAG_S_MAX = 3.0
"""How far the recorder may be behind, so that no answer older than that may be lost."""


class Flushall:
    """FLUSHALL: nothing is decided until `seatrush rebuild`; what the ledger did not have yet is lost, and no more."""

    name = "flushall"
    promise: Promise = "names"
    needs = Needs()

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        await self._until_published(trial)
        await trial.pause(chance, 0.0, 0.6 * trial.seconds)
        with trial.stand.redis() as client:
            before_ns = time.monotonic_ns()
            await asyncio.to_thread(client.flushall)
        late = trial.workload.member("late")
        refused = await late.send_once("sign_up", offering="pools", key="k")
        if refused.status != 503:
            raise Unpromised(f"an emptied Redis answers {refused.status}")
        await trial.pause(chance, 0.0, 0.2 * trial.seconds)
        trial.may_lose(before_ns - int(LAG_S_MAX * 1e9), time.monotonic_ns())
        command = [sys.executable, "-m", "engine", "rebuild", "--data", str(trial.stand.data)]
        rebuilt = await asyncio.to_thread(
            subprocess.run,
            [*command, trial.sale, trial.ballot],
            cwd=trial.stand.code,
            capture_output=True,
            text=True,
        )
        if rebuilt.returncode:
            raise Unpromised(f"rebuild ended with {rebuilt.returncode}: {rebuilt.stdout}{rebuilt.stderr}")

    async def _until_published(self, trial: Trial) -> None:
        """Wait until the ledger has the documents: without one there is nothing to rebuild."""
        async with trial.stand.runtime() as opened, asyncio.timeout(BACK_WITHIN_S):
            for name in (trial.sale, trial.ballot):
                while await opened.ledger.definition(name) is None:  # noqa: ASYNC110  another process records it
                    await asyncio.sleep(LOOK_S)
