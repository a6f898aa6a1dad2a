"""What a sign-up costs with several api processes beside what it costs with one: CPU, since cores are what they need.

    scripts/bench processes [--processes N] [--requests N] [--rounds N]

Both deployments run at once and take turns, so that what the machine does meanwhile falls on both. They share the
machine with Redis and the load, so that the sign-ups a second say little where there are few cores.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from typing import Final

from loadtests.bench import machine
from loadtests.bench.group_commit import DOCUMENT, Round, medians, one_round
from loadtests.deployment import deployed

RATIO_MAX: Final = 1.15


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code says nothing about the figure."""
    parser = argparse.ArgumentParser(prog="scripts/bench processes", description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--requests", type=int, default=10_000, help="sign-ups in one round")
    parser.add_argument("--rounds", type=int, default=5)
    parsed = parser.parse_args(arguments)
    report = measure(parsed.processes, parsed.requests, parsed.rounds)
    print(json.dumps(report, indent=2), file=sys.stderr)
    print(_table(report))
    return 0


def measure(processes: int, requests: int, rounds: int) -> dict[str, object]:
    """Medians of both, and for the apis and for all processes the ratio of each round of the one to the other's."""
    several: list[Round] = []
    one: list[Round] = []
    with (
        deployed(DOCUMENT, SEATRUSH_PROCESSES=str(processes)) as with_several,
        deployed(DOCUMENT) as with_one,
    ):
        fsync_ms = machine.fsync_s(with_several.data) * 1000
        for turn in range(rounds + 1):
            pair = one_round(with_several, requests), one_round(with_one, requests)
            # The first round warms the processes up.
            if turn:
                several.append(pair[0])
                one.append(pair[1])
    apis = [ours.cpu_us["api"] / theirs.cpu_us["api"] for ours, theirs in zip(several, one, strict=True)]
    everything = [
        sum(ours.cpu_us.values()) / sum(theirs.cpu_us.values())
        for ours, theirs in zip(several, one, strict=True)
    ]
    return {
        "machine": machine.describe(),
        "durability": "fsync",
        "fsync_ms": round(fsync_ms, 3),
        "processes": processes,
        "requests": requests,
        "rounds": rounds,
        "several": medians(several),
        "one": medians(one),
        "ratios": {"api": _ratios(apis), "all": _ratios(everything)},
    }


def _ratios(found: Sequence[float]) -> dict[str, object]:
    return {"median": round(statistics.median(found), 3), "each": [round(ratio, 3) for ratio in found]}


def _table(report: dict[str, object]) -> str:
    lines = [f"{'api processes':16}{'sign-ups/s':>12}{'p99 ms':>9}   CPU µs a sign-up"]
    for name, label in (("several", report["processes"]), ("one", 1)):
        found = report[name]
        assert isinstance(found, dict)
        cpu = ", ".join(f"{kind} {used:.0f}" for kind, used in sorted(found["cpu_us"].items()))
        lines.append(f"{label:<16}{found['per_second']:>12,}{found['p99_ms']:>9}   {cpu}")
    ratios = report["ratios"]
    assert isinstance(ratios, dict)
    for kind, label in (("api", "the apis"), ("all", "all processes")):
        lines.append(
            f"CPU of {label}: {ratios[kind]['median']} × (median of {report['rounds']}: {ratios[kind]['each']}; "
            f"at most {RATIO_MAX} is wanted)"
        )
    lines.append(f"fsync always, an fsync takes {report['fsync_ms']} ms")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
