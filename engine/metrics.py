"""Every metric, by Prometheus conventions. With PROMETHEUS_MULTIPROC_DIR set, those of all processes add up."""

import os
from collections.abc import Callable

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess

DECISIONS = Counter(
    "seatrush_decisions", "Requests decided by Redis, by verb and outcome.", ["campaign", "verb", "outcome"]
)
BATCH_ENTRIES = Histogram(
    "seatrush_batch_entries",
    "Requests decided by one call.",
    ["verb"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
RATE_LIMITED = Counter(
    "seatrush_rate_limited",
    "Requests refused by a rate limit, by what it is for: member, address.",
    ["limit"],
)
RECORDED_EVENTS = Counter("seatrush_recorded_events", "Events written to the ledger.", ["campaign"])
RECORDER_LAG = Gauge(
    "seatrush_recorder_lag_seconds",
    "Age of the newest event of the last batch when the ledger had it.",
    ["campaign"],
    multiprocess_mode="mostrecent",
)
RECORDER_GAPS = Counter("seatrush_recorder_gaps", "Streams found without the next event.", ["campaign"])
DEAD_LETTERS = Counter(
    "seatrush_dead_letters", "Events that could not be applied to the ledger.", ["campaign"]
)

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST


def _registry() -> CollectorRegistry:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return prometheus_client.REGISTRY
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def expose() -> bytes:
    """All metrics in Prometheus's text format."""
    return prometheus_client.generate_latest(_registry())


def serve(host: str, port: int) -> Callable[[], None]:
    """Expose all metrics on a port of their own, in a thread; returns what ends it."""
    server, thread = prometheus_client.start_http_server(port, host, _registry())

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def decisions_by_outcome() -> dict[str, dict[str, int]]:
    """The sum of decisions over all processes: campaign -> outcome -> number, since the start."""
    found: dict[str, dict[str, int]] = {}
    for metric in _registry().collect():
        if metric.name != "seatrush_decisions":
            continue
        for sample in metric.samples:
            if sample.name == "seatrush_decisions_total":
                outcomes = found.setdefault(sample.labels["campaign"], {})
                outcome = sample.labels["outcome"]
                outcomes[outcome] = outcomes.get(outcome, 0) + int(sample.value)
    return found
