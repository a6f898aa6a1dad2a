"""`scripts/rehearse`, as a load tester runs it: each scenario holds, and an engine that is broken is found out."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import redis

from engine.domain.faults import Language
from loadtests.deployment import ROOT, Deployment
from loadtests.rehearsal import records
from loadtests.rehearsal.words import say
from tests import redis_servers
from tests.commands.running import environment

SMALL: Final = ("--seed", "1", "--waitlist", "5", "--opens-in", "2", "--spread", "0.1", "--patience", "30")
TIMEOUT_S: Final = 300
"""It sets its own environment up when it is the first."""


def rehearse(*arguments: str, results: Path, **changed: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, from another folder."""
    return subprocess.run(
        [ROOT / "scripts" / "rehearse", *arguments, "--results", str(results)],
        cwd=results.parent,
        env=environment(**changed),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def check_that_it_held(
    ended: subprocess.CompletedProcess[str], results: Path, language: Language = "en"
) -> None:
    """It says so in words, as an exit code, and in its files."""
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[-1] == say("held", language)
    assert say("audit_agrees", language) in lines
    assert say("all_answered", language) in lines
    assert (results / "verdict.txt").read_text().splitlines()[-1] == lines[-1]
    assert "<html" in (results / "report.html").read_text()


def kinds(results: Path) -> set[tuple[str, int]]:
    """What was asked, and the status of what was answered."""
    return {(each.kind, each.status) for chunk in records.read(results) for each in chunk.exchanges}


RUNS: Final[dict[str, tuple[str, ...]]] = {
    "rush": ("rush", "--members", "200", "--workshops", "3", "--seats", "10", "--processes", "2"),
    "websocket": ("rush", "--members", "100", "--workshops", "3", "--seats", "10", "--door", "websocket"),
    "browse": ("browse", "--members", "60", "--run-time", "4"),
    "churn": ("churn", "--members", "100", "--seats", "6", "--run-time", "8"),
    "mixed": ("mixed", "--members", "90", "--campaigns", "3", "--seats", "6", "--run-time", "5"),
}


class Runs:
    """Each scenario once, some at a time, since most of a rehearsal is waiting."""

    def __init__(self, directory: Path, threads: ThreadPoolExecutor) -> None:
        self.directory = directory
        self._ended = {
            name: threads.submit(rehearse, *RUNS[name], *SMALL, results=directory / name, LC_ALL=language)
            for name, language in LANGUAGES.items()
        }

    def check(self, name: str) -> tuple[str, set[tuple[str, int]]]:
        """It held; returns what it said, and the kinds and statuses of its exchanges."""
        ended, results = self._ended[name].result(), self.directory / name
        check_that_it_held(ended, results, "zh" if LANGUAGES[name].startswith("zh") else "en")
        return ended.stdout, kinds(results)


LANGUAGES: Final = dict.fromkeys(RUNS, "C.UTF-8") | {"websocket": "zh_CN.UTF-8"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """All of them, begun."""
    with ThreadPoolExecutor(3) as threads:
        yield Runs(tmp_path_factory.mktemp("rehearsals"), threads)


def test_rush_from_two_processes(runs: Runs) -> None:
    said, answered = runs.check("rush")
    assert "30 of 30 seats taken, 15 wait" in said
    assert len(list((runs.directory / "rush").glob("worker-*"))) == 2
    assert {("sign_up", 201), ("sign_up", 202), ("sign_up", 409), ("campaign", 200)} <= answered


def test_rush_over_websocket_in_chinese(runs: Runs) -> None:
    said, answered = runs.check("websocket")
    assert "30 席中发出 30 席" in said
    assert {("sign_up", 201), ("sign_up", 202), ("sign_up", 409)} <= answered
    assert "/v1/live sign_up" in (runs.directory / "websocket" / "report.html").read_text()


def test_browse(runs: Runs) -> None:
    _, answered = runs.check("browse")
    assert {("campaign", 200), ("campaign", 304), ("mine", 200)} <= answered


def test_churn(runs: Runs) -> None:
    _, answered = runs.check("churn")
    assert {("confirm", 200), ("decline", 200), ("cancel", 200)} <= answered


def test_mixed(runs: Runs) -> None:
    said, _ = runs.check("mixed")
    assert said.count("of 18 seats taken") == 3


def test_a_deployment_elsewhere_with_a_master_and_a_worker(data_directory: Path, tmp_path: Path) -> None:
    data, results = data_directory / "data", tmp_path / "results"
    deployment = Deployment(data)
    secret = tmp_path / "secret"
    secret.write_bytes(deployment.secret)
    try:
        with worker("rush", "--secret-file", str(secret)):
            ended = rehearse("rush", "--members", "60", "--workshops", "2", "--seats", "10", *SMALL,
                             "--url", deployment.url, "--data", str(data), "--master", results=results)  # fmt: skip
    finally:
        assert deployment.stop() == 0
    check_that_it_held(ended, results)
    assert [path.name for path in results.glob("*.exchanges")] == ["worker-0.exchanges"]


@contextmanager
def worker(*arguments: str) -> Iterator[None]:
    """A worker of a master that may come later."""
    process = subprocess.Popen([ROOT / "scripts" / "rehearse", *arguments, "--worker"], env=environment())
    try:
        yield
        assert process.wait(30) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_negative_control(redis_server: Callable[[str], str], data_directory: Path, tmp_path: Path) -> None:
    """The engine with check and take in two calls, and a recorder: what it sells twice is named, and exit is 1."""
    redis_url = redis_server(redis_servers.LINES[0])
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    database_url = f"sqlite:///{data_directory}/ledger.db"
    (tmp_path / "work").mkdir()
    where = ("--redis", redis_url, "--database", database_url)
    with running("-m", "tests.broken", redis_url, str(data_directory)) as said:
        url = said.removeprefix("ready on ")
        with running("-m", "engine", "work", "--data", str(tmp_path / "work"), *where):
            results = tmp_path / "results"
            ended = rehearse("rush", "--members", "400", "--workshops", "2", "--seats", "60", *SMALL,
                             "--url", url, *where, "--secret-file", str(data_directory / "token.key"),
                             results=results)  # fmt: skip
    assert ended.returncode == 1, ended.stdout + ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[-1] == say("not_held", "en")
    assert any(line.startswith("VIOLATED ") for line in lines)
    assert any(line.startswith("Audit: Redis and the ledger do NOT agree") for line in lines)


@contextmanager
def running(*arguments: str) -> Iterator[str]:
    """A process of the engine, with its first line; it ends with the block."""
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait(30)


def test_from_a_folder_elsewhere_it_says_what_is_wrong(tmp_path: Path) -> None:
    ended = rehearse("rush", "--members", "none", results=tmp_path / "results")
    assert ended.returncode == 2
    assert "a whole number from 1 on is expected" in ended.stderr
