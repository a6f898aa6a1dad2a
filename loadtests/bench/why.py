"""What it costs to explain: a log that is read for the first time, and a question once it is.

    scripts/bench why [--events N]

Sign-ups and cancellations go into an SQLite ledger; their history is folded as an api process does it, while a clock
looks how late the loop is. Then refused members ask why, each as of another seq.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from engine.clock import SystemClock
from engine.domain import definition, document
from engine.domain.campaign import Campaign
from engine.domain.enrollment import Record
from engine.domain.events import SCHEMA, Event, Header
from engine.domain.history import History
from engine.domain.person import Person
from engine.domain.why import asked, refusal
from engine.domain.why.asked import Asked
from engine.ledger.connect import connect
from engine.ledger.protocol import Ledger
from engine.replay import Replay
from loadtests.bench import bounds
from loadtests.bench.bounds import Bound
from tests import stand

CAMPAIGN: Final = "bench"
OFFERINGS: Final = 10
BATCH_EVENTS: Final = 2_000
QUESTIONS: Final = 5_000
LEAVES: Final = 0.1
"""The share of events that are cancellations."""
LOOK_EVERY_S: Final = 0.001

_pack = msgspec.msgpack.encode


def log(events: int) -> Iterator[Event]:
    """The log of a campaign with an offering that has no seats, and others whose seats never end."""
    pools = [{"pool": "open", "capacity": 10_000_000}]
    full = stand.offering("full", pools=[{"pool": "open", "capacity": 0}])
    others = (stand.offering(f"offering-{number}", pools=pools) for number in range(OFFERINGS))
    campaign = stand.campaign(full, *others, name=CAMPAIGN)
    begins = definition.milliseconds(campaign.offerings[0].opens)
    yield _event(
        1,
        Header(SCHEMA, "published", begins, "bench", "cli", version=1),
        None,
        document.canonical(campaign),
    )
    live: list[tuple[str, Record]] = []
    for seq in range(2, events + 1):
        at = begins + seq
        if live and random.random() < LEAVES:
            name, before = live.pop(random.randrange(len(live)))
            record = msgspec.structs.replace(before, status="cancelled", seat=0, version=2)
            header = Header(SCHEMA, "cancelled", at, record.member, "http", name)
        else:
            name, member = f"e-{seq:014}", f"m-{seq}"
            offering = f"offering-{seq % OFFERINGS}"
            record = Record(offering, member, "open", "confirmed", seq, seq, 1, 0, at, [])
            header = Header(SCHEMA, "enrolled", at, member, "http", name)
            live.append((name, record))
        yield _event(seq, header, record)


def _event(seq: int, header: Header, record: Record | None, published: bytes = b"") -> Event:
    fields = {b"h": _pack(header)} | ({b"r": _pack(record)} if record else {b"d": published})
    return Event(CAMPAIGN, 1, seq, header, record, fields)


async def record(ledger: Ledger, events: int) -> None:
    """Bring a log into a ledger."""
    await ledger.migrate()
    await ledger.register(CAMPAIGN, "bench", "bench", "cli", 1)
    batch: list[Event] = []
    for event in log(events):
        batch.append(event)
        if len(batch) == BATCH_EVENTS or event.seq == events:
            await ledger.record(CAMPAIGN, 1, batch[0].seq - 1, batch)
            batch = []


async def late(found: list[float]) -> None:
    """How much later than asked the loop comes back, again and again."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(LOOK_EVERY_S)
        found.append(time.perf_counter() - began - LOOK_EVERY_S)


async def ask(ledger: Ledger, history: History) -> float:
    """The CPU of a question, in seconds."""
    found = await ledger.definition(CAMPAIGN)
    assert found is not None
    terms = asked.terms(msgspec.json.decode(found.document, type=Campaign), 1)
    seqs = [random.randint(1, history.seq) for _ in range(QUESTIONS)]
    began = time.process_time()
    for seq in seqs:
        refusal.explain(Asked(history, terms, seq, Person("m"), [], "full"))
    return (time.process_time() - began) / QUESTIONS


async def measure(events: int) -> list[Bound]:
    """Fold a log, and ask."""
    with tempfile.TemporaryDirectory() as directory:
        ledger = connect(f"sqlite:///{directory}/ledger.db")
        await ledger.open()
        try:
            await record(ledger, events)
            lags: list[float] = []
            watch = asyncio.create_task(late(lags))
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            history = await Replay(ledger, SystemClock()).fold(CAMPAIGN)
            took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
            question_s = await ask(ledger, history)
        finally:
            await ledger.close()
    assert history.seq == events
    lags.sort()
    print(f"{events:,} events were gone through in {took_s:.1f} s")
    return [
        Bound("CPU of an event", cpu_s / events * 1e6, "at most", 30, "µs"),
        Bound("memory of an event", kept(events), "at most", 64, "bytes"),
        Bound("the loop is late meanwhile, 95th percentile", lags[len(lags) * 95 // 100] * 1e3, "at most", 10, "ms"),
        Bound("CPU of a question", question_s * 1e6, "at most", 1_000, "µs"),
    ]  # fmt: skip


def kept(events: int) -> float:
    """Bytes that a history keeps of an event."""
    number = min(events, 100_000)
    found = list(log(number))
    tracemalloc.start()
    history = History()
    for event in found:
        history.apply(event)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / number


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="scripts/bench why", description=__doc__)
    parser.add_argument("--events", type=int, default=300_000, help="in the log (default: %(default)s)")
    options = parser.parse_args(arguments)
    found = asyncio.run(measure(options.events))
    print(bounds.table(found))
    return 0 if all(bound.holds for bound in found) else 1


if __name__ == "__main__":
    sys.exit(main())
