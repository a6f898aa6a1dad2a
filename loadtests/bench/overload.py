"""Overload: 10,000 connections at once, each of which gives up after 5 s and asks again with the same key.

    scripts/bench overload [--seconds N] [--connections N] [--patience S] [--peak-connections N] [--seats N]

Goodput is first definite answers a second. Its peak is the better of two loads that the same clients make with few
connections, before and after. Another campaign has a light load of its own all the while: what it meets shows whether
one campaign can starve another, and when all is back to normal. Everything is checked against the log and audited.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from loadtests import swarm
from loadtests.bench import levels, machine, verdict
from loadtests.bench.bounds import Bound
from loadtests.bench.verdict import Report, Verdict
from loadtests.bench.watch import Watch
from loadtests.deployment import deployed
from loadtests.doors import RETRIED
from loadtests.exchange import Exchange
from loadtests.probe import Probe
from loadtests.swarm import Part, Swarmed

HAMMERED: Final = "hammered"
QUIET: Final = "quiet"
CALM_S: Final = 2.0
"""The light load alone, to know what is normal."""
AFTER_S: Final = 4.0
PHASE_MEMBERS: Final = 10_000_000
"""More than a phase can answer; each has members of its own."""
GOODPUT_MIN: Final = 0.9
GROWTH_MAX: Final = 1.1
RECOVERY_S_MAX: Final = 2.0
QUIET_P99_MS_MAX: Final = 1_000.0
NORMAL_FACTOR: Final = 3
"""Latencies are normal while their median is at most so many times that of the calm before."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 unless all bounds and invariants hold."""
    parser = argparse.ArgumentParser(prog="scripts/bench overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--peak-connections", type=int, default=256)
    parser.add_argument("--peak-seconds", type=float, default=10)
    parser.add_argument("--seats", type=int, default=1_000)
    parser.add_argument("--patience", type=float, default=swarm.PATIENCE_S, help="seconds")
    parsed = parser.parse_args(arguments)
    return measure(
        parsed.seconds,
        parsed.connections,
        parsed.peak_seconds,
        parsed.peak_connections,
        parsed.seats,
        parsed.patience,
    ).show()


def measure(
    seconds: float,
    connections: int,
    peak_seconds: float,
    peak_connections: int,
    seats: int,
    patience_s: float = swarm.PATIENCE_S,
) -> Report:
    """All phases on one deployment."""
    documents = verdict.document(HAMMERED, ["seats"], seats), verdict.document(QUIET, ["seats"], 10_000_000)
    with deployed(*documents) as deployment:
        address = deployment.host, deployment.port
        part = Part(*address, deployment.secret, HAMMERED, ("seats",), [], peak_connections, patience_s)
        peak = msgspec.structs.replace(part, seconds=peak_seconds)
        most = msgspec.structs.replace(part, seconds=seconds, connections=connections, silence_s=AFTER_S)
        with Watch(deployment) as watch, Probe(address, deployment.secret, QUIET, "seats") as probe:
            time.sleep(CALM_S)
            calm = probe.exchanges.copy()
            before = _phase(peak, 0)
            overload = _phase(most, 1)
            after = _phase(peak, 2)
        said = [*before.exchanges, *overload.exchanges, *after.exchanges]
        said += swarm.settle(part, said).exchanges
        reached = verdict.reach(deployment, {HAMMERED: said, QUIET: probe.exchanges})
    return _judge(calm, (before, overload, after), watch, probe, reached)


def _phase(part: Part, number: int) -> Swarmed:
    first = number * PHASE_MEMBERS
    return swarm.run([msgspec.structs.replace(part, members=range(first, first + PHASE_MEMBERS))])


def _judge(
    calm: Sequence[Exchange],
    phases: tuple[Swarmed, Swarmed, Swarmed],
    watch: Watch,
    probe: Probe,
    reached: Verdict,
) -> Report:
    before, overload, after = phases
    peak = max(levels.goodput(before), levels.goodput(after))
    span = overload.began_ns, overload.ended_ns
    normal_ms = NORMAL_FACTOR * levels.latency_ms(calm, 0.5)
    levels.recovery_s(probe.exchanges, span[1], AFTER_S, normal_ms)
    light = probe.between(*span)
    found = [
        Bound("goodput of the peak", levels.goodput(overload) / peak, "at least", GOODPUT_MIN),
        Bound("memory of the api, growth", watch.growth("api", *span), "at most", GROWTH_MAX),
        Bound("memory of Redis, growth", watch.growth("redis", *span), "at most", GROWTH_MAX),
        Bound(
            "back to normal after",
            levels.recovery_s(probe.exchanges, span[1], AFTER_S, normal_ms),
            "at most",
            RECOVERY_S_MAX,
            "s",
        ),
        Bound("other campaign: refused", sum(each.status in RETRIED for each in light), "exactly", 0),
        Bound("other campaign: p99", levels.latency_ms(light, 0.99), "at most", QUIET_P99_MS_MAX, "ms"),
    ]
    notes: dict[str, object] = {
        "machine": machine.describe(),
        "durability": "fsync",
        "peak_per_s": [round(levels.goodput(each)) for each in (before, after)],
        "goodput_per_s": round(levels.goodput(overload)),
        "goodput_per_s_worst_tenth": round(min(levels.goodput(each) for each in levels.tenths(overload))),
        "answers": verdict.outcomes(overload.exchanges),
        "given_up": overload.given_up,
        "broken": overload.broken,
        "connects": overload.connects,
        "answered_within_ms": levels.latencies_ms(overload.exchanges),
        "light_load_ms": {
            "calm": levels.latencies_ms(calm),
            "overload": levels.latencies_ms(light),
            "normal_at_most": normal_ms,
        },
        "peak_mib": {kind: watch.peak_bytes(kind, *span) >> 20 for kind in ("api", "redis", "work")},
        "api_cpu_us_an_answer": {
            name: round(watch.cpu_share("api", each.began_ns, each.ended_ns) / levels.goodput(each) * 1e6, 1)
            for name, each in (("before", before), ("overload", overload), ("after", after))
        },
        "cores": {kind: round(watch.cpu_share(kind, *span), 2) for kind in ("api", "redis", "work")},
    }
    return Report(found, notes, reached)
