"""The recorder: brings every event of every campaign into the ledger, once and in order.

The cursor lives in the ledger and moves in the transaction that applies the events, so a crash at any point
repeats nothing and skips nothing. Of two recorders on one campaign the ledger fences one off.
"""

import asyncio
import logging
import math
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Final

from msgspec import Struct

from engine import metrics
from engine.clock import Clock
from engine.continuity import Continuity
from engine.domain import events
from engine.domain.events import Event
from engine.ledger.protocol import Batch, DeadLetter, Fenced, Ledger, Refused, Registration
from engine.live.server import NothingRan, Server
from engine.live.streams import Entry, Streams

logger = logging.getLogger(__name__)

BATCH_ENTRIES_MAX: Final = 1_000
CAMPAIGNS_MAX: Final = 32
"""Campaigns that share a transaction, and are asked for at once."""
ROUND_ENTRIES_MAX: Final = 8_000
"""Of all campaigns that share a transaction."""
GATHER_S: Final = 0.05
"""A round under load begins this long after the one before.

A transaction costs an fsync and the pages it touches, whatever its size, so larger batches are cheaper by the event:
at 15,000 a second this takes a quarter off the recorder's CPU, and 0.1 s would take no more. The first event after a
pause does not wait.
"""
BUSY_SHARE: Final = 0.25
GATHER_S_MAX: Final = 0.25
"""Where many campaigns share a round, or the disk is slow, it takes longer; then it comes less often, within bounds."""
IDLE_MS_MAX: Final = 200
LEASE_TTL_MS: Final = 2_000
LEASE_RENEWED_AFTER_S: Final = 1.0
LOOK_EVERY_S: Final = 0.5
"""How often the recorder looks for new campaigns, and for those that another recorder has left."""
NOTED_EVERY_ENTRIES: Final = 1_000
"""In such steps Redis learns how far the ledger is, and drops what is not kept. No backlog is bounded by less."""
GAP_PAUSE_S: Final = 10.0
"""How long a campaign whose stream has a gap is left alone before it is looked at again."""


class Cursor(Struct):
    """Where this recorder stands in a campaign that it holds."""

    epoch: int
    seq: int
    noted_seq: int
    """What Redis was told of it."""
    last: Entry | None
    """The entry that was recorded last; None where it is not known."""


