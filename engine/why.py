"""Why: what a member asks after a refusal or of an enrollment, answered from the ledger's log alone.

`domain/why` explains; here the recorded facts are gathered, and waited for where the
ledger is a moment behind.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, tzinfo
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from engine.clock import Clock
from engine.domain import campaign as documents
from engine.domain.enrollment import Record
from engine.domain.events import Event
from engine.domain.history import History
from engine.domain.person import Person
from engine.domain.share import Cut, Share
from engine.domain.why import account, asked, refusal
from engine.domain.why.account import Account
from engine.domain.why.asked import Asked, Mine, Terms
from engine.domain.why.refusal import Refusal
from engine.ledger.protocol import Ledger
from engine.live.catalog import Catalog
from engine.live.decisions import Decision
from engine.live.streams import Streams
from engine.replay import Replay, TooLong

WAIT_S: Final = 2.0
"""How long a question waits for the ledger, or for a fold that is under way."""
LOOK_EVERY_S: Final = 0.1
OWN_MAX: Final = 1_000
"""The member's newest sign-ups that are looked at for those that were live."""
TERMS_KEPT: Final = 16

_document = msgspec.json.Decoder(documents.Campaign)


Told = TypeVar("Told", Refusal, Account)


class Explained(Struct, Generic[Told], frozen=True):
    """A reason, and the zone in which the document tells times."""

    told: Told
    zone: tzinfo


