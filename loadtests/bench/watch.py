"""A watch over a deployment: the memory and the CPU of each kind of process while something happens to it."""

import statistics
import threading
import time
from typing import Final, Self

from msgspec import Struct

from loadtests.bench import machine
from loadtests.deployment import Deployment

EVERY_S: Final = 0.1


class Sample(Struct, frozen=True):
    """A moment, CLOCK_MONOTONIC in nanoseconds; resident bytes and CPU seconds so far, by kind of process."""

    at_ns: int
    rss_bytes: dict[str, int]
    cpu_s: dict[str, float]


class Watch:
    """Samples the processes that a deployment has at the beginning of the block, until its end."""

    def __init__(self, deployment: Deployment) -> None:
        self.samples: list[Sample] = []
        self._kinds: dict[str, list[int]] = {}
        for pid, kind in deployment.processes().items():
            self._kinds.setdefault(kind, []).append(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_until_over, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def growth(self, kind: str, began_ns: int, ended_ns: int) -> float:
        """Memory in the last quarter of a span over that in the second: 1 is flat. The first is for warming up."""
        quarter = (ended_ns - began_ns) / 4
        early = self._median_rss(kind, began_ns + quarter, began_ns + 2 * quarter)
        return self._median_rss(kind, ended_ns - quarter, ended_ns) / early

    def peak_bytes(self, kind: str, began_ns: int, ended_ns: int) -> int:
        """The most memory that a kind had in a span."""
        return max(each.rss_bytes[kind] for each in self.samples if began_ns <= each.at_ns <= ended_ns)

    def cpu_share(self, kind: str, began_ns: int, ended_ns: int) -> float:
        """How many cores a kind used in a span."""
        within = [each for each in self.samples if began_ns <= each.at_ns <= ended_ns]
        used = within[-1].cpu_s[kind] - within[0].cpu_s[kind]
        return used / max((within[-1].at_ns - within[0].at_ns) / 1e9, EVERY_S)

    def _median_rss(self, kind: str, began_ns: float, ended_ns: float) -> float:
        return statistics.median(
            each.rss_bytes[kind] for each in self.samples if began_ns <= each.at_ns <= ended_ns
        )

    def _look_until_over(self) -> None:
        while not self._over.wait(EVERY_S):
            self._look()

    def _look(self) -> None:
        rss = {kind: sum(map(machine.rss_bytes, pids)) for kind, pids in self._kinds.items()}
        cpu = {kind: machine.cpu_s(pids) for kind, pids in self._kinds.items()}
        self.samples.append(Sample(time.monotonic_ns(), rss, cpu))
