"""The worker dies at a step of its work, before and after COMMIT above all."""

from random import Random

from tests.faults import failpoints
from tests.faults.kind import Promise
from tests.faults.stand import Needs
from tests.faults.trial import Trial

STEPS_PER_SECOND = 1
"""A worker that dies soon after its start is replaced ever later."""


class WorkerSteps:
    """The worker kills itself at steps that the seed chooses: around COMMIT, reading, leases, steps of a draw."""

    name = "worker-steps"
    promise: Promise = "keeps"
    needs = Needs(program="tests.faults.serve")

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        directory = trial.stand.data / failpoints.DIRECTORY
        directory.mkdir(exist_ok=True)
        armed = [
            directory / step
            for step in chance.sample(failpoints.STEPS, max(1, int(STEPS_PER_SECOND * trial.seconds)))
        ]
        for path in armed:
            path.touch()
        await trial.until(lambda: not any(path.exists() for path in armed))