class Explainer:
    """Explains refusals and enrollments of all campaigns.

    Both methods return a code where there is nothing to explain: `not_found`; `invalid` for a seq that the campaign has
    not come to; `not_ready` while the ledger is behind, or a long log is being folded; `too_long` where the log is
    longer than `replay.EVENTS_MAX`. They raise NothingRan or Unavailable.
    """

    def __init__(
        self,
        ledger: Ledger,
        streams: Streams,
        catalog: Catalog,
        clock: Clock,
        wait_s: float = WAIT_S,
    ) -> None:
        self._ledger = ledger
        self._streams = streams
        self._catalog = catalog
        self._wait_s = wait_s
        self._replay = Replay(ledger, clock)
        self._terms: OrderedDict[tuple[str, int], Terms] = OrderedDict()

    async def refusal(
        self,
        campaign: str,
        offering: str,
        person: Person,
        wanted: str = "",
        as_of_seq: int | None = None,
        code: str = "",
    ) -> Explained[Refusal] | str:
        """Why a sign-up for an offering, and for the pool `wanted` if it is not "", was refused.

        `as_of_seq` and `code` are what the refusal named, as far as they are known; without `as_of_seq`, why one would
        be refused as of the newest recorded seq.
        """
        if await self._catalog.find(campaign) is None:
            return self._absent(campaign)
        history = await self._as_of(campaign, as_of_seq)
        if isinstance(history, str):
            return history
        seq = history.seq if as_of_seq is None else min(as_of_seq, history.seq)
        terms = await self._terms_of(campaign, history.version(seq))
        packed = terms.offerings.get(offering) if terms else None
        if terms is None or packed is None or (wanted and all(pool.pool != wanted for pool in packed.pools)):
            return "not_found"
        mine = await self._mine(campaign, person.sub, history, seq)
        told = refusal.explain(Asked(history, terms, seq, person, mine, offering, wanted), code)
        return Explained(told, _zone(terms, offering))

    async def enrollment(self, campaign: str, found: Decision) -> Explained[Account] | str:
        """How an enrollment came to what it is; `found` is what `Decisions.find` says of it."""
        record = found.record
        assert record is not None, "it was found"
        sign_up, version = record.seq, record.version

        async def is_told(history: History) -> bool:
            return len(history.changes(sign_up)) >= version or await self._has_come(
                campaign, history, found.as_of_seq
            )

        history = await self._history(campaign, is_told)
        if isinstance(history, str):
            return history
        while True:
            seqs, in_force = history.changes(sign_up), history.version(history.seq)
            events = await self._events(campaign, seqs)
            if not events:
                return "not_found"
            causes = {
                event.seq: cause
                for event in events
                if event.header.type == "promoted"
                for cause in await self._events(campaign, [history.cause(event.seq)])
            }
            drawn = None
            for event in events:
                if event.header.type == "drawn":
                    number = history.draw(record.offering, event.seq).number
                    drawn = await self._drawn(campaign, number, record)
            terms = await self._terms_of(campaign, in_force)
            # Others may have folded more meanwhile.
            if (history.changes(sign_up), history.version(history.seq)) == (seqs, in_force):
                break
        packed = terms.offerings.get(record.offering) if terms else None
        told = account.tell(history, packed, events, causes, drawn)
        return Explained(told, _zone(terms, record.offering))

    def _absent(self, campaign: str) -> str:
        return "not_ready" if self._catalog.is_lost(campaign) else "not_found"

    async def _as_of(self, campaign: str, seq: int | None) -> History | str:
        """A history that has come to a seq, or to what the ledger has; or a code."""
        if seq is None:
            return await self._history(campaign, _always)
        known = self._replay.known(campaign)
        if known is not None and known.seq >= seq:
            return known
        state = await self._streams.state(campaign)
        if state is None:
            return "not_ready"
        if seq > state.seq:
            return "invalid"
        return await self._history(campaign, lambda history: self._has_come(campaign, history, seq))

    async def _has_come(self, campaign: str, history: History, seq: int) -> bool:
        """Whether the ledger has nothing more up to a seq."""
        if history.seq >= seq:
            return True
        # What is between the two may be dead letters.
        campaigns = await self._ledger.campaigns()
        is_recorded = any(each.campaign == campaign and each.recorded_seq >= seq for each in campaigns)
        return is_recorded and not await self._ledger.events(campaign, history.seq, 1)

    async def _history(self, campaign: str, is_enough: Callable[[History], Awaitable[bool]]) -> History | str:
        """A history that is enough, or a code."""
        try:
            async with asyncio.timeout(self._wait_s):
                while True:
                    history = await self._replay.fold(campaign)
                    if await is_enough(history):
                        return history
                    await asyncio.sleep(LOOK_EVERY_S)
        except TooLong:
            return "too_long"
        except TimeoutError:
            return "not_ready"

    async def _terms_of(self, campaign: str, version: int) -> Terms | None:
        """A version of the document, prepared; None before the first."""
        found = self._terms.get((campaign, version))
        if found is None:
            definition = await self._ledger.definition(campaign, version)
            if definition is None:
                return None
            document = await asyncio.to_thread(_document.decode, definition.document)
            found = await asyncio.to_thread(asked.terms, document, version)
            self._terms[campaign, version] = found
            if len(self._terms) > TERMS_KEPT:
                self._terms.popitem(last=False)
        return found

    async def _mine(self, campaign: str, member: str, history: History, seq: int) -> list[Mine]:
        """The member's enrollments that were live as of a seq, in the order of sign-up."""
        rows = await self._ledger.sign_ups(campaign, member, seq, OWN_MAX)
        found = []
        for row in reversed(rows):
            status = history.live_status(row.record.seq, seq)
            if status is not None:
                found.append(Mine(row.enrollment, row.record.offering, status, row.record.seq))
        return found

    async def _events(self, campaign: str, seqs: Sequence[int]) -> list[Event]:
        """The events of these seqs; a dead letter is left out."""
        found = [event for seq in seqs for event in await self._ledger.events(campaign, seq - 1, 1)]
        return [event for event in found if event.seq in seqs]

    async def _drawn(self, campaign: str, number: int, record: Record) -> tuple[Share, Cut, int] | None:
        """The member's share in a draw, the offering's cut, and the number of members."""
        share = await self._ledger.share(campaign, number, record.member)
        summary = await self._ledger.summary(campaign, number)
        if share is None or summary is None:
            return None
        return share, summary.cuts[record.offering], summary.members


async def _always(history: History) -> bool:
    return True


def _zone(terms: Terms | None, offering: str) -> tzinfo:
    if terms is None or offering not in terms.places:
        return UTC
    return terms.document.offerings[terms.places[offering]].opens.tzinfo or UTC
