"""One request, a thousand times at once."""

import asyncio
from random import Random

from tests.faults.kind import Promise, Unpromised
from tests.faults.stand import SEVERAL
from tests.faults.trial import Trial

TIMES = 1_000


class SameRequest:
    """The same POST under one key, all at once: one decision, and the same bytes for each."""

    name = "same-request"
    promise: Promise = "keeps"
    needs = SEVERAL

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        offering = chance.choice(("pools", "held", "offered"))
        eager = trial.workload.member("eager", "xicheng.health")
        # A refusal is decided anew each time: it takes a success for all to be the same.
        while (first := await eager.send("sign_up", offering=offering, key="k")).status not in (201, 202):
            if trial.left_s <= 0:
                return
            await trial.pause(chance, 0.0, 0.02)
        answers = await asyncio.gather(
            *(eager.send("sign_up", offering=offering, key="k") for _ in range(TIMES))
        )
        others = {(each.status, each.body) for each in answers} - {(first.status, first.body)}
        if others:
            raise Unpromised(f"{len(others)} other answers to the same request")
