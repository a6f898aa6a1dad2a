"""The power fails: every process is gone, and of the AOF only what was brought to disk is sure to be there."""

import asyncio
from random import Random

from tests.faults import syscalls
from tests.faults.kind import Promise, Unpromised
from tests.faults.stand import Needs
from tests.faults.trial import Trial


class PowerCut:
    """kill -9 of everything, and the AOF cut back to its last fdatasync, or at a byte behind it."""

    name = "power-cut"
    promise: Promise = "keeps"
    needs = Needs()

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        stand = trial.stand
        (pid,) = await stand.pids("redis")
        (aof,) = (stand.data / "redis").glob("*.incr.aof")
        with syscalls.tracing(pid, stand.directory / f"{trial.sale}.strace") as tracer:
            base_bytes = await asyncio.to_thread(tracer.base_bytes, aof)
            await trial.pause(chance, 0.2 * trial.seconds, 0.7 * trial.seconds)
            await asyncio.to_thread(stand.deployment.kill)
        trace = tracer.trace()
        synced_bytes = base_bytes + trace.written_bytes - trace.unsynced_bytes
        size_bytes = aof.stat().st_size
        trial.measured["not on disk, bytes"] = size_bytes - synced_bytes
        # What a disk keeps of the rest is anybody's guess.
        kept_bytes = chance.choice((synced_bytes, chance.randint(synced_bytes, size_bytes)))
        with aof.open("r+b") as file:
            file.truncate(kept_bytes)
        await stand.start()
        if trace.early or not trace.synced:
            raise Unpromised(f"{len(trace.early)} replies left early, after {trace.synced} times fdatasync")
