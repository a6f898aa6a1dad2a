"""PostgreSQL is away for a while."""

from random import Random

from tests.faults.kind import Promise
from tests.faults.stand import Needs
from tests.faults.trial import Trial


class PostgresStopped:
    """The server is ended as in a crash, stays away for most of the trial, and comes back: sales go on meanwhile."""

    name = "postgres-stopped"
    promise: Promise = "keeps"
    needs = Needs(ledger="postgres")

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        server = trial.stand.postgres
        assert server is not None
        await trial.pause(chance, 0.0, 0.3 * trial.seconds)
        server.kill()
        try:
            await trial.pause(chance, 0.4 * trial.seconds, 0.7 * trial.seconds)
        finally:
            # From this thread: the server ends with the one that started it.
            server.start()
