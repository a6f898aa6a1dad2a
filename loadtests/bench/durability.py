"""What each durability costs: seats a second through group commit, without HTTP, on one primary with a replica.

    scripts/bench durability [--line LINE]… [--callers N] [--requests N] [--rounds N]

The modes take turns on the same servers in every round, and a ratio is taken within a round. Primary and replica share
this machine and its disk, so a replica costs CPU here that it does not cost where it has a machine of its own, and the
way to it is shorter.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from engine.domain.person import Person
from loadtests.bench import direct, machine
from tests import redis_replicas
from tests.redis_replicas import Replicated
from tests.stand import campaign, offering, open_stand

BACKLOG: Final = 100_000_000


class Mode(Struct, frozen=True):
    """A durability, and how the primary's log goes to its disk meanwhile."""

    name: str
    durability: str
    appendfsync: str


FSYNC: Final = Mode("fsync", "fsync", "always")
MODES: Final = (
    FSYNC,
    Mode("replica, and fsync", "replica", "always"),
    Mode("replica", "replica", "everysec"),
    Mode("memory", "memory", "everysec"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code says nothing about the figure. Raises RuntimeError for a wrong answer."""
    parser = argparse.ArgumentParser(prog="scripts/bench durability", description=__doc__)
    parser.add_argument("--line", action="append", choices=direct.LINES, help="default: both")
    parser.add_argument("--callers", type=int, default=256, help="sign-ups under way at a time")
    parser.add_argument("--requests", type=int, default=20_000, help="seats of each mode in one round")
    parser.add_argument("--rounds", type=int, default=5)
    parsed = parser.parse_args(arguments)
    reports = [
        asyncio.run(measure(line, parsed.callers, parsed.requests, parsed.rounds))
        for line in parsed.line or direct.LINES
    ]
    print(json.dumps(reports, indent=2), file=sys.stderr)
    print("\n\n".join(_table(report) for report in reports))
    return 0


async def measure(line: str, callers: int, requests: int, rounds: int) -> dict[str, Any]:
    """Medians of seats a second and of how long one takes; the first round warms up and does not count."""
    with redis_replicas.running(line, replicas=1, sentinels=0) as replicated:
        found = [
            {mode.name: await _seats(replicated, mode, callers, requests) for mode in MODES}
            for _ in range(rounds + 1)
        ][1:]
    return {
        "machine": machine.describe(),
        "line": line,
        "callers": callers,
        "requests": requests,
        "rounds": rounds,
        "seats_per_s": {mode.name: round(_median(found, mode, 0)) for mode in MODES},
        "latency_ms": {mode.name: round(_median(found, mode, 1), 2) for mode in MODES},
        "of_fsync": {
            mode.name: round(statistics.median(each[mode.name][0] / each[FSYNC.name][0] for each in found), 3)
            for mode in MODES
        },
    }


async def _seats(replicated: Replicated, mode: Mode, callers: int, requests: int) -> tuple[float, float]:
    """Seats a second, and the median of how long one took in ms."""
    primary = replicated.servers[0]
    primary.client.config_set("appendfsync", mode.appendfsync)
    primary.client.flushall()
    with tempfile.TemporaryDirectory() as directory:
        ledger = f"sqlite:///{directory}/ledger.db"
        settings = {"durability": mode.durability, "backlog_entries_max": BACKLOG}
        async with open_stand(primary.url, ledger, Path(directory), **settings) as stand:
            pools = [{"pool": "open", "capacity": requests}]
            await stand.publish(campaign(offering("seats", pools=pools), name="durability"))
            numbers, took_s = itertools.count(), list[float]()

            async def ask() -> None:
                while (number := next(numbers)) < requests:
                    asked_s = time.perf_counter()
                    person, key = Person(f"m-{number}"), f"k-{number}"
                    decision = await stand.decisions.sign_up("durability", "seats", person, key, "", "http")
                    took_s.append(time.perf_counter() - asked_s)
                    if decision.outcome != "confirmed":
                        raise RuntimeError(f"a sign-up was answered {decision.outcome}")

            began_s = time.perf_counter()
            await asyncio.gather(*(ask() for _ in range(callers)))
            return requests / (time.perf_counter() - began_s), statistics.median(took_s) * 1000


def _median(found: Sequence[dict[str, tuple[float, float]]], mode: Mode, which: int) -> float:
    return statistics.median(each[mode.name][which] for each in found)


def _table(report: dict[str, Any]) -> str:
    lines = [
        f"{report['line']}, {report['callers']} under way, {report['rounds']} rounds of {report['requests']} seats",
        f"{'':24}{'seats/s':>12}{'of fsync':>12}{'median ms':>12}",
    ]
    lines += [
        f"{mode.name:24}{report['seats_per_s'][mode.name]:>12,}{report['of_fsync'][mode.name]:>12.2f}"
        f"{report['latency_ms'][mode.name]:>12.2f}"
        for mode in MODES
    ]
    return "\n".join(lines)
