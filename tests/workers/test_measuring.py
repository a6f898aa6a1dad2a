"""The workers that measure: what a scrape shows while queues are full, the recorder stands still, the disk is slow."""

import asyncio
import statistics
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from engine.live import fsync, keys
from engine.live.server import NothingRan, Server
from engine.workers.fsync import Fsync
from engine.workers.reporter import Reporter
from engine.workers.watcher import Watcher
from tests.stand import Stand, campaign, offering, open_stand


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


async def test_the_watcher_sees_a_recorder_that_stands_still(stand: Stand) -> None:
    await stand.publish(campaign(name="watched"))
    await stand.publish(campaign(name="lost"))
    await stand.sign_up("m1", within="watched")
    await stand.administrator.delete("seatrush:{lost}:meta")
    watcher = Watcher(stand.runtime.overview)
    await watcher.run_once()
    assert shown("seatrush_pending_entries", campaign="watched") == 3
    first = shown("seatrush_pending_age_seconds", campaign="watched")
    await asyncio.sleep(0.02)  # Time itself is what is looked at.
    await watcher.run_once()
    assert 0 <= first < shown("seatrush_pending_age_seconds", campaign="watched")
    assert shown("seatrush_campaign_ready", campaign="watched") == 1
    assert shown("seatrush_campaign_ready", campaign="lost") == 0


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
