"""The workers that measure: what a scrape shows while queues are full, the recorder stands still, the disk is slow."""

import asyncio
import statistics
import time
from pathlib import Path
from typing import NoReturn

import pytest
from prometheus_client import REGISTRY

from engine.ledger.protocol import Unavailable
from engine.live import fsync, keys
from engine.live.server import NothingRan, Server
from engine.workers.fsync import Fsync
from engine.workers.recorder import Recorder
from engine.workers.reporter import Reporter
from engine.workers.watcher import Watcher
from tests.draws import ballot
from tests.stand import Stand, at, campaign, offering, open_stand


def shown(name: str, **labels: str) -> float:
    """A sample as a scrape has it; 0 before the first."""
    return REGISTRY.get_sample_value(name, labels) or 0


@pytest.fixture
def database_url(data_directory: Path) -> str:
    """The ledger makes no difference here."""
    return f"sqlite:///{data_directory}/ledger.db"


async def test_queues_and_what_they_refuse_are_reported(
    redis_url: str, database_url: str, data_directory: Path
) -> None:
    limits = {"batch_entries_max": 1, "batches_in_flight_max": 1, "waiting_entries_max": 2}
    labels = {"campaign": "queued", "verb": "sign_up", "outcome": "overloaded"}
    async with open_stand(redis_url, database_url, data_directory, **limits) as stand:
        await stand.publish(campaign(offering(waitlist={"size_max": 9}), name="queued"))
        reporter, before = Reporter(stand.decisions), shown("seatrush_decisions_total", **labels)
        asked = [asyncio.create_task(stand.sign_up(f"m{number}", within="queued")) for number in range(5)]
        while stand.decisions.waiting < 2:  # noqa: ASYNC110  the queue says so to nobody
            await asyncio.sleep(0)
        await reporter.run_once()
        assert shown("seatrush_queue_entries") == 2
        outcomes = [decision.outcome for decision in await asyncio.gather(*asked)]
        assert outcomes.count("overloaded") == 3
        for _ in range(2):
            await reporter.run_once()
            assert shown("seatrush_queue_entries") == 0
            assert shown("seatrush_decisions_total", **labels) == before + 3


def watching(stand: Stand) -> Watcher:
    opened = stand.runtime
    return Watcher(opened.overview, opened.conditions, opened.backlog.disk, opened.clock)


async def test_the_watcher_sees_a_recorder_that_stands_still(stand: Stand) -> None:
    await stand.publish(campaign(name="watched"))
    await stand.publish(campaign(name="lost"))
    await stand.sign_up("m1", within="watched")
    await stand.administrator.delete("seatrush:{lost}:meta")
    watcher = watching(stand)
    await watcher.run_once()
    assert shown("seatrush_pending_entries", campaign="watched") == 3
    first = shown("seatrush_pending_age_seconds", campaign="watched")
    await asyncio.sleep(0.02)  # Time itself is what is looked at.
    await watcher.run_once()
    assert 0 <= first < shown("seatrush_pending_age_seconds", campaign="watched")
    assert shown("seatrush_campaign_ready", campaign="watched") == 1
    assert shown("seatrush_campaign_ready", campaign="lost") == 0


async def test_the_watcher_shows_what_redis_and_the_disk_say(stand: Stand, data_directory: Path) -> None:
    await watching(stand).run_once()
    assert time.time() - shown("seatrush_watched_timestamp_seconds") < 60
    assert [shown("seatrush_reachable", part=part) for part in ("redis", "ledger")] == [1, 1]
    assert 0 < shown("seatrush_redis_memory_share", node="unix") < 1
    assert shown("seatrush_redis_persists", node="unix") == 1
    assert shown("seatrush_redis_aof_bytes", node="unix") >= 0
    assert shown("seatrush_redis_uptime_seconds", node="unix") >= 0
    assert shown("seatrush_disk_free_bytes", directory=str(data_directory)) > 0
    assert shown("seatrush_disk_free_min_bytes", directory=str(data_directory)) == 268_435_456


async def test_memory_is_shown_as_a_share_of_its_limit(stand: Stand) -> None:
    client = stand.administrator
    used = (await client.info("memory"))["used_memory"]
    await client.config_set("maxmemory", used * 2)
    try:
        (condition,) = (await stand.runtime.conditions.read()).values()
    finally:
        await client.config_set("maxmemory", 0)
    assert 0.4 < condition.memory_share < 0.7


