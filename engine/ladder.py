"""Competitions: results of a round are imported and ranked, it is decided who goes on, and these are enrolled.

Who goes on is kept in the ledger, with the ids of the enrollments to come, before the first of them is made. So
whoever carries it out after a crash, or at the same time, makes the same enrollments, each of them once.
"""

import asyncio
import csv
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Final

import msgspec
from msgspec import Struct, structs

from engine import tables
from engine.clock import Clock
from engine.domain import chain, ladder, outcome
from engine.domain.campaign import Offering, ResultsRule
from engine.domain.definition import Definition, milliseconds
from engine.domain.faults import Fault, Found
from engine.domain.ladder import Advance, Cut, Entry, Line, Mark, Round, Seat
from engine.domain.policies import advancement
from engine.ledger.protocol import Ledger
from engine.live import seats
from engine.live.catalog import Catalog
from engine.live.decisions import NOT_TAKEN, Decisions, enrollment_ids
from engine.live.server import NothingRan, Server

ASSIGNED_AT_ONCE: Final = 200
"""Enrollments in one call: some three ms of Redis, in which nobody else is served."""
ASSIGN_EVERY_S: Final = 0.006
"""Calls come no faster, so that others keep their share of Redis, as with draws."""
LINES_AT_ONCE: Final = 500
"""Lines of a ranking in one reading: the loop is free for sign-ups between two."""
IMPORTS_MAX: Final = 4
"""Files that are read or wait for it; a large one takes seconds of a processor."""

logger = logging.getLogger(__name__)

_encode = msgspec.msgpack.Encoder().encode


class Refusal(Struct, frozen=True):
    """Why something cannot be done with a round now: a code of the outcome table, and its fact."""

    code: str
    fact: str = ""


NO_SUCH_ROUND: Final = Refusal("not_found")
NO_RESULTS: Final = Refusal("wrong_state", "no_results")
IS_OPEN: Final = Refusal("wrong_state", "open")
IS_ADVANCED: Final = Refusal("wrong_state", "advanced")
IS_LAST: Final = Refusal("wrong_state", "last_round")
IS_BUSY: Final = Refusal("overloaded")


class Imported(Struct, frozen=True):
    """Results as they rank, and who would go on by them as the document stands."""

    columns: list[str]
    ranking: list[Line]
    next: str
    """The round that they would go on to, "" after the last."""
    advance: list[Advance]


