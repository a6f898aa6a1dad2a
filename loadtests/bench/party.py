"""A party of a comparison: someone who answers requests, with the processes that work for it."""

from collections.abc import Callable

from msgspec import Struct


class Party(Struct, frozen=True):
    """Who answers on a port. `processes` gives the kind of each process: api, redis, work, postgres."""

    host: str
    port: int
    processes: Callable[[], dict[int, str]]
    settle: Callable[[], None] = lambda: None
    """Returns when nothing is left to do for what was answered."""
