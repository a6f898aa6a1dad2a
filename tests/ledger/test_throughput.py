"""The recorder's figures, with room for a noisy machine; `python -m loadtests.bench.ledger` prints them."""

import statistics
from typing import Final

from engine.ledger.connect import connect
from loadtests.bench.ledger import Bench

SEATS_PER_S_MIN: Final = {"sqlite": 15_000, "postgresql": 10_000}


async def test_seats_recorded_a_second(ledger_url: str) -> None:
    ledger = connect(ledger_url)
    await ledger.open()
    rates, cancellations = await Bench(ledger).run(seats=4_000)
    await ledger.close()
    assert min(statistics.median(rates), cancellations) >= SEATS_PER_S_MIN[ledger_url.partition(":")[0]]
