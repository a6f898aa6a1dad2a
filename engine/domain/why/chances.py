"""What may come next for one who was refused."""

import math
from collections.abc import Iterator
from typing import Final, Literal

import msgspec
from msgspec import Struct

from engine.domain.why.asked import Asked, free_seats, opens_to, pools_for, stages_for, takes_from
from engine.domain.why.guards import Found, decide

ChanceKind = Literal[
    "opens",  # sign-up begins
    "demand",  # it opens once enough wait for the offering that is named
    "release",  # a pool is opened to the member too
    "merge",  # a stage of a pool's merges admits the member
    "cancellation",  # there is no waitlist for the member: a seat that comes free goes to whoever asks first
    "waitlist",  # a place on it comes free when somebody ahead gets a seat or leaves
    "other_pool",  # of the same offering, with a free seat
    "other_offering",  # of the same campaign, with a free seat that the member may have
    "own_cancellation",  # of what counts for a limit, or meets at the same time
    "draw",  # its result
    "queue",  # one's turn on the waitlist
    "confirm",  # the seat is there, and has to be taken
    "sign_up_again",
]


OTHERS_MAX: Final = 5
"""Other offerings that are named as a next chance."""


class Chance(Struct, frozen=True):
    """What may come next. Times are UTC milliseconds, 0 for none."""

    kind: ChanceKind
    offering: str
    pool: str = ""
    since: int = 0
    """From when on."""
    until: int = 0
    """Until when."""
    free: int = 0
    """Seats that were free, as of the seq."""


def next_chances(asked: Asked, found: Found) -> Iterator[Chance]:
    """What there is, the nearest first."""
    offering = asked.terms.offerings[asked.offering]
    match found.code:
        case "not_open":
            opens = takes_from(offering)
            since = opens_to(asked, offering) if offering.of else opens
            if opens > asked.now or since < math.inf:
                at = opens if opens > asked.now else int(since)
                yield Chance("opens", asked.offering, since=at, until=offering.closes)
            if since == math.inf:
                yield Chance("demand", offering.of, until=offering.closes)
        case "not_eligible":
            yield from _releases(asked)
            yield from _other_pools(asked)
        case "limit_reached" | "overlap":
            for each in found.mine:
                other = asked.terms.offerings[each.offering]
                until = (
                    min(other.cancel_until, other.collects)
                    if each.status == "entered"
                    else other.cancel_until
                )
                if until > asked.now:
                    yield Chance("own_cancellation", each.offering, until=until)
        case "not_ready":
            yield Chance("draw", asked.offering)
        case "sold_out":
            yield from _releases(asked)
            yield from _other_pools(asked)
            kind: ChanceKind = "waitlist" if offering.waiting_max and not found.mine else "cancellation"
            yield Chance(kind, asked.offering, until=offering.closes)
        case "already_in" | "none":
            return
    if found.code != "not_open":
        yield from _other_offerings(asked)


def _releases(asked: Asked) -> Iterator[Chance]:
    """Pools that will be open to the member too: by a stage of their merges, or to all."""
    may_take = {pool.pool for pool in pools_for(asked, asked.offering)}
    stages = stages_for(asked, asked.offering)
    for pool in asked.terms.offerings[asked.offering].pools:
        if pool.pool in may_take or asked.wanted not in ("", pool.pool):
            continue
        free = free_seats(asked, asked.offering, pool)
        if pool.pool in stages:
            yield Chance("merge", asked.offering, pool.pool, since=stages[pool.pool], free=free)
        if stages and pool.releases > asked.now:
            yield Chance("release", asked.offering, pool.pool, since=pool.releases, free=free)


def _other_pools(asked: Asked) -> Iterator[Chance]:
    """Where one pool was asked for: the others that the member may take."""
    if not asked.wanted:
        return
    for pool in pools_for(asked, asked.offering):
        free = free_seats(asked, asked.offering, pool)
        if pool.pool != asked.wanted and free:
            yield Chance("other_pool", asked.offering, pool.pool, free=free)


def _other_offerings(asked: Asked) -> Iterator[Chance]:
    """Offerings of the campaign for which the member would have got a seat."""
    left = OTHERS_MAX
    for name, offering in asked.terms.offerings.items():
        if not left:
            return
        if name == asked.offering:
            continue
        other = msgspec.structs.replace(asked, offering=name, wanted="")
        found = decide(other)
        if found.code == "none" and found.pool:
            left -= 1
            free = sum(free_seats(other, name, pool) for pool in pools_for(other, name))
            yield Chance("other_offering", name, until=offering.closes, free=free)
