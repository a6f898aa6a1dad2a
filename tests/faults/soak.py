"""A soak: rounds of members who all want the same few seats, while processes are killed; every answer is checked."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Final

import redis
from msgspec import Struct

from loadtests import swarm
from loadtests.bench import verdict
from loadtests.deployment import Deployment, deployed
from loadtests.swarm import Part

CAMPAIGN: Final = "soak"
OFFERINGS: Final = tuple(f"workshop-{number}" for number in range(10))
SEATS_EACH: Final = 20
ROUND_MEMBERS_MAX: Final = 50_000
CONNECTIONS: Final = 256
PROCESSES: Final = 2
ROUND_S_MAX: Final = 600
BREAK_EVERY_S: Final = (0.5, 3.0)
GONE_AFTER_S: Final = 10.0


class Round(Struct, frozen=True):
    """What came of a round."""

    attempts: int
    """Requests for a seat that were sent."""
    breaks: int
    oversold: int
    holds: bool
    words: str


def run(attempts: int, seed: int) -> Iterator[Round]:
    """Rounds, each on a deployment of its own, until so many attempts were made."""
    made, number = 0, 0
    while made < attempts:
        found = one_round(min(ROUND_MEMBERS_MAX, attempts - made), seed + number)
        made, number = made + found.attempts, number + 1
        yield found


def one_round(members: int, seed: int) -> Round:
    """So many members, each of whom asks until there is a definite answer."""
    seats = verdict.document(CAMPAIGN, OFFERINGS, SEATS_EACH)
    with deployed(seats, SEATRUSH_PROCESSES=str(PROCESSES)) as deployment:
        part = Part(
            deployment.host,
            deployment.port,
            deployment.secret,
            CAMPAIGN,
            OFFERINGS,
            range(members),
            min(CONNECTIONS, members),
        )
        with _breaking(deployment, Random(f"soak/{seed}")) as broken, swarm.running([part]) as running:
            running.wait(ROUND_S_MAX)
            exchanges = running.result().exchanges
        reached = verdict.reach(deployment, {CAMPAIGN: exchanges})
    oversold = sum(violation.rule in ("capacity", "seat") for violation in reached.violations)
    holds = reached.holds and reached.seats_taken == min(members, len(OFFERINGS) * SEATS_EACH)
    return Round(len(exchanges), len(broken), oversold, holds, reached.in_words())


@contextmanager
def _breaking(deployment: Deployment, chance: Random) -> Iterator[list[str]]:
    """Break something every now and then, in a thread; yields what was broken so far."""
    broken: list[str] = []
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(chance.uniform(*BREAK_EVERY_S)):
            broken.append(_break(deployment, chance.choice(("api", "work", "redis", "scripts"))))

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield broken
    finally:
        over.set()
        thread.join(GONE_AFTER_S)


def _break(deployment: Deployment, what: str) -> str:
    if what == "scripts":
        try:
            with redis.Redis.from_url(f"unix://{deployment.data}/redis.sock") as client:
                client.script_flush()
        except redis.RedisError:
            return "scripts, while Redis was away"
        return what
    for pid, kind in deployment.processes().items():
        if kind == what:
            os.kill(pid, signal.SIGKILL)
            break
    return what
