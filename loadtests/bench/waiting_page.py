"""The page that waits: 15,000 WebSockets in one api process, told of the opening, and then all sign up at once.

    scripts/bench waiting-page [--connections N] [--clients N]

Each connection is authenticated and watches its workshop. Its memory is what the api process has grown by when all of
them do. Then the document is published again with an opening some seconds ahead: how long after it each connection
heard is measured by the clock of this machine. When all have heard, all ask at once.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from loadtests import swarm
from loadtests.bench import levels, machine, verdict
from loadtests.bench.bounds import Bound
from loadtests.bench.verdict import Report
from loadtests.deployment import ROOT, Deployment, deployed
from loadtests.swarm import Part, Swarmed

CAMPAIGN: Final = "waiting"
WORKSHOPS: Final = tuple(f"workshop-{number}" for number in range(10))
SEATS_EACH: Final = 20
AHEAD_S: Final = 5.0
"""From the publication to the opening."""
SETTLES_S: Final = 2.0
"""After all are connected, before memory is read."""
ANSWERED_WITHIN_S: Final = 120
KIB_MAX: Final = 25
OPENED_MS_MAX: Final = 1_000.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 unless all bounds and invariants hold."""
    parser = argparse.ArgumentParser(prog="scripts/bench waiting-page", description=__doc__)
    parser.add_argument("--connections", type=int, default=15_000)
    parser.add_argument("--clients", type=int, default=1, help="client processes")
    parsed = parser.parse_args(arguments)
    return measure(parsed.connections, parsed.clients).show()


def measure(connections: int, clients: int) -> Report:
    """Connect, open, sign up and end."""
    document = verdict.document(CAMPAIGN, WORKSHOPS, SEATS_EACH, opens="+1d")
    with deployed(document) as deployment:
        part = Part(
            deployment.host,
            deployment.port,
            deployment.secret,
            CAMPAIGN,
            WORKSHOPS,
            range(connections),
            connections,
            door="live",
            waits_to_hear=True,
        )
        (api,) = [pid for pid, kind in deployment.processes().items() if kind == "api"]
        empty_bytes = machine.rss_bytes(api)
        connecting_s = time.monotonic()
        with swarm.running(swarm.split(part, clients)) as running:
            connecting_s = time.monotonic() - connecting_s
            time.sleep(SETTLES_S)
            full_bytes = machine.rss_bytes(api)
            opens_ns = _open(deployment, document)
            running.wait(ANSWERED_WITHIN_S)
            swarmed = running.result()
        reached = verdict.reach(deployment, {CAMPAIGN: swarmed.exchanges})
    heard = sorted((moment - opens_ns) / 1e6 for moment in swarmed.heard_ns)
    asked = {each.member for each in swarmed.exchanges}
    each_kib = (full_bytes - empty_bytes) / connections / 1024
    found = [
        Bound("memory of a connection", each_kib, "at most", KIB_MAX, "KiB"),
        Bound("heard that it is open", len(heard), "exactly", connections),
        Bound("the last heard after", _quantile(heard, 1), "at most", OPENED_MS_MAX, "ms"),
        Bound("members with a definite answer", len(asked) - reached.unanswered, "exactly", connections),
        Bound("seats taken", reached.seats_taken, "exactly", len(WORKSHOPS) * SEATS_EACH),
    ]
    notes: dict[str, object] = {
        "machine": machine.describe(),
        "durability": "fsync",
        "connecting_s": round(connecting_s, 1),
        "api_mib": [empty_bytes >> 20, full_bytes >> 20],
        "heard_ms": {name: round(_quantile(heard, at), 1) for name, at in levels.QUANTILES.items()},
        "all_answered_s": round(_took_s(swarmed), 2),
        "answer_ms": levels.latencies_ms(swarmed.exchanges),
        "connects": swarmed.connects,
        "given_up": swarmed.given_up,
        "broken": swarmed.broken,
    }
    return Report(found, notes, reached)


def _open(deployment: Deployment, document: dict[str, Any]) -> int:
    """Publish that all opens soon; returns when, CLOCK_MONOTONIC in nanoseconds."""
    opens = datetime.fromtimestamp(round(time.time() + AHEAD_S, 3), UTC)
    for offering in document["offerings"]:
        offering["opens"] = opens.isoformat()
    path = deployment.data / "opening.json"
    path.write_text(json.dumps(document))
    subprocess.run(
        [sys.executable, "-m", "engine", "apply", "--data", str(deployment.data), str(path)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic_ns() + int((opens.timestamp() - time.time()) * 1e9)


def _quantile(found: Sequence[float], at: float) -> float:
    return found[int(at * (len(found) - 1))] if found else float("inf")


def _took_s(swarmed: Swarmed) -> float:
    """From the first sign-up that was sent to the last definite answer."""
    first = min((each.sent_ns for each in swarmed.exchanges), default=0)
    return (max((each.answered_ns for each in swarmed.exchanges), default=0) - first) / 1e9
