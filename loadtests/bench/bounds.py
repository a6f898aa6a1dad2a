"""Bounds: what was measured beside what was promised, and whether it holds."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct


class Bound(Struct, frozen=True):
    """One promise of a figure, in its unit."""

    name: str
    measured: float
    is_to_be: Literal["at least", "at most", "exactly"]
    bound: float
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the measured value keeps the bound."""
        match self.is_to_be:
            case "at least":
                return self.measured >= self.bound
            case "at most":
                return self.measured <= self.bound
            case "exactly":
                return self.measured == self.bound


def table(bounds: Sequence[Bound]) -> str:
    """A line for each bound."""
    width = max(len(bound.name) for bound in bounds)
    return "\n".join(
        f"{bound.name:{width}}  {_number(bound.measured):>10} {bound.unit:6} {bound.is_to_be} "
        f"{_number(bound.bound)}: {'holds' if bound.holds else 'DOES NOT HOLD'}"
        for bound in bounds
    )


def as_json(bounds: Sequence[Bound]) -> list[dict[str, object]]:
    """The same for a report."""
    return [
        {
            "name": bound.name,
            "measured": round(bound.measured, 3),
            "is_to_be": bound.is_to_be,
            "bound": bound.bound,
            "unit": bound.unit,
            "holds": bound.holds,
        }
        for bound in bounds
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.2f}"
