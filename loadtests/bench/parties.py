"""The parties of a comparison: the engine and its baselines, each started once and kept for the whole run."""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from api import tokens
from engine.domain.person import Person
from engine.live import embedded
from loadtests.bench import machine
from loadtests.bench.party import Party
from loadtests.deployment import ROOT, deployed
from tests import postgres, redis_servers

STOP_TIMEOUT_S: Final = 30
SETTLE_TIMEOUT_S: Final = 120
SETTLE_POLL_S: Final = 0.05
TOKEN_TTL_S: Final = 3600.0


@contextmanager
def bare(definition: bytes, *options: str) -> Iterator[Party]:
    """Bare aiohttp, which answers this definition."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(definition)
        file.flush()
        with _program("bare", "--definition", file.name, *options) as (port, pid):
            yield Party("127.0.0.1", port, lambda: {pid: "api"})


@contextmanager
def evalsha(durability: str) -> Iterator[Party]:
    """aiohttp and one EVALSHA a request, on the same server and configuration as the engine's embedded Redis."""
    with redis_servers.short_directory() as directory:
        configuration = embedded.configure(directory, "fsync" if durability == "fsync" else "memory")
        command = embedded.command(embedded.find_server(), configuration)
        url = f"unix://{embedded.socket_path(directory)}"
        with (
            redis_servers.serving(command, url) as server,
            _program("evalsha", "--redis", url) as (port, pid),
        ):
            yield Party("127.0.0.1", port, lambda: {pid: "api", server: "redis"})


@contextmanager
def row_lock(server: postgres.PostgresServer, durability: str) -> Iterator[Party]:
    """FastAPI and a row lock, on a PostgreSQL server that runs."""
    commit = "on" if durability == "fsync" else "off"
    arguments = ("--database", server.url("postgres"), "--commit", commit)
    with _program("row_lock", *arguments) as (port, pid):

        def processes() -> dict[int, str]:
            backends = dict.fromkeys(machine.processes_below(server.pid), "postgres")
            return {pid: "api", server.pid: "postgres"} | backends

        yield Party("127.0.0.1", port, processes)


@contextmanager
def engine(
    durability: str, secret: str, *documents: Mapping[str, object], **settings: str
) -> Iterator[Party]:
    """The engine with an embedded Redis and SQLite; it has settled when the ledger has every event."""
    settings |= {"SEATRUSH_DURABILITY": durability, "SEATRUSH_TOKEN_SECRET": secret}
    with deployed(*documents, **settings) as deployment:
        ops = Person("bench", roles=frozenset({"ops"}))
        token = tokens.sign(deployment.secret, ops, time.time() + TOKEN_TTL_S)
        status = urllib.request.Request(
            f"{deployment.url}/v1/ops/status", headers={"Authorization": f"Bearer {token}"}
        )
        yield Party(
            deployment.host, deployment.port, deployment.processes, lambda: _wait_until_recorded(status)
        )


def _wait_until_recorded(status: urllib.request.Request) -> None:
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while True:
        with urllib.request.urlopen(status) as answer:
            seen: dict[str, Any] = json.load(answer)
        left = sum(campaign["pending_entries"] for campaign in seen["campaigns"])
        if not left:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{left} events are not in the ledger after {SETTLE_TIMEOUT_S} s")
        time.sleep(SETTLE_POLL_S)


@contextmanager
def _program(baseline: str, *arguments: str) -> Iterator[tuple[int, int]]:
    """A baseline's program: its port and its process. It ends with its standard input."""
    program = subprocess.Popen(
        [sys.executable, "-m", f"loadtests.bench.baselines.{baseline}", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    with program.stdout:
        try:
            said = program.stdout.readline().strip()
            if not said.startswith("ready on "):
                raise RuntimeError(f"the baseline {baseline} did not start")
            yield urlsplit(said.removeprefix("ready on ")).port or 0, program.pid
        finally:
            program.stdin.close()
            program.wait(STOP_TIMEOUT_S)
