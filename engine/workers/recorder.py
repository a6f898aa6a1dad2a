"""The recorder: brings every event of every campaign into the ledger, once and in order.

The cursor lives in the ledger and moves in the transaction that applies the events, so a crash at any point
repeats nothing and skips nothing. Of two recorders on one campaign the ledger fences one off.
"""

import logging
import secrets
from collections.abc import Sequence
from typing import ClassVar, Final

from msgspec import Struct

from engine import metrics
from engine.clock import Clock
from engine.domain import events
from engine.domain.events import Event
from engine.ledger.protocol import DeadLetter, Fenced, Ledger, Refused, Registration
from engine.live.server import Server
from engine.live.streams import Entry, State, Streams

logger = logging.getLogger(__name__)

BATCH_ENTRIES_MAX: Final = 1_000
IDLE_MS_MAX: Final = 200
LEASE_TTL_MS: Final = 2_000
TRIM_EVERY_ENTRIES: Final = 1_000
GAP_PAUSE_S: Final = 10.0
"""How long a campaign whose stream has a gap is left alone before it is looked at again."""


class Cursor(Struct):
    """Where this recorder stands in a campaign that it holds."""

    epoch: int
    seq: int
    trimmed_seq: int


class Recorder:
    """Records the campaigns whose lease it holds.

    `events_kept` entries stay in the stream below the cursor, for other readers and for a rebuild.
    """

    name: ClassVar[str] = "recorder"

    def __init__(
        self, server: Server, streams: Streams, ledger: Ledger, clock: Clock, events_kept: int
    ) -> None:
        self._server = server
        self._streams = streams
        self._ledger = ledger
        self._clock = clock
        self._events_kept = events_kept
        self._holder = secrets.token_urlsafe(9)
        self._cursors: dict[str, Cursor] = {}
        self._paused_until_s: dict[str, float] = {}

    async def run_once(self) -> float:
        """Take leases, wait for events, record them."""
        await self._take_leases()
        if not self._cursors:
            return IDLE_MS_MAX / 1000
        after = {campaign: (cursor.epoch, cursor.seq) for campaign, cursor in self._cursors.items()}
        for campaign in await self._streams.wait(after, IDLE_MS_MAX):
            await self._record_from(campaign)
        return 0

    async def close(self) -> None:
        """Record what is left, then give the leases back.

        A lease may still be that of a recorder that was killed, so nobody waits for it; where another is at work, the
        ledger fences one of the two off.
        """
        for registration in await self._ledger.campaigns():
            campaign = registration.campaign
            await self._look(registration)
            while campaign in self._cursors and await self._record_from(campaign):
                pass
            await self._streams.release(campaign, self.name, self._holder)

    async def _take_leases(self) -> None:
        for registration in await self._ledger.campaigns():
            if await self._streams.lease(registration.campaign, self.name, self._holder, LEASE_TTL_MS):
                await self._look(registration)
            else:
                self._cursors.pop(registration.campaign, None)

    async def _look(self, registration: Registration) -> None:
        """Find out where a campaign stands that is new to this recorder."""
        campaign = registration.campaign
        if campaign in self._cursors or self._paused_until_s.get(campaign, 0) > self._clock.monotonic_s():
            return
        state = await self._streams.state(campaign)
        if state is not None and await self._is_whole(registration, state):
            seq = registration.recorded_seq
            self._cursors[campaign] = Cursor(registration.epoch, seq, seq)

    async def _is_whole(self, registration: Registration, state: State) -> bool:
        """Whether Redis holds all that the ledger has recorded; if not, sales are stopped."""
        if state.epoch == registration.epoch and state.seq >= registration.recorded_seq:
            return True
        logger.error(
            "%s: Redis is at epoch %d seq %d, the ledger at epoch %d seq %d: closed until it is rebuilt",
            registration.campaign, state.epoch, state.seq, registration.epoch, registration.recorded_seq,
        )  # fmt: skip
        await self._server.call("gate", registration.campaign, [str(state.epoch), "0", "open", "closed"])
        return False

    async def _record_from(self, campaign: str) -> int:
        """Record the next events of a campaign, and return how many."""
        cursor = self._cursors[campaign]
        entries = await self._streams.read(campaign, cursor.epoch, cursor.seq, BATCH_ENTRIES_MAX)
        if not entries:
            return 0
        batch = [_decode(campaign, entry) for entry in entries]
        if not _is_consecutive(batch, cursor):
            logger.error("%s: the stream has no event %d: recording stops here", campaign, cursor.seq + 1)
            metrics.RECORDER_GAPS.labels(campaign).inc()
            self._paused_until_s[campaign] = self._clock.monotonic_s() + GAP_PAUSE_S
            del self._cursors[campaign]
            return 0
        try:
            await self._record(campaign, cursor, batch)
        except Fenced:
            logger.info("%s: another recorder is at work", campaign)
            del self._cursors[campaign]
            return 0
        except BaseException:
            # Whether it was committed is not known: the cursor is read anew.
            del self._cursors[campaign]
            raise
        self._measure(campaign, batch)
        await self._trim(campaign, cursor)
        return len(batch)

    async def _record(self, campaign: str, cursor: Cursor, batch: Sequence[Event | DeadLetter]) -> None:
        """Record a batch; one that the ledger refuses is halved until the event at fault stands alone."""
        try:
            await self._ledger.record(campaign, cursor.epoch, cursor.seq, batch)
            cursor.seq = batch[-1].seq
        except Refused as refusal:
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._record(campaign, cursor, batch[:middle])
                await self._record(campaign, cursor, batch[middle:])
                return
            logger.error("%s: event %d cannot be applied: %s", campaign, batch[0].seq, refusal)
            event = batch[0]
            letter = DeadLetter(campaign, event.epoch, event.seq, event.fields, str(refusal))
            await self._record(campaign, cursor, [letter])

    def _measure(self, campaign: str, batch: Sequence[Event | DeadLetter]) -> None:
        letters = sum(isinstance(event, DeadLetter) for event in batch)
        metrics.RECORDED_EVENTS.labels(campaign).inc(len(batch))
        if letters:
            metrics.DEAD_LETTERS.labels(campaign).inc(letters)
        newest = batch[-1]
        if isinstance(newest, Event):
            lag_ms = self._clock.now_ms() - newest.header.at
            metrics.RECORDER_LAG.labels(campaign).set(max(0, lag_ms) / 1000)

    async def _trim(self, campaign: str, cursor: Cursor) -> None:
        below = cursor.seq - self._events_kept + 1
        if below - cursor.trimmed_seq >= TRIM_EVERY_ENTRIES:
            await self._streams.trim(campaign, cursor.epoch, below)
            cursor.trimmed_seq = below


def _decode(campaign: str, entry: Entry) -> Event | DeadLetter:
    try:
        return events.decode(campaign, entry.id, entry.fields)
    except events.Undecodable as error:
        epoch, seq = events.parse_id(entry.id)
        return DeadLetter(campaign, epoch, seq, entry.fields, str(error))


def _is_consecutive(batch: Sequence[Event | DeadLetter], cursor: Cursor) -> bool:
    return all(
        event.epoch == cursor.epoch and event.seq == seq
        for seq, event in enumerate(batch, start=cursor.seq + 1)
    )
