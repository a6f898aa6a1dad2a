"""Eligibility: which pools of an offering a person may take, and from which stage on, by unit, industry and tags.

A person's mask has one character for each pool, in order: "0" never, "1" from the beginning, "2" from the first of
the pool's merges on, "3" from the second, and so on: the earliest that admits the person. The scripts apply the clock.
"""

from collections.abc import Callable
from typing import Final

from engine.domain.campaign import Eligible, Offering, Pool
from engine.domain.person import Person
from engine.domain.policies import advancement

Matcher = Callable[[Person, list[str]], str]
"""A pool's character for a person, who comes with the own unit and those above it."""

NEVER: Final = "0"


def compile_mask(offering: Offering) -> Callable[[Person], str]:
    """Prepare an offering for the request path: the function returned gives a person's mask.

    It is all NEVER where the engine enrols those who advance.
    """
    if offering.policy.name == advancement.POLICY.name:
        nobody = NEVER * len(offering.pools)
        return lambda person: nobody
    matchers = [_matcher(pool) for pool in offering.pools]
    if not any(matchers):
        everyone = "1" * len(matchers)
        return lambda person: everyone

    def mask(person: Person) -> str:
        units = _with_ancestors(person.unit)
        return "".join(["1" if matches is None else matches(person, units) for matches in matchers])

    return mask


def mask(offering: Offering, person: Person) -> str:
    """The same for one question; whoever asks again and again compiles once."""
    return compile_mask(offering)(person)


def is_open(pool: Pool) -> bool:
    """Whether everyone is eligible for a pool."""
    return pool.eligible == Eligible() or (pool.eligible is None and not pool.codes)


def lacking(eligible: Eligible | None, person: Person) -> list[str]:
    """The lists of a pool that no attribute of the person matches, of `units`, `industries` and `tags`."""
    if eligible is None:
        return []
    attributes = {
        "units": (eligible.units, _with_ancestors(person.unit)),
        "industries": (eligible.industries, [person.industry]),
        "tags": (eligible.tags, person.tags),
    }
    return [
        name
        for name, (entries, mine) in attributes.items()
        if entries is not None and set(entries).isdisjoint(mine)
    ]


def _matcher(pool: Pool) -> Matcher | None:
    """Whether each list that is given has an entry of the person's; None when everyone is eligible."""
    if is_open(pool):
        return None
    eligible = pool.eligible
    if eligible is None:
        return lambda person, person_units: NEVER
    industries, tags = (
        None if entries is None else frozenset(entries) for entries in (eligible.industries, eligible.tags)
    )
    stages = [None if eligible.units is None else frozenset(eligible.units)]
    stages += [frozenset(merge.units) for merge in pool.merges]
    by_stage = [(str(number), units) for number, units in enumerate(stages, 1)]

    def matches(person: Person, person_units: list[str]) -> str:
        if (industries is None or person.industry in industries) and (
            tags is None or not tags.isdisjoint(person.tags)
        ):
            for stage, units in by_stage:
                if units is None or not units.isdisjoint(person_units):
                    return stage
        return NEVER

    return matches


def _with_ancestors(unit: str) -> list[str]:
    """`a.b.c` as [`a.b.c`, `a.b`, `a`], so that a prefix by whole segments is found by one look-up each."""
    units = [unit]
    while "." in unit:
        unit = unit.rpartition(".")[0]
        units.append(unit)
    return units
