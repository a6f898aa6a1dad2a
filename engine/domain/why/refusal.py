"""A refusal, explained from what was recorded: the guard that applied as of a seq, and the numbers it looked at."""

import math
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

from engine.domain import campaign as documents
from engine.domain import eligibility
from engine.domain.why.asked import Asked, Mine, admitted_to, pools_for, takes_from
from engine.domain.why.chances import Chance, next_chances
from engine.domain.why.guards import Code, decide

MEETINGS_MAX: Final = 10
"""Pairs of sessions that are named as overlapping."""


class PoolFact(Struct, frozen=True):
    """A pool of the offering, as of the seq."""

    pool: str
    capacity: int
    taken: int
    may_take: bool
    """Whether the member may have a seat of it, by attributes, by its release, and by what was asked for."""
    eligible: documents.Eligible | None
    lacking: list[str]
    """The lists of `eligible` that the member's attributes do not match."""
    codes: bool
    """Whether invitation codes open it."""
    releases: int
    """UTC milliseconds; 0 for never."""
    last_given: int
    """The seq at which the last seat was given, 0 for none."""
    last_given_at: int


class Meeting(Struct, frozen=True):
    """Two sessions at the same time."""

    mine: documents.Session
    other: documents.Session


class Refusal(Struct, frozen=True):
    """Why a sign-up was refused. Lists are empty, and numbers 0, where they have no part in it."""

    code: Code
    offering: str
    seq: int
    at: int
    version: int
    rule: str
    """A JSON Pointer into that version of the document, "" where it is none of its rules."""
    opens: int
    closes: int
    pools: list[PoolFact]
    waiting: int
    waiting_max: int
    sign_ups: int
    """That had succeeded for this offering."""
    mine: list[Mine]
    """Own enrollments that count: for a limit all that it counts, else the one that stands in the way.

    Of `sold_out`: the place in the queue for the first class, which is not given up for one in that for the second.
    """
    limit: documents.Limit | None
    votes_max: int
    """Of a limit of votes, else 0."""
    meetings: list[Meeting]
    chances: list[Chance]


def explain(asked: Asked, code: str = "") -> Refusal:
    """Why. The offering, and the pool if one was asked for, are in the document.

    Nearly all that time brings about has a seq. Where a moment that has none lies between the seq and the next, more
    than one answer may be right: then it is the one with the `code`, if there is one. So it is where an invitation code
    may have opened a pool, which is not recorded.
    """
    candidates = [(each, decide(each)) for each in (asked, *_moments(asked), *_opened(asked, code))]
    asked, found = next((candidate for candidate in candidates if candidate[1].code == code), candidates[0])
    offering = asked.terms.offerings[asked.offering]
    history, seq = asked.history, asked.seq
    return Refusal(
        code=found.code,
        offering=asked.offering,
        seq=seq,
        at=history.at(seq),
        version=asked.terms.version,
        rule=found.rule,
        opens=takes_from(offering),
        closes=offering.closes,
        pools=_pools(asked),
        waiting=history.waiting(asked.offering, seq),
        waiting_max=offering.waiting_max,
        sign_ups=history.sign_ups(asked.offering, seq),
        mine=found.mine,
        limit=found.limit,
        votes_max=asked.terms.document.rules.votes_max or 0 if found.rule == "/rules/votes_max" else 0,
        meetings=_meetings(asked, found.mine[0].offering) if found.code == "overlap" else [],
        chances=list(next_chances(asked, found)),
    )


def _moments(asked: Asked) -> Iterator[Asked]:
    """The same question at the moments that have no seq, between this one and the next."""
    offering, history = asked.terms.offerings[asked.offering], asked.history
    after = history.at(asked.seq + 1) if asked.seq < history.seq else math.inf
    moments = {offering.intents_open, offering.collects}
    if offering.of and (met := history.met(asked.offering, asked.seq)):
        moments.add(met + offering.kept_ms)
    for moment in sorted(moments):
        # What ends at the close has the seq of that.
        if asked.now < moment <= after and moment != offering.closes:
            yield msgspec.structs.replace(asked, later=moment)


def _opened(asked: Asked, code: str) -> Iterator[Asked]:
    """The same question by a code for each pool that takes some, where it was refused by a guard behind that."""
    if code in ("already_in", "not_ready", "limit_reached", "overlap", "sold_out"):
        for pool in asked.terms.offerings[asked.offering].pools:
            if pool.codes:
                opened = msgspec.structs.replace(asked, opened=pool.pool)
                yield from (opened, *_moments(opened))


def _pools(asked: Asked) -> list[PoolFact]:
    may_take = {pool.pool for pool in pools_for(asked, asked.offering, asked.wanted)}
    admitted = admitted_to(asked, asked.offering)
    document = asked.terms.document.offerings[asked.terms.places[asked.offering]]
    found = []
    for pool, packed in zip(document.pools, asked.terms.offerings[asked.offering].pools, strict=True):
        last = asked.history.last_given(asked.offering, pool.pool, asked.seq)
        found.append(
            PoolFact(
                pool=pool.pool,
                capacity=pool.capacity,
                taken=asked.history.taken(asked.offering, pool.pool, asked.seq),
                may_take=pool.pool in may_take,
                eligible=pool.eligible,
                lacking=[] if pool.pool in admitted else eligibility.lacking(pool.eligible, asked.person),
                codes=pool.codes,
                releases=packed.releases,
                last_given=last,
                last_given_at=asked.history.at(last) if last else 0,
            )
        )
    return found


def _meetings(asked: Asked, other: str) -> list[Meeting]:
    offerings, places = asked.terms.document.offerings, asked.terms.places
    return [
        Meeting(mine, theirs)
        for mine in offerings[places[asked.offering]].sessions
        for theirs in offerings[places[other]].sessions
        if mine.starts < theirs.ends and theirs.starts < mine.ends
    ][:MEETINGS_MAX]
