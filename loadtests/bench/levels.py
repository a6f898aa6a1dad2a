"""Service levels: goodput, latency and recovery, from the exchanges of a load."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from loadtests.doors import RETRIED
from loadtests.exchange import Exchange
from loadtests.swarm import Swarmed

WINDOW_S: Final = 0.25
QUANTILES: Final = {"p50": 0.5, "p99": 0.99, "most": 1.0}


def goodput(swarmed: Swarmed) -> float:
    """First definite answers a second, of those that came before the end."""
    answered = {
        each.member
        for each in swarmed.exchanges
        if each.status not in RETRIED and swarmed.began_ns <= each.answered_ns <= swarmed.ended_ns
    }
    return len(answered) / ((swarmed.ended_ns - swarmed.began_ns) / 1e9)


def tenths(swarmed: Swarmed) -> list[Swarmed]:
    """The exchanges by the tenth of the span in which they were answered."""
    length = (swarmed.ended_ns - swarmed.began_ns) // 10 + 1
    parts: list[list[Exchange]] = [[] for _ in range(10)]
    for each in swarmed.exchanges:
        parts[min((each.answered_ns - swarmed.began_ns) // length, 9)].append(each)
    return [
        msgspec.structs.replace(
            swarmed,
            exchanges=part,
            began_ns=swarmed.began_ns + number * length,
            ended_ns=swarmed.began_ns + (number + 1) * length,
        )
        for number, part in enumerate(parts)
    ]


def latency_ms(exchanges: Iterable[Exchange], quantile: float) -> float:
    """A quantile of the latencies of all answers; infinite where there is none."""
    found = sorted(each.answered_ns - each.sent_ns for each in exchanges if each.status)
    return found[int(quantile * (len(found) - 1))] / 1e6 if found else float("inf")


def latencies_ms(exchanges: Sequence[Exchange]) -> dict[str, float]:
    return {name: round(latency_ms(exchanges, at), 1) for name, at in QUANTILES.items()}


def recovery_s(exchanges: Iterable[Exchange], ended_ns: int, watched_s: float, normal_ms: float) -> float:
    """How long after an end the last window lay in which the median was not normal, or nothing was answered.

    It looks at `watched_s` seconds, and is that long when the last window is such a one.
    """
    windows: list[list[Exchange]] = [[] for _ in range(round(watched_s / WINDOW_S))]
    for each in exchanges:
        number = int((each.answered_ns - ended_ns) / 1e9 // WINDOW_S)
        if 0 <= number < len(windows):
            windows[number].append(each)
    bad = [number for number, window in enumerate(windows) if latency_ms(window, 0.5) > normal_ms]
    return (bad[-1] + 1) * WINDOW_S if bad else 0.0


def goodput_by_window(swarmed: Swarmed, since_ns: int) -> list[int]:
    """First definite answers a second in each whole window from a moment to the end."""
    seen: set[str] = set()
    windows = [0] * int((swarmed.ended_ns - since_ns) / 1e9 / WINDOW_S)
    for each in sorted(swarmed.exchanges, key=lambda each: each.answered_ns):
        if each.status in RETRIED or each.member in seen:
            continue
        seen.add(each.member)
        number = int((each.answered_ns - since_ns) / 1e9 // WINDOW_S)
        if 0 <= number < len(windows):
            windows[number] += 1
    return [round(answers / WINDOW_S) for answers in windows]


def goodput_is_back_s(swarmed: Swarmed, since_ns: int, enough_per_s: float) -> float:
    """How long after a moment goodput was enough, over two windows, for the first time; infinite for never."""
    windows = goodput_by_window(swarmed, since_ns)
    for number, pair in enumerate(itertools.pairwise(windows)):
        if sum(pair) / 2 >= enough_per_s:
            return number * WINDOW_S
    return float("inf")
