"""How many seats a second the ledger records: enrollments, seats and events together, on disk.

    scripts/bench recorder [--database URL|PATH] [--seats N]

Without --database it measures SQLite and, where PostgreSQL's programs are found, a private server. All rounds go
through `Ledger.record` into one growing database, in batches of varied size; then the last round is cancelled.
"""

import argparse
import asyncio
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from engine.domain import enrollment, events
from engine.ledger.connect import connect
from engine.ledger.protocol import Ledger
from loadtests.bench import machine
from tests import postgres

ROUNDS: Final = 5
BATCH_ENTRIES: Final = (500, 1000, 2000)
OFFERINGS: Final = 4
POOLS: Final = 2
FSYNCS: Final = 101
BEGINS_MS: Final = 1_790_000_000_000

_pack = msgspec.msgpack.encode


class Bench:
    """A campaign that is being recorded."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._campaign = f"bench-{secrets.token_hex(4)}"
        self._seq = 0

    async def run(self, seats: int) -> tuple[list[float], float]:
        """Seats a second, one figure for each round, and the last round's cancellations a second."""
        await self._ledger.migrate()
        await self._ledger.register(self._campaign, "bench", "bench", "cli", BEGINS_MS)
        await self._record([self._published(ROUNDS * seats)])
        rates: list[float] = []
        sign_ups: list[events.Event] = []
        for _ in range(ROUNDS):
            sign_ups = list(self._sign_ups(seats))
            rates.append(await self._record(sign_ups))
        assert sum((await self._ledger.seats(self._campaign)).values()) == ROUNDS * seats
        random.shuffle(sign_ups)
        return rates, await self._record(list(self._cancellations(sign_ups)))

    async def _record(self, log: Sequence[events.Event]) -> float:
        """Record a log and return its events a second."""
        batches = []
        taken = 0
        while taken < len(log):
            batches.append(log[taken : taken + random.choice(BATCH_ENTRIES)])
            taken += len(batches[-1])
        began = time.perf_counter()
        for batch in batches:
            await self._ledger.record(self._campaign, 1, self._seq, batch)
            self._seq += len(batch)
        return len(log) / (time.perf_counter() - began)

    def _published(self, capacity: int) -> events.Event:
        pools = [{"pool": f"pool-{pool}", "capacity": capacity} for pool in range(POOLS)]
        offerings = [{"offering": f"workshop-{offering}", "pools": pools} for offering in range(OFFERINGS)]
        header = events.Header(events.SCHEMA, "published", BEGINS_MS, "bench", "cli", version=1)
        fields = {b"h": _pack(header), b"d": msgspec.json.encode({"offerings": offerings})}
        return events.Event(self._campaign, 1, 1, header, None, fields)

    def _sign_ups(self, count: int) -> Iterator[events.Event]:
        """Confirmed sign-ups of members who come in no order, spread over the offerings and pools."""
        for seq in range(self._seq + 1, self._seq + 1 + count):
            seat, place = divmod(seq, OFFERINGS * POOLS)
            offering, pool = divmod(place, POOLS)
            member = f"m-{secrets.token_hex(5)}"
            at = BEGINS_MS + seq
            name, key = secrets.token_urlsafe(16), secrets.token_hex(16)
            header = events.Header(events.SCHEMA, "enrolled", at, member, "http", name, key)
            record = enrollment.Record(
                f"workshop-{offering}", member, f"pool-{pool}", "confirmed", seat + 1, seq, 1, 0, at, []
            )
            yield self._event(seq, header, record)

    def _cancellations(self, sign_ups: Sequence[events.Event]) -> Iterator[events.Event]:
        for seq, event in enumerate(sign_ups, self._seq + 1):
            assert event.record is not None
            record = msgspec.structs.replace(event.record, status="cancelled", seat=0, version=2)
            header = msgspec.structs.replace(event.header, type="cancelled", key="")
            yield self._event(seq, header, record)

    def _event(self, seq: int, header: events.Header, record: enrollment.Record) -> events.Event:
        fields = {b"h": _pack(header), b"r": _pack(record)}
        return events.Event(self._campaign, 1, seq, header, record, fields)


def report(url: str, seats: int, directory: Path | None) -> None:
    """Measure one database and print its line; `directory` is where it keeps its data."""

    async def run() -> tuple[list[float], float]:
        ledger = connect(url)
        await ledger.open()
        try:
            return await Bench(ledger).run(seats)
        finally:
            await ledger.close()

    rates, cancellations = asyncio.run(run())
    fsync = f"{machine.fsync_s(directory) * 1000:.2f} ms" if directory else "not known"
    print(
        f"{url.partition(':')[0]:12}{statistics.median(rates):10,.0f} seats/s"
        f"   (median of {ROUNDS}, {min(rates):,.0f} to {max(rates):,.0f})"
        f"{cancellations:10,.0f} cancellations/s   fsync {fsync}",
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="scripts/bench recorder", description=__doc__)
    parser.add_argument("--database", help="a ledger's URL, or the path of an SQLite file")
    parser.add_argument(
        "--seats", type=int, default=40_000, help="seats in each round (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    if options.database and options.database.startswith("postgres"):
        report(options.database, options.seats, None)
    elif options.database:
        path = Path(options.database.removeprefix("sqlite:///")).resolve()
        report(f"sqlite:///{path}", options.seats, path.parent)
    else:
        with tempfile.TemporaryDirectory() as directory:
            report(f"sqlite:///{directory}/ledger.db", options.seats, Path(directory))
        programs = postgres.find_programs()
        if programs is not None:
            with postgres.running(programs) as server:
                report(server.url("postgres"), options.seats, server.data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
