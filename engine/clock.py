"""The clock: time as something that is passed in, so that tests can turn it."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the engine asks of a clock."""

    def now_ms(self) -> int:
        """UTC milliseconds since 1970."""

    def monotonic_s(self) -> float:
        """Seconds that never go back, for measuring."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """UTC milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds that never go back, for measuring."""
        return time.monotonic()
