"""The gatekeeper: says at once when a campaign stops deciding, and what the operator can do.

Sign-ups find it by themselves, and are refused. Whoever looks on may not have one under way.
"""

import logging
from typing import ClassVar, Final

from engine import metrics
from engine.ledger.protocol import Ledger
from engine.live import gates
from engine.live.server import Server

LOOK_EVERY_S: Final = 0.5

logger = logging.getLogger(__name__)


class Gatekeeper:
    """Looks at every gate, and tells of those that changed. Several may run; each tells of what it sees."""

    name: ClassVar[str] = "gatekeeper"

    def __init__(self, server: Server, ledger: Ledger) -> None:
        self._server = server
        self._ledger = ledger
        self._gates: dict[str, str] = {}
        """As last seen; "open" for one that was not seen before, so that it is told of unless it is."""

    async def run_once(self) -> float:
        """Look once."""
        created = [each.campaign for each in await self._ledger.campaigns() if each.created]
        for campaign, gate in (await gates.read(self._server, created)).items():
            metrics.CAMPAIGN_READY.labels(campaign).set(gate == "open")
            metrics.CAMPAIGN_LOST.labels(campaign).set(gate == gates.LOST)
            if self._gates.get(campaign, "open") != gate:
                _tell(campaign, gate)
            self._gates[campaign] = gate
        return LOOK_EVERY_S

    async def close(self) -> None:
        """Nothing is held."""


def _tell(campaign: str, gate: str) -> None:
    if gate == gates.LOST:
        logger.error(
            "%s: its state in Redis is lost: it decides nothing until `seatrush rebuild %s`",
            *(campaign, campaign),
        )
    elif gate == "closed":
        logger.error(
            "%s: its gate is closed: it decides nothing until `seatrush rebuild %s`", campaign, campaign
        )
    else:
        logger.info("%s: its gate is %s", campaign, gate)
