"""`apply`, `token`, `migrate` and the command line itself: help, errors in one line, exit codes."""

from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from engine import __version__
from tests.commands.running import ROOT, Served, run, serve

SAMPLE = str(ROOT / "docs" / "samples" / "workshops.yaml")


@pytest.fixture
def served(data_directory: Path) -> Iterator[Served]:
    with serve(data_directory) as running:
        yield running
        assert running.stop() == 0


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["serve"],
        ["api"],
        ["work"],
        ["apply"],
        ["headcounts"],
        ["audit"],
        ["why"],
        ["token"],
        ["migrate"],
        ["results"],
        ["advance"],
        ["nominations"],
    ],
)
def test_help(command: list[str]) -> None:
    shown = run(*command, "--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith("usage: seatrush")


def test_version() -> None:
    assert run("--version").stdout == f"seatrush {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "changed", "said"),
    [
        (["serve", "--port", "http"], {}, "--port: expected a whole number from 0 to 65535"),
        (
            ["serve"],
            {"SEATRUSH_DURABILITY": "disk"},
            "SEATRUSH_DURABILITY: expected fsync, replica or memory",
        ),
        (["serve", "--durability", "replica"], {}, "durability replica: expected a Redis that has replicas"),
        (["audit"], {"SEATRUSH_PROT": "1"}, "SEATRUSH_PROT: there is no such setting"),
        (["token", "--sub", "a b"], {}, "sub"),
        (
            ["token", "--sub", "a"],
            {"SEATRUSH_TOKEN_SECRET": "short"},
            "SEATRUSH_TOKEN_SECRET: expected at least 32",
        ),
        (["apply", "missing.yaml", "--redis", "redis://127.0.0.1:1/0"], {}, "127.0.0.1:1"),
        (["api", "--redis", "unix:///nowhere/redis.sock", "--port", "0"], {}, "ended while starting"),
        (["serve", "--redis", "redis://:hunter2@127.0.0.1:1/0", "--port", "0"], {}, "ended while starting"),
    ],
)
def test_what_an_operator_can_mend_is_one_line(
    data_directory: Path, arguments: list[str], changed: dict[str, str], said: str
) -> None:
    refused = run(*arguments, SEATRUSH_DATA=str(data_directory), **changed)
    assert refused.returncode == 2
    last = refused.stderr.splitlines()[-1]
    assert last.startswith("seatrush: ")
    assert said in last
    assert "Traceback" not in refused.stderr
    assert "hunter2" not in refused.stderr
    assert "short" not in last


def test_token(data_directory: Path) -> None:
    made = run(
        "token", "--data", str(data_directory), "--sub", "m-1", "--unit", "xicheng.finance", "--industry", "finance",
        "--tag", "outdoor", "--tag", "night", "--role", "officer", "--role", "member", "--ttl", "60",
    )  # fmt: skip
    key = (data_directory / "token.key").read_bytes()
    claims = jwt.decode(made.stdout.strip(), key, algorithms=["HS256"], audience="seatrush")
    assert (claims["sub"], claims["unit"], claims["industry"]) == ("m-1", "xicheng.finance", "finance")
    assert (sorted(claims["tags"]), sorted(claims["roles"])) == (["night", "outdoor"], ["member", "officer"])


def test_apply_says_what_would_change_and_what_did(served: Served, tmp_path: Path) -> None:
    data = str(served.data)
    assert run("apply", "--data", data, "--dry-run", SAMPLE).stdout == "workshops: new\n"
    assert run("apply", "--data", data, SAMPLE).stdout == "workshops: published, version 1\n"
    changed = tmp_path / "changed.yaml"
    changed.write_text(Path(SAMPLE).read_text().replace("capacity: 20,", "capacity: 25,"))
    first, *lines = run("apply", "--data", data, "--dry-run", str(changed)).stdout.splitlines()
    assert first == f"workshops: {len(lines)} changes to version 1"
    # The document's distances from now are other instants each time.
    assert [line for line in lines if "capacity" in line] == [
        "  ~ /offerings/paper-cutting/pools/own/capacity"
    ]
    assert run("apply", "--data", data, str(changed)).stdout == "workshops: published, version 2\n"


def test_apply_names_every_fault_of_every_file_and_publishes_none(served: Served, tmp_path: Path) -> None:
    bad, worse = tmp_path / "bad.yaml", tmp_path / "worse.json"
    bad.write_text(
        Path(SAMPLE).read_text().replace("kind: workshop", "kind: workshp").replace("zh: 剪纸, ", "")
    )
    worse.write_text('{"campaign": "a", "campaign": "b"}')
    refused = run("apply", "--data", str(served.data), SAMPLE, str(bad), str(worse), LC_ALL="C.UTF-8")
    assert refused.returncode == 1
    assert f"{bad}: /offerings/0/title/zh: This field is required." in refused.stderr
    assert refused.stderr.count("/kind: ") == 5
    assert f"{worse}: /campaign: This field is given more than once." in refused.stderr
    assert refused.stdout == ""
    chinese = run("apply", "--data", str(served.data), str(worse), LC_ALL="zh_CN.UTF-8")
    assert f"{worse}: /campaign: 同一个字段出现了多次。" in chinese.stderr
    assert run("apply", "--data", str(served.data), "--dry-run", SAMPLE).stdout == "workshops: new\n"


def test_apply_needs_one_that_runs(data_directory: Path) -> None:
    refused = run("apply", "--data", str(data_directory), SAMPLE)
    assert refused.returncode == 2
    assert "is `seatrush serve` running" in refused.stderr.splitlines()[-1]


def test_migrate(data_directory: Path) -> None:
    database = f"sqlite:///{data_directory}/ledger.db"
    assert run("migrate", "--database", database).stdout.startswith("applied ")
    assert run("migrate", "--database", database).stdout == "up to date\n"


def test_migrate_does_not_show_a_password(data_directory: Path) -> None:
    refused = run("migrate", "--database", "postgresql://u:hunter2@127.0.0.1:1/d")
    assert refused.returncode == 2
    assert refused.stderr.startswith("seatrush: ")
    assert "hunter2" not in refused.stderr
