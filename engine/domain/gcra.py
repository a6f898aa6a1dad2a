"""The generic cell rate algorithm: how often each of many may ask.

It is the virtual scheduling form of ITU-T I.371 (annex A), which is a leaky bucket used as a meter: of each key it
keeps one number, the theoretical arrival time of the next request of one who keeps to the rate. A request that comes
earlier than that by more than the tolerance is refused, and a refusal costs nothing.
"""

from typing import Final

NS_PER_S: Final = 1_000_000_000


class Gcra:
    """Admits `burst` requests of a key at once, and `rate` a second in the long run.

    Of each key a time in the past is as good as no entry. No time lies further ahead than a whole burst takes to
    recover, so entries are kept in two generations of that length, and the older one is dropped without a look at it:
    what it has is past, or was written again into the younger one.

    A generation has at most `entries_max` entries. When it is full, a key that is not in it is admitted and not noted:
    nobody is refused because of others.
    """

    def __init__(self, rate: int, burst: int, entries_max: int) -> None:
        # Times are nanoseconds times the rate. So the interval between two requests is a whole number, and no rounding
        # refuses one who keeps to the rate, or admits more.
        self._rate = rate
        self._tolerance = (burst - 1) * NS_PER_S
        self._recovery = burst * NS_PER_S
        self._entries_max = entries_max
        self._young: dict[str | bytes, int] = {}
        self._old: dict[str | bytes, int] = {}
        self._turn = 0

    def wait_ns(self, key: str | bytes, now_ns: int) -> int:
        """0 when a request is admitted now, else the nanoseconds until it would be. `now_ns` never goes back."""
        now = now_ns * self._rate
        if now >= self._turn:
            self._old, self._young = self._young, {}
            self._turn = now + self._recovery
        young = self._young
        noted = key in young
        due = max(now, (young if noted else self._old).get(key, now))
        early = due - now - self._tolerance
        if early > 0:
            return -(-early // self._rate)
        if noted or len(young) < self._entries_max:
            young[key] = due + NS_PER_S
        return 0
