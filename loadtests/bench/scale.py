"""What a sign-up costs as a deployment grows: seats held, campaigns, api processes; CPU of all processes together.

    scripts/bench scale [--seats N] [--campaigns N] [--processes N] [--connections N] [--requests N] [--rounds N]
                        [--results DIR]

Each deployment runs with fsync, an embedded Redis and SQLite, and the work of its recorder counts. All run at once and
take turns, so that what the machine does meanwhile falls on each; what Redis takes to rewrite its log stands apart.
A spread rush gives each campaign few sign-ups at a time, and they share no call of Redis. `scripts/bench growth` has
Redis alone, with batches alike.
"""

import argparse
import secrets
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from loadtests import http_load
from loadtests.bench import campaigns, machine, parties, report, sign_ups, subjects
from loadtests.bench.party import Party
from loadtests.bench.report import Bound, Report, Row
from loadtests.bench.sample import Sample
from loadtests.deployment import ROOT

FEW_SEATS: Final = 1_000
FILL_REQUESTS: Final = 25_000
BOUNDS: Final = (
    Bound("CPU of all, many seats beside few", "seats", "few", "all_us", "at most", 1.10),
    Bound("CPU of all, one campaign among many beside one alone", "among", "few", "all_us", "at most", 1.10),
    Bound("CPU of all, a rush spread over many campaigns", "spread", "among", "all_us", "at most", 1.10),
    Bound("CPU of the apis, several processes beside one", "processes", "few", "api_us", "at most", 1.15),
    Bound("CPU of all, several processes beside one", "processes", "few", "all_us", "at most", 1.15),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write: 1 when a bound does not hold."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seats", type=int, default=1_000_000, help="seats held, beside 1,000")
    parser.add_argument("--campaigns", type=int, default=200, help="campaigns, beside one")
    parser.add_argument("--processes", type=int, default=2, help="api processes, beside one")
    parser.add_argument("--connections", type=int, default=subjects.CONNECTIONS)
    parser.add_argument("--requests", type=int, default=20_000, help="sign-ups in one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=ROOT / "results", metavar="DIR")
    options = parser.parse_args(arguments)
    measured = measure(options)
    print(report.text(measured))
    for path in report.save(measured, options.results, "scale"):
        print(f"written: {path}", file=sys.stderr)
    return 0 if measured.holds else 1


def measure(options: argparse.Namespace) -> Report:
    """Start every deployment, fill them, load them in turn in each round, and judge."""
    secret = secrets.token_hex(32)
    # A campaign of few seats has too many after a round.
    fresh = [f"fresh-{number}" for number in range(options.rounds + 1)]
    many = [f"campaign-{number}" for number in range(options.campaigns)]
    labels = {
        "few": f"one campaign, {FEW_SEATS:,} seats held",
        "seats": f"one campaign, {options.seats:,} seats held",
        "among": f"one of {options.campaigns} campaigns",
        "spread": f"spread over {options.campaigns} campaigns",
        "processes": f"{options.processes} api processes",
    }
    rows = {name: Row(label, "fsync", []) for name, label in labels.items()}
    fsyncs_s: list[float] = []
    with ExitStack() as stack:
        few, large, campaigned, processed = (
            stack.enter_context(parties.engine("fsync", secret, *map(campaigns.plain, names), **settings))
            for names, settings in (
                (fresh, {}),
                (["large"], {}),
                (many, {}),
                (fresh, {"SEATRUSH_PROCESSES": str(options.processes)}),
            )
        )
        _fill(large, secret, "large", options.seats)
        for number, name in enumerate(fresh):
            fsyncs_s.append(machine.fsync_s(Path(tempfile.gettempdir())))
            _fill(few, secret, name, FEW_SEATS)
            _fill(processed, secret, name, FEW_SEATS)
            loads = (
                ("few", few, [name]),
                ("seats", large, ["large"]),
                ("among", campaigned, many[:1]),
                ("spread", campaigned, many),
                ("processes", processed, [name]),
            )
            first = number % len(loads)
            for row, party, names in (*loads[first:], *loads[:first]):
                print(f"round {number} of {options.rounds}: {labels[row]}", file=sys.stderr)
                taken = _take(party, secret, names, options.requests, options.connections)
                # The first round warms up, and does not count.
                if number:
                    rows[row].samples.append(taken)
    return Report(
        "A deployment that grows",
        machine.describe(),
        statistics.median(fsyncs_s) * 1000,
        {
            "rounds": options.rounds,
            "sign-ups a round": options.requests,
            "connections": options.connections,
        },
        rows,
        report.judge(BOUNDS, rows),
        [],
    )


def _fill(party: Party, secret: str, campaign: str, seats: int) -> None:
    """Give so many seats, and wait until they are recorded."""
    for first in range(0, seats, FILL_REQUESTS):
        count = min(FILL_REQUESTS, seats - first)
        asked = sign_ups.over_http(secret.encode(), campaign, campaigns.SEATS, count)
        load = http_load.run(party.host, party.port, asked, subjects.CONNECTIONS)
        if load.statuses != {201: count}:
            raise RuntimeError(f"not all {count} sign-ups got a seat: {load.statuses}")
    party.settle()


def _take(party: Party, secret: str, names: Sequence[str], requests: int, connections: int) -> Sample:
    """A rush for campaigns, one sign-up for each in turn."""
    each = [
        sign_ups.over_http(secret.encode(), name, campaigns.SEATS, len(range(number, requests, len(names))))
        for number, name in enumerate(names)
    ]
    asked = [each[number % len(names)][number // len(names)] for number in range(requests)]
    return subjects.over_http(party, asked, 201, connections=connections)


if __name__ == "__main__":
    sys.exit(main())
