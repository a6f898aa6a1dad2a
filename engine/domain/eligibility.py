"""Eligibility: which pools of an offering a person may take, by unit, industry and tags."""

from collections.abc import Callable

from engine.domain.campaign import Eligible, Offering, Pool
from engine.domain.person import Person


def compile_mask(offering: Offering) -> Callable[[Person], str]:
    """Prepare an offering for the request path.

    The function returned gives "1" or "0" for each pool in order: whether the person is eligible for it.
    """
    matchers = [_matcher(pool) for pool in offering.pools]
    if not any(matchers):
        everyone = "1" * len(matchers)
        return lambda person: everyone

    def mask(person: Person) -> str:
        units = _with_ancestors(person.unit)
        return "".join(["1" if matches is None or matches(person, units) else "0" for matches in matchers])

    return mask


def mask(offering: Offering, person: Person) -> str:
    """The same for one question; whoever asks again and again compiles once."""
    return compile_mask(offering)(person)


def is_open(pool: Pool) -> bool:
    """Whether everyone is eligible for a pool."""
    return pool.eligible == Eligible() or (pool.eligible is None and not pool.codes)


def _matcher(pool: Pool) -> Callable[[Person, list[str]], bool] | None:
    """Whether each list that is given has an entry of the person's; None when everyone is eligible."""
    if is_open(pool):
        return None
    eligible = pool.eligible
    if eligible is None:
        return lambda person, person_units: False
    units, industries, tags = (
        None if entries is None else frozenset(entries)
        for entries in (eligible.units, eligible.industries, eligible.tags)
    )

    def matches(person: Person, person_units: list[str]) -> bool:
        return (
            (units is None or not units.isdisjoint(person_units))
            and (industries is None or person.industry in industries)
            and (tags is None or not tags.isdisjoint(person.tags))
        )

    return matches


def _with_ancestors(unit: str) -> list[str]:
    """`a.b.c` as [`a.b.c`, `a.b`, `a`], so that a prefix by whole segments is found by one look-up each."""
    units = [unit]
    while "." in unit:
        unit = unit.rpartition(".")[0]
        units.append(unit)
    return units
