"""A crowd of 10,000 connections that say nothing or trickle, and what members meet meanwhile.

    scripts/bench idle [--connections N] [--seconds N]

A third says nothing, a third trickles a head and a third a body, a byte every two seconds; what the server closes is
opened again. A light load signs up before, meanwhile and after, and its 99th percentile is compared.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Final

from loadtests import crowd
from loadtests.bench import levels, machine, verdict
from loadtests.bench.bounds import Bound
from loadtests.bench.verdict import Report
from loadtests.deployment import deployed
from loadtests.probe import Probe

CAMPAIGN: Final = "quiet"
EVERY_S: Final = 0.004
P99_MAX: Final = 1.5
"""Times that of the light load alone."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 unless all bounds and invariants hold."""
    parser = argparse.ArgumentParser(prog="scripts/bench idle", description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20)
    parsed = parser.parse_args(arguments)
    return measure(parsed.connections, parsed.seconds).show()


def measure(connections: int, seconds: float) -> Report:
    """Three phases on one deployment."""
    with deployed(verdict.document(CAMPAIGN, ["seats"], 10_000_000)) as deployment:
        address = deployment.host, deployment.port
        (api,) = [pid for pid, kind in deployment.processes().items() if kind == "api"]
        with Probe(address, deployment.secret, CAMPAIGN, "seats", every_s=EVERY_S) as probe:
            time.sleep(1)  # the first answers are slower than the rest
            before = _phase(seconds)
            empty_bytes = machine.rss_bytes(api)
            with crowd.running(*address, connections):
                meanwhile = _phase(seconds)
                full_bytes = machine.rss_bytes(api)
            after = _phase(seconds)
        reached = verdict.reach(deployment, {CAMPAIGN: probe.exchanges})
    alone = [*probe.between(*before), *probe.between(*after)]
    crowded = probe.between(*meanwhile)
    found = [
        Bound(
            "p99 of a sign-up, beside the load alone",
            levels.latency_ms(crowded, 0.99) / levels.latency_ms(alone, 0.99),
            "at most",
            P99_MAX,
        ),
        Bound("sign-ups without an answer", sum(each.status != 201 for each in crowded), "exactly", 0),
    ]
    notes: dict[str, object] = {
        "machine": machine.describe(),
        "durability": "fsync",
        "connections": connections,
        "alone_ms": levels.latencies_ms(alone),
        "crowded_ms": levels.latencies_ms(crowded),
        "sign_ups": [len(alone), len(crowded)],
        "memory_of_a_connection_kib": round((full_bytes - empty_bytes) / connections / 1024, 1),
    }
    return Report(found, notes, reached)


def _phase(seconds: float) -> tuple[int, int]:
    """A span of so many seconds, by CLOCK_MONOTONIC in nanoseconds."""
    began_ns = time.monotonic_ns()
    time.sleep(seconds)
    return began_ns, time.monotonic_ns()
