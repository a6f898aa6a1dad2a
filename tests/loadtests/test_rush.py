"""Rushes of real processes: every promise holds, also when everything is killed; a broken engine is caught."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import redis

from api import tokens
from engine.domain import events
from engine.domain.campaign import Campaign
from engine.live import keys
from loadtests import checker, crash, rush
from loadtests.deployment import ROOT, Deployment, audit


def test_rush(data_directory: Path) -> None:
    data = data_directory / "data"
    deployment = Deployment(data, "--apply", str(rush.SAMPLE))
    try:
        exchanges = rush.run(deployment.url, deployment.secret, members=5_000, clients=8, seed=1)
    finally:
        assert deployment.stop() == 0
    report = rush.examine(data, exchanges, seconds=1)
    assert report.violations == [], report.in_words()
    # Whatever a rush should try, this one tried.
    assert {0, 503}.isdisjoint(exchange.status for exchange in exchanges)
    kinds = Counter(event.header.type for event in report.log)
    assert kinds["cancelled"] > 20
    assert kinds["promoted"] > 5
    audited = audit(data)
    assert audited.returncode == 0, audited.stdout + audited.stderr


def test_kill_everything_five_times(data_directory: Path) -> None:
    data = data_directory / "data"
    report, kills = crash.run(data, members=4_000, clients=8, seed=1, kills=5)
    assert kills == 5
    assert report.violations == [], report.in_words()
    assert any(exchange.status == 0 for exchange in report.exchanges)
    audited = audit(data)
    assert audited.returncode == 0, audited.stdout + audited.stderr


def test_negative_control(redis_url: str, data_directory: Path) -> None:
    """Check and take in two calls: the same rush must be found to sell seats twice."""
    broken = subprocess.Popen(
        [sys.executable, "-m", "tests.broken", redis_url, str(data_directory)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert broken.stdout is not None
        said = broken.stdout.readline()
        assert said.startswith("ready on ")
        secret = tokens.load_secret(data_directory, None)
        exchanges = rush.run(said.removeprefix("ready on ").strip(), secret, members=500, clients=2, seed=1)
    finally:
        broken.terminate()
        assert broken.wait(30) == 0
        broken.stdout.close()  # type: ignore[union-attr]
    with redis.Redis.from_url(redis_url) as client:
        entries: Any = client.xrange(keys.of(rush.CAMPAIGN, "EVENTS"))
        document: Any = client.hget(keys.of(rush.CAMPAIGN, "META"), "document")
    log = [events.decode(rush.CAMPAIGN, entry_id, fields) for entry_id, fields in entries]
    violations = checker.check(msgspec.json.decode(document, type=Campaign), log, exchanges)
    assert {"seat", "capacity", "once", "limit", "overlap", "replay"} <= {each.rule for each in violations}
