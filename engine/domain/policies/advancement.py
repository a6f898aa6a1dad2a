"""Advancement: nobody signs up, the best of each pool of the round before are enrolled; docs/ladder.md says how."""

from collections.abc import Sequence
from typing import Any, Final

from engine.domain.person import within
from engine.domain.policies.policy import Policy

POLICY: Final = Policy(
    name="advancement",
    family="deferred",
    fields=frozenset({"from_", "best", "substitutes"}),
    required=frozenset({"from_", "best"}),
)


def pools_above(pool: Any, pools: Sequence[Any]) -> list[str]:
    """The names of those pools of a round whose units contain all units of a pool of the round before.

    A pool without units contains every other, and is contained in its like alone. Pools are campaign.Pool, or
    shapes.Partial of it.
    """
    below = _units(pool)
    return [
        above.pool
        for above in pools
        if (units := _units(above)) is None
        or (below is not None and all(any(within(unit, top) for top in units) for unit in below))
    ]


def _units(pool: Any) -> list[str] | None:
    """The units of a pool, None for all."""
    units: list[str | None] | None = pool.eligible and pool.eligible.units
    return None if units is None else [unit for unit in units if unit is not None]
