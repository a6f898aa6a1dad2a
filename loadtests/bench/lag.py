"""How far the ledger is behind while sign-ups come as fast as they can, and how long it takes to follow at the end.

    scripts/bench lag [--requests N] [--campaigns N] [--database URL]

Without --database it measures SQLite and, where PostgreSQL's programs are found, a private server. p99 is over all
events, from the recorder's own histogram; beside it stands the greatest lag that /ops/status showed meanwhile, which
does not rest on the recorder. CPU is of the `work` process.
"""

import argparse
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final
from urllib.request import Request, urlopen

import msgspec
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from api import tokens
from api.views import OpsStatus
from engine.domain.person import Person
from loadtests import http_load
from loadtests.bench import campaigns, machine, sign_ups, subjects
from loadtests.deployment import Deployment, deployed
from tests import postgres

LOOK_EVERY_S: Final = 0.1
DRAINED_EVERY_S: Final = 0.01
DRAINED_S_MAX: Final = 60.0
LAG: Final = "seatrush_recorder_lag_seconds_bucket"


class Figures(Struct, frozen=True):
    """What came of one rush."""

    per_second: float
    p99_s: float
    """The bound of the bucket that holds it."""
    shown_s: float
    drained_s: float
    """From the last answer until nothing is pending."""
    cpu_us: float
    """Of the `work` process, by the event."""


class Watch(threading.Thread):
    """Looks at the status until it is told to stop, and keeps the greatest lag."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__()
        self._deployment = deployment
        self._stopping = threading.Event()
        self.lag_s = 0.0

    def run(self) -> None:
        """Look."""
        while not self._stopping.wait(LOOK_EVERY_S):
            lags = [each.lag_s or 0.0 for each in status(self._deployment).campaigns]
            self.lag_s = max(self.lag_s, *lags)

    def stop(self) -> float:
        """The greatest lag, in seconds."""
        self._stopping.set()
        self.join()
        return self.lag_s


def status(deployment: Deployment) -> OpsStatus:
    """What /ops/status says now."""
    ops = tokens.sign(deployment.secret, Person("bench", roles=frozenset({"ops"})), time.time() + 3600)
    request = Request(f"{deployment.url}/v1/ops/status", headers={"Authorization": f"Bearer {ops}"})
    with urlopen(request) as answer:
        return msgspec.json.decode(answer.read(), type=OpsStatus)


def measure(deployment: Deployment, names: Sequence[str], requests: int) -> Figures:
    """One rush, over all campaigns in turn, each sign-up of a member that nobody has seen."""
    prepared = [
        request
        for number in range(requests)
        for request in sign_ups.over_http(deployment.secret, names[number % len(names)], campaigns.SEATS, 1)
    ]
    (worker,) = [pid for pid, kind in deployment.processes().items() if kind == "work"]
    before, used_s = buckets(deployment), machine.cpu_s([worker])
    watch = Watch(deployment)
    watch.start()
    try:
        load = http_load.run(deployment.host, deployment.port, prepared, subjects.CONNECTIONS)
        ended = time.perf_counter()
    finally:
        shown_s = watch.stop()
    if load.statuses != {201: requests}:
        raise RuntimeError(f"not every sign-up got a seat: {load.statuses}")
    while any(each.pending_entries for each in status(deployment).campaigns):
        if time.perf_counter() > ended + DRAINED_S_MAX:
            raise RuntimeError("the ledger does not follow")
        time.sleep(DRAINED_EVERY_S)
    drained_s = time.perf_counter() - ended
    counted = {bound: number - before[bound] for bound, number in buckets(deployment).items()}
    cpu_us = (machine.cpu_s([worker]) - used_s) / requests * 1e6
    return Figures(load.per_second, quantile(counted, 0.99), shown_s, drained_s, cpu_us)


def buckets(deployment: Deployment) -> dict[float, float]:
    """The recorder's lag as /metrics has it: events by the bound that they are within."""
    with urlopen(f"{deployment.url}/metrics") as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {
            float(sample.labels["le"]): sample.value
            for family in families
            for sample in family.samples
            if sample.name == LAG
        }


def quantile(counted: dict[float, float], share: float) -> float:
    """The least bound that a share of all is within."""
    total = counted[float("inf")]
    return next(bound for bound, number in sorted(counted.items()) if number >= share * total)


def report(ledger: str, spread: int, requests: int, **settings: str) -> None:
    """Measure one ledger twice, the second time with what the first left in it, and print its lines."""
    names = [f"bench-{number:03}" for number in range(spread)]
    with deployed(*map(campaigns.plain, names), **settings) as deployment:
        for _ in range(2):
            found = measure(deployment, names, requests)
            print(
                f"{ledger:12}{found.per_second:8,.0f} sign-ups/s   lag p99 within {found.p99_s} s,"
                f" at most {found.shown_s:.2f} s shown   drained {found.drained_s:.2f} s after the last answer"
                f"   {found.cpu_us:.1f} µs CPU an event",
                flush=True,
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="scripts/bench lag", description=__doc__)
    parser.add_argument("--database", help="a ledger's URL")
    parser.add_argument("--requests", type=int, default=20_000, help="sign-ups (default: %(default)s)")
    parser.add_argument("--campaigns", type=int, default=1, help="that they are spread over")
    options = parser.parse_args(arguments)
    if options.database:
        kind = options.database.partition(":")[0]
        report(kind, options.campaigns, options.requests, SEATRUSH_DATABASE_URL=options.database)
        return 0
    report("sqlite", options.campaigns, options.requests)
    programs = postgres.find_programs()
    if programs is not None:
        with postgres.running(programs) as server:
            url = server.url("postgres")
            report("postgresql", options.campaigns, options.requests, SEATRUSH_DATABASE_URL=url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
