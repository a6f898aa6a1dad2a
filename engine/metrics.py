"""Every metric, by Prometheus conventions. With `environment` set, those of all processes add up.

They lie in files of one directory. prometheus_client names them after the id of a process, so that each restart would
leave some behind, which every scrape reads. Here they have a number that the next process gets again: it goes on from
what it finds, nothing that a dead process counted is lost, and there are no more files than processes at a time.
"""

import math
import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import prometheus_client
from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess, values

_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
_NUMBER: Final = "PROMETHEUS_MULTIPROC_NUMBER"

if _number := os.environ.get(_NUMBER):
    # Before the first metric is made.
    values.ValueClass = values.MultiProcessValue(lambda: _number)  # type: ignore[no-untyped-call]


class BulkHistogram(Histogram):
    """A histogram that takes a whole batch of waits at once.

    `observe` costs two locked writes into a mapped file for each value, 2 µs a request or more; a batch needs a sum
    and the few buckets that its waits fall into. prometheus_client has no call for that, so this one writes into the
    values behind the buckets, which are private to it: the lock file pins the release, and tests/test_metrics.py
    compares the two ways. The other ways are worse: a Counter with a label `le` is exposed as …_bucket_total, which
    no query takes for a histogram, and a collector of our own does not add up over processes.
    """

    def observe_waits(self, began: Sequence[float], ended: float) -> None:
        """Observe how long each has waited, in the unit of the times; those who began first come first."""
        self._sum.inc(max(0.0, len(began) * ended - math.fsum(began)))
        longer = len(began)
        for bucket, bound in zip(self._buckets, self._upper_bounds, strict=True):
            if not longer:
                break
            # Whoever began at ended - bound or later waited no longer than the bound.
            first = bisect_left(began, ended - bound, 0, longer)
            if first < longer:
                bucket.inc(longer - first)
                longer = first


# An idle machine answers in one to three ms, the promise of a rush is some tens, and a decision is given up after 5 s.
_WAITS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

