"""`serve`: ready, ended in order, and whole again when a part of it dies."""

import json
import os
import select
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from loadtests.bench.machine import processes_below
from tests.commands.running import ROOT, Served, run, serve

SAMPLE = ROOT / "docs" / "samples" / "workshops.yaml"
RETRY_S = 0.1
PAPER_CUTTING = "/v1/campaigns/workshops/offerings/paper-cutting/enrollments"


def ask(served: Served, method: str, path: str, token: str, **headers: str) -> tuple[int, bytes]:
    """One request; a connection that breaks is retried, as a client does with the same key."""
    request = urllib.request.Request(
        served.url + path, method=method, headers={"Authorization": f"Bearer {token}", **headers}
    )
    for _ in range(200):
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            body = refusal.read()
            if refusal.code != 503:
                return refusal.code, body
            # Retry-After is in seconds; the server may be back much earlier.
            time.sleep(RETRY_S)
        except OSError:
            time.sleep(RETRY_S)
    raise AssertionError("the server does not come back")


def token(data: Path, sub: str = "m-1", *more: str) -> str:
    made = run("token", "--data", str(data), "--sub", sub, "--unit", "xicheng.finance", *more)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def child(served: Served, role: str) -> int:
    """The process of a role: api, work or the embedded Redis."""
    return next(pid for pid, command in processes_below(served.process.pid).items() if role in command)


@pytest.fixture
def sold(data_directory: Path) -> bytes:
    """A data directory in which one seat was sold before SIGTERM; the answer that was given."""
    with serve(data_directory, "--apply", str(SAMPLE)) as served:
        status, body = ask(served, "POST", PAPER_CUTTING, token(data_directory), **{"Idempotency-Key": "k"})
        assert status == 201
        pids = list(processes_below(served.process.pid))
        assert len(pids) >= 3
        assert served.stop() == 0
        assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    return body


def test_sigterm_ends_everything_and_loses_nothing(sold: bytes, data_directory: Path) -> None:
    audit = run("audit", "--data", str(data_directory))
    assert audit.returncode == 0, audit.stdout + audit.stderr
    with serve(data_directory) as served:
        given = token(data_directory)
        assert ask(served, "POST", PAPER_CUTTING, given, **{"Idempotency-Key": "k"}) == (201, sold)
        mine = json.loads(ask(served, "GET", "/v1/me/enrollments", given)[1])
        assert mine["enrollments"] == [json.loads(sold)]
        assert served.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("role", ["child api", "child work", "unixsocket"])
def test_a_part_that_is_killed_is_replaced(data_directory: Path, role: str) -> None:
    with serve(data_directory, "--apply", str(SAMPLE)) as served:
        given = token(data_directory)
        first = ask(served, "POST", PAPER_CUTTING, given, **{"Idempotency-Key": "k"})
        os.kill(child(served, role), signal.SIGKILL)
        assert ask(served, "POST", PAPER_CUTTING, given, **{"Idempotency-Key": "k"}) == first
        assert ask(served, "POST", PAPER_CUTTING, token(data_directory, "m-2"))[0] == 201
        audit = run("audit", "--data", str(data_directory))
        assert audit.returncode == 0, audit.stdout + audit.stderr
        assert served.stop() == 0


def test_nothing_outlives_a_parent_that_is_killed(data_directory: Path) -> None:
    with serve(data_directory) as served:
        waited = [os.pidfd_open(pid) for pid in processes_below(served.process.pid)]
        served.process.kill()
        for pidfd in waited:
            # A pidfd becomes readable when its process ends.
            assert select.select([pidfd], [], [], 10)[0], "a process outlives its parent"
            os.close(pidfd)


def test_two_processes_answer_on_one_port(data_directory: Path) -> None:
    with serve(data_directory, "--processes", "2", "--apply", str(SAMPLE)) as served:
        apis = [command for command in processes_below(served.process.pid).values() if "child api" in command]
        assert len(apis) == 2
        given = [
            ask(served, "POST", PAPER_CUTTING, token(data_directory, f"m-{number}"))[0] for number in range(4)
        ]
        assert given == [201] * 4
        ops = token(data_directory, "o", "--role", "ops")
        status = json.loads(ask(served, "GET", "/v1/ops/status", ops)[1])
        assert status["campaigns"][0]["decisions"] == {"confirmed": 4}
        assert (status["batches"]["sign_up"]["entries"], status["queue_entries"]) == (4, 0)
        assert served.stop() == 0


def test_a_second_start_leaves_what_is_there_as_it_is(data_directory: Path) -> None:
    with serve(data_directory, "--apply", str(SAMPLE)) as served:
        member = token(data_directory, "m-1")
        assert ask(served, "POST", PAPER_CUTTING, member)[0] == 201
        first = json.loads(ask(served, "GET", "/v1/campaigns/workshops", member)[1])
        assert served.stop() == 0
    with serve(data_directory, "--apply", str(SAMPLE)) as served:
        # Its times are distances from the moment of publishing: a new version would have others.
        again = json.loads(ask(served, "GET", "/v1/campaigns/workshops", member)[1])
        assert again == first
        assert served.stop() == 0


def test_port_in_use(data_directory: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = run("serve", "--port", port, "--data", str(data_directory))
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == f"seatrush: port {port} on 127.0.0.1 is in use"


@pytest.mark.parametrize("command", ["serve", "work"])
def test_data_directory_in_use(data_directory: Path, command: str) -> None:
    with serve(data_directory) as served:
        options = ["--port", "0"] if command == "serve" else []
        refused = run(command, *options, "--data", str(data_directory))
        assert refused.returncode == 2
        assert f"in use by process {served.process.pid}" in refused.stderr
        assert served.stop() == 0


def test_document_with_faults_keeps_serve_from_starting(data_directory: Path, tmp_path: Path) -> None:
    document = tmp_path / "bad.yaml"
    document.write_text("campaign: UPPER\n")
    refused = run("serve", "--port", "0", "--data", str(data_directory), "--apply", str(document))
    assert refused.returncode == 1
    assert "/campaign:" in refused.stderr
    assert "ready" not in refused.stdout


def test_memory_says_so_at_every_start(data_directory: Path) -> None:
    with serve(data_directory, "--durability", "memory") as served:
        given = token(data_directory, "o", "--role", "ops")
        status = json.loads(ask(served, "GET", "/v1/ops/status", given)[1])
        assert status["durability"] == "memory"
        assert served.stop() == 0
