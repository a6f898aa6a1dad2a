"""A rush on a Redis Cluster whose slots move: three masters and three replicas on this machine, fsync always.

    scripts/bench cluster [--moves N] [--members N] [--clients N] [--seed N]

The campaign's slot moves from shard to shard in the middle of the rush, key by key as an operator would move it, and
every script is forgotten each time. Checked as any rush; besides, clients may see nothing of it but 503 with
Retry-After.
"""

import argparse
import multiprocessing
import sys
import time
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from engine.live import embedded
from loadtests import crash, member, rush
from loadtests.deployment import Deployment, audit, embedded_ledger
from loadtests.exchange import Exchange, Violation
from loadtests.rush import SAMPLE, Report
from tests import redis_cluster
from tests.redis_cluster import RedisCluster

MOVES: Final = 4
RETRIES: Final = "seatrush_redis_retries_total"


class Moved(Struct, frozen=True):
    """What came of a rush on a cluster."""

    report: Report
    moves_s: list[float]
    """How long each move took that hit the rush."""
    retries: list[str]
    """The metric of calls that were sent again, as /metrics shows it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, check and print: 1 when a promise was broken, or when the rush was over before the last move."""
    parser = argparse.ArgumentParser(prog="scripts/bench cluster", description=__doc__)
    parser.add_argument("--moves", type=int, default=MOVES)
    rush.add_options(parser)
    parsed = parser.parse_args(arguments)
    line = "valkey" if embedded.find_in_wheel() else "redis"
    with rush.data_directory() as data, redis_cluster.running(line) as cluster:
        moved = run(cluster, data, parsed.members, parsed.clients, parsed.seed, parsed.moves)
        audited = audit(data, "--redis", cluster.url)
    took = ", ".join(f"{1000 * seconds:.0f} ms" for seconds in moved.moves_s)
    print(
        f"seed {parsed.seed}; {line}; the slot moved {len(moved.moves_s)} times in the middle of it: {took}"
    )
    print("\n".join(moved.retries))
    print(moved.report.in_words())
    print(audited.stdout.strip())
    failed = moved.report.violations or len(moved.moves_s) < parsed.moves or audited.returncode != 0
    return int(bool(failed))


def run(cluster: RedisCluster, data: Path, members: int, clients: int, seed: int, moves: int) -> Moved:
    """Rush a deployment on a cluster while the campaign's slot moves, at even distances of answers."""
    deployment = Deployment(data, "--redis", cluster.url, "--apply", str(SAMPLE))
    answered = multiprocessing.get_context("spawn").Semaphore(0)
    slot = redis_cluster.slot_of(member.CAMPAIGN)
    moves_s: list[float] = []
    try:
        with ThreadPoolExecutor(1) as thread:
            rushing = thread.submit(
                rush.run, deployment.url, deployment.secret, members, clients, seed, answered
            )
            while len(moves_s) < moves and crash.answers_come(
                answered, crash.PER_MEMBER * members // (moves + 1), rushing
            ):
                for node in cluster.nodes:
                    node.client.script_flush()
                began = time.perf_counter()
                cluster.move(slot, cluster.others(cluster.owner(slot))[0])
                moves_s.append(time.perf_counter() - began)
            exchanges = rushing.result()
        seen = rush.look(deployment.url, deployment.secret, exchanges)
        retries = _retries(deployment.url)
    finally:
        deployment.stop()
    report = rush.examine(embedded_ledger(data), exchanges, seen, interrupted=True)
    visible = [*report.violations, *_visible(exchanges)]
    return Moved(structs.replace(report, violations=visible), moves_s, retries)


def _visible(exchanges: Sequence[Exchange]) -> list[Violation]:
    """Whatever a client saw of the moves but 503 with Retry-After."""
    return [
        Violation(
            "unseen", f"{each.kind} was answered {each.status}, Retry-After: {each.retry_after or 'none'}"
        )
        for each in exchanges
        if each.status == 0 or (each.status == 503 and not each.retry_after)
    ]


def _retries(url: str) -> list[str]:
    with urllib.request.urlopen(f"{url}/metrics") as response:
        return [line for line in response.read().decode().splitlines() if line.startswith(RETRIES)]


if __name__ == "__main__":
    sys.exit(main())
