"""`rebuild`: attached to what runs, on a data directory whose Redis is lost, and what it says where it cannot."""

import re
import shutil
import sqlite3
from pathlib import Path

from tests.commands.running import run, serve
from tests.commands.test_audit import CAMPAIGN, SAMPLE, agrees, is_at_rest, redis_of, sign_up

REBUILT = (
    rf"{CAMPAIGN}: rebuilt and open: 1 enrollments, seq \d+, epoch \d+, "
    r"\d+ events recorded from the stream, \d+\.\d s\n"
)


def test_what_runs_goes_on_by_itself(data_directory: Path) -> None:
    data = str(data_directory)
    with serve(data_directory, "--apply", str(SAMPLE)) as served:
        given = sign_up(served)
        assert agrees(run("audit", "--data", data).stdout)
        with redis_of(data_directory) as client:
            client.flushall()
        rebuilt = run("rebuild", "--data", data, CAMPAIGN)
        assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
        assert re.fullmatch(REBUILT, rebuilt.stdout), rebuilt.stdout
        # It is in already, and the answer is from the state that was made.
        assert sign_up(served) == given
        # Nothing is wrong with it now.
        again = run("rebuild", "--data", data, CAMPAIGN)
        assert (again.returncode, bool(re.fullmatch(REBUILT, again.stdout))) == (0, True)
        audit = run("audit", "--data", data)
        assert agrees(audit.stdout), audit.stdout
        assert served.stop() == 0


def test_a_data_directory_whose_redis_is_lost(data_directory: Path) -> None:
    with serve(data_directory, "--apply", str(SAMPLE)) as served:
        given = sign_up(served)
        assert served.stop() == 0
    for path in data_directory.iterdir():
        if not path.name.startswith(("ledger.db", "token.key")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    rebuilt = run("rebuild", "--data", str(data_directory), CAMPAIGN)
    assert (rebuilt.returncode, bool(re.fullmatch(REBUILT, rebuilt.stdout))) == (0, True), rebuilt.stderr
    assert is_at_rest(data_directory)
    with serve(data_directory) as served:
        assert sign_up(served) == given
        assert served.stop() == 0


def test_differences_leave_it_shut(data_directory: Path) -> None:
    with serve(data_directory, "--apply", str(SAMPLE)) as served:
        enrollment = sign_up(served)["enrollment"]
        assert served.stop() == 0
    with sqlite3.connect(data_directory / "ledger.db") as ledger:
        ledger.execute("UPDATE enrollments SET version = 7")
    rebuilt = run("rebuild", "--data", str(data_directory), CAMPAIGN)
    assert rebuilt.returncode == 1
    said = rebuilt.stdout.splitlines()
    assert said[0] == f"{CAMPAIGN} {enrollment}: version is 1 in Redis, 7 in the ledger"
    assert said[1].startswith(f"{CAMPAIGN}: not open: ")
    assert (
        f"{CAMPAIGN}: its gate is closed" in run("audit", "--data", str(data_directory)).stdout.splitlines()
    )


def test_a_campaign_that_nobody_knows(data_directory: Path) -> None:
    with serve(data_directory) as served:
        rebuilt = run("rebuild", "--data", str(data_directory), "autumn")
        assert served.stop() == 0
    assert (rebuilt.returncode, rebuilt.stdout) == (2, "")
    assert (
        rebuilt.stderr.splitlines()[-1] == "seatrush: campaign autumn: neither the ledger nor Redis knows it"
    )


def test_no_deployment_is_made_of_a_mistyped_path(data_directory: Path) -> None:
    nowhere = data_directory / "nowhere"
    rebuilt = run("rebuild", "--data", str(nowhere), "autumn")
    assert rebuilt.returncode == 2
    assert rebuilt.stderr.endswith("no ledger is here; name another with --database\n")
    assert not nowhere.exists()
