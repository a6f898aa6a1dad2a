"""Random sequences of all calls, over campaigns that mix policies: each answer and event is what the model says.

The model (tests/model.py) is written from the contract. One step is one call, or several of one kind that share a
batch. The clock of Redis is not to be turned, so for a hold or an offer to be past its time its moment is brought
nearer; the short ones of the last test are waited for.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import (
    run_state_machine_as_test,
)

from tests.model.calls import SETTINGS, Bench, Calls, benches
from tests.model.documents import SHORT_S


@pytest.fixture
def bench(redis_server: Callable[[str], str], data_directory: Path) -> Iterator[Bench]:
    """The engine's parts on a Redis of the embedded line."""
    with benches(redis_server("valkey"), data_directory) as opened:
        yield opened


def test_every_call_does_what_the_model_says(bench: Bench) -> None:
    machine = type("Calls", (Calls,), {"bench": bench})
    run_state_machine_as_test(machine, settings=SETTINGS)


def test_holds_and_offers_that_are_over_by_the_clock(bench: Bench) -> None:
    bench.ttl_s = SHORT_S
    machine = type("Calls", (Calls,), {"bench": bench})
    run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=4, stateful_step_count=15))
