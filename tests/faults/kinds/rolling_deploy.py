"""A rolling restart brings another version of the code, under load."""

import asyncio
from random import Random

from engine import __version__
from tests.faults.kind import Promise, Unpromised
from tests.faults.stand import Needs
from tests.faults.trial import Trial

ENDED = "rolling restart ended: 2 of 2 processes are new"


class RollingDeploy:
    """Two versions at once: the new processes' scripts and build are others, on a campaign that the old ones packed."""

    name = "rolling-deploy"
    promise: Promise = "keeps"
    needs = Needs(copied=True)

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        stand = trial.stand
        await trial.pause(chance, 0.0, 0.3 * trial.seconds)
        for script in (stand.code / "engine" / "lua").glob("*.lua"):
            # Another digest: each script is there twice while both versions run.
            script.write_text(f"{script.read_text()}\n-- {trial.sale}\n")
        package = stand.code / "engine" / "__init__.py"
        package.write_text(package.read_text().replace(__version__, f"{__version__}.{trial.sale}"))
        log, known = stand.deployment.log, await self._scripts(trial)
        before = log.read_text().count(ENDED)
        stand.deployment.renew()
        await trial.until(lambda: log.read_text().count(ENDED) > before)
        if await self._scripts(trial) <= known:
            raise Unpromised("the new processes have the scripts of the old ones")

    async def _scripts(self, trial: Trial) -> int:
        """How many scripts Redis knows."""
        with trial.stand.redis() as client:
            return int((await asyncio.to_thread(client.info, "memory"))["number_of_cached_scripts"])
