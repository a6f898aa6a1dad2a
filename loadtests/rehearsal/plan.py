"""The plan of a rehearsal: what is published, who comes, and when; all load processes work from the same one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

Scenario = Literal["rush", "browse", "churn", "mixed"]
Door = Literal["http", "websocket"]

UNIT: Final = "rehearsal"
"""The unit whose campaigns are rehearsed: no real one."""
UNITS: Final = ("rehearsal.home", "rehearsal.elsewhere")
"""Whose the members are, in turn; workshops keep half of their seats for the first."""
HOLD_TTL_S: Final = 4
OFFER_TTL_S: Final = 3


class Plan(Struct, frozen=True, kw_only=True):
    """One rehearsal. Times are seconds; `opens_at` is unix time, set when the run begins."""

    scenario: Scenario
    run: str
    """What tells this rehearsal from all others."""
    members: int
    workshops: int
    seats: int
    """Of each workshop."""
    waitlist: int
    """Places behind each workshop."""
    campaigns: int
    opens_in_s: float
    spread_s: float
    patience_s: float
    """How long a member tries to get a definite answer."""
    retries: int
    """How many other workshops a member tries when one is sold out."""
    run_time_s: float
    """How long after the opening members go on; a rush ends earlier, with its last member."""
    door: Door
    seed: int
    opens_at: float = 0

    def names(self) -> list[str]:
        """The campaigns."""
        if self.campaigns == 1:
            return [f"rehearsal-{self.run}"]
        return [f"rehearsal-{self.run}-{number}" for number in range(1, self.campaigns + 1)]

    def offerings(self) -> list[str]:
        """The workshops of each campaign."""
        return [f"workshop-{number}" for number in range(1, self.workshops + 1)]

    def churns(self, campaign: str) -> bool:
        """Whether seats of a campaign are held and offered, and not only given."""
        every_other = self.scenario == "mixed" and self.names().index(campaign) % 2 == 1
        return self.scenario == "churn" or every_other

    def encode(self) -> str:
        """As one line of JSON."""
        return msgspec.json.encode(self).decode()


def decode(text: str) -> Plan:
    """What `encode` made. Raises msgspec.DecodeError."""
    return msgspec.json.decode(text, type=Plan)


def documents(plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each campaign's name and document."""
    opens = datetime.fromtimestamp(plan.opens_at, UTC)
    for campaign in plan.names():
        yield (
            campaign,
            {
                "campaign": campaign,
                "title": {"zh": "报名演练", "en": "Rehearsal"},
                "unit": UNIT,
                "rules": {"limits": [{"max": 2, "per": "campaign"}], "overlaps_allowed": False},
                "offerings": [
                    _offering(plan, name, opens, number, churns=plan.churns(campaign))
                    for number, name in enumerate(plan.offerings())
                ],
            },
        )


def _offering(plan: Plan, name: str, opens: datetime, number: int, *, churns: bool) -> dict[str, Any]:
    # The first two meet at the same time; all others have a day of their own.
    starts = opens + timedelta(days=10 + max(number, 1))
    own = plan.seats // 2
    offering: dict[str, Any] = {
        "offering": name,
        "kind": "workshop",
        "title": {"zh": f"演练工坊 {number + 1}", "en": f"Rehearsal workshop {number + 1}"},
        "sessions": [{"starts": starts.isoformat(), "ends": (starts + timedelta(hours=2)).isoformat()}],
        "opens": opens.isoformat(),
        "closes": (opens + timedelta(days=1)).isoformat(),
        "pools": [
            {"pool": "own", "capacity": own, "eligible": {"units": [UNITS[0]]}},
            {"pool": "open", "capacity": plan.seats - own},
        ],
        "waitlist": {"size_max": plan.waitlist, "promotion": "auto"},
    }
    if churns:
        # Of three workshops one is as ever, one offers the seats that come back, one also holds each at first.
        if number % 3:
            offering["waitlist"] |= {"promotion": "offer", "offer_ttl_s": OFFER_TTL_S}
        if number % 3 == 2:
            offering["hold_ttl_s"] = HOLD_TTL_S
    return offering
