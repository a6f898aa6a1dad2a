"""Redis stalled for 5 s under full load: refused at once beyond the queue's bound, nothing lost, soon recovered.

    scripts/bench stall [--connections N] [--queue N] [--stall N]

More members ask at once than the queue may hold (SEATRUSH_WAITING_ENTRIES_MAX is set to --queue), then CLIENT PAUSE
stops every command. Those who are refused come back after the Retry-After, as clients should.
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
import redis

from loadtests import checker, swarm
from loadtests.bench import levels, machine, verdict
from loadtests.bench.bounds import Bound
from loadtests.bench.verdict import Report, Verdict
from loadtests.bench.watch import Watch
from loadtests.deployment import Deployment, deployed
from loadtests.exchange import Exchange
from loadtests.swarm import Part, Swarmed

CAMPAIGN: Final = "stalled"
FULL_LOAD_S: Final = 6.0
"""Before the stall; the second half of it is what is normal."""
AFTER_S: Final = 6.0
SEATS: Final = 20_000
REFUSED_P99_MS_MAX: Final = 100.0
GROWTH_MAX: Final = 1.1
RECOVERY_S_MAX: Final = 2.0
RECOVERED: Final = 0.7
"""The share of the goodput before the stall that is recovery."""
MEMBERS: Final = 10_000_000
"""More than can be answered."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 unless all bounds and invariants hold."""
    parser = argparse.ArgumentParser(prog="scripts/bench stall", description=__doc__)
    parser.add_argument("--connections", type=int, default=1_500)
    parser.add_argument("--queue", type=int, default=256)
    parser.add_argument("--stall", type=float, default=5.0, help="seconds")
    parsed = parser.parse_args(arguments)
    return measure(parsed.connections, parsed.queue, parsed.stall).show()


def measure(
    connections: int, queue: int, stall_s: float, full_s: float = FULL_LOAD_S, after_s: float = AFTER_S
) -> Report:
    """Load, stall, recovery and end."""
    document = verdict.document(CAMPAIGN, ["seats"], SEATS)
    with deployed(document, SEATRUSH_WAITING_ENTRIES_MAX=str(queue)) as deployment:
        part = Part(
            deployment.host,
            deployment.port,
            deployment.secret,
            CAMPAIGN,
            ("seats",),
            range(MEMBERS),
            connections,
            seconds=full_s + stall_s + after_s,
        )
        with Watch(deployment) as watch, swarm.running([part]) as running:
            time.sleep(full_s)
            stalled_ns = _stall(deployment, stall_s)
            swarmed = running.result()
        said = [*swarmed.exchanges, *swarm.settle(part, swarmed.exchanges).exchanges]
        reached = verdict.reach(deployment, {CAMPAIGN: said})
    return _judge(swarmed, stalled_ns, int(stall_s * 1e9), watch, reached)


def _stall(deployment: Deployment, seconds: float) -> int:
    """Stop every command of Redis; returns when that began, CLOCK_MONOTONIC in nanoseconds."""
    with redis.Redis(unix_socket_path=str(deployment.data / "redis.sock")) as client:
        client.client_pause(int(seconds * 1000), all=True)
        return time.monotonic_ns()


def _judge(swarmed: Swarmed, stalled_ns: int, stall_ns: int, watch: Watch, reached: Verdict) -> Report:
    over_ns = stalled_ns + stall_ns
    during = [each for each in swarmed.exchanges if stalled_ns <= each.sent_ns < over_ns]
    codes = Counter(checker.refusal_of(each).code for each in during if each.status == 503)
    refused = [each for each in during if checker.refusal_of(each).code == "overloaded"]
    normal = ((swarmed.began_ns + stalled_ns) // 2, stalled_ns)
    before = levels.goodput(msgspec.structs.replace(swarmed, began_ns=normal[0], ended_ns=normal[1]))
    back = levels.goodput_is_back_s(swarmed, over_ns, RECOVERED * before)
    calm_bytes = watch.peak_bytes("api", *normal)
    found = [
        Bound(
            "refused in the stall, p99", levels.latency_ms(refused, 0.99), "at most", REFUSED_P99_MS_MAX, "ms"
        ),
        Bound(
            "memory of the api, growth",
            watch.peak_bytes("api", stalled_ns, swarmed.ended_ns) / calm_bytes,
            "at most",
            GROWTH_MAX,
        ),
        Bound("recovered after", back, "at most", RECOVERY_S_MAX, "s"),
    ]
    notes: dict[str, object] = {
        "machine": machine.describe(),
        "durability": "fsync",
        "goodput_per_s_before": round(before),
        "refused_in_the_stall": dict(codes),
        "refused_ms": levels.latencies_ms(refused),
        "answers": verdict.outcomes(swarmed.exchanges),
        "unknown": _unknown(swarmed.exchanges),
        "given_up": swarmed.given_up,
        "broken": swarmed.broken,
        "goodput_per_s_after": levels.goodput_by_window(swarmed, over_ns)[:12],
        "peak_mib": {kind: watch.peak_bytes(kind, *normal) >> 20 for kind in ("api", "redis", "work")},
    }
    return Report(found, notes, reached)


def _unknown(exchanges: Sequence[Exchange]) -> int:
    return sum(checker.refusal_of(each).code == "unknown" for each in exchanges)
