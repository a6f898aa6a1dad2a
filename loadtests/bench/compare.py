"""The engine beside its baselines, in one run: throughput, latency, and CPU a request by kind of process.

    scripts/bench compare [--parties abcde] [--requests N] [--rounds N] [--results DIR]

    a   bare aiohttp, JSON in and out             d   the engine over HTTP
    b   aiohttp, one EVALSHA a request            e   the engine over WebSocket
    c   FastAPI and a row lock in PostgreSQL

All parties are started once and loaded in turn, one at a time, in each round; a ratio is taken within a round. Each
sign-up is one of a member, with a token and a key, that the process has never seen. Prints a table, writes JSON and a
plot, and exits with 1 when a bound does not hold.
"""

import argparse
import json
import secrets
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from loadtests.bench import campaigns, machine, parties, report, sign_ups, subjects
from loadtests.bench.report import Bound, Report, Row
from loadtests.bench.subjects import Round, Subject
from loadtests.deployment import ROOT
from tests import postgres

SHARE_B: Final = 2
SHARE_C: Final = 20
"""Slower baselines get one request of so many, so that their rounds are about as long."""

BOUNDS: Final = (
    Bound("HTTP seat, throughput beside (a)", "d", "a", "per_second", "at least", 0.85),
    Bound("HTTP seat, CPU of the api beside (a)", "d", "a", "api_us", "at most", 1.2),
    Bound("HTTP seat, CPU of all processes beside (a)", "d", "a", "all_us", "at most", 1.8),
    Bound("HTTP seat, p99 beside (a)", "d", "a", "p99_ms", "at most", 1.5),
    Bound("HTTP sold_out, throughput beside (a)", "d-sold-out", "a", "per_second", "at least", 0.9),
    Bound("HTTP seat, throughput beside (b), fsync", "d", "b-fsync", "per_second", "at least", 3),
    Bound("WebSocket seat, CPU of the api beside (a)", "e", "a", "api_us", "at most", 0.5),
    Bound("GET beside bare GET, at rest", "d-get", "a-get", "per_second", "at least", 0.9),
    Bound(
        "GET beside bare GET, a sale beside both", "d-get-sale", "a-get-sale", "per_second", "at least", 0.9
    ),
    Bound("GET answered 304 beside 200, engine", "d-304", "d-get", "per_second", "at least", 1),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write: 1 when a bound does not hold."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--parties", default="abcde", help="which of them (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=20_000, help="requests of one load in one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=ROOT / "results", metavar="DIR")
    options = parser.parse_args(arguments)
    measured = measure(options.parties, options.requests, options.rounds)
    print(report.text(measured))
    for path in report.save(measured, options.results, "compare"):
        print(f"written: {path}", file=sys.stderr)
    return 0 if measured.holds else 1


def measure(chosen: str, requests: int, rounds: int) -> Report:
    """Start the chosen parties, load them in turn in each round, and judge."""
    secret = secrets.token_hex(32)
    versions = machine.describe()
    fsyncs_s: list[float] = []
    with ExitStack() as stack:
        measured = list(_subjects(stack, chosen, secret, versions))
        rows = {each.name: Row(each.label, each.durability, []) for each in measured}
        # The first round warms up, and does not count.
        for number in range(rounds + 1):
            fsyncs_s.append(machine.fsync_s(Path(tempfile.gettempdir())))
            count = requests if number else requests // 4
            seats = sign_ups.over_http(secret.encode(), "sale", campaigns.SEATS, count)
            for subject in measured:
                print(f"round {number} of {rounds}: {rows[subject.name].name}", file=sys.stderr)
                taken = subject.take(Round(secret.encode(), seats))
                if number:
                    rows[subject.name].samples.append(taken)
    return Report(
        "The engine beside its baselines",
        versions,
        statistics.median(fsyncs_s) * 1000,
        {"rounds": rounds, "requests a round": requests, "connections": subjects.CONNECTIONS},
        rows,
        report.judge(BOUNDS, rows),
        list(_notes(rows)),
    )


