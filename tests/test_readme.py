"""The README's commands, run as printed."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.running import ROOT, environment

BLOCKS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
PORT = "8080"


def free_port() -> str:
    """The printed port where it is free, else another that takes its place."""
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", int(PORT)))
        except OSError:
            candidate.bind(("127.0.0.1", 0))
        return str(candidate.getsockname()[1])


@pytest.fixture
def system(data_directory: Path) -> Iterator[dict[str, str]]:
    """The first block, `scripts/run`, ready; yields the environment for the others."""
    port = free_port()
    settings = environment(SEATRUSH_DATA=str(data_directory), SEATRUSH_PORT=port)
    assert BLOCKS[0] == "scripts/run\n"
    run = subprocess.Popen(
        ["bash", "-c", f"exec {BLOCKS[0]}"], cwd=ROOT, env=settings, stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    try:
        assert run.stdout.readline() == f"ready on http://127.0.0.1:{port}\n"
        yield settings
        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 0
    finally:
        run.kill()
        run.stdout.close()


def test_the_commands_work_as_printed(system: dict[str, str]) -> None:
    token, sign_up = BLOCKS[1].strip().split("\n\n")
    offering, mine, audit = BLOCKS[2].strip().split("\n\n")
    dry_run, apply = BLOCKS[3].strip().split("\n\n")
    commands = [token, sign_up, sign_up, offering, mine, audit, dry_run, apply]
    script = "\necho; echo ====\n".join(commands).replace(
        f"127.0.0.1:{PORT}", f"127.0.0.1:{system['SEATRUSH_PORT']}"
    )
    shown = subprocess.run(
        ["bash", "-euc", script], cwd=ROOT, env=system, capture_output=True, text=True, timeout=120
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    _, first, second, offered, own, audited, would, published = (
        part.strip() for part in shown.stdout.split("====\n")
    )
    head, body = first.replace("\r", "").split("\n\n")
    assert head.startswith("HTTP/1.1 201 Created")
    enrollment = json.loads(body)
    assert f"Location: /v1/campaigns/workshops/enrollments/{enrollment['enrollment']}" in head
    assert (enrollment["status"], enrollment["pool"], enrollment["seats"]) == ("confirmed", "own", [1])
    assert second.replace("\r", "").split("\n\n")[1] == body
    assert json.loads(offered)["pools"][0]["taken"] == 1
    assert json.loads(own)["enrollments"] == [enrollment]
    assert "workshops" in audited
    assert would.startswith("workshops: ")
    assert published == "workshops: published, version 2"


def test_every_command_that_is_named_exists() -> None:
    for name in re.findall(r"scripts/(\w+)", (ROOT / "README.md").read_text()):
        assert os.access(ROOT / "scripts" / name, os.X_OK), name
