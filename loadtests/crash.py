"""`kill -9` of everything, again and again, in the middle of a rush; checked as any rush.

    scripts/bench crash [--kills N] [--members N] [--clients N] [--seed N]

Members retry what was not answered with the same key. Afterwards every answer that was given must hold: in a retry of
every sign-up with a key and of every cancellation, in the ledger, and by the audit.
"""

import argparse
import math
import multiprocessing
import random
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Any, Final

from loadtests import member, rush
from loadtests.deployment import Deployment, audit, embedded_ledger, free_port
from loadtests.rush import SAMPLE, Report

KILLS: Final = 5
ANSWERS_MIN: Final = 10
PER_MEMBER: Final = 2
"""Answers that a member gets at least; on the average, more than three."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, check and print: 1 when a promise was broken, or when the rush was over before the last kill."""
    parser = argparse.ArgumentParser(prog="scripts/bench crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=KILLS)
    rush.add_options(parser)
    parsed = parser.parse_args(arguments)
    with rush.data_directory() as data:
        report, kills = run(data, parsed.members, parsed.clients, parsed.seed, parsed.kills)
        audited = audit(data)
    print(f"seed {parsed.seed}; killed {kills} times in the middle of it")
    print(report.in_words())
    print(audited.stdout.strip())
    return int(bool(report.violations) or kills < parsed.kills or audited.returncode != 0)


def run(data: Path, members: int, clients: int, seed: int, kills: int) -> tuple[Report, int]:
    """Rush a deployment that is killed at random moments; returns what came of it, and the kills that hit the rush."""
    moments = random.Random(seed)
    port = str(free_port())
    deployment = Deployment(data, "--port", port, "--apply", str(SAMPLE))
    answered = multiprocessing.get_context("spawn").Semaphore(0)
    size = deployment.url, deployment.secret, members, clients, seed, answered
    try:
        with ThreadPoolExecutor(1) as thread:
            rushing = thread.submit(rush.run, *size)
            hit = 0
            # Early moments are as likely as late ones: seats go in the first of them.
            most = math.log(max(ANSWERS_MIN, members * PER_MEMBER / kills))
            while hit < kills:
                answers = round(math.exp(moments.uniform(math.log(ANSWERS_MIN), most)))
                if not answers_come(answered, answers, rushing):
                    break
                deployment.kill()
                hit += 1
                deployment = Deployment(data, "--port", port)
            exchanges = rushing.result()
        again = member.Part(deployment.url, deployment.secret, range(0), seed)
        exchanges += member.ask_again(again, exchanges)
        seen = rush.look(deployment.url, deployment.secret, exchanges)
    finally:
        deployment.stop()
    return rush.examine(embedded_ledger(data), exchanges, seen, interrupted=True), hit


def answers_come(answered: Semaphore, number: int, rushing: Future[Any]) -> bool:
    """Wait for so many answers; False when the rush is over before."""
    for _ in range(number):
        while not answered.acquire(timeout=1):
            if rushing.done():
                return False
    return True


if __name__ == "__main__":
    sys.exit(main())
