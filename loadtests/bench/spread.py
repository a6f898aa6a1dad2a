"""What a sign-up costs when the rush is spread evenly over many campaigns, beside a rush for one.

    scripts/bench spread [--campaigns N] [--requests N] [--rounds N]

One deployment with all of the campaigns takes both loads in turn, from the same number of connections. Requests of
different campaigns share no call of Redis, so that the batches of the spread load are small: that is what is measured.
`scripts/bench growth` has what Redis pays where they are not.
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

RATIO_MAX: Final = 1.1


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code says nothing about the figure."""
    parser = argparse.ArgumentParser(prog="scripts/bench spread", description=__doc__)
    parser.add_argument("--campaigns", type=int, default=200)
    parser.add_argument("--requests", type=int, default=10_000, help="sign-ups in one round")
    parser.add_argument("--rounds", type=int, default=5)
    parsed = parser.parse_args(arguments)
    report = measure(parsed.campaigns, parsed.requests, parsed.rounds)
    print(json.dumps(report, indent=2), file=sys.stderr)
    print(_table(report))
    return 0


def measure(campaigns: int, requests: int, rounds: int) -> dict[str, object]:
    """Medians of both, and the ratio of each round's CPU of all processes."""
    documents = [DOCUMENT | {"campaign": f"bench-{number}"} for number in range(campaigns)]
    paths = [f"/v1/campaigns/bench-{number}/offerings/seats/enrollments" for number in range(campaigns)]
    spread: list[Round] = []
    one: list[Round] = []
    with deployed(*documents) as deployment:
        fsync_ms = machine.fsync_s(deployment.data) * 1000
        for turn in range(rounds + 1):
            pair = one_round(deployment, requests, paths), one_round(deployment, requests, paths[:1])
            # The first round warms the processes up.
            if turn:
                spread.append(pair[0])
                one.append(pair[1])
    ratios = [
        sum(many.cpu_us.values()) / sum(few.cpu_us.values()) for many, few in zip(spread, one, strict=True)
    ]
    return {
        "machine": machine.describe(),
        "durability": "fsync",
        "fsync_ms": round(fsync_ms, 3),
        "campaigns": campaigns,
        "requests": requests,
        "rounds": rounds,
        "spread": medians(spread),
        "one": medians(one),
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
    }


def _table(report: dict[str, object]) -> str:
    lines = [f"{'campaigns':12}{'sign-ups/s':>12}{'p99 ms':>9}   CPU µs a sign-up"]
    for name, label in (("spread", report["campaigns"]), ("one", 1)):
        found = report[name]
        assert isinstance(found, dict)
        cpu = ", ".join(f"{kind} {used:.0f}" for kind, used in sorted(found["cpu_us"].items()))
        lines.append(f"{label:<12}{found['per_second']:>12,}{found['p99_ms']:>9}   {cpu}")
    lines.append(
        f"CPU of all processes: {report['ratio']} × (median of {report['rounds']}: {report['ratios']}; "
        f"at most {RATIO_MAX} is wanted), fsync always, an fsync takes {report['fsync_ms']} ms"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
