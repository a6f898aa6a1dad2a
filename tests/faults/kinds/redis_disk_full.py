"""The disk of Redis's log is full."""

from random import Random

from tests.faults.ballast import ballast
from tests.faults.kind import Promise, Unpromised
from tests.faults.stand import Needs
from tests.faults.trial import Trial


class RedisDiskFull:
    """The data directory's file system is filled: Redis ends itself, and is started again until there is room."""

    name = "redis-disk-full"
    promise: Promise = "keeps"
    # The floor would stop sales before the disk is full.
    needs = Needs(small="redis", settings={"SEATRUSH_DISK_FREE_MIN": "0"})

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        await trial.pause(chance, 0.0, 0.3 * trial.seconds)
        starts = trial.stand.deployment.log.read_text().count("the embedded Redis ended")
        with ballast(trial.stand.data):
            await trial.pause(chance, 0.2, 0.5 * trial.seconds)
        if trial.stand.deployment.log.read_text().count("the embedded Redis ended") == starts:
            raise Unpromised("Redis did not notice that its disk is full")
