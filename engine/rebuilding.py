"""Rebuilding: a campaign's state in Redis is made anew from the ledger's log.

The gate is shut first, and what the stream has that the ledger has not is recorded. Then the ledger takes the next
epoch, which fences off every recorder and every other rebuild of the one before; a new state is made under that epoch,
the audit holds it against the ledger, and only then the gate opens. Whoever is killed at any step leaves the gate shut,
and the next rebuild begins from the start.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.audit import Audit
from engine.clock import Clock
from engine.domain import events, outcome
from engine.domain.difference import Difference
from engine.ledger.protocol import Ledger, Registration
from engine.live.catalog import Catalog
from engine.live.decisions import Decisions
from engine.live.restoration import Restoration
from engine.live.server import NothingRan, Server
from engine.live.streams import Entry, State, Streams
from engine.workers.recorder import Recorder

PAGE_EVENTS: Final = 2_000
CALLS_AT_ONCE: Final = 2

ANOTHER: Final = "another rebuild is at work"

logger = logging.getLogger(__name__)


class Rebuilt(Struct):
    """What was done to one campaign. Its gate is open if there are no differences."""

    campaign: str
    epoch: int = 0
    """Of the state that was made."""
    seq: int = 0
    """The last event that it rests on."""
    recorded: int = 0
    """Events that only the stream had, and that were recorded first."""
    enrollments: int = 0
    took_s: float = 0.0
    differences: list[Difference] = []
    """Why the gate is shut."""
    notes: list[str] = []
    """What is not in the state that was made."""


class Stopped(Exception):
    """The rebuild cannot go on. The message says why."""


class Rebuilder:
    """Rebuilds campaigns. Of two rebuilds of one campaign at once one goes on, and the other stops."""

    def __init__(
        self,
        server: Server,
        streams: Streams,
        ledger: Ledger,
        catalog: Catalog,
        decisions: Decisions,
        clock: Clock,
    ) -> None:
        self._server = server
        self._streams = streams
        self._ledger = ledger
        self._catalog = catalog
        self._decisions = decisions
        self._clock = clock

    async def rebuild(self, campaign: str, actor: str) -> Rebuilt:
        """Rebuild one campaign, and open the gate where the audit finds nothing.

        Raises live.server.NothingRan, live.server.Unknown or ledger.protocol.Unavailable; the gate is shut then.
        """
        began_s = self._clock.monotonic_s()
        result = Rebuilt(campaign)
        try:
            await self._rebuild(result, actor)
        except Stopped as reason:
            result.differences.append(Difference("", str(reason)))
        result.took_s = self._clock.monotonic_s() - began_s
        return result

    async def _rebuild(self, result: Rebuilt, actor: str) -> None:
        registration = await self._registration(result.campaign)
        if not registration.created:
            raise Stopped("was never published: there is nothing to rebuild; apply its document")
        state = await self._close(registration)
        if state is None:
            result.seq = registration.recorded_seq
        else:
            result.seq = await self._record_tail(registration, state, result)
        result.recorded = result.seq - registration.recorded_seq
        result.epoch = registration.epoch + 1
        # The state that was seen is of the epoch that was seen first: of no other is one given up.
        fence = (registration.epoch, result.seq)
        if not await self._ledger.begin_epoch(result.campaign, *fence, actor, self._clock.now_ms()):
            raise Stopped(ANOTHER)
        restoration = await self._fold(result)
        if restoration.renamed:
            # Whoever forgot them was stopped between the two.
            for member in sorted(restoration.renamed):
                await self._forget_in_log(result, member)
            restoration = await self._fold(result)
        result.enrollments = restoration.enrollments
        await self._restore(state, restoration, result)
        # Before the audit needs as much.
        del restoration
        audited = await Audit(
            self._server, self._ledger, self._clock, result.campaign, wait_s=0, gate="closed"
        ).run()
        letters = {f"event {letter.seq}" for letter in await self._ledger.dead_letters(result.campaign)}
        for difference in audited.differences:
            if difference.subject in letters:
                result.notes.append(f"{difference.subject} {difference.what}")
            else:
                result.differences.append(difference)
        result.differences += [Difference("", note) for note in audited.notes]
        if not result.differences:
            await self._open(result)

    async def _registration(self, campaign: str) -> Registration:
        for registration in await self._ledger.campaigns():
            if registration.campaign == campaign:
                return registration
        raise Stopped("the ledger does not know it")

    async def _close(self, registration: Registration) -> State | None:
        """Shut the gate, whatever it was; returns the state that is there, None when there is none."""
        campaign = registration.campaign
        while True:
            state = await self._streams.state(campaign)
            if state is None:
                return None
            if state.epoch > registration.epoch:
                if await self._registration(campaign) != registration:
                    raise Stopped(ANOTHER)
                raise Stopped(
                    f"Redis is at epoch {state.epoch}, the ledger at epoch {registration.epoch}: "
                    "it is an old copy, and nothing is rebuilt from it"
                )
            if state.gate != "open":
                return state
            await self._server.call("gate", campaign, [str(state.epoch), "0", state.gate, "closed"])

    async def _record_tail(self, first: Registration, state: State, result: Rebuilt) -> int:
        """Record what only the stream has; returns the seq that the ledger has then, and notes what is left out."""
        recorder = Recorder(self._server, self._streams, self._ledger, self._clock, events_kept=state.seq)
        while True:
            registration = await self._registration(result.campaign)
            after = registration.recorded_seq
            if registration.epoch != first.epoch:
                raise Stopped(ANOTHER)
            if state.epoch != registration.epoch or state.seq <= after:
                return after
            # It records nothing from a log that does not go on from the ledger's.
            await recorder.drain(registration)
            if await self._registration(result.campaign) == registration:
                await self._note_left_out(registration, state, result)
                return after

    async def _note_left_out(self, registration: Registration, state: State, result: Rebuilt) -> None:
        first = registration.recorded_seq + 1
        result.notes.append(
            f"events {first} to {state.seq} of Redis are left out: no event {first} follows in the stream"
        )
        after = 0
        while entries := await self._streams.read(result.campaign, registration.epoch, after, PAGE_EVENTS):
            after = events.parse_id(entries[-1].id)[1]
            for entry in entries:
                await self._note_entry(entry, result)

    async def _note_entry(self, entry: Entry, result: Rebuilt) -> None:
        try:
            event = events.decode(result.campaign, entry.id, entry.fields)
        except events.Undecodable:
            return
        recorded = await self._ledger.events(result.campaign, event.seq - 1, 1)
        known = recorded[0].fields if recorded and recorded[0].seq == event.seq else None
        if event.record is not None and known != event.fields:
            name, status = event.header.enrollment, event.record.status
            result.notes.append(f"event {event.seq} of Redis is left out: {name} {status}")

    async def _forget_in_log(self, result: Rebuilt, member: str) -> None:
        after = 0
        while after < result.seq:
            after = await self._ledger.rewrite_log(result.campaign, member, after, result.seq, PAGE_EVENTS)

    async def _fold(self, result: Rebuilt) -> Restoration:
        restoration, after = Restoration(), 0
        try:
            while after < result.seq:
                page = await self._ledger.events(result.campaign, after, PAGE_EVENTS)
                if not page:
                    break
                for event in page:
                    restoration.apply(event)
                after = page[-1].seq
        except (events.Undecodable, msgspec.DecodeError) as error:
            raise Stopped(f"an event after {after} in the ledger's log cannot be read: {error}") from error
        return restoration

    async def _restore(self, state: State | None, restoration: Restoration, result: Rebuilt) -> None:
        given_up = "" if state is None else f"{state.epoch}-{state.seq}"
        try:
            meta = restoration.meta(result.epoch, result.seq)
        except ValueError as error:
            raise Stopped(f"the ledger's log is not whole: {error}") from error
        await self._call("begin", result, given_up, _flat(meta))
        calls: list[Any] = []
        for part, values in restoration.parts():
            calls.append(self._call("fill", result, part, values))
            if len(calls) == CALLS_AT_ONCE:
                await _all(calls)
                calls.clear()
        await _all(calls)
        await self._call("end", result, "", restoration.due())

    async def _call(self, step: str, result: Rebuilt, what: str, values: Sequence[Any]) -> None:
        arguments = [step, str(result.epoch), what, *values]
        (status, *_) = await self._server.call("restore", result.campaign, arguments)
        if status.decode() != outcome.DECIDED:
            raise Stopped("another state is in Redis: another rebuild is at work, or Redis was emptied again")

    async def _open(self, result: Rebuilt) -> None:
        # Before the gate opens, so that every process hears of it.
        state = await self._streams.state(result.campaign)
        if state is None or (await self._registration(result.campaign)).epoch != result.epoch:
            raise Stopped(ANOTHER)
        await self._catalog.announce(result.campaign, state.version)
        opening = [str(result.epoch), str(result.seq), "closed", "open"]
        (status, *_) = await self._server.call("gate", result.campaign, opening)
        if status.decode() != outcome.DECIDED:
            raise Stopped("its state is gone again")
        try:
            await self._decisions.advance(result.campaign)
        except NothingRan as error:
            raise Stopped(f"the gate did not stay open: {error}") from error
        await self._catalog.load(result.campaign)


async def _all(calls: Sequence[Awaitable[None]]) -> None:
    """Wait for calls that are under way together; none is left behind when another fails."""
    for answer in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer


def _flat(fields: dict[str, Any]) -> list[Any]:
    return [word for pair in fields.items() for word in pair]
