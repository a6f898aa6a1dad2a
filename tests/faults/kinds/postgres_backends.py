"""PostgreSQL's backends are terminated in the middle of batches."""

from random import Random

import asyncpg

from tests.faults.kind import Promise, Unpromised
from tests.faults.stand import Needs
from tests.faults.trial import Trial

TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class PostgresBackends:
    """pg_terminate_backend of every connection, many times a second: a lost COMMIT is looked up, never guessed."""

    name = "postgres-backends"
    promise: Promise = "keeps"
    needs = Needs(ledger="postgres")

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        connection = await asyncpg.connect(trial.stand.database_url)
        terminated = 0
        try:
            while trial.left_s > 0:
                terminated += await connection.fetchval(TERMINATE)
                await trial.pause(chance, 0.0, 0.15)
        finally:
            await connection.close()
        if not terminated:
            raise Unpromised("no backend was there to be terminated")
