"""Clients lose their connections at any byte."""

from random import Random

from tests.faults.kind import Promise, Unpromised
from tests.faults.stand import Needs
from tests.faults.trial import Trial

BYTES_MAX = 4_000
"""A few requests and their answers."""


class ClientResets:
    """A wire in front of the api resets every connection at a random byte of requests and answers."""

    name = "client-resets"
    promise: Promise = "keeps"
    needs = Needs(wired_door=True)

    async def inject(self, trial: Trial, chance: Random) -> None:
        """As Kind.inject."""
        door = trial.stand.door
        assert door is not None
        before = door.cuts
        door.cut_after(BYTES_MAX, chance)
        try:
            while trial.left_s > 0:
                await trial.pause(chance, 0.1, 0.1)
        finally:
            door.heal()
        if door.cuts == before:
            raise Unpromised("no connection was reset")
