"""Decisions: every verb on a campaign, asked through group commit and answered by one Lua call for each batch."""

import logging
import os
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from engine.domain import outcome
from engine.domain.definition import Definition
from engine.domain.enrollment import Record
from engine.domain.person import Person
from engine.live.catalog import Catalog
from engine.live.group_commit import GroupCommit, Landed, Limits, Overloaded
from engine.live.server import NothingRan, Server, Unknown

logger = logging.getLogger(__name__)

STALE_RETRIES_MAX: Final = 3
BEHIND_RETRIES_MAX: Final = 1_000
ENROLLMENT_BYTES: Final = 12
"""96 random bits make an enrollment's id, 16 characters, that cannot be guessed."""
ENROLLMENTS_DRAWN: Final = 256
"""Ids made of one reading of the system's random numbers."""


CLOSED_OR_LOST: Final = "the campaign's state is closed or not in Redis"
NOT_TAKEN: Final = f"{CLOSED_OR_LOST}, or its backlog is full, or a disk is short"
"""Why a verb that gives something out is `not_ready`."""


class Decision(Struct, frozen=True, array_like=True):
    """The one named answer to a request; engine/lua/includes/answers.lua has the same order.

    `fact` is what a refusal has to say: when a window opens (ms), which limit, which other offering, which status,
    why a code opens nothing.
    """

    outcome: str
    as_of_seq: int = 0
    """The last seq of the campaign when it was decided."""
    fact: int | str = ""
    enrollment: str = ""
    position: int = 0
    record: Record | None = None


class Change(Struct, frozen=True, array_like=True):
    """A request to change one enrollment: the script checks that it is the member's, unless `member` is ""."""

    enrollment: str
    member: str
    actor: str
    channel: str


Request: TypeAlias = Change | tuple[Any, ...]
"""A change, or a sign-up: (version, member, key, enrollment, offering, wanted, mask, actor, channel, wish, code,
epoch)."""

NOT_FOUND: Final = Decision("not_found")
NOT_READY: Final = Decision("not_ready")
OVERLOADED: Final = Decision("overloaded")
UNKNOWN: Final = Decision("unknown")

_answers = msgspec.msgpack.Decoder(list[Decision])
_encode = msgspec.msgpack.Encoder().encode


def enrollment_ids() -> Iterator[str]:
    """Ids of enrollments, without end."""
    while True:
        drawn = urlsafe_b64encode(os.urandom(ENROLLMENT_BYTES * ENROLLMENTS_DRAWN)).decode()
        size = len(drawn) // ENROLLMENTS_DRAWN
        yield from (drawn[start : start + size] for start in range(0, len(drawn), size))


def _ignore(landed: Landed[Decision]) -> None:
    return