def _subjects(stack: ExitStack, chosen: str, secret: str, versions: dict[str, str]) -> Iterator[Subject]:
    """Every row in the order in which a round takes them: what is judged beside (a) comes close to it."""
    engines = {}
    if "d" in chosen or "e" in chosen:
        for durability in ("fsync", "memory"):
            engines[durability] = stack.enter_context(
                parties.engine(durability, secret, campaigns.SALE, campaigns.PAGE)
            )
            subjects.fill(engines[durability], secret.encode())
    fsync, memory = engines.get("fsync"), engines.get("memory")
    bare = None
    if "a" in chosen:
        shown = subjects.definition(fsync)[0] if fsync else json.dumps(campaigns.PAGE).encode()
        bare = stack.enter_context(parties.bare(shown))
        calm = stack.enter_context(parties.bare(shown, "--calm"))
        yield subjects.seats("a-calm", "a  bare aiohttp, POST, collector calmed", "", calm)
        yield subjects.seats("a", "a  bare aiohttp, POST", "", bare)
    if fsync and "d" in chosen:
        yield subjects.seats("d", "d  engine, HTTP, seats", "fsync", fsync)
        yield subjects.sold_out("d-sold-out", "d  engine, HTTP, sold_out", "fsync", fsync)
    if fsync and "e" in chosen:
        yield subjects.over_websocket("e", "e  engine, WebSocket, seats", "fsync", fsync)
        yield subjects.over_shared_websocket("e-auth", "e  engine, WebSocket, auth and seat", "fsync", fsync)
    for letter, name, party in (("a", "bare aiohttp", bare), ("d", "engine", fsync)):
        if party and letter in chosen:
            yield subjects.looks(f"{letter}-get", f"{letter}  {name}, GET", party)
    if fsync and "d" in chosen:
        yield subjects.looks_again("d-304", "d  engine, GET answered 304", fsync)
    for letter, name, party in (("a", "bare aiohttp", bare), ("d", "engine", fsync)):
        if party and letter in chosen:
            yield subjects.looks_during_sale(
                f"{letter}-get-sale", f"{letter}  {name}, GET during a sale", party
            )
    if memory and "d" in chosen:
        yield subjects.seats("d-memory", "d  engine, HTTP, seats", "memory", memory)
    if memory and "e" in chosen:
        yield subjects.over_websocket("e-memory", "e  engine, WebSocket, seats", "memory", memory)
    yield from _slower_baselines(stack, chosen, versions)


def _slower_baselines(stack: ExitStack, chosen: str, versions: dict[str, str]) -> Iterator[Subject]:
    if "b" in chosen:
        for durability in ("fsync", "memory"):
            evalsha = stack.enter_context(parties.evalsha(durability))
            yield subjects.seats(
                f"b-{durability}", "b  aiohttp, one EVALSHA each", durability, evalsha, SHARE_B
            )
    programs = postgres.find_programs()
    if "c" not in chosen:
        return
    if programs is None:
        print("PostgreSQL's programs are not here: (c) is left out", file=sys.stderr)
        return
    server = stack.enter_context(postgres.running(programs))
    versions["postgres"] = server.version
    for durability in ("fsync", "memory"):
        row_lock = stack.enter_context(parties.row_lock(server, durability))
        yield subjects.seats(
            f"c-{durability}", "c  FastAPI, asyncpg, row lock", durability, row_lock, SHARE_C
        )


def _notes(rows: Mapping[str, Row]) -> Iterator[str]:
    """What the table cannot say."""
    if "a-calm" in rows and "d" in rows:
        faster, used = (
            statistics.median(report.ratios(figure, rows["d"], rows["a-calm"]))
            for figure in ("per_second", "api_us")
        )
        yield (
            "Beside bare aiohttp with the collector set as the engine sets its own, (d) has "
            f"{faster:.2f} of the throughput and {used:.2f} of the CPU of the api."
        )
    if "c-fsync" in rows and "d" in rows:
        ours, theirs = (report.median(rows[name].samples).per_second for name in ("d", "c-fsync"))
        yield (
            f"(d) is {ours / theirs:.0f} times (c), where each sign-up waits for the fsyncs of those before it "
            "that want the same row."
        )
    if "e" in rows and "e-auth" in rows:
        once, each = (report.median(rows[name].samples).cpu_us["api"] for name in ("e", "e-auth"))
        yield (
            "WebSocket, seats: a token is checked when its connection is opened. On a page that waits for the "
            "opening that is long before the rush, so this row is judged. With the auth of a new member ahead of "
            f"each sign-up, which no page does, an api needs {each - once:.1f} µs more: the token and its message."
        )
    if "d-get-sale" in rows:
        yield f"During a sale: {subjects.SALE_PER_SECOND:.0f} sign-ups a second for what is looked at, on each party."


if __name__ == "__main__":
    sys.exit(main())
