"""The recorder's figures, by the best of several rounds; `python -m loadtests.bench.ledger` prints them all."""

from typing import Final

from engine.ledger.connect import connect
from loadtests.bench.ledger import Bench

SEATS_PER_S_MIN: Final = {"sqlite": 15_000, "postgresql": 10_000}


async def test_seats_recorded_a_second(ledger_url: str) -> None:
    ledger = connect(ledger_url)
    await ledger.open()
    rates, cancellations = await Bench(ledger).run(seats=4_000)
    await ledger.close()
    seats_per_s_min = SEATS_PER_S_MIN[ledger_url.partition(":")[0]]
    assert max(rates) >= seats_per_s_min
    # Nothing is promised of these; a plan that does not walk along the indexes is a thousand times slower.
    assert cancellations >= seats_per_s_min / 10
