"""Redis reaches its maxmemory."""

import asyncio
from random import Random

from tests.faults.kind import Promise, Unpromised
from tests.faults.stand import Needs
from tests.faults.trial import Trial


class OutOfMemory:
    """maxmemory below what is used: sign-ups are answered 503, and cancellations go on."""

    name = "out-of-memory"
    promise: Promise = "keeps"
    needs = Needs()

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        one = trial.workload.member("forgetful")
        while (given := await one.send("sign_up", offering="pools", key="k")).status not in (201, 202):
            if trial.left_s <= 0:
                return
            await trial.pause(chance, 0.0, 0.02)
        with trial.stand.redis() as client:
            try:
                # Below what an empty server takes.
                await asyncio.to_thread(client.config_set, "maxmemory", 100_000)
                refused = await trial.workload.member("late").send_once("sign_up", offering="full", key="k")
                cancelled = await one.send_once("cancel", enrollment=trial.enrollment(given))
                await trial.pause(chance, 0.1, 0.5 * trial.seconds)
            finally:
                await asyncio.to_thread(client.config_set, "maxmemory", 0)
        if (refused.status, cancelled.status) != (503, 200):
            raise Unpromised(f"a sign-up was answered {refused.status}, a cancellation {cancelled.status}")
        await trial.workload.member("late").send("sign_up", offering="full", key="k")
