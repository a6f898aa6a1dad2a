"""The guards of `engine/lua/sign_up.lua`, in their order, on a campaign's history instead of its live state.

The time is that of the seq: whatever a clock brings about has a seq of its own, so that nothing is between the two.
What the log does not have is the member's own: the attributes are those of whoever asks why.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from engine.domain import campaign as documents
from engine.domain.definition import PackedOffering, PackedPool
from engine.domain.history import History
from engine.domain.policies import advancement, ballot, poll
from engine.domain.why.asked import Asked, Mine, free_seats, opens_to, pools_for, takes_from

Code = Literal[
    "closed",
    "not_open",
    "not_eligible",
    "already_in",
    "not_ready",
    "limit_reached",
    "overlap",
    "sold_out",
    "none",
]
"""An outcome of the engine; `none` where nothing stood against a sign-up."""


class Found(Struct, frozen=True):
    """The guard that applied."""

    code: Code
    rule: str = ""
    mine: list[Mine] = []
    limit: documents.Limit | None = None
    pool: str = ""
    """Where nothing stands against a sign-up: the pool with a free seat."""


def decide(asked: Asked) -> Found:
    """The first guard that stood against it."""
    offering, now = asked.terms.offerings[asked.offering], asked.now
    path = f"/offerings/{asked.terms.places[asked.offering]}"
    draw = asked.history.draw(asked.offering, asked.seq)
    if offering.closes <= now or has_had_its_draw(asked.history, asked.offering, offering, asked.seq):
        return Found("closed", f"{path}/closes")
    is_round = offering.policy == advancement.POLICY.name
    if takes_from(offering) > now and not is_round:
        return Found("not_open", f"{path}/policy/intents_open" if offering.intents_open else f"{path}/opens")
    if offering.of and opens_to(asked, offering) > now:
        return Found("not_open", f"{path}/policy")
    may_take = pools_for(asked, asked.offering, asked.wanted)
    if not may_take:
        return Found("not_eligible", f"{path}/policy" if is_round else f"{path}/pools")
    for each in asked.mine:
        if each.offering == asked.offering:
            return Found("already_in", mine=[each])
    collecting = bool(offering.collects) and not draw.number
    being_drawn = [
        each
        for each in asked.mine
        if each.status == "entered" and asked.history.draw(each.offering, asked.seq).is_settling
    ]
    if (collecting and offering.collects <= now) or draw.is_settling or being_drawn:
        return Found("not_ready", mine=being_drawn)
    twin = next((each for each in asked.mine if each.offering in (offering.of, offering.second)), None)
    # The place in the queue for the first class goes with a seat in the second.
    left = twin if twin and offering.of and twin.status == "waitlisted" else None
    others = msgspec.structs.replace(asked, mine=[each for each in asked.mine if each is not left])
    refused = _votes(others, offering) if collecting else None
    refused = refused or _limit(others, offering)
    if not refused and twin and not left:
        second = asked.offering if offering.of else twin.offering
        refused = Found("overlap", f"/offerings/{asked.terms.places[second]}/policy/of", [twin])
    refused = refused or _overlap(others, offering)
    if refused or collecting:
        return refused or Found("none")
    return _seat(asked, offering, path, may_take, left)


def has_had_its_draw(history: History, name: str, offering: PackedOffering, seq: int) -> bool:
    """Whether nothing is given any more: a ballot was drawn, or a poll had too few votes."""
    if not history.draw(name, seq).number:
        return False
    is_failed = offering.policy == poll.POLICY.name and not history.met(name, seq)
    return is_failed or offering.policy == ballot.POLICY.name


def _limit(asked: Asked, offering: PackedOffering) -> Found | None:
    for place, limit in enumerate(asked.terms.document.rules.limits):
        if limit.kinds and offering.kind not in limit.kinds:
            continue
        counted = [
            each
            for each in asked.mine
            if each.status != "entered"
            and (not limit.kinds or asked.terms.offerings[each.offering].kind in limit.kinds)
        ]
        days: list[int | None] = [None] if limit.per == "campaign" else [*offering.days]
        for day in days:
            same = [
                each for each in counted if day is None or day in asked.terms.offerings[each.offering].days
            ]
            if len(same) >= limit.max:
                return Found("limit_reached", f"/rules/limits/{place}", same, limit)
    return None


def _votes(asked: Asked, offering: PackedOffering) -> Found | None:
    votes_max = asked.terms.document.rules.votes_max
    votes = [
        each
        for each in asked.mine
        if each.status == "entered" and asked.terms.offerings[each.offering].threshold
    ]
    if votes_max and offering.threshold and len(votes) >= votes_max:
        return Found("limit_reached", "/rules/votes_max", votes)
    return None


def _overlap(asked: Asked, offering: PackedOffering) -> Found | None:
    for each in asked.mine:
        if each.offering in offering.overlaps and each.status != "entered":
            return Found("overlap", "/rules/overlaps_allowed", [each])
    return None


def _seat(
    asked: Asked, offering: PackedOffering, path: str, may_take: Sequence[PackedPool], left: Mine | None
) -> Found:
    """`left` is the place in the queue for the first class, which is not given up for one in another queue."""
    for pool in may_take:
        if free_seats(asked, asked.offering, pool):
            return Found("none", pool=pool.pool)
    if left:
        return Found("sold_out", f"{path}/pools", [left])
    if asked.history.waiting(asked.offering, asked.seq) < offering.waiting_max:
        return Found("none")
    return Found("sold_out", f"{path}/pools")
