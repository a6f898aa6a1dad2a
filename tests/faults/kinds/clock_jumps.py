"""Clocks jump by up to an hour."""

from random import Random

from tests.faults.kind import Promise
from tests.faults.stand import Needs
from tests.faults.trial import Trial

JUMP_S_MAX = 3_600


class ClockJumps:
    """The wall clocks of Redis and of the engine's processes jump, apart from each other: order is never a clock's."""

    name = "clock-jumps"
    promise: Promise = "keeps"
    # Redis counts how long it blocks by the wall clock: a reader whose server went back in time must not wait for long.
    needs = Needs(redis="own", fake_clock=True, settings={"SEATRUSH_DECISION_TIMEOUT_S": "1"})

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        try:
            while trial.left_s > 0:
                clock = chance.choice(list(trial.stand.clocks.values()))
                clock.write_text(f"{chance.randint(-JUMP_S_MAX, JUMP_S_MAX):+d}\n")
                await trial.pause(chance, 0.05, 0.3)
        finally:
            for clock in trial.stand.clocks.values():
                clock.write_text("+0\n")
