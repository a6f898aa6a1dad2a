"""One load on one party: throughput, latencies, and the CPU that each kind of process used for it."""

import statistics
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Self

from msgspec import Struct

from loadtests.bench import machine
from loadtests.bench.party import Party
from loadtests.http_load import Load

REWRITE: Final = "rewrite"
"""The kind of CPU that Redis's rewriting of its log takes; it comes once in a while, and is no part of a request."""


class Sample(Struct, frozen=True):
    """What one load showed; CPU in microseconds a request, by kind of process."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: dict[str, float]

    @property
    def all_us(self) -> float:
        """CPU a request of all processes together."""
        return sum(used for kind, used in self.cpu_us.items() if kind != REWRITE)


class Cpu(AbstractContextManager["Cpu"]):
    """The CPU that a party uses in the block and until it has settled after it."""

    def __init__(self, party: Party) -> None:
        self._party = party
        self._before: dict[str, float] = {}
        self.used_s: dict[str, float] = {}
        """Seconds by kind of process, after the block."""

    def __enter__(self) -> Self:
        self._before = self._read_s()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._party.settle()
            self.used_s = {kind: used - self._before.get(kind, 0) for kind, used in self._read_s().items()}

    def _read_s(self) -> dict[str, float]:
        read: dict[str, float] = {}
        for pid, kind in self._party.processes().items():
            ended = REWRITE if kind == "redis" else kind
            for name, used in ((kind, machine.cpu_s([pid])), (ended, machine.ended_children_cpu_s(pid))):
                read[name] = read.get(name, 0) + used
        return read


def take(load: Callable[[Cpu], Load], party: Party, expected: Mapping[int, int]) -> Sample:
    """Run a load that must be answered as expected, status -> number. Raises RuntimeError."""
    cpu = Cpu(party)
    done = load(cpu)
    if done.statuses != expected:
        raise RuntimeError(f"answered {done.statuses}, expected {expected}")
    count = len(done.latencies_s)
    cuts = statistics.quantiles(done.latencies_s, n=100, method="inclusive")
    used = {process: seconds / count * 1e6 for process, seconds in cpu.used_s.items()}
    return Sample(done.per_second, cuts[49] * 1000, cuts[98] * 1000, used)
