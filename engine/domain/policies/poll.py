"""Poll: sign-ups are votes until enough of them have come; then those who voted come first, and the rest after them.

Where too few have come by the deadline, nothing is given. docs/polls.md has the rules.
"""

from datetime import datetime
from typing import Any, Final

from engine.domain.policies.policy import Policy


def _until(offering: Any) -> datetime | None:
    until: datetime | None = offering.policy.until
    return until


POLICY: Final = Policy(
    name="poll",
    family="deferred",
    fields=frozenset({"threshold", "until", "seats_by", "kept_s"}),
    required=frozenset({"threshold", "until"}),
    collects_until=_until,
)
