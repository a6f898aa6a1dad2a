"""A policy: how the seats of an offering are given."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

Family = Literal["immediate", "deferred"]


def _never(offering: Any) -> None:
    return None


class Policy(Struct, frozen=True):
    """One policy, under the name by which documents choose it.

    An immediate one decides in the script at once; for a deferred one entries or results are collected, a pure
    function decides over all of them, and one script carries it out.
    """

    name: str
    family: Family
    fields: frozenset[str] = frozenset()
    """What a document may say under this policy, besides its name: attributes of `campaign.PolicyChoice`."""
    required: frozenset[str] = frozenset()
    """Which of these it must say."""
    collects_until: Callable[[Any], datetime | None] = _never
    """For a valid `campaign.Offering`: until when its sign-ups are collected for a draw, None when they are not."""
