"""The way to Redis is slow, silent, or cut in the middle of a call."""

from random import Random

from tests.faults.kind import Promise
from tests.faults.stand import Needs
from tests.faults.trial import Trial

BYTES_MAX = 60_000
"""Some batches and their answers."""


class Partition:
    """A wire between the engine and Redis delays, loses, or cuts connections at random bytes."""

    name = "partition"
    promise: Promise = "keeps"
    # A decision without an answer is unknown after a second rather than five.
    needs = Needs(redis="wired", settings={"SEATRUSH_DECISION_TIMEOUT_S": "1"})

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        wire = trial.stand.redis_wire
        assert wire is not None
        try:
            while trial.left_s > 0:
                match chance.choice(("delay", "lose", "cut", "cut all")):
                    case "delay":
                        wire.delay(chance.uniform(0.001, 0.05))
                    case "lose":
                        wire.lose()
                    case "cut":
                        wire.cut_after(BYTES_MAX, chance)
                    case _:
                        await wire.cut_all()
                await trial.pause(chance, 0.05, 0.4)
                wire.heal()
                await trial.pause(chance, 0.0, 0.2)
        finally:
            wire.heal()
            # What was swallowed leaves both ends waiting.
            await wire.cut_all()
