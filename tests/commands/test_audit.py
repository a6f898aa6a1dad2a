"""`audit`: attached to what runs, on a data directory at rest, and where there is none."""

import json
import os
import signal
import socket
import sqlite3
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from engine import lock
from engine.live import keys
from tests.commands.running import ROOT, Served, run, serve

SAMPLE: Final = ROOT / "docs" / "samples" / "workshops.yaml"
CAMPAIGN: Final = "workshops"
PAPER_CUTTING: Final = f"/v1/campaigns/{CAMPAIGN}/offerings/paper-cutting/enrollments"
CLOSED: Final = f"{CAMPAIGN}: its gate is closed\n"


def sign_up(served: Served) -> dict[str, Any]:
    made = run("token", "--data", str(served.data), "--sub", "anna-ng", "--unit", "xicheng.finance")
    headers = {"Authorization": f"Bearer {made.stdout.strip()}", "Content-Type": "application/json"}
    request = urllib.request.Request(served.url + PAPER_CUTTING, b"{}", headers, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        enrollment: dict[str, Any] = json.load(answer)
    return enrollment


def redis_of(data: Path) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(data / "redis.sock"))


def agrees(said: str) -> bool:
    first, _, seq = said.rpartition(", seq ")
    before, _, recorded = seq.strip().partition(", recorded ")
    return first == f"{CAMPAIGN}: agrees, 1 enrollments" and before == recorded


def is_at_rest(data: Path) -> bool:
    """Whether nothing runs on a data directory."""
    with lock.acquire(data), socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(data / "redis.sock")) != 0


def test_it_attaches_to_what_runs(data_directory: Path) -> None:
    data = str(data_directory)
    with serve(data_directory, "--apply", str(SAMPLE)) as served:
        sign_up(served)
        clean = run("audit", "--data", data)
        assert (clean.returncode, agrees(clean.stdout)) == (0, True), clean.stdout + clean.stderr
        with redis_of(data_directory) as client:
            client.hset(keys.of(CAMPAIGN, "META"), "gate", "closed")
        spoiled = run("audit", "--data", data, CAMPAIGN)
        assert (spoiled.returncode, spoiled.stdout) == (1, CLOSED)
        # By URL, and with a ledger that is named.
        urls = ["--redis", f"unix://{data}/redis.sock", "--database", f"sqlite:///{data}/ledger.db"]
        assert run("audit", *urls, "--data", f"{data}/nowhere").stdout == CLOSED
        assert not (data_directory / "nowhere").exists()
        assert served.stop() == 0


def test_memory_needs_no_word_of_it(data_directory: Path) -> None:
    with serve(data_directory, "--apply", str(SAMPLE), "--durability", "memory"):
        audit = run("audit", "--data", str(data_directory))
        assert audit.returncode == 0, audit.stdout + audit.stderr


def test_json(data_directory: Path) -> None:
    with serve(data_directory, "--apply", str(SAMPLE)) as served:
        enrollment = sign_up(served)["enrollment"]
        with redis_of(data_directory) as client:
            client.delete(keys.of(CAMPAIGN, "MEMBERS"))
        audit = run("audit", "--data", str(data_directory), "--json")
    assert audit.returncode == 1
    said = json.loads(audit.stdout)
    seq = said["campaigns"][0]["seq"]
    difference = {"subject": enrollment, "what": "is live and not in MEMBERS"}
    assert said == {
        "agree": False,
        "campaigns": [
            {
                "campaign": CAMPAIGN,
                "agree": False,
                "seq": seq,
                "recorded_seq": seq,
                "enrollments": 1,
                "differences": [difference],
                "notes": [],
            }
        ],
    }
    assert "anna-ng" not in audit.stdout


@pytest.mark.parametrize("ended", [signal.SIGTERM, signal.SIGKILL])
def test_at_rest_it_records_what_is_left_and_leaves_nothing_running(
    data_directory: Path, ended: signal.Signals
) -> None:
    with serve(data_directory, "--apply", str(SAMPLE)) as served:
        sign_up(served)
        served.stop(ended)
    with sqlite3.connect(data_directory / "ledger.db") as ledger:
        # As if the last event had not been recorded.
        last = ledger.execute("SELECT max(seq) FROM events").fetchone()[0]
        for statement in (
            "DELETE FROM chain WHERE seq = ?1",
            "DELETE FROM events WHERE seq = ?1",
            "DELETE FROM seats WHERE seq = ?1",
            "DELETE FROM enrollments WHERE seq = ?1",
            "UPDATE cursors SET recorded_seq = ?1 - 1 WHERE recorded_seq = ?1",
        ):
            ledger.execute(statement, (last,))
    audit = run("audit", "--data", str(data_directory))
    assert (audit.returncode, agrees(audit.stdout)) == (0, True), audit.stdout + audit.stderr
    assert is_at_rest(data_directory)
    with sqlite3.connect(data_directory / "ledger.db") as ledger:
        ledger.execute("UPDATE enrollments SET status = 'cancelled'")
    audit = run("audit", "--data", str(data_directory))
    assert audit.returncode == 1
    assert audit.stdout.splitlines()[0].endswith(": status is confirmed in Redis, cancelled in the ledger")
    assert is_at_rest(data_directory)


def test_state_that_is_lost(data_directory: Path) -> None:
    with serve(data_directory, "--apply", str(SAMPLE)) as served:
        with redis_of(data_directory) as client:
            client.flushall()
        assert served.stop() == 0
    audit = run("audit", "--data", str(data_directory))
    assert audit.returncode == 1
    assert audit.stdout == (
        f"{CAMPAIGN}: has no state in Redis: it is lost until `seatrush rebuild {CAMPAIGN}`\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no embedded Redis has run here; name another with --redis"),
        (["--redis", "redis://127.0.0.1:1/0"], "no ledger is here; name another with --database"),
        (
            ["--redis", "redis://127.0.0.1:1/0", "--database", "sqlite:////nowhere/at-all.db"],
            "there is no such file",
        ),
    ],
)
def test_no_deployment_is_made_of_a_mistyped_path(
    data_directory: Path, arguments: list[str], said: str
) -> None:
    nowhere = data_directory / "nowhere"
    audit = run("audit", "--data", str(nowhere), *arguments)
    assert audit.returncode == 2
    assert audit.stderr.startswith("seatrush: ")
    assert audit.stderr.endswith(f"{said}\n")
    assert len(audit.stderr.splitlines()) == 1
    assert not nowhere.exists()


def test_a_campaign_that_nobody_knows(data_directory: Path) -> None:
    with serve(data_directory) as served:
        assert served.stop() == 0
    audit = run("audit", "--data", str(data_directory), "autumn")
    assert audit.returncode == 2
    assert audit.stderr.splitlines()[-1] == "seatrush: campaign autumn: neither the ledger nor Redis knows it"
    assert is_at_rest(data_directory)
    assert run("audit", "--data", str(data_directory)).returncode == 0


def test_a_directory_in_use_by_something_without_a_redis(data_directory: Path) -> None:
    with serve(data_directory) as served:
        assert served.stop() == 0
    with lock.acquire(data_directory):
        audit = run("audit", "--data", str(data_directory))
    assert audit.returncode == 2
    assert f"in use by process {os.getpid()}" in audit.stderr