async def test_the_watcher_shows_how_much_of_the_backlog_is_used(stand: Stand) -> None:
    await stand.publish(campaign(name="behind"))
    stand.runtime.backlog._entries_max = 4
    await stand.sign_up("m1", within="behind")
    await watching(stand).run_once()
    assert shown("seatrush_backlog_share", campaign="behind") == 0.75


async def test_the_watcher_shows_what_is_overdue(stand: Stand) -> None:
    """Nobody advances the campaign, and nobody draws."""
    await stand.publish(campaign(ballot(), name="late"))
    await stand.sign_up("m1", within="late")
    await stand.publish(campaign(ballot(closes=at(seconds=-1)), name="late"))
    timers = "seatrush:{late}:timers"
    await stand.administrator.zadd(timers, {"promote/soap": time.time() * 1000 - 5_000})
    watcher, drawing = watching(stand), stand.runtime.drawing
    await watcher.run_once()
    assert 5 <= shown("seatrush_overdue_seconds", campaign="late") < 60
    assert 1 <= shown("seatrush_draw_overdue_seconds", campaign="late") < 60
    await drawing._call("draw", "late", "begin", "", "", 1_000)
    await watcher.run_once()
    assert shown("seatrush_draw_under_way", campaign="late") == 1
    assert shown("seatrush_draw_overdue_seconds", campaign="late") == 0
    assert await drawing.draw_if_due("late")
    await watcher.run_once()
    assert shown("seatrush_draw_under_way", campaign="late") == 0
    assert shown("seatrush_overdue_seconds", campaign="late") == 0


async def test_the_watcher_says_when_redis_or_the_ledger_is_away(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stand.publish(campaign(name="away"))
    watcher = watching(stand)

    async def unavailable() -> NoReturn:
        raise Unavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(stand.runtime.ledger, "campaigns", unavailable)
        await watcher.run_once()
    assert shown("seatrush_reachable", part="ledger") == 0
    await watcher.run_once()
    assert shown("seatrush_reachable", part="ledger") == 1

    async def nothing(question: object) -> NoReturn:
        raise NothingRan("away")

    with monkeypatch.context() as patched:
        patched.setattr(stand.runtime.server, "each", nothing)
        with pytest.raises(NothingRan):
            await watcher.run_once()
    assert shown("seatrush_reachable", part="redis") == 0
    await watcher.run_once()
    assert shown("seatrush_reachable", part="redis") == 1


async def test_what_a_recorder_counts_is_there_from_nought(stand: Stand) -> None:
    """Else the first dead letter would be no increase for Prometheus."""
    await stand.publish(campaign(name="counted"))
    opened = stand.runtime
    await Recorder(opened.server, opened.streams, opened.ledger, opened.clock, 0).run_once()
    for counter in ("seatrush_dead_letters_total", "seatrush_recorder_gaps_total"):
        assert REGISTRY.get_sample_value(counter, {"campaign": "counted"}) == 0


async def test_the_probe_leaves_its_waits_where_others_find_them(stand: Stand) -> None:
    worker, probe = Fsync(stand.runtime.fsync), fsync.FsyncProbe(stand.runtime.server)
    before = shown("seatrush_fsync_duration_seconds_count")
    assert await probe.median() is None
    for _ in range(fsync.WAITS_KEPT + 2):
        await worker.run_once()
    assert shown("seatrush_fsync_duration_seconds_count") == before + fsync.WAITS_KEPT + 2
    kept = (await stand.administrator.get(keys.FSYNC)).split()
    assert len(kept) == fsync.WAITS_KEPT
    assert await probe.median() == statistics.median(map(float, kept))
    assert 0 < await stand.administrator.pttl(keys.FSYNC) <= fsync.KEPT_MS


async def test_the_probe_names_a_server_that_is_away(data_directory: Path) -> None:
    server = Server(f"unix://{data_directory}/nothing.sock", fsync=True, timeout_s=1)
    with pytest.raises(NothingRan):
        await fsync.FsyncProbe(server).measure()
    await server.close()
