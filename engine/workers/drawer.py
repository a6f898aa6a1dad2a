"""The drawer: holds each campaign's draw once its ballots have closed, and ends those that a crash cut off."""

from typing import ClassVar, Final

from engine.drawing import Drawing
from engine.ledger.protocol import Ledger, Unavailable
from engine.live.server import NothingRan, Unknown

LOOK_EVERY_S: Final = 1.0


class Drawer:
    """Draws what is due. Several may run: see `Drawing`."""

    name: ClassVar[str] = "drawer"

    def __init__(self, drawing: Drawing, ledger: Ledger) -> None:
        self._drawing = drawing
        self._ledger = ledger

    async def run_once(self) -> float:
        """Look at every campaign; one that cannot be asked does not keep the others from it."""
        failure: NothingRan | Unknown | Unavailable | None = None
        created = [each.campaign for each in await self._ledger.campaigns() if each.created]
        for campaign in await self._drawing.due(created):
            try:
                await self._drawing.draw_if_due(campaign)
            except (NothingRan, Unknown, Unavailable) as error:
                failure = error
        if failure is not None:
            raise failure
        return LOOK_EVERY_S

    async def close(self) -> None:
        """Nothing is held."""
