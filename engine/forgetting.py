"""Forgetting: a member, or everybody of a campaign that is long over, is erased from Redis and from the ledger.

First what the stream has is recorded. Then Redis forgets, in one call: stand-ins take the place of ids, and what is not
over yet is cancelled. Once the ledger has the events of that call, the stream is cut off before it, and last the ledger
forgets. So it is the ledger that says what is left to do: whoever is killed at any step does the rest when it is asked
again, and what is done already is done again to no effect.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from engine.clock import Clock
from engine.domain import chain, forgetting, outcome
from engine.domain.definition import milliseconds
from engine.domain.forgetting import Owned
from engine.ledger.protocol import Held, Ledger, Registration
from engine.live import append_only, keys
from engine.live.catalog import Catalog
from engine.live.decisions import Decisions
from engine.live.server import Server
from engine.live.streams import Streams
from engine.workers.recorder import Recorder

PAGE_ENTRIES: Final = 500
"""Entries of the log in one step: some three ms of Redis, in which nobody else is served."""
POLL_S: Final = 0.05

_encode = msgspec.msgpack.Encoder().encode


class Forgotten(Struct):
    """What a campaign had of a member, or of everybody, and what was done."""

    campaign: str
    """"" for what belongs to none."""
    enrollments: int = 0
    cancelled: int = 0
    """Of these: they were not over."""
    events: int = 0
    """Entries of the log that may have named the member."""
    shares: int = 0
    """In draws."""
    results: int = 0
    acts: int = 0
    """What the member did as an officer or an organizer."""

    @property
    def is_nothing(self) -> bool:
        """Whether there was nothing to forget."""
        return self == Forgotten(self.campaign)


class Stopped(Exception):
    """It cannot be done now: nothing is lost, and asked again it goes on. The message says why."""


class _Again(Exception):
    """Something happened meanwhile: look anew."""


class Forgetter:
    """Forgets members. Several may be at work at once, also on the same member.

    Every method raises Stopped, live.server.NothingRan or Unknown, or ledger.protocol.Unavailable.
    """

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

    async def look(self, campaign: str, member: str) -> Forgotten:
        """What there is of a member in a campaign, as far as it is recorded; nothing is changed."""
        found = Forgotten(campaign)
        if campaign:
            registration = await self._registration(campaign)
            owned, found.events = await self._search(registration, member)
            now_ms, ends = self._clock.now_ms(), await self._ends(registration)
            for name in owned.get(member, Owned()).enrollments:
                found.cancelled += await self._is_to_come(campaign, name, ends, now_ms)
        _add(found, await self._ledger.held(campaign, member))
        return found

    async def forget(
        self, campaign: str, member: str, actor: str, channel: str, patience_s: float
    ) -> Forgotten:
        """Forget a member in a campaign, or for "" in what belongs to none.

        What others do meanwhile is waited for, each time up to `patience_s`.
        """
        done = Forgotten(campaign)
        if actor == member:
            # The event and the trail would bring the id back.
            actor = chain.stand_in(campaign, member)
        if not campaign:
            _add(done, await self._ledger.held(campaign, member))
            if not done.is_nothing:
                await self._ledger.forget(campaign, member, 0, actor, channel, self._clock.now_ms())
            return done
        deadline_s = self._clock.monotonic_s() + patience_s
        while True:
            try:
                await self._forget(done, member, actor, channel, patience_s)
                return done
            except _Again as reason:
                if self._clock.monotonic_s() >= deadline_s:
                    raise Stopped(str(reason)) from None
                await asyncio.sleep(POLL_S)

    async def _forget(
        self, done: Forgotten, member: str, actor: str, channel: str, patience_s: float
    ) -> None:
        campaign, by = done.campaign, (actor, channel)
        registration = await self._recorded(campaign, patience_s)
        owned, events = await self._search(registration, member)
        held = await self._ledger.held(campaign, member)
        is_known = registration.created and await self._is_member(campaign, member)
        if held == Held(0, 0, 0, 0) and not events and not is_known:
            return
        done.events = max(done.events, events)
        _add(done, held)
        until_seq = registration.recorded_seq
        if registration.created:
            if await self._is_carried_out(campaign):
                raise _Again("members who go on from a round are being enrolled")
            owned.setdefault(member, Owned())
            until_seq, cancelled = await self._in_redis(registration, owned, by)
            done.cancelled += cancelled
            await self._cut_off(campaign, until_seq, patience_s)
        await self._in_log(campaign, member, until_seq)
        if not await self._ledger.forget(campaign, member, until_seq, *by, self._clock.now_ms()):
            raise _Again("members who go on from a round are being enrolled")
        await self._was_not_rebuilt(registration)

    async def forget_everybody(self, campaign: str, actor: str, channel: str, patience_s: float) -> Forgotten:
        """Forget everybody who has an enrollment or a code of a campaign, or is in its draws or results.

        Who acted for others is not meant: that is an office, and is told by the audit trail.
        """
        done = Forgotten(campaign)
        registration = await self._recorded(campaign, patience_s)
        until_seq, after_seq = registration.recorded_seq, 0
        while after_seq < until_seq:
            page = await self._ledger.log_about(campaign, None, after_seq, until_seq, PAGE_ENTRIES)
            if not page:
                break
            owned = dict[str, Owned]()
            forgetting.gather(None, [each.event for each in page if each.event], owned)
            if owned:
                done.cancelled += await self._page_in_redis(campaign, owned, (actor, channel), patience_s)
                done.enrollments += sum(len(each.enrollments) for each in owned.values())
                done.events += sum(each.names for each in page)
            after_seq = page[-1].seq
        registration = await self._recorded(campaign, patience_s)
        until_seq = registration.recorded_seq
        if done.events:
            await self._cut_off(campaign, until_seq, patience_s)
        await self._in_log(campaign, None, until_seq)
        if not await self._ledger.forget(campaign, None, until_seq, actor, channel, self._clock.now_ms()):
            raise Stopped("members who go on from a round are being enrolled")
        await self._was_not_rebuilt(registration)
        return done

    async def _page_in_redis(
        self, campaign: str, owned: Mapping[str, Owned], by: tuple[str, str], patience_s: float
    ) -> int:
        """Returns how many enrollments were cancelled."""
        deadline_s = self._clock.monotonic_s() + patience_s
        registration = await self._registration(campaign)
        while True:
            try:
                return (await self._in_redis(registration, owned, by))[1]
            except _Again as reason:
                if self._clock.monotonic_s() >= deadline_s:
                    raise Stopped(str(reason)) from None
                registration = await self._recorded(campaign, patience_s)

    async def scrub(self) -> list[str]:
        """Have what was forgotten leave the files of the ledger and of Redis too; returns what does not."""
        notes = []
        if not await self._ledger.scrub():
            notes.append("the ledger's write-ahead log is in use, and keeps what was changed for a while")
        created = [each.campaign for each in await self._ledger.campaigns() if each.created]
        return notes + await append_only.rewrite(self._server, created)

    # What there is

    async def _search(self, registration: Registration, member: str) -> tuple[dict[str, Owned], int]:
        """What the log says to be the member's, and how many of its entries may name the member."""
        owned, entries, after_seq = dict[str, Owned](), 0, 0
        until_seq = registration.recorded_seq
        while page := await self._ledger.log_about(
            registration.campaign, member, after_seq, until_seq, PAGE_ENTRIES
        ):
            forgetting.gather(member, [each.event for each in page if each.event], owned)
            entries += sum(each.names for each in page)
            after_seq = page[-1].seq
        return owned, entries

    async def _is_member(self, campaign: str, member: str) -> bool:
        """Whether Redis knows the member."""
        members = keys.of(campaign, "MEMBERS")
        return bool(await self._server.command(members, "HEXISTS", members, member))

    async def _is_to_come(self, campaign: str, name: str, ends: Mapping[str, int], now_ms: int) -> bool:
        found = await self._decisions.find(campaign, name)
        record = found.record
        if record is None or record.status in ("cancelled", "lapsed", "not_drawn"):
            return False
        return record.status != "confirmed" or ends.get(record.offering, 0) > now_ms

    async def _ends(self, registration: Registration) -> dict[str, int]:
        """When the last session of each offering ends, UTC milliseconds."""
        definition = await self._catalog.find(registration.campaign) if registration.created else None
        return {
            offering.offering: max(milliseconds(session.ends) for session in offering.sessions)
            for offering in (definition.document.offerings if definition else ())
        }

    async def _registration(self, campaign: str) -> Registration:
        for registration in await self._ledger.campaigns():
            if registration.campaign == campaign:
                return registration
        raise Stopped("the ledger does not know it")

    async def _is_carried_out(self, campaign: str) -> bool:
        return any(each.campaign == campaign for each in await self._ledger.rounds_due())

    # What is done

    async def _recorded(self, campaign: str, patience_s: float, seq: int | None = None) -> Registration:
        """Where the ledger stands once it has recorded `seq`, or else what Redis has now."""
        deadline_s = self._clock.monotonic_s() + patience_s
        registration = await self._registration(campaign)
        if not registration.created:
            return registration
        state = await self._streams.state(campaign)
        if state is None or state.epoch != registration.epoch or state.gate != "open":
            raise Stopped("its state in Redis is lost or closed: `seatrush rebuild` comes first")
        seq = state.seq if seq is None else seq
        recorder = Recorder(self._server, self._streams, self._ledger, self._clock, events_kept=state.seq)
        while registration.recorded_seq < seq:
            if self._clock.monotonic_s() >= deadline_s:
                raise Stopped("the ledger does not follow: is the recorder at work?")
            if not await self._streams.is_leased(campaign, Recorder.name):
                await recorder.drain(registration)
            now = await self._registration(campaign)
            if now == registration:
                await asyncio.sleep(POLL_S)
            registration = now
        return registration

    async def _in_redis(
        self, registration: Registration, owned: Mapping[str, Owned], by: tuple[str, str]
    ) -> tuple[int, int]:
        """Returns the seq of the last event of it, and how many enrollments were cancelled."""
        campaign, seq, cancelled = registration.campaign, 0, 0
        ends = _encode(await self._ends(registration))
        for members, codes in _parts(campaign, owned):
            status, facts = await self._decisions.command(
                "forget", campaign, _encode(members), _encode(codes), registration.recorded_seq, ends, *by
            )
            if status == outcome.STALE:
                raise _Again("the member acts meanwhile")
            if status == "wrong_state":
                raise _Again("a draw is being settled")
            if status != outcome.DECIDED:
                raise Stopped("its state in Redis is lost or closed: `seatrush rebuild` comes first")
            seq, cancelled = int(facts[0]), cancelled + int(facts[1])
            self._decisions.hear(campaign, seq)
        return seq, cancelled

    async def _cut_off(self, campaign: str, seq: int, patience_s: float) -> None:
        """Drop what the stream has before `seq`, or where much came after it before a later one."""
        deadline_s = self._clock.monotonic_s() + patience_s
        while True:
            registration = await self._recorded(campaign, patience_s, seq)
            (status, *_) = await self._server.call("shorten", campaign, [registration.epoch, seq])
            if status.decode() == outcome.DECIDED:
                return
            if status.decode() != outcome.STALE:
                raise Stopped("its state in Redis is lost or closed: `seatrush rebuild` comes first")
            if self._clock.monotonic_s() >= deadline_s:
                raise Stopped("the ledger does not follow: is the recorder at work?")
            seq = max(seq, registration.recorded_seq)

    async def _was_not_rebuilt(self, registration: Registration) -> None:
        """A rebuild meanwhile may have brought back from the log what was forgotten in Redis; the next one will not."""
        if (await self._registration(registration.campaign)).epoch != registration.epoch:
            raise Stopped("it was rebuilt meanwhile: `seatrush rebuild` once more")

    async def _in_log(self, campaign: str, member: str | None, until_seq: int) -> None:
        after_seq = 0
        while after_seq < until_seq:
            after_seq = await self._ledger.rewrite_log(campaign, member, after_seq, until_seq, PAGE_ENTRIES)


def _parts(
    campaign: str, owned: Mapping[str, Owned]
) -> list[tuple[list[tuple[str, str, list[str], list[str]]], list[tuple[str, str]]]]:
    """What is owned, in parts that one call takes; a member of whom there is more comes in each of them."""
    codes = [
        (code, chain.stand_in(campaign, member)) for member, mine in owned.items() for code in mine.codes
    ]
    longest = max((max(len(mine.enrollments), len(mine.keys)) for mine in owned.values()), default=0)
    parts = []
    for first in range(0, max(1, longest, len(codes)), PAGE_ENTRIES):
        chosen = slice(first, first + PAGE_ENTRIES)
        members = [
            (
                member,
                chain.stand_in(campaign, member),
                list(mine.enrollments)[chosen],
                list(mine.keys)[chosen],
            )
            for member, mine in owned.items()
        ]
        parts.append((members, codes[chosen]))
    return parts


def _add(found: Forgotten, held: Held) -> None:
    """Count what the tables have; in a second look some of it may be forgotten already."""
    found.enrollments = max(found.enrollments, held.enrollments)
    found.shares = max(found.shares, held.shares)
    found.results = max(found.results, held.results)
    found.acts = max(found.acts, held.acts)
