"""The gatekeeper: says at once when a campaign stops deciding, and what the operator can do.

It also closes one in whose stream something else has written, and which can log nothing any more.

Sign-ups find it by themselves, and are refused. Whoever looks on may not have one under way.
"""

import logging
from typing import ClassVar, Final

from engine import metrics
from engine.ledger.protocol import Ledger, Registration
from engine.live import gates
from engine.live.server import NothingRan, Server, Unknown

LOOK_EVERY_S: Final = 0.5
LOGS_LOOKED_AT_EVERY: Final = 4
"""Looks at the gates for one at the ends of the streams."""

logger = logging.getLogger(__name__)


class Gatekeeper:
    """Looks at every gate, and tells of those that changed. Several may run; each tells of what it sees."""

    name: ClassVar[str] = "gatekeeper"

    def __init__(self, server: Server, ledger: Ledger) -> None:
        self._server = server
        self._ledger = ledger
        self._gates: dict[str, str] = {}
        """As last seen; "open" for one that was not seen before, so that it is told of unless it is."""
        self._looks = 0

    async def run_once(self) -> float:
        """Look once."""
        registrations = [each for each in await self._ledger.campaigns() if each.created]
        self._looks += 1
        if self._looks % LOGS_LOOKED_AT_EVERY == 0:
            for registration in registrations:
                await self._close_if_unloggable(registration)
        created = [each.campaign for each in registrations]
        for campaign, gate in (await gates.read(self._server, created)).items():
            metrics.CAMPAIGN_READY.labels(campaign).set(gate == "open")
            metrics.CAMPAIGN_LOST.labels(campaign).set(gate == gates.LOST)
            if self._gates.get(campaign, "open") != gate:
                _tell(campaign, gate)
            self._gates[campaign] = gate
        return LOOK_EVERY_S

    async def _close_if_unloggable(self, registration: Registration) -> None:
        try:
            arguments = [str(registration.epoch), "0", "unloggable", "closed"]
            await self._server.call("gate", registration.campaign, arguments)
        except (NothingRan, Unknown) as error:
            # Other campaigns may be on other shards.
            logger.warning("%s: the end of its stream cannot be looked at: %s", registration.campaign, error)

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
