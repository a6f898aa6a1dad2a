"""How many seats a second the ledger records: enrollments, seats and events together, on disk.

    python -m loadtests.bench.ledger [--database URL|PATH] [--seats N]

Without --database it measures SQLite and, where its binaries are found, a private PostgreSQL. Every round sends the
seats through `Ledger.record` into the same growing database, in batches of varied size, as the recorder does.
"""

import random
import secrets
import time
from collections.abc import Iterator
from typing import Final

import msgspec

from engine.domain import enrollment, events
from engine.ledger.protocol import Ledger

ROUNDS: Final = 5
BATCH_ENTRIES: Final = (500, 1000, 2000)
OFFERINGS: Final = 4
POOLS: Final = 2
CAMPAIGN: Final = "bench"

_pack = msgspec.msgpack.encode


def published(seats: int) -> events.Event:
    """The first event: a document whose pools have room for all rounds."""
    document = {
        "offerings": [
            {
                "offering": f"workshop-{offering}",
                "pools": [{"pool": f"pool-{pool}", "capacity": seats} for pool in range(POOLS)],
            }
            for offering in range(OFFERINGS)
        ]
    }
    header = events.Header(events.SCHEMA, "published", 0, "bench", "cli", version=1)
    fields = {b"h": _pack(header), b"d": msgspec.json.encode(document)}
    return events.Event(CAMPAIGN, 1, 1, header, None, fields)


def sign_ups(first_seq: int, count: int) -> Iterator[events.Event]:
    """Confirmed sign-ups of members who come in no order, spread over the offerings and pools."""
    for seq in range(first_seq, first_seq + count):
        turn, offering = divmod(seq, OFFERINGS)
        seat, pool = divmod(turn, POOLS)
        member = f"m-{random.getrandbits(40):010x}"
        at = 1_790_000_000_000 + seq
        header = events.Header(
            events.SCHEMA, "enrolled", at, member, "http", secrets.token_urlsafe(16), secrets.token_hex(16)
        )
        record = enrollment.Record(
            f"workshop-{offering}", member, f"pool-{pool}", "confirmed", seat + 1, seq, 1, 0, at, []
        )
        fields = {b"h": _pack(header), b"r": _pack(record)}
        yield events.Event(CAMPAIGN, 1, seq, header, record, fields)


async def measure(ledger: Ledger, seats: int) -> list[float]:
    """Seats a second, one figure for each round."""
    await ledger.migrate()
    await ledger.register(CAMPAIGN, "bench", "bench", "cli", 0)
    await ledger.record(CAMPAIGN, 1, 0, [published(ROUNDS * seats)])
    rates = []
    seq = 1
    for _ in range(ROUNDS):
        batches = []
        sent = 0
        while sent < seats:
            count = min(random.choice(BATCH_ENTRIES), seats - sent)
            batches.append(list(sign_ups(seq + sent + 1, count)))
            sent += count
        began = time.perf_counter()
        for batch in batches:
            await ledger.record(CAMPAIGN, 1, seq, batch)
            seq += len(batch)
        rates.append(seats / (time.perf_counter() - began))
    return rates
