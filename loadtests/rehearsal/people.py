"""How people behave: when they click, what they choose, how long they wait before they try again.

All of it is drawn from the member's own random numbers, which the seed, the load process and the member's number in
it decide.
"""

import random
from collections.abc import Sequence
from typing import Final

from loadtests.rehearsal.plan import Plan

EARLY: Final = 0.10
"""The part of the members who click before the opening, evenly over the last `spread_s` before it."""
LATE: Final = 0.10
"""The part who come after `spread_s`, ever fewer: half of them within 3.5 times of it."""
LATE_MEAN: Final = 5.0
"""Of those, the mean delay after `spread_s`, in units of it."""
LATE_MOST: Final = 20.0
REFRESH_S: Final = 5.0
"""Mean time between two looks at the page of one who waits."""
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MOST_S: Final = 8.0
CHOSEN_FIRST: Final = 0.7
"""The popularity of each workshop as a part of the one before it."""


class Character:
    """One member's random numbers, and what comes of them."""

    def __init__(self, plan: Plan, process: int, number: int) -> None:
        self.random = random.Random(f"{plan.seed}/{process}/{number}")
        self._spread_s = plan.spread_s

    def happens(self, chance: float) -> bool:
        """Whether something of this chance happens now."""
        return self.random.random() < chance

    def click_after_s(self) -> float:
        """Seconds from the opening to the first click; negative for those who cannot wait."""
        who, spread_s = self.random.random(), self._spread_s
        if who < EARLY:
            return -self.random.uniform(0, spread_s)
        if who < 1 - LATE:
            return self.random.triangular(0, spread_s, spread_s / 4)
        return spread_s + min(self.random.expovariate(1 / LATE_MEAN), LATE_MOST) * spread_s

    def reaction_s(self) -> float:
        """From what is seen to the click."""
        return self.random.triangular(0.05, 1.0, 0.3)

    def thought_s(self) -> float:
        """What it takes to decide on something else."""
        return self.random.triangular(0.3, 3.0, 0.8)

    def refresh_s(self) -> float:
        """Until the next look at the page."""
        return self.random.uniform(0.4, 1.6) * REFRESH_S

    def pause_s(self, tries: int, retry_after: str) -> float:
        """Until the next try after `tries` without an answer: Retry-After, or doubling; with jitter, never less."""
        try:
            least = float(retry_after)
        except ValueError:
            least = min(BACKOFF_FIRST_S * 2 ** (tries - 1), BACKOFF_MOST_S)
        return least * self.random.uniform(1, 1.5)

    def wishes(self, offerings: Sequence[str]) -> list[str]:
        """All offerings, the dearest first: each is less popular than the one before it."""
        weighed = [
            (self.random.random() ** (1 / CHOSEN_FIRST**place), offering)
            for place, offering in enumerate(offerings)
        ]
        return [offering for _, offering in sorted(weighed, reverse=True)]
