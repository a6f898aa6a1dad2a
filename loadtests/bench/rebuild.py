"""How long `seatrush rebuild` takes after Redis has lost everything, the audit included, and how much memory it needs.

    scripts/bench rebuild [--enrollments N] [--ledger sqlite|postgres]…

A ledger is filled with the log of a campaign: of ten enrollments eight have a seat, one was cancelled, one waits, and
all had an idempotency key. The command then runs as an operator runs it, on an empty Redis with fsync always.
"""

import argparse
import asyncio
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from engine.domain import document, events
from engine.domain.enrollment import Record, Status
from engine.domain.events import Event, EventType
from engine.ledger.connect import connect
from loadtests.bench import bounds, machine
from loadtests.bench.bounds import Bound
from tests import postgres, redis_servers
from tests.stand import campaign, offering

LEDGERS: Final = ("sqlite", "postgres")
REBUILD_S_MAX: Final = 60.0
CAMPAIGN: Final = "rebuilt"
BATCH_EVENTS: Final = 2_000

_pack = msgspec.msgpack.encode


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when the bound does not hold. Raises RuntimeError when a campaign is not rebuilt."""
    parser = argparse.ArgumentParser(prog="scripts/bench rebuild", description=__doc__)
    parser.add_argument("--enrollments", type=int, default=1_000_000)
    parser.add_argument("--ledger", action="append", choices=LEDGERS, help="default: both")
    options = parser.parse_args(arguments)
    found = [_measure(ledger, options.enrollments) for ledger in options.ledger or LEDGERS]
    print(f"{machine.describe()['cpu']}, fsync always\n{bounds.table(found)}")
    return 0 if all(bound.holds for bound in found) else 1


def _measure(ledger: str, enrollments: int) -> Bound:
    with ExitStack() as stack:
        directory = stack.enter_context(redis_servers.short_directory())
        redis_url = stack.enter_context(redis_servers.running("valkey"))
        database_url = _database(stack, ledger, directory)
        asyncio.run(_fill(database_url, enrollments))
        command = ["rebuild", CAMPAIGN, "--redis", redis_url, "--database", database_url]
        began_s = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", "engine", *command, "--data", str(directory)],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            said = process.stdout.read().strip()
            _, process.returncode, used = os.wait4(process.pid, 0)
        took_s = time.perf_counter() - began_s
    if f"rebuilt and open: {enrollments} enrollments" not in said:
        raise RuntimeError(f"{CAMPAIGN} was not rebuilt: {said}")
    cpu_s, peak_mb = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(f"{ledger}: {said}; {cpu_s:.1f} s of CPU, at most {peak_mb:,.0f} MB", flush=True)
    return Bound(
        f"rebuild of {enrollments:,} enrollments from {ledger}", took_s, "at most", REBUILD_S_MAX, "s"
    )


def _database(stack: ExitStack, ledger: str, directory: Path) -> str:
    if ledger == "sqlite":
        return f"sqlite:///{directory}/ledger.db"
    programs = postgres.find_programs()
    if programs is None:
        raise RuntimeError("the machine has no PostgreSQL")
    return stack.enter_context(postgres.running(programs)).url("postgres")


async def _fill(database_url: str, enrollments: int) -> None:
    """Record the log of a campaign."""
    ledger = connect(database_url)
    await ledger.open()
    try:
        await ledger.migrate()
        await ledger.register(CAMPAIGN, "xicheng", "bench", "cli", 0)
        await ledger.mark_created(CAMPAIGN)
        log, after = _log(enrollments), 0
        while batch := list(islice(log, BATCH_EVENTS)):
            await ledger.record(CAMPAIGN, 1, after, batch)
            after = batch[-1].seq
    finally:
        await ledger.close()


def _log(enrollments: int) -> Iterator[Event]:
    """What the scripts would have written."""
    now = int(time.time() * 1000)
    waitlist = {"size_max": 1_000_000}
    published = campaign(
        offering("seats", pools=[{"pool": "open", "capacity": 10_000_000}]),
        offering("full", pools=[{"pool": "open", "capacity": 1}], waitlist=waitlist),
        name=CAMPAIGN,
    )
    header = events.Header(events.SCHEMA, "published", now, "bench", "cli", version=1)
    yield _event(1, header, None, {b"d": document.canonical(published)})
    seq, seat, waiting = 1, 0, 0
    for number in range(enrollments):
        seq += 1
        name, member, kind = secrets.token_urlsafe(12), f"m-{secrets.token_hex(7)}", number % 10
        if number == 0 or kind == 9:
            status: Status = "waitlisted" if number else "confirmed"
            waiting += status == "waitlisted"
            pool, taken = ("", 0) if number else ("open", 1)
            queues = ["*"] if number else []
            record = Record("full", member, pool, status, taken, seq, 1, 0, now, queues)
            yield _change("enrolled", now, name, record, secrets.token_hex(16), waiting if number else 0)
            continue
        record = Record("seats", member, "open", "confirmed", seat + 1, seq, 1, 0, now, [])
        yield _change("enrolled", now, name, record, secrets.token_hex(16), 0)
        if kind == 8:
            # Its seat is the lowest free one, and goes to the next.
            seq += 1
            left = msgspec.structs.replace(record, status="cancelled", seat=0, version=2)
            yield _change("cancelled", now, name, left, "", 0, seq)
        else:
            seat += 1


def _change(
    kind: EventType, at: int, name: str, record: Record, key: str, position: int, seq: int = 0
) -> Event:
    header = events.Header(events.SCHEMA, kind, at, record.member, "http", name, key, position=position)
    # Without the fields that a script leaves out.
    packed = _pack(msgspec.structs.astuple(record)[:10])
    return _event(seq or record.seq, header, record, {b"r": packed})


def _event(seq: int, header: events.Header, record: Record | None, more: dict[bytes, bytes]) -> Event:
    return Event(CAMPAIGN, 1, seq, header, record, {b"h": _pack(header)} | more)


if __name__ == "__main__":
    sys.exit(main())
