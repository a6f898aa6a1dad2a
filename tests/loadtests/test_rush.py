"""Rushes of real processes: every promise holds, also when everything is killed; a broken engine is caught."""

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from api import tokens
from engine.domain import events
from engine.domain.campaign import Campaign
from engine.live import keys
from loadtests import checker, crash, member, rush
from loadtests.deployment import ROOT, Deployment, audit, embedded_ledger
from loadtests.order import LOOK_AGE_S_MAX


def test_rush(data_directory: Path) -> None:
    check_rush(data_directory / "data", 5_000, [], embedded_ledger(data_directory / "data"))


def test_rush_on_several_apis(data_directory: Path) -> None:
    where = ["--processes", "2"]
    check_rush(
        data_directory / "data", 1_000, where, embedded_ledger(data_directory / "data"), LOOK_AGE_S_MAX
    )


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_rush_on_each_redis_and_ledger(
    request: pytest.FixtureRequest, redis_url: str, dialect: str, data_directory: Path
) -> None:
    database_url = embedded_ledger(data_directory)
    if dialect == "postgres":
        database_url = request.getfixturevalue("postgres_url")
    where = ["--redis", redis_url, "--database", database_url]
    check_rush(data_directory / "data", 1_000, where, database_url)


def check_rush(
    data: Path, members: int, where: Sequence[str], database_url: str, look_age_s: float = 0
) -> None:
    """A rush on a deployment: every promise holds, whatever should happen in one did, and the audit agrees."""
    deployment = Deployment(data, "--apply", str(rush.SAMPLE), *where)
    try:
        exchanges = rush.run(deployment.url, deployment.secret, members, clients=8, seed=1)
        seen = rush.look(deployment.url, deployment.secret, exchanges)
    finally:
        assert deployment.stop() == 0
    report = rush.examine(database_url, exchanges, seen, look_age_s=look_age_s)
    assert report.violations == [], report.in_words()
    answers = {(each.kind, each.status, checker.refusal_of(each).code) for each in exchanges}
    assert answers == {(kind, *answer) for kind, expected in checker.EXPECTED.items() for answer in expected}
    kinds = Counter(event.header.type for event in report.log)
    assert kinds["cancelled"] > 200
    assert kinds["promoted"] > 10
    audited = audit(data, *(where if "--redis" in where else ()))
    assert audited.returncode == 0, audited.stdout + audited.stderr


def test_kill_everything_five_times(data_directory: Path) -> None:
    data = data_directory / "data"
    report, kills = crash.run(data, members=3_000, clients=8, seed=1, kills=5)
    assert kills == 5
    assert report.violations == [], report.in_words()
    assert any(exchange.status == 0 for exchange in report.exchanges)
    audited = audit(data)
    assert audited.returncode == 0, audited.stdout + audited.stderr


def test_negative_control(redis_url: str, data_directory: Path) -> None:
    """Every guard is there, but check and take are two calls: the same rush must be found to sell seats twice."""
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
        entries: Any = client.xrange(keys.of(member.CAMPAIGN, "EVENTS"))
        document: Any = client.hget(keys.of(member.CAMPAIGN, "META"), "document")
    log = [events.decode(member.CAMPAIGN, entry_id, fields) for entry_id, fields in entries]
    violations = checker.check(msgspec.json.decode(document, type=Campaign), log, exchanges)
    broken_rules = {violation.rule for violation in violations}
    assert {"seat", "capacity", "waitlist", "once", "replay"} <= broken_rules
    # Only what a gap between check and take can break: all else is as it should be.
    assert broken_rules.isdisjoint({"gapless", "version", "eligible", "acknowledged", "owner", "unexpected"})
