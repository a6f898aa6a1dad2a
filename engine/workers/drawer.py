"""The drawer: holds each draw once its entries are collected, and ends those that a crash cut off."""

from typing import ClassVar, Final

from engine.clock import Clock
from engine.drawing import Drawing
from engine.ledger.protocol import Ledger, Unavailable
from engine.live.server import NothingRan, Unknown

LOOK_EVERY_S: Final = 1.0


class Drawer:
    """Draws what is due. Several may run: see `Drawing`."""

    name: ClassVar[str] = "drawer"

    def __init__(self, drawing: Drawing, ledger: Ledger, clock: Clock) -> None:
        self._drawing = drawing
        self._ledger = ledger
        self._clock = clock

    async def run_once(self) -> float:
        """Look at every campaign; one that cannot be asked does not keep the others from it."""
        failure: NothingRan | Unknown | Unavailable | None = None
        created = [each.campaign for each in await self._ledger.campaigns() if each.created]
        due, next_at = await self._drawing.due(created)
        for campaign in due:
            try:
                await self._drawing.draw_if_due(campaign)
            except (NothingRan, Unknown, Unavailable) as error:
                failure = error
        if failure is not None:
            raise failure
        if next_at is None:
            return LOOK_EVERY_S
        # Who asks after a grace window is answered once it is drawn.
        return min(LOOK_EVERY_S, max(0.0, (next_at - self._clock.now_ms()) / 1000))

    async def close(self) -> None:
        """Nothing is held."""
