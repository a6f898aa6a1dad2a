"""Quotas: an offering's seats shared among units by their headcounts, and the pools that follow from it.

Seats are shared by largest remainders, the method of Alexander Hamilton (M. L. Balinski and H. P. Young, "Fair
Representation", 2nd edition, 2001, chapter 3), after the units have their floor. docs/quotas.md works an example.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import structs

from engine.domain.campaign import Campaign, Eligible, Merge, Offering, Pool, Quotas
from engine.domain.faults import Fault

LAST_RECOMPUTED: Final = timedelta(seconds=60)
"""How long before the opening headcounts stop to count, unless the document says when."""


def apportion(seats: int, headcounts: Mapping[str, int], floor: int) -> dict[str, int]:
    """The seats of each unit, `seats` in all; whatever the order of `headcounts`, the same.

    A unit without anybody gets none. If the seats do not suffice to give each of the others `floor`, the floor is
    lowered to what they suffice for. A unit whose exact share, seats × headcount / sum of headcounts, is below the
    floor gets the floor; its seats and heads leave the count, and the shares of the rest are looked at again, until
    none is below. Each of the rest gets its share rounded down, and the seats that are left go, one each, to the
    largest remainders; equal ones by the larger headcount, then by the unit's name.

    Raises ValueError when nobody is in any unit.
    """
    rest = {unit: heads for unit, heads in headcounts.items() if heads > 0}
    if not rest:
        raise ValueError("no unit has anybody")
    floor = min(floor, seats // len(rest))
    shares = dict.fromkeys(headcounts, 0)
    left, heads = seats, sum(rest.values())
    while small := [unit for unit in rest if left * rest[unit] < floor * heads]:
        shares |= dict.fromkeys(small, floor)
        left -= floor * len(small)
        heads -= sum(rest.pop(unit) for unit in small)
    shares |= {unit: left * headcount // heads for unit, headcount in rest.items()}
    by_remainder = sorted(rest, key=lambda unit: (-(left * rest[unit] % heads), -rest[unit], unit))
    for unit in by_remainder[: seats - sum(shares.values())]:
        shares[unit] += 1
    return shares


def pool_name(unit: str) -> str:
    """The id of a unit's pool."""
    return unit.replace(".", "-")


def units_above(unit: str) -> list[str]:
    """Those that a unit is in, the nearest first."""
    segments = unit.split(".")
    return [".".join(segments[:number]) for number in range(len(segments) - 1, 0, -1)]


def make_pools(quotas: Quotas, shares: Mapping[str, int]) -> list[Pool]:
    """One pool a unit, in the document's order; a unit that `shares` does not name has no seats."""
    return [
        Pool(pool_name(unit), shares.get(unit, 0), Eligible([unit]), merges=_merges(unit, quotas.merges))
        for unit in quotas.units
    ]


def _merges(unit: str, instants: Sequence[datetime]) -> list[Merge]:
    """The stages of a unit's pool; at the top of the path they end."""
    return [Merge(at, [above]) for at, above in zip(instants, units_above(unit), strict=False)]


def are_made(quotas: Quotas, pools: Sequence[Pool]) -> bool:
    """Whether these are the pools that the quotas make, of whatever capacity."""
    return [structs.replace(pool, capacity=0) for pool in pools] == make_pools(quotas, {})


def counted_until(offering: Offering) -> datetime:
    """The moment whose headcounts the pools have in the end. The offering has quotas."""
    recomputed = offering.quotas and offering.quotas.recomputed
    return recomputed or offering.opens - LAST_RECOMPUTED


def resize(campaign: Campaign, headcounts: Mapping[str, Mapping[str, int]]) -> Campaign | list[Fault]:
    """The campaign with pools by the headcounts of each offering that is named, all others as they are.

    The faults are the units without a headcount, and the quotas of which no unit has anybody.
    """
    offerings, faults = [], []
    for index, offering in enumerate(campaign.offerings):
        counted = headcounts.get(offering.offering)
        if offering.quotas is None or counted is None:
            offerings.append(offering)
            continue
        path = f"/offerings/{index}/quotas/units"
        missing = [
            Fault(f"{path}/{number}", "no_headcount", {"unit": unit})
            for number, unit in enumerate(offering.quotas.units)
            if unit not in counted
        ]
        faults += missing
        if missing:
            continue
        heads = {unit: counted[unit] for unit in offering.quotas.units}
        if not any(heads.values()):
            faults.append(Fault(path, "nobody_there"))
            continue
        shares = apportion(offering.quotas.seats, heads, offering.quotas.floor)
        offerings.append(structs.replace(offering, pools=make_pools(offering.quotas, shares)))
    return faults or structs.replace(campaign, offerings=offerings)
