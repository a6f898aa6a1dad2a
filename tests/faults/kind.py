"""What every kind of fault says of itself; to add one is one file in `kinds/` and one line in its registry."""

from random import Random
from typing import Literal, Protocol

from tests.faults.stand import Needs
from tests.faults.trial import Trial

Promise = Literal["keeps", "names"]
"""`keeps`: every acknowledged answer stands. `names`: some may be lost, and those are found and named."""


class Unpromised(AssertionError):
    """A fault was met otherwise than promised."""


class Kind(Protocol):
    """One kind of fault."""

    name: str
    """In the command line and in docs/faults.md; `[a-z-]+`."""
    promise: Promise
    needs: Needs

    async def inject(self, trial: Trial, chance: Random) -> None:
        """Break something while the trial's members are at it, and leave everything whole again.

        Returns by about the end of the trial's seconds. Raises Unpromised.
        """
