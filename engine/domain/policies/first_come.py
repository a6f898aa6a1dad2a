"""First come, first served: the lowest free seat at once, in the order of `seq`."""

from typing import Final

from engine.domain.policies.policy import Policy

POLICY: Final = Policy(name="first_come", family="immediate")
