"""The advancer: enrols those who go on in a competition, and goes on where a crash cut it off."""

from typing import ClassVar, Final

from engine.ladder import Ladder
from engine.ledger.protocol import Ledger, Unavailable
from engine.live.server import NothingRan, Unknown

LOOK_EVERY_S: Final = 1.0


class Advancer:
    """Carries out what is decided. Several may run: see `Ladder`."""

    name: ClassVar[str] = "advancer"

    def __init__(self, ladder: Ladder, ledger: Ledger) -> None:
        self._ladder = ladder
        self._ledger = ledger

    async def run_once(self) -> float:
        """Look at every round that is due; one that cannot be carried out does not keep the others from it."""
        failure: NothingRan | Unknown | Unavailable | None = None
        for due in await self._ledger.rounds_due():
            try:
                await self._ladder.carry_out(due)
            except (NothingRan, Unknown, Unavailable) as error:
                failure = error
        if failure is not None:
            raise failure
        return LOOK_EVERY_S

    async def close(self) -> None:
        """Nothing is held."""
