"""The disk of the ledger is full."""

from random import Random

from tests.faults.ballast import ballast
from tests.faults.kind import Promise, Unpromised
from tests.faults.stand import Needs
from tests.faults.trial import Trial


class LedgerDiskFull:
    """A file system of 8 MB for SQLite is filled: sales go on, and what was decided is recorded once there is room."""

    name = "ledger-disk-full"
    promise: Promise = "keeps"
    # The floor would stop sales before the disk is full.
    needs = Needs(small="ledger", settings={"SEATRUSH_DISK_FREE_MIN": "0"})

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        await trial.pause(chance, 0.0, 0.3 * trial.seconds)
        with ballast(trial.stand.directory / "ledger"):
            await trial.pause(chance, 0.3 * trial.seconds, 0.5 * trial.seconds)
            said = trial.stand.deployment.log.read_text()
        if "is full" not in said and "disk I/O error" not in said:
            raise Unpromised("the recorder did not notice that its disk is full")
