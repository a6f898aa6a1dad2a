"""`forget`: on a deployment that runs, on one at rest, and what is told of it."""

import json
import urllib.request
from pathlib import Path
from typing import Final

from tests import canaries
from tests.commands.running import Served, run, serve
from tests.commands.test_audit import CAMPAIGN, PAPER_CUTTING, SAMPLE

CANARY: Final = "canary-7f3a"
KEY: Final = "canary-key-91"


def sign_up(served: Served, member: str) -> None:
    made = run("token", "--data", str(served.data), "--sub", member, "--unit", "xicheng.finance")
    headers = {
        "Authorization": f"Bearer {made.stdout.strip()}",
        "Content-Type": "application/json",
        "Idempotency-Key": KEY,
    }
    request = urllib.request.Request(served.url + PAPER_CUTTING, b"{}", headers, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer)["status"] == "confirmed"


def test_while_it_runs_and_at_rest(data_directory: Path) -> None:
    """No file of the data directory has a member any more, the log of Redis and the ledger's file included."""
    data, other = str(data_directory), f"{CANARY}-too"
    with serve(data_directory, "--apply", str(SAMPLE)) as served:
        for member in (CANARY, other):
            sign_up(served, member)
        would = run("forget", "--data", data, CANARY, "--dry-run")
        assert would.returncode == 0, would.stderr
        assert would.stdout.startswith(
            f"{CAMPAIGN}: 1 enrollments would be forgotten, 1 of them would be cancelled"
        )
        done = run("forget", "--data", data, CANARY)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{CAMPAIGN}: 1 enrollments forgotten, 1 of them cancelled; ")
        assert CANARY not in would.stdout + would.stderr + done.stdout + done.stderr
        assert canaries.in_files(data_directory, CANARY, KEY)
        assert served.stop() == 0
    done = run("forget", "--data", data, other)
    assert (done.returncode, done.stdout.partition(";")[0]) == (
        0,
        f"{CAMPAIGN}: 1 enrollments forgotten, 1 of them cancelled",
    ), done.stderr
    assert canaries.in_files(data_directory, CANARY, KEY) == set()
    again = run("forget", "--data", data, CANARY)
    assert (again.returncode, again.stdout) == (0, "nothing is known of this member\n")


def test_what_is_no_member(data_directory: Path) -> None:
    refused = run("forget", "--data", str(data_directory), "~" + "0" * 32)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "MEMBER" in refused.stderr