class Decisions:
    """Every verb on every campaign. Refusals are values: nothing here raises because a request is refused.

    `backlog_entries_max` says how many events may wait for the ledger before sales stop; `observer` makes, for a verb
    and a campaign, what is told of each batch that was answered. `answered` is kept up to date with the epoch and
    the last seq of each campaign that an answer of this process rests on.
    """

    def __init__(
        self,
        server: Server,
        catalog: Catalog,
        limits: Limits,
        backlog_entries_max: Callable[[], int],
        observer: Callable[[str, str], Callable[[Landed[Decision]], None]] = lambda verb, campaign: _ignore,
        answered: dict[str, tuple[int, int]] | None = None,
    ) -> None:
        self._server = server
        self._catalog = catalog
        self._limits = limits
        self._backlog_entries_max = backlog_entries_max
        self._observer = observer
        self._queues: dict[tuple[str, str], GroupCommit[Request, Decision]] = {}
        self._newest_seq: dict[str, int] = {}
        self._answered: dict[str, tuple[int, int]] = {} if answered is None else answered
        self._fresh = enrollment_ids()

    async def sign_up(
        self,
        campaign: str,
        offering: str,
        person: Person,
        key: str,
        wanted: str,
        channel: str,
        wish: int = 0,
        code: str = "",
    ) -> Decision:
        """Ask for a seat. `key` is the idempotency key and `wanted` a pool, or "".

        `wish` is its rank among the member's wishes in a draw, 0 for the next after those that are entered. `code` is
        the id of an invitation code, or "".
        """
        definition = self._catalog.get(campaign) or await self._catalog.find(campaign)
        for _ in range(STALE_RETRIES_MAX):
            if definition is None:
                break
            decision = await self._sign_up(definition, offering, person, key, wanted, channel, wish, code)
            if decision.outcome != outcome.STALE:
                return decision
            definition = await self._catalog.load(campaign)
        return await self._absent(campaign) or NOT_READY

    async def _sign_up(
        self,
        definition: Definition,
        offering: str,
        person: Person,
        key: str,
        wanted: str,
        channel: str,
        wish: int,
        code: str,
    ) -> Decision:
        found = definition.offerings.get(offering)
        if found is None or (wanted and wanted not in found.pools):
            return NOT_FOUND
        member = person.sub
        request = (
            *(definition.version, member, key, next(self._fresh), offering, wanted),
            *(found.mask(person), member, channel, wish, code, definition.epoch),
        )
        return await self._ask("sign_up", definition.campaign, request)

    async def cancel(self, campaign: str, change: Change) -> Decision:
        """Cancel an enrollment."""
        return await self._change("cancel", campaign, change)

    async def confirm(self, campaign: str, change: Change) -> Decision:
        """Take a held or offered seat for good."""
        return await self._change("confirm", campaign, change)

    async def decline(self, campaign: str, change: Change) -> Decision:
        """Leave a held or offered seat."""
        return await self._change("decline", campaign, change)

    async def find(self, campaign: str, enrollment: str, member: str = "") -> Decision:
        """Read an enrollment: `changed` with it, or a refusal; with `member`, another's is as none."""
        absent = await self._absent(campaign)
        answers = absent or await self._send("find", campaign, [enrollment, member])
        return answers if isinstance(answers, Decision) else answers[0]

    async def mine(self, campaign: str, member: str) -> list[Decision] | Decision:
        """Read a member's live enrollments in the order of sign-up, or a refusal."""
        absent = await self._absent(campaign)
        return absent or await self._send("mine", campaign, [member])

    async def advance(self, campaign: str) -> int | None:
        """Bring about what is due by the clock; returns the ms until something is due next, None for never.

        Raises NothingRan or Unknown.
        """
        while True:
            reply = await self._server.call("advance", campaign)
            status = reply[0].decode()
            if status == outcome.DECIDED:
                return int(float(reply[1])) if reply[1] else None
            if status != outcome.BEHIND:
                raise NothingRan(CLOSED_OR_LOST)

    async def command(
        self, verb: str, campaign: str, *arguments: str | int | bytes
    ) -> tuple[str, Sequence[Any]]:
        """Call a verb that is in no batch, of a campaign that is advanced as far as it needs; status and facts.

        Raises NothingRan or Unknown.
        """
        while True:
            status, *facts = await self._server.call(verb, campaign, arguments)
            if status.decode() != outcome.BEHIND:
                return status.decode(), facts
            await self.advance(campaign)

    async def drain(self) -> None:
        """Wait until everything that was asked is answered."""
        for queue in list(self._queues.values()):
            await queue.drain()

    def newest_seq(self, campaign: str) -> int:
        """The last seq of a campaign that this process has heard of."""
        return self._newest_seq.get(campaign, 0)

    def hear(self, campaign: str, seq: int) -> None:
        """A campaign has come as far as `seq`."""
        if seq > self.newest_seq(campaign):
            self._newest_seq[campaign] = seq

    @property
    def waiting(self) -> int:
        """Requests that are not sent to Redis yet, over all campaigns."""
        return sum(queue.waiting for queue in self._queues.values())

    @property
    def overloaded(self) -> dict[tuple[str, str], int]:
        """Requests that found their queue full since the start, by verb and campaign."""
        return {name: queue.refused for name, queue in self._queues.items() if queue.refused}

    async def _change(self, verb: str, campaign: str, change: Change) -> Decision:
        return await self._absent(campaign) or await self._ask(verb, campaign, change)

    async def _absent(self, campaign: str) -> Decision | None:
        """The refusal of a campaign that is not there, so that no queue is made for a name that means nothing."""
        if self._catalog.get(campaign) or await self._catalog.find(campaign):
            return None
        return NOT_READY if self._catalog.is_lost(campaign) else NOT_FOUND

    async def _ask(self, verb: str, campaign: str, request: Request) -> Decision:
        queue = self._queues.get((verb, campaign))
        if queue is None:
            queue = self._queues[verb, campaign] = GroupCommit(
                self._sender(verb, campaign), self._limits, self._observer(verb, campaign)
            )
        try:
            return await queue.submit(request)
        except Overloaded:
            return OVERLOADED

    def _sender(self, verb: str, campaign: str) -> Callable[[list[Request]], Awaitable[list[Decision]]]:
        async def send(batch: list[Request]) -> list[Decision]:
            answers = await self._send(verb, campaign, [_encode(batch), str(self._backlog_entries_max())])
            if isinstance(answers, Decision):
                answers = [answers] * len(batch)
            return answers

        return send

    async def _send(
        self, verb: str, campaign: str, arguments: list[bytes | str]
    ) -> list[Decision] | Decision:
        """The answers to a call, or the one refusal of all of it."""
        try:
            for _ in range(BEHIND_RETRIES_MAX):
                reply = await self._server.call(verb, campaign, arguments)
                status = reply[0].decode()
                if status == outcome.DECIDED:
                    answers = _answers.decode(reply[1])
                    if answers:
                        seq = answers[-1].as_of_seq
                        self.hear(campaign, seq)
                        definition = self._catalog.get(campaign)
                        newest = (definition.epoch if definition else 0, seq)
                        self._answered[campaign] = max(newest, self._answered.get(campaign, newest))
                    return answers
                if status != outcome.BEHIND:
                    break
                await self.advance(campaign)
        except NothingRan as error:
            logger.warning("%s: nothing ran: %s", verb, error)
        except Unknown as error:
            logger.warning("%s: outcome unknown: %s", verb, error)
            return UNKNOWN
        return NOT_READY
