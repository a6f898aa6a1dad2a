"""A person as the engine knows them: an opaque id, and the attributes that eligibility looks at."""

from typing import Literal

from msgspec import Struct

Role = Literal["member", "officer", "organizer", "ops"]


class Person(Struct, frozen=True):
    """Who one is, from a verified token alone."""

    sub: str
    """The opaque member id, 1 to 64 visible ASCII characters."""
    unit: str = ""
    """A dotted path from district to crew; "" for none."""
    industry: str = ""
    """ "" for none."""
    tags: tuple[str, ...] = ()
    roles: frozenset[Role] = frozenset({"member"})


def within(unit: str, of: str) -> bool:
    """Whether `unit` is the unit `of` or below it, by whole segments; nothing is within "", nor "" within any."""
    return bool(of) and (unit == of or unit.startswith(of + "."))
