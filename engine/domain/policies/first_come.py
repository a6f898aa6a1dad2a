"""First come, first served: the lowest free seat at once, in the order of `seq`.

With a grace window, `grace_s`, all who ask in the first seconds are drawn as in a ballot; after it, first come.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from engine.domain.policies.policy import Policy


def _end_of_grace(offering: Any) -> datetime | None:
    opens: datetime | None = offering.opens
    grace_s: int | None = offering.policy.grace_s
    return opens + timedelta(seconds=grace_s) if opens and grace_s else None


POLICY: Final = Policy(
    name="first_come",
    family="immediate",
    fields=frozenset({"grace_s", "intents_open"}),
    collects_until=_end_of_grace,
)