class Ladder:
    """The competitions of all campaigns."""

    def __init__(
        self,
        server: Server,
        ledger: Ledger,
        catalog: Catalog,
        decisions: Decisions,
        clock: Clock,
        backlog_entries_max: Callable[[], int],
    ) -> None:
        self._server = server
        self._ledger = ledger
        self._catalog = catalog
        self._decisions = decisions
        self._clock = clock
        self._backlog_entries_max = backlog_entries_max
        # One file at a time, also when whoever brought it is gone.
        self._reader = ThreadPoolExecutor(1, "results")
        self._room = BoundedSemaphore(IMPORTS_MAX)
        self._warned: set[tuple[str, str]] = set()

    async def import_results(
        self,
        definition: Definition,
        name: str,
        media_type: str,
        file: bytes,
        actor: str,
        channel: str,
        *,
        dry_run: bool,
    ) -> Imported | list[Fault] | Refusal:
        """Rank the results of an offering, and keep them in the place of earlier ones unless it is a `dry_run`.

        Every row that is wrong is named, and then nothing is kept. Raises NothingRan or Unavailable.
        """
        offering = _offering(definition, name)
        if offering is None or offering.results is None:
            return NO_SUCH_ROUND
        known = await self._ledger.round(definition.campaign, name)
        if known is not None and known.next:
            return IS_ADVANCED
        # A large file takes a while: the loop stays free for sign-ups.
        found = Found()
        reading = self._read(media_type, file, offering.results, found)
        if reading is None:
            return IS_BUSY
        marks = await reading
        taken = await seats.confirmed(
            self._server, definition.campaign, name, [mark.member for mark in marks]
        )
        entries = await asyncio.to_thread(ladder.seated, marks, taken, found)
        if found.count:
            return found.faults()
        imported = await asyncio.to_thread(_ranked, definition, offering, offering.results, entries)
        if not dry_run and not await self._ledger.keep_results(
            *(definition.campaign, name, imported.columns, imported.ranking),
            *(actor, channel, self._clock.now_ms()),
        ):
            return IS_ADVANCED
        return imported

    def _read(
        self, media_type: str, file: bytes, rule: ResultsRule, found: Found
    ) -> asyncio.Future[list[Mark]] | None:
        """The marks of a file to come, None when too many files wait."""
        if not self._room.acquire(blocking=False):
            return None
        reading = self._reader.submit(_marks, media_type, file, rule, found)
        reading.add_done_callback(lambda _: self._room.release())
        return asyncio.wrap_future(reading)

    async def advance(self, definition: Definition, name: str, actor: str, channel: str) -> Round | Refusal:
        """Decide who goes on from an offering; the round as it stands, also when it was decided before.

        Those whose place in it is not the one with which they were imported stay out. From then on its results do not
        change any more. Raises NothingRan or Unavailable.
        """
        offering = _offering(definition, name)
        if offering is None or offering.results is None:
            return NO_SUCH_ROUND
        following = ladder.next_round(definition.document.offerings, name)
        is_open = milliseconds(offering.closes) > self._clock.now_ms()
        while True:
            known = await self._ledger.round(definition.campaign, name)
            if known is not None and known.next:
                return known
            if following is None:
                return IS_LAST
            if known is None:
                return NO_RESULTS
            if is_open and offering.policy.name != advancement.POLICY.name:
                return IS_OPEN
            ranking = await self._ranking(definition.campaign, name)
            taken = await seats.confirmed(
                self._server, definition.campaign, name, [line.member for line in ranking]
            )
            going, cuts = await asyncio.to_thread(_going, ranking, taken, offering, following)
            decided = structs.replace(known, next=following.offering, actor=actor, channel=channel, cuts=cuts)
            # When others were imported meanwhile, it is decided by these.
            await self._ledger.keep_advance(decided, going, self._clock.now_ms())

    async def _ranking(self, campaign: str, name: str) -> list[Line]:
        ranking = list[Line]()
        while page := await self._ledger.results(
            campaign, name, LINES_AT_ONCE, ranking[-1].place if ranking else 0
        ):
            ranking += page
        return ranking

    async def has_place(self, definition: Definition | None, decided: Round) -> bool:
        """Whether a document has the pools for all who go on from a round. Raises Unavailable."""
        offering = _offering(definition, decided.next) if definition else None
        if offering is None or offering.policy.name != advancement.POLICY.name:
            return False
        pools = {pool.pool for pool in offering.pools}
        due = await self._ledger.pools_due(decided.campaign)
        return all(each.pool in pools for each in due if each.source == decided.offering)

    async def carry_out(self, decided: Round) -> bool:
        """Enrol those who go on from a round; False while the document in force has no place for them.

        Raises NothingRan, Unknown or Unavailable; called again, it does what is left.
        """
        if not await self.has_place(await self._catalog.find(decided.campaign), decided):
            self._warn(decided)
            return False
        ranking = await self._ranking(decided.campaign, decided.offering)
        # Whoever was forgotten between the decision and now has no name to be enrolled under.
        named = [line for line in ranking if not chain.is_forgotten(line.member)]
        going = [line for line in named if line.going == "seat"]
        going += [line for line in named if line.going == "substitute"]
        for first in range(0, len(going), ASSIGNED_AT_ONCE):
            part = going[first : first + ASSIGNED_AT_ONCE]
            done, _ = await asyncio.gather(self._assign(decided, part), asyncio.sleep(ASSIGN_EVERY_S))
            if not done:
                self._warn(decided)
                return False
        await self._ledger.end_round(decided.campaign, decided.offering)
        self._warned.discard((decided.campaign, decided.offering))
        logger.info(
            "%s: %d go on from %s to %s", decided.campaign, len(going), decided.offering, decided.next
        )
        return True

    def _warn(self, decided: Round) -> None:
        """Say what is waited for, once: whoever asks for the results is told as long as it is so."""
        if (decided.campaign, decided.offering) not in self._warned:
            self._warned.add((decided.campaign, decided.offering))
            logger.warning(
                "%s: who goes on to %s waits for a document with their pools", decided.campaign, decided.next
            )

    async def _assign(self, decided: Round, part: Sequence[Line]) -> bool:
        rows = [(line.next_enrollment, line.member, line.next_pool, line.going) for line in part]
        status, facts = await self._decisions.command(
            "assign",
            decided.campaign,
            *(decided.next, _encode(rows), decided.actor, decided.channel, self._backlog_entries_max()),
        )
        if status == outcome.DECIDED:
            self._decisions.hear(decided.campaign, facts[0])
        elif status != "wrong_state":
            raise NothingRan(NOT_TAKEN)
        return status == outcome.DECIDED

    async def nominations(self, definition: Definition, name: str) -> str | Refusal:
        """The medals of an offering's ranking as CSV. Raises Unavailable."""
        offering = _offering(definition, name)
        if offering is None or offering.medals is None:
            return NO_SUCH_ROUND
        known = await self._ledger.round(definition.campaign, name)
        if known is None:
            return NO_RESULTS
        medals = offering.medals
        ranking = await self._ledger.results(
            definition.campaign, name, medals.gold + medals.silver + medals.bronze
        )
        written = io.StringIO(newline="")
        writer = csv.writer(written)
        writer.writerow(["medal", "place", "member", "pool", *map(_harmless, known.columns)])
        for medal, line in ladder.nominate(medals, ranking):
            values = [format(value, ".15g") for value in line.values]
            writer.writerow([medal, line.place, _harmless(line.member), line.pool, *values])
        return written.getvalue()


def _offering(definition: Definition, name: str) -> Offering | None:
    found = definition.offerings.get(name)
    return found.document if found else None


def _marks(media_type: str, file: bytes, rule: ResultsRule, found: Found) -> list[Mark]:
    rows = tables.read(media_type, file)
    if isinstance(rows, Fault):
        found.place(None, rows)
        return []
    return ladder.read(rule, rows, found)


def _ranked(
    definition: Definition, offering: Offering, rule: ResultsRule, entries: Sequence[Entry]
) -> Imported:
    ranking = ladder.rank(rule, entries)
    following = ladder.next_round(definition.document.offerings, offering.offering)
    advance = ladder.advance(ranking, offering, following) if following else []
    return Imported(ladder.columns(rule), ranking, following.offering if following else "", advance)


def _going(
    ranking: Sequence[Line], taken: Mapping[str, Seat], offering: Offering, following: Offering
) -> tuple[list[tuple[Advance, str]], dict[str, Cut]]:
    """Who goes on, each with the id of the enrollment to come, and how far the seats go."""
    going = ladder.advance(ladder.still_in(ranking, taken), offering, following)
    return list(zip(going, enrollment_ids(), strict=False)), ladder.cuts(ranking, going)


def _harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