DECISIONS = Counter(
    "seatrush_decisions", "Requests to decide that were answered, by verb and outcome.",
    ["campaign", "verb", "outcome"],
)  # fmt: skip
DECISION_DURATION = BulkHistogram(
    "seatrush_decision_duration_seconds",
    "From a request's arrival at group commit to its answer.",
    ["verb"],
    buckets=_WAITS_S,
)
QUEUE_WAIT = BulkHistogram(
    "seatrush_queue_wait_seconds",
    "From a request's arrival at group commit until it was sent to Redis.",
    ["verb"],
    buckets=_WAITS_S,
)
QUEUE_ENTRIES = Gauge(
    "seatrush_queue_entries",
    "Requests that wait to be sent to Redis, looked at each second.",
    multiprocess_mode="livesum",
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
UNAVAILABLE = Counter("seatrush_unavailable", "Answers 503, by their code.", ["code"])
# A good disk takes 0.1 to 2 ms, a shared one 10 to 50; beyond that it holds up the rush.
FSYNC_DURATION = Histogram(
    "seatrush_fsync_duration_seconds",
    "How long a write waited for Redis's disk, by a probe every few seconds.",
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
)
RECORDED_EVENTS = Counter("seatrush_recorded_events", "Events written to the ledger.", ["campaign"])
# The recorder gathers for 50 ms; a second is the promise, and an outage of the database lasts for minutes.
RECORDER_LAG = BulkHistogram(
    "seatrush_recorder_lag_seconds",
    "Age of each event when the ledger had it.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
CAMPAIGN_READY = Gauge(
    "seatrush_campaign_ready",
    "1 while a campaign's state is in Redis and open, else 0.",
    ["campaign"],
    multiprocess_mode="mostrecent",
)
CAMPAIGN_LOST = Gauge(
    "seatrush_campaign_lost",
    "1 while a campaign's state is not in Redis: it waits for seatrush rebuild.",
    ["campaign"],
    multiprocess_mode="mostrecent",
)
PENDING_ENTRIES = Gauge(
    "seatrush_pending_entries",
    "Events that are not in the ledger yet.",
    ["campaign"],
    multiprocess_mode="mostrecent",
)
PENDING_AGE = Gauge(
    "seatrush_pending_age_seconds",
    "Age of the oldest event that is not in the ledger yet; 0 for none.",
    ["campaign"],
    multiprocess_mode="mostrecent",
)
BACKLOG_SHARE = Gauge(
    "seatrush_backlog_share",
    "The part of the events that may wait for the ledger which do; at 1 sales have stopped.",
    ["campaign"],
    multiprocess_mode="mostrecent",
)
OVERDUE = Gauge(
    "seatrush_overdue_seconds",
    "How long the first of what time brings about has been due; 0 for none.",
    ["campaign"],
    multiprocess_mode="mostrecent",
)
DRAW_OVERDUE = Gauge(
    "seatrush_draw_overdue_seconds",
    "How long a draw has been due that has not begun; 0 for none.",
    ["campaign"],
    multiprocess_mode="mostrecent",
)
DRAW_UNDER_WAY = Gauge(
    "seatrush_draw_under_way",
    "1 while a draw is settled, else 0.",
    ["campaign"],
    multiprocess_mode="mostrecent",
)
WATCHED = Gauge(
    "seatrush_watched_timestamp_seconds",
    "When a worker last looked; the gauges of campaigns, Redis and disks are as of then.",
    multiprocess_mode="mostrecent",
)
REACHABLE = Gauge(
    "seatrush_reachable",
    "1 while the part answers the workers, else 0.",
    ["part"],
    multiprocess_mode="mostrecent",
)
DISK_FREE = Gauge(
    "seatrush_disk_free_bytes",
    "Bytes left where the embedded Redis or a SQLite ledger writes.",
    ["directory"],
    multiprocess_mode="mostrecent",
)
DISK_FREE_MIN = Gauge(
    "seatrush_disk_free_min_bytes",
    "Bytes that have to be left there; below it sales stop.",
    ["directory"],
    multiprocess_mode="mostrecent",
)
REDIS_MEMORY = Gauge(
    "seatrush_redis_memory_share",
    "The part of its maxmemory, or else of the machine's memory, that a node uses.",
    ["node"],
    multiprocess_mode="mostrecent",
)
REDIS_AOF = Gauge(
    "seatrush_redis_aof_bytes",
    "The size of a node's append-only file.",
    ["node"],
    multiprocess_mode="mostrecent",
)
REDIS_PERSISTS = Gauge(
    "seatrush_redis_persists",
    "1 while a node's writes and rewrites of its append-only file succeed, else 0.",
    ["node"],
    multiprocess_mode="mostrecent",
)
REDIS_UPTIME = Gauge(
    "seatrush_redis_uptime_seconds",
    "How long a node has been up.",
    ["node"],
    multiprocess_mode="mostrecent",
)
RECORDER_GAPS = Counter("seatrush_recorder_gaps", "Streams found without the next event.", ["campaign"])
DIVERGED_LOGS = Counter(
    "seatrush_diverged_logs",
    "Campaigns closed because their log in Redis does not go on from what the ledger has recorded.",
    ["campaign"],
)
DEAD_LETTERS = Counter(
    "seatrush_dead_letters", "Events that could not be applied to the ledger.", ["campaign"]
)
REDIS_RETRIES = Counter(
    "seatrush_redis_retries",
    "Calls sent again, or elsewhere, after a reply which proves that nothing ran, by its code.",
    ["code"],
)

JWKS_FAILURES = Counter("seatrush_jwks_failures", "Fetches of the token issuer's keys that failed.")
RESTARTS = Counter(
    "seatrush_restarts", "Processes started in the place of one that had died, by role.", ["role"]
)

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST


def environment(directory: Path, number: int) -> dict[str, str]:
    """What makes a process keep its metrics in a directory; of those that live, only one may have a number."""
    return {_DIRECTORY: str(directory), _NUMBER: str(number)}


def forget(directory: Path, number: int) -> None:
    """Take a dead process out of the gauges that speak of the living; what it counted stays."""
    multiprocess.mark_process_dead(number, str(directory))  # type: ignore[no-untyped-call]


def _registry(directory: str | None = None) -> CollectorRegistry:
    directory = directory or os.environ.get(_DIRECTORY)
    if directory is None:
        return prometheus_client.REGISTRY
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, directory)  # type: ignore[no-untyped-call]
    return registry


def expose() -> bytes:
    """All metrics in Prometheus's text format."""
    return prometheus_client.generate_latest(_registry())


def serve(host: str, port: int, directory: Path) -> Callable[[], None]:
    """Expose the metrics of a directory on a port, in a thread; returns what ends it.

    Raises OSError when the port cannot be had.
    """
    server, thread = prometheus_client.start_http_server(port, host, _registry(str(directory)))

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


class Batches(Struct, frozen=True):
    """The calls of a verb since the start, and the requests that they decided."""

    calls: int = 0
    entries: int = 0


class Totals(Struct, frozen=True):
    """What the status shows of the metrics, summed over all processes, since their start."""

    decisions: dict[str, dict[str, int]]
    """campaign -> outcome -> number"""
    batches: dict[str, Batches]
    """By verb."""
    queue_entries: int


def totals() -> Totals:
    """Read them; some ms of work, for a thread."""
    decisions: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    calls: defaultdict[str, int] = defaultdict(int)
    entries: defaultdict[str, int] = defaultdict(int)
    queued = 0
    for sample in chain.from_iterable(metric.samples for metric in _registry().collect()):
        match sample.name:
            case "seatrush_decisions_total":
                decisions[sample.labels["campaign"]][sample.labels["outcome"]] += int(sample.value)
            case "seatrush_batch_entries_count":
                calls[sample.labels["verb"]] += int(sample.value)
            case "seatrush_batch_entries_sum":
                entries[sample.labels["verb"]] += int(sample.value)
            case "seatrush_queue_entries":
                queued += int(sample.value)
    return Totals(
        {campaign: dict(outcomes) for campaign, outcomes in decisions.items()},
        {verb: Batches(number, entries[verb]) for verb, number in calls.items()},
        queued,
    )
