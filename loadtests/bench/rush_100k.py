"""The rush of 100,000 members for 200 seats in 10 workshops, load generator included.

    scripts/bench rush-100k [--members N] [--connections N] [--clients N] [--door http|live] [--keep-connections]

Each member has a token that the server has never seen, opens a connection of its own as a phone does, and asks until
there is a definite answer, with the same key. So many connections at a time are open as --connections says: a process
may have no more than 20,000 open files, and those who come later wait like the others in a backlog. Every answer is
checked against the ledger's log, and Redis against the ledger.
"""

import argparse
from collections.abc import Sequence
from typing import Final

from loadtests import swarm
from loadtests.bench import levels, machine, verdict
from loadtests.bench.bounds import Bound
from loadtests.bench.verdict import Report
from loadtests.bench.watch import Watch
from loadtests.deployment import deployed
from loadtests.exchange import Exchange
from loadtests.swarm import Part

CAMPAIGN: Final = "rush"
WORKSHOPS: Final = tuple(f"workshop-{number}" for number in range(10))
SEATS_EACH: Final = 20
ANSWERED_WITHIN_S: Final = 300
"""After which the rush has failed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 unless all bounds and invariants hold."""
    parser = argparse.ArgumentParser(prog="scripts/bench rush-100k", description=__doc__)
    parser.add_argument("--members", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=8_000, help="at a time")
    parser.add_argument("--clients", type=int, default=1, help="client processes")
    parser.add_argument("--door", choices=swarm.DOORS, default="http")
    parser.add_argument(
        "--keep-connections", action="store_true", help="HTTP: take the one before's connection"
    )
    parsed = parser.parse_args(arguments)
    return measure(
        parsed.members, parsed.connections, parsed.clients, parsed.door, keep=parsed.keep_connections
    ).show()


def measure(
    members: int,
    connections: int,
    clients: int,
    door: str,
    *,
    keep: bool = False,
    within_s: float = ANSWERED_WITHIN_S,
) -> Report:
    """One rush on one deployment."""
    with deployed(verdict.document(CAMPAIGN, WORKSHOPS, SEATS_EACH)) as deployment:
        part = Part(
            deployment.host,
            deployment.port,
            deployment.secret,
            CAMPAIGN,
            WORKSHOPS,
            range(members),
            connections,
            own_connections=not keep,
            door=door,
        )
        with Watch(deployment) as watch, swarm.running(swarm.split(part, clients)) as running:
            running.wait(within_s)
            swarmed = running.result()
        reached = verdict.reach(deployment, {CAMPAIGN: swarmed.exchanges})
    span = swarmed.began_ns, swarmed.ended_ns
    seats = len(WORKSHOPS) * SEATS_EACH
    asked = {each.member for each in swarmed.exchanges}
    found = [
        Bound("seats taken", reached.seats_taken, "exactly", seats),
        Bound("members who were told of a seat", _winners(swarmed.exchanges), "exactly", seats),
        Bound("members with a definite answer", len(asked) - reached.unanswered, "exactly", members),
    ]
    seconds = (span[1] - span[0]) / 1e9
    notes: dict[str, object] = {
        "machine": machine.describe(),
        "durability": "fsync",
        "door": door,
        "seconds": round(seconds, 2),
        "members_per_s": round(members / seconds),
        "seats_gone_after_s": round(_last_seat_ns(swarmed.exchanges, span[0]) / 1e9, 2),
        "requests": len(swarmed.exchanges),
        "request_ms": levels.latencies_ms(swarmed.exchanges),
        "connects": swarmed.connects,
        "given_up": swarmed.given_up,
        "broken": swarmed.broken,
        "cores": {kind: round(watch.cpu_share(kind, *span), 2) for kind in ("api", "redis", "work")},
        "peak_mib": {kind: watch.peak_bytes(kind, *span) >> 20 for kind in ("api", "redis", "work")},
    }
    print(f"{members:,} members in {seconds:.1f} s, {members / seconds:,.0f} a second, by {door}")
    return Report(found, notes, reached)


def _winners(exchanges: Sequence[Exchange]) -> int:
    return len({each.member for each in exchanges if each.status == 201})


def _last_seat_ns(exchanges: Sequence[Exchange], began_ns: int) -> int:
    return max((each.answered_ns for each in exchanges if each.status == 201), default=began_ns) - began_ns
