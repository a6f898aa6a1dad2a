"""Group commit beside one EVALSHA a request: the same code, HTTP, fsync always, each request a token not seen before.

    scripts/bench group-commit [--requests N] [--rounds N]

Both deployments run at once and take turns, so that what the machine does meanwhile falls on both.
"""

import argparse
import json
import secrets
import statistics
import sys
import time
import urllib.request
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from api import tokens
from api.views import OpsStatus
from engine.domain.person import Person
from loadtests import http_load
from loadtests.bench import machine
from loadtests.deployment import Deployment, deployed

CONNECTIONS: Final = 256
PATH: Final = "/v1/campaigns/bench/offerings/seats/enrollments"
DOCUMENT: Final = {
    "campaign": "bench",
    "title": {"zh": "测量", "en": "Benchmark"},
    "unit": "bench",
    "offerings": [
        {
            "offering": "seats",
            "kind": "event",
            "title": {"zh": "席位", "en": "Seats"},
            "sessions": [{"starts": "+10d", "ends": "+11d"}],
            "opens": "-1m",
            "closes": "+1d",
            "pools": [{"pool": "open", "capacity": 10_000_000}],
        }
    ],
}
RECORDED_POLL_S: Final = 0.05
ONE_BY_ONE: Final = {"SEATRUSH_BATCH_ENTRIES_MAX": "1", "SEATRUSH_BATCHES_IN_FLIGHT_MAX": "64"}


class Round(Struct, frozen=True):
    """One load on one deployment; CPU in microseconds a sign-up, by kind of process."""

    per_second: float
    p99_ms: float
    cpu_us: dict[str, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code says nothing about the figure."""
    parser = argparse.ArgumentParser(prog="scripts/bench group-commit", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000, help="sign-ups in one round")
    parser.add_argument("--rounds", type=int, default=5)
    parsed = parser.parse_args(arguments)
    report = measure(parsed.requests, parsed.rounds)
    print(json.dumps(report, indent=2), file=sys.stderr)
    print(_table(report))
    return 0


def measure(requests: int, rounds: int) -> dict[str, object]:
    """Medians of both, and the ratio of each round of the one to that of the other."""
    grouped: list[Round] = []
    single: list[Round] = []
    with deployed(DOCUMENT) as with_groups, deployed(DOCUMENT, **ONE_BY_ONE) as one_by_one:
        fsync_ms = machine.fsync_s(with_groups.data) * 1000
        for _ in range(rounds):
            grouped.append(one_round(with_groups, requests))
            single.append(one_round(one_by_one, requests))
    ratios = [ours.per_second / theirs.per_second for ours, theirs in zip(grouped, single, strict=True)]
    return {
        "machine": machine.describe(),
        "durability": "fsync",
        "fsync_ms": round(fsync_ms, 3),
        "requests": requests,
        "rounds": rounds,
        "group_commit": medians(grouped),
        "one_by_one": medians(single),
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
    }


def one_round(deployment: Deployment, requests: int, paths: Sequence[str] = (PATH,)) -> Round:
    """Sign-ups of as many members, over CONNECTIONS connections, for each path in turn.

    Raises RuntimeError when one gets no seat.
    """
    prepared = [_sign_up(deployment.secret, paths[number % len(paths)]) for number in range(requests)]
    before = {pid: machine.cpu_s([pid]) for pid in deployment.processes()}
    load = http_load.run(deployment.host, deployment.port, prepared, CONNECTIONS)
    if load.statuses != {201: requests}:
        raise RuntimeError(f"not every sign-up got a seat: {load.statuses}")
    _until_recorded(deployment)
    cpu: dict[str, float] = {}
    for pid, kind in deployment.processes().items():
        cpu[kind] = cpu.get(kind, 0) + (machine.cpu_s([pid]) - before.get(pid, 0)) / requests * 1e6
    return Round(load.per_second, sorted(load.latencies_s)[int(0.99 * requests)] * 1000, cpu)


def _until_recorded(deployment: Deployment) -> None:
    """Wait until the ledger has all of it: to record a sign-up is part of what it costs."""
    ops = tokens.sign(deployment.secret, Person("bench", roles=frozenset({"ops"})), time.time() + 3600)
    request = urllib.request.Request(
        f"{deployment.url}/v1/ops/status", headers={"Authorization": f"Bearer {ops}"}
    )
    while True:
        with urllib.request.urlopen(request) as answer:
            status = msgspec.json.decode(answer.read(), type=OpsStatus)
        if not sum(campaign.pending_entries for campaign in status.campaigns):
            return
        time.sleep(RECORDED_POLL_S)


def _sign_up(secret: bytes, path: str) -> bytes:
    """A sign-up of a member, with a token and a key, that the server has never seen."""
    token = tokens.sign(secret, Person(f"m-{secrets.token_hex(7)}"), time.time() + 3600)
    return http_load.request("POST", path, token, b"{}", secrets.token_hex(16))


def medians(rounds: Sequence[Round]) -> dict[str, object]:
    """The median of each figure."""
    return {
        "per_second": round(statistics.median(each.per_second for each in rounds)),
        "p99_ms": round(statistics.median(each.p99_ms for each in rounds), 1),
        "cpu_us": {
            kind: round(statistics.median(each.cpu_us[kind] for each in rounds), 1)
            for kind in rounds[0].cpu_us
        },
    }


def _table(report: dict[str, object]) -> str:
    lines = [f"{'':20}{'sign-ups/s':>12}{'p99 ms':>9}   CPU µs a sign-up"]
    for name, label in (("group_commit", "group commit"), ("one_by_one", "one EVALSHA each")):
        found = report[name]
        assert isinstance(found, dict)
        cpu = ", ".join(f"{kind} {used:.0f}" for kind, used in sorted(found["cpu_us"].items()))
        lines.append(f"{label:20}{found['per_second']:>12,}{found['p99_ms']:>9}   {cpu}")
    lines.append(
        f"ratio {report['ratio']} (median of {report['rounds']}: {report['ratios']}), "
        f"fsync always, an fsync takes {report['fsync_ms']} ms"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
