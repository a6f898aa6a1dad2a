"""Metrics: whole batches are counted as each of their requests would be."""

import random

import pytest
from prometheus_client import CollectorRegistry

from engine import metrics
from engine.metrics import BulkHistogram

BOUNDS = (0.001, 0.01, 0.1, 1.0)


def samples(histogram: BulkHistogram) -> dict[tuple[str, str], float]:
    (family,) = histogram.collect()
    return {
        (sample.name, sample.labels.get("le", "")): sample.value
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@pytest.mark.parametrize("size", [0, 1, 2, 128])
def test_a_batch_counts_as_its_requests_do(size: int) -> None:
    together, apart = (
        BulkHistogram("waits", "", buckets=BOUNDS, registry=CollectorRegistry()) for _ in range(2)
    )
    chance = random.Random(size)
    for _ in range(20):
        ended = 1_000.0
        began = sorted(ended - chance.choice((0.0005, 0.005, 0.05, 0.5, 5.0)) for _ in range(size))
        together.observe_waits(began, ended)
        for each in began:
            apart.observe(ended - each)
    assert samples(together) == pytest.approx(samples(apart))
    assert samples(together)["waits_count", ""] == 20 * size


def test_a_wait_of_a_bound_is_in_its_bucket() -> None:
    histogram = BulkHistogram("waits", "", buckets=(0.5, 1.0), registry=CollectorRegistry())
    histogram.observe_waits([8.0, 8.5, 9.0, 9.25], 9.0)
    assert samples(histogram) == {
        ("waits_bucket", "0.5"): 3,
        ("waits_bucket", "1.0"): 4,
        ("waits_bucket", "+Inf"): 4,
        ("waits_count", ""): 4,
        ("waits_sum", ""): 1.25,
    }


def test_totals_of_nothing_that_was_counted() -> None:
    assert "never-published" not in metrics.totals().decisions
