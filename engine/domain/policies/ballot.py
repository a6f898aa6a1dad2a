"""Ballot: entries are collected until the offering closes, then a draw gives the seats; docs/draws.md has the rules."""

from datetime import datetime
from typing import Any, Final

from engine.domain.policies.policy import Policy


def _closes(offering: Any) -> datetime | None:
    closes: datetime | None = offering.closes
    return closes


POLICY: Final = Policy(name="ballot", family="deferred", collects_until=_closes)
