"""Competitions: results of a round are imported and ranked, it is decided who goes on, and these are enrolled.

Who goes on is kept in the ledger, with the ids of the enrollments to come, before the first of them is made. So
whoever carries it out after a crash, or at the same time, makes the same enrollments, each of them once.
"""

import asyncio
import csv
import io
import logging
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct, structs

from engine import tables
from engine.clock import Clock
from engine.domain import ladder, outcome
from engine.domain.campaign import Offering, ResultsRule
from engine.domain.definition import Definition, milliseconds
from engine.domain.faults import Fault, Found
from engine.domain.ladder import Advance, Entry, Line, Mark, Round
from engine.domain.policies import advancement
from engine.ledger.protocol import Ledger
from engine.live import seats
from engine.live.decisions import CLOSED_OR_LOST, Decisions, enrollment_ids
from engine.live.server import NothingRan, Server

ASSIGNED_AT_ONCE: Final = 200
"""Enrollments in one call: some three ms of Redis, in which nobody else is served."""
ASSIGN_EVERY_S: Final = 0.006

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
        self, server: Server, ledger: Ledger, decisions: Decisions, clock: Clock, backlog_entries_max: int
    ) -> None:
        self._server = server
        self._ledger = ledger
        self._decisions = decisions
        self._clock = clock
        self._backlog = backlog_entries_max

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
        marks = await asyncio.to_thread(_marks, media_type, file, offering.results, found)
        taken = await seats.confirmed(
            self._server, definition.campaign, name, [mark.member for mark in marks]
        )
        entries = ladder.seated(marks, taken, found)
        if found.count:
            return found.faults()
        imported = await asyncio.to_thread(_ranked, definition, offering, offering.results, entries)
        if not dry_run and not await self._ledger.keep_results(
            *(definition.campaign, name, imported.columns, imported.ranking),
            *(actor, channel, self._clock.now_ms()),
        ):
            return IS_ADVANCED
        return imported

    async def advance(self, definition: Definition, name: str, actor: str, channel: str) -> Round | Refusal:
        """Decide who goes on from an offering; the round as it stands, also when it was decided before.

        From then on its results do not change any more. Raises Unavailable.
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
            ranking = await self._ledger.results(definition.campaign, name, ladder.ROWS_MAX)
            going = ladder.advance(ranking, offering, following)
            decided = structs.replace(
                known,
                next=following.offering,
                actor=actor,
                channel=channel,
                cuts=ladder.cuts(ranking, going),
            )
            ids = enrollment_ids()
            # When others were imported meanwhile, it is decided by these.
            await self._ledger.keep_advance(
                decided, [(each, next(ids)) for each in going], self._clock.now_ms()
            )

    async def carry_out(self, decided: Round) -> bool:
        """Enrol those who go on from a round; False while the document in force has no place for them.

        Raises NothingRan, Unknown or Unavailable; called again, it does what is left.
        """
        ranking = await self._ledger.results(decided.campaign, decided.offering, ladder.ROWS_MAX)
        going = [line for line in ranking if line.going == "seat"]
        going += [line for line in ranking if line.going == "substitute"]
        for first in range(0, len(going), ASSIGNED_AT_ONCE):
            part = going[first : first + ASSIGNED_AT_ONCE]
            done, _ = await asyncio.gather(self._assign(decided, part), asyncio.sleep(ASSIGN_EVERY_S))
            if not done:
                logger.warning(
                    "%s: who goes on to %s waits for a document with their pools",
                    decided.campaign,
                    decided.next,
                )
                return False
        await self._ledger.end_round(decided.campaign, decided.offering)
        logger.info(
            "%s: %d go on from %s to %s", decided.campaign, len(going), decided.offering, decided.next
        )
        return True

    async def _assign(self, decided: Round, part: Sequence[Line]) -> bool:
        rows = [(line.next_enrollment, line.member, line.next_pool, line.going) for line in part]
        status, facts = await self._decisions.command(
            "assign",
            decided.campaign,
            *(decided.next, _encode(rows), decided.actor, decided.channel, self._backlog),
        )
        if status == outcome.DECIDED:
            self._decisions.hear(decided.campaign, facts[0])
        elif status != "wrong_state":
            raise NothingRan(CLOSED_OR_LOST)
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


def _harmless(text: str) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
