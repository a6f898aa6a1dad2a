"""`kill -9` of everything, again and again, in the middle of a rush; checked as any rush.

    scripts/bench crash [--kills N] [--members N] [--clients N] [--seed N]

Members retry what was not answered with the same key. Afterwards every answer that was given must hold: in a retry of
every keyed sign-up, in the ledger, and by the audit.
"""

import argparse
import random
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loadtests import rush
from loadtests.deployment import Deployment, audit, embedded_ledger
from loadtests.exchange import Exchange
from loadtests.rush import SAMPLE, Report

KILLS: Final = 5
UPTIME_S: Final = (0.1, 0.7)
"""How long a deployment may work before it is killed, from and to."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, check and print: 1 when a promise was broken, or when the rush was over before the last kill."""
    parser = argparse.ArgumentParser(prog="scripts/bench crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    rush.add_options(parser)
    parsed = parser.parse_args(arguments)
    with rush.data_directory() as data:
        report, kills = run(data, parsed.members, parsed.clients, parsed.seed, parsed.kills)
        audited = audit(data)
    print(f"killed {kills} times in the middle of it")
    print(report.in_words())
    print(audited.stdout.strip())
    return int(bool(report.violations) or kills < parsed.kills or audited.returncode != 0)


def run(data: Path, members: int, clients: int, seed: int, kills: int) -> tuple[Report, int]:
    """Rush a deployment that is killed at random moments; returns what came of it, and the kills that hit the rush."""
    moments = random.Random(seed)
    port = str(_free_port())
    deployment = Deployment(data, "--port", port, "--apply", str(SAMPLE))
    began = time.monotonic()
    exchanges: list[Exchange] = []
    first = deployment

    def load() -> None:
        exchanges.extend(rush.run(first.url, first.secret, members, clients, seed))

    rushing = threading.Thread(target=load)
    rushing.start()
    hit = 0
    for _ in range(kills):
        # The moment is what is drawn; there is nothing to wait for.
        rushing.join(moments.uniform(*UPTIME_S))
        if not rushing.is_alive():
            break
        deployment.kill()
        hit += 1
        deployment = Deployment(data, "--port", port)
    rushing.join()
    seconds = time.monotonic() - began
    try:
        exchanges += rush.retry(deployment.url, deployment.secret, exchanges)
    finally:
        deployment.stop()
    return rush.examine(embedded_ledger(data), exchanges, seconds), hit


def _free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        port: int = candidate.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
