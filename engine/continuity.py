"""Continuity: whether a campaign's log in Redis goes on from what the ledger has recorded of it.

A replica that lagged when it was promoted has lost the end of the log, and gives its numbers again, to others. What
was lost had been answered, and is in the ledger as far as it had come there. So nothing is sold from a log that is not
the ledger's: the campaign is closed until it is rebuilt.
"""

import logging

from engine import metrics
from engine.domain import events
from engine.ledger.protocol import Ledger, Registration, Unavailable
from engine.live import position
from engine.live.position import Position
from engine.live.server import Ask, Elsewhere, NothingRan, Unsuitable, reading
from engine.live.streams import Entry, State

logger = logging.getLogger(__name__)


class Continuity:
    """Compares a server's logs with the ledger's.

    `answered` is up to which epoch and seq of each campaign this process has answered: the ledger may not have come so
    far.
    """

    def __init__(self, ledger: Ledger, answered: dict[str, tuple[int, int]] | None = None) -> None:
        self._ledger = ledger
        self._answered: dict[str, tuple[int, int]] = {} if answered is None else answered
        self._told: dict[str, str] = {}

    async def greet(self, ask: Ask) -> None:
        """Compare every campaign on a server that this process has not met yet: it may be a replica of before.

        Those of other nodes of a cluster are left to these. Raises Unsuitable when the ledger cannot be asked.
        """
        try:
            if await self._ledger.pending_migrations():
                # A ledger that is not ready for this code has recorded nothing by it.
                return
            for registration in await self._ledger.campaigns():
                try:
                    with reading():
                        await self.holds(ask, registration)
                except Elsewhere:
                    continue
        except Unavailable as error:
            raise Unsuitable(
                f"a server that is new here is compared with the ledger first, which does not answer: {error}"
            ) from error
        except NothingRan as error:
            # As the server says it, with its code ahead, so that what passes soon is known to.
            text = str(error)
            raise Unsuitable(text if text.startswith(error.code) else f"{error.code} {text}") from error

    async def holds(self, ask: Ask, registration: Registration) -> bool:
        """Whether the log goes on from what is recorded; if not, the campaign is closed.

        True for a campaign that has no state. Raises NothingRan, or what `ask` raises, and Unavailable.
        """
        campaign = registration.campaign
        # From 0 on, so that the first one is an increase.
        metrics.DIVERGED_LOGS.labels(campaign)
        found = await self._breach(ask, registration)
        if found is not None:
            # It may have been rebuilt between the two readings.
            found = await self._breach(ask, await self._registration(campaign))
        if found is None:
            self._told.pop(campaign, None)
            return True
        state, reason = found
        if state.epoch < registration.epoch and state.gate != "open":
            # It is being rebuilt.
            return False
        await position.close(ask, campaign, state.epoch)
        if self._told.get(campaign) != reason:
            self._told[campaign] = reason
            metrics.DIVERGED_LOGS.labels(campaign).inc()
            logger.error("%s: %s: closed until `seatrush rebuild %s`", campaign, reason, campaign)
        return False

    async def last(self, registration: Registration) -> Entry | None:
        """The entry that was recorded last; None where there is none, or it cannot be applied or read."""
        seq = registration.recorded_seq
        try:
            recorded = await self._ledger.events(registration.campaign, seq - 1, 1) if seq else []
        except events.Undecodable:
            return None
        if not recorded or recorded[0].seq != seq:
            return None
        return Entry(b"%d-%d" % (recorded[0].epoch, seq), recorded[0].fields)

    async def _breach(self, ask: Ask, registration: Registration) -> tuple[State, str] | None:
        last = await self.last(registration)
        entry_id = b"%d-%d" % (registration.epoch, registration.recorded_seq) if last is None else last.id
        epoch, answered = self._answered.get(registration.campaign, (0, 0))
        found = await position.read(ask, registration.campaign, entry_id)
        reason = (
            ""
            if found is None
            else breach(
                # What was answered before a rebuild is in what it made, or is lost and named by it.
                *(registration, last, found, answered if epoch == registration.epoch else 0)
            )
        )
        return (found.state, reason) if found is not None and reason else None

    async def _registration(self, campaign: str) -> Registration:
        return next(each for each in await self._ledger.campaigns() if each.campaign == campaign)


def breach(registration: Registration, last: Entry | None, found: Position, answered: int) -> str:
    """Why a log does not go on from what is recorded, and from the seq up to which was `answered`; "" if it does.

    `last` is the entry that was recorded last, None where it is not known. It may be trimmed; after a rebuild it is of
    an epoch before, and the stream begins behind it.
    """
    state, seq = found.state, registration.recorded_seq
    if state.epoch != registration.epoch or state.seq < seq:
        return f"Redis is at epoch {state.epoch} seq {state.seq}, the ledger at epoch {registration.epoch} seq {seq}"
    if state.seq < answered:
        return f"Redis is at seq {state.seq}, this process has answered up to seq {answered}, and the ledger has {seq}"
    if last is None:
        return ""
    if found.entry is not None:
        return "" if found.entry == last else f"event {seq} is another in Redis than in the ledger"
    begins_behind = found.first is None or events.parse_id(found.first) > events.parse_id(last.id)
    return "" if begins_behind else f"Redis has no event {seq}, and has some before it"
