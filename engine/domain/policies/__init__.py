"""The registry of policies: a new one is one file here and one line below."""

from datetime import datetime
from typing import Any, Final

from engine.domain.policies import advancement, ballot, first_come, poll, second_class
from engine.domain.policies.policy import Policy

_ALL = [
    first_come.POLICY,
    ballot.POLICY,
    poll.POLICY,
    second_class.POLICY,
    advancement.POLICY,
]

POLICIES: Final[dict[str, Policy]] = {policy.name: policy for policy in _ALL}


def collects_until(offering: Any) -> datetime | None:
    """Until when sign-ups of a valid `campaign.Offering` are collected for a draw, None where nothing is drawn."""
    return POLICIES[offering.policy.name].collects_until(offering)
