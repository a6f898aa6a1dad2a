"""A policy: how the seats of an offering are given."""

from typing import Literal

from msgspec import Struct

Family = Literal["immediate", "deferred"]


class Policy(Struct, frozen=True):
    """One policy, under the name by which documents choose it.

    An immediate one decides in the script at once; for a deferred one the script collects entries, a pure
    function decides over all of them, and one script settles.
    """

    name: str
    family: Family
