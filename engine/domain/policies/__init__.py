"""The registry of policies: a new one is one file here and one line below."""

from typing import Final

from engine.domain.policies import ballot, first_come
from engine.domain.policies.policy import Policy

_ALL = [
    first_come.POLICY,
    ballot.POLICY,
]

POLICIES: Final[dict[str, Policy]] = {policy.name: policy for policy in _ALL}