class Recorder:
    """Records the campaigns whose lease it holds.

    `events_kept` entries stay in the stream below the cursor, for other readers and for a rebuild; the last of them
    tells whether the log is still the one that was recorded.
    """

    name: ClassVar[str] = "recorder"

    def __init__(
        self, server: Server, streams: Streams, ledger: Ledger, clock: Clock, events_kept: int
    ) -> None:
        self._server = server
        self._streams = streams
        self._ledger = ledger
        self._continuity = Continuity(ledger)
        self._clock = clock
        self._events_kept = events_kept
        self._holder = secrets.token_urlsafe(9)
        self._cursors: dict[str, Cursor] = {}
        self._leased_at_s: dict[str, float] = {}
        self._look_at_s = 0.0
        self._paused_until_s: dict[str, float] = {}

    async def run_once(self) -> float:
        """Take leases, wait for events, record them."""
        if not self._cursors or self._clock.monotonic_s() >= self._look_at_s:
            await self._take_leases()
            self._look_at_s = self._clock.monotonic_s() + LOOK_EVERY_S
        if not self._cursors:
            return IDLE_MS_MAX / 1000
        after = {campaign: (cursor.epoch, cursor.seq) for campaign, cursor in self._cursors.items()}
        asked = max(1, min(BATCH_ENTRIES_MAX, ROUND_ENTRIES_MAX // len(after)))
        found = await self._streams.next(after, asked, IDLE_MS_MAX)
        began_s, most = self._clock.monotonic_s(), 0
        for group in _groups(list(found)):
            most = max(most, await self._record_found({name: found[name] for name in group}, asked))
        if not found or most >= BATCH_ENTRIES_MAX:
            return 0
        took_s = self._clock.monotonic_s() - began_s
        return max(0.0, min(GATHER_S_MAX, max(GATHER_S, took_s / BUSY_SHARE)) - took_s)

    async def close(self) -> None:
        """Record what is left, then give the leases back.

        A lease may still be that of a recorder that was killed, so nobody waits for it; where another is at work, the
        ledger fences one of the two off.
        """
        for registration in await self._ledger.campaigns():
            await self.drain(registration)
            await self._streams.release(registration.campaign, self.name, self._holder)

    async def drain(self, registration: Registration) -> None:
        """Record what is left of one campaign, as far as no other recorder is at work on it."""
        while not await self._ledger.link(registration.campaign, registration.recorded_seq):
            pass
        await self._look(registration)
        while registration.campaign in self._cursors and await self._record_next(registration.campaign):
            pass

    async def _take_leases(self) -> None:
        registrations = await self._ledger.campaigns()
        failures: list[NothingRan] = []
        for group in _groups([registration.campaign for registration in registrations]):
            failures += filter(None, await asyncio.gather(*map(self._lease, group)))
        for registration in registrations:
            if registration.campaign in self._leased_at_s:
                await self._look(registration)
        if failures and not self._cursors:
            raise failures[0]

    async def _lease(self, campaign: str) -> NothingRan | None:
        """Take or renew a lease when it is time to. A failure is returned: other campaigns may be on other shards."""
        now_s, failure = self._clock.monotonic_s(), None
        if now_s < self._leased_at_s.get(campaign, -math.inf) + LEASE_RENEWED_AFTER_S:
            return None
        try:
            if await self._streams.lease(campaign, self.name, self._holder, LEASE_TTL_MS):
                self._leased_at_s[campaign] = now_s
                return None
        except NothingRan as error:
            logger.warning("%s: no lease: %s", campaign, error)
            failure = error
        self._leased_at_s.pop(campaign, None)
        self._cursors.pop(campaign, None)
        return failure

    async def _look(self, registration: Registration) -> None:
        """Find out where a campaign stands that is new to this recorder."""
        campaign = registration.campaign
        if campaign in self._cursors or self._paused_until_s.get(campaign, 0) > self._clock.monotonic_s():
            return
        if not await self._ledger.link(campaign, registration.recorded_seq):
            return
        state = await self._streams.state(campaign)
        if state is not None and await self._continuity.holds(self._server.command, registration):
            last = await self._continuity.last(registration)
            cursor = Cursor(registration.epoch, registration.recorded_seq, state.recorded_seq, last)
            await self._note(campaign, cursor)
            self._cursors[campaign] = cursor
            # From 0 on, so that the first one is an increase.
            metrics.DEAD_LETTERS.labels(campaign)
            metrics.RECORDER_GAPS.labels(campaign)
            metrics.DIVERGED_LOGS.labels(campaign)

    async def _record_next(self, campaign: str) -> int:
        """Record the next events of a campaign, and return how many those were."""
        cursor = self._cursors[campaign]
        entries = await self._streams.read(campaign, cursor.epoch, cursor.seq, BATCH_ENTRIES_MAX)
        return await self._record_found({campaign: entries}, BATCH_ENTRIES_MAX)

    async def _record_found(self, found: Mapping[str, Sequence[Entry]], asked: int) -> int:
        """Record the next events of some campaigns, and return how many those were.

        Of a campaign that has all that were `asked` for, more are read: it may be the one that everybody wants.
        """
        entries_max = min(BATCH_ENTRIES_MAX, ROUND_ENTRIES_MAX // len(found))
        answers = await asyncio.gather(
            *(
                self._batch(campaign, entries, entries_max - asked if len(entries) == asked else 0)
                for campaign, entries in found.items()
            )
        )
        failures = [answer for answer in answers if isinstance(answer, NothingRan)]
        if failures and len(failures) == len(found):
            raise failures[0]
        batches = [answer for answer in answers if isinstance(answer, Batch)]
        if len(batches) < 2 or not await self._record_together(batches):
            for batch in batches:
                await self._record_alone(batch)
        return sum(len(batch.entries) for batch in batches)

    async def _batch(self, campaign: str, entries: Sequence[Entry], more: int) -> Batch | NothingRan | None:
        cursor = self._cursors[campaign]
        if more > 0:
            try:
                last_seq = cursor.seq + len(entries)
                entries = [*entries, *await self._streams.read(campaign, cursor.epoch, last_seq, more)]
            except NothingRan as error:
                logger.warning("%s: its events cannot be read: %s", campaign, error)
                return error
        if not entries:
            return None
        try:
            if not await self._goes_on(campaign, cursor):
                return None
        except NothingRan as error:
            logger.warning("%s: what was recorded last cannot be read: %s", campaign, error)
            return error
        decoded = [_decode(campaign, entry) for entry in entries]
        if decoded[0].epoch > cursor.epoch and (await self._registration(campaign)).epoch > cursor.epoch:
            # It was rebuilt; where the ledger stands now is looked at anew.
            self._forget([campaign])
            return None
        consecutive = list(_consecutive(decoded, cursor))
        if not consecutive:
            logger.error("%s: the stream has no event %d: recording stops here", campaign, cursor.seq + 1)
            metrics.RECORDER_GAPS.labels(campaign).inc()
            self._paused_until_s[campaign] = self._clock.monotonic_s() + GAP_PAUSE_S
            del self._cursors[campaign]
            return None
        return Batch(campaign, cursor.epoch, cursor.seq, consecutive)

    async def _goes_on(self, campaign: str, cursor: Cursor) -> bool:
        """Whether what was just read is the continuation of what is recorded.

        It is asked after the reading, so that a server which was promoted in between has to have what was recorded.
        Where decisions wait for replicas the answer does, too: the ledger has nothing that is not on these.
        """
        last_id = b"%d-%d" % (cursor.epoch, cursor.seq) if cursor.last is None else cursor.last.id
        kept = await self._streams.entry(campaign, last_id)
        if cursor.last is None or kept == cursor.last:
            return True
        if await self._continuity.holds(self._server.command, await self._registration(campaign)):
            return True
        self._forget([campaign])
        return False

    async def _registration(self, campaign: str) -> Registration:
        return next(each for each in await self._ledger.campaigns() if each.campaign == campaign)

    async def _record_together(self, batches: Sequence[Batch]) -> bool:
        """Record in one transaction. False when one of them is at fault, and nothing was written."""
        try:
            await self._ledger.record_many(batches)
        except (Fenced, Refused):
            return False
        except BaseException:
            self._forget(batch.campaign for batch in batches)
            raise
        for batch in batches:
            self._advance(batch.campaign, self._cursors[batch.campaign], batch.entries)
        for batch in batches:
            await self._note(batch.campaign, self._cursors[batch.campaign])
        return True

    async def _record_alone(self, batch: Batch) -> None:
        campaign, cursor = batch.campaign, self._cursors[batch.campaign]
        try:
            await self._record(campaign, cursor, batch.entries)
        except Fenced:
            logger.info("%s: another recorder is at work", campaign)
            self._forget([campaign])
            return
        except BaseException:
            self._forget([campaign])
            raise
        await self._note(campaign, cursor)

    def _forget(self, campaigns: Iterable[str]) -> None:
        """Whether it was committed is not known, or another has the lease: both are looked at anew, and at once."""
        for campaign in campaigns:
            del self._cursors[campaign]
            self._leased_at_s.pop(campaign, None)
        self._look_at_s = 0.0

    async def _record(self, campaign: str, cursor: Cursor, batch: Sequence[Event | DeadLetter]) -> None:
        """Record a batch; one that the ledger refuses is halved until the event at fault stands alone."""
        try:
            await self._ledger.record(campaign, cursor.epoch, cursor.seq, batch)
            self._advance(campaign, cursor, batch)
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

    def _advance(self, campaign: str, cursor: Cursor, entries: Sequence[Event | DeadLetter]) -> None:
        """The ledger has these."""
        newest = entries[-1]
        cursor.seq = newest.seq
        cursor.last = Entry(b"%d-%d" % (newest.epoch, newest.seq), newest.fields)
        decided_at_s = [entry.header.at / 1000 for entry in entries if isinstance(entry, Event)]
        metrics.RECORDER_LAG.observe_waits(decided_at_s, self._clock.now_ms() / 1000)
        metrics.RECORDED_EVENTS.labels(campaign).inc(len(entries))
        if letters := len(entries) - len(decided_at_s):
            metrics.DEAD_LETTERS.labels(campaign).inc(letters)

    async def _note(self, campaign: str, cursor: Cursor) -> None:
        if cursor.seq - cursor.noted_seq >= NOTED_EVERY_ENTRIES:
            kept_from = cursor.seq - self._events_kept + 1
            await self._streams.note_recorded(campaign, cursor.epoch, cursor.seq, kept_from)
            cursor.noted_seq = cursor.seq


def _groups(campaigns: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(campaigns), CAMPAIGNS_MAX):
        yield campaigns[first : first + CAMPAIGNS_MAX]


def _decode(campaign: str, entry: Entry) -> Event | DeadLetter:
    try:
        return events.decode(campaign, entry.id, entry.fields)
    except events.Undecodable as error:
        epoch, seq = events.parse_id(entry.id)
        return DeadLetter(campaign, epoch, seq, entry.fields, str(error))


def _consecutive(batch: Sequence[Event | DeadLetter], cursor: Cursor) -> Iterator[Event | DeadLetter]:
    """What comes right after the cursor, up to the first gap."""
    for seq, event in enumerate(batch, start=cursor.seq + 1):
        if (event.epoch, event.seq) != (cursor.epoch, seq):
            return
        yield event
