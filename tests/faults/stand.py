"""A stand: a deployment of real processes, with the Redis, the ledger and the ways between them that a fault needs."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, Literal

import pytest
import redis
from msgspec import Struct, structs

from engine import config
from engine.live import embedded
from engine.runtime import Runtime, open_runtime
from loadtests.deployment import ROOT, Deployment, embedded_ledger, free_port
from tests import postgres, redis_servers
from tests.faults.wire import Wire

SMALL: Final = "size=8m"


class Needs(Struct, frozen=True):
    """What a fault needs of the deployment that it is brought upon."""

    redis: Literal["embedded", "wired", "own"] = "embedded"
    """`wired`: a server of its own behind a wire; `own`: one of its own, of the same machine."""
    ledger: Literal["sqlite", "postgres"] = "sqlite"
    processes: int = 1
    wired_door: bool = False
    """Whether clients come over a wire."""
    small: Literal["", "redis", "ledger"] = ""
    """Whose files lie on a file system of 8 MB."""
    program: str = "engine"
    """The module that serves."""
    copied: bool = False
    """Whether it runs on a copy of the code, which may be changed."""
    fake_clock: bool = False
    """Whether its clocks, and those of its own Redis, can be set."""
    settings: dict[str, str] = {}


SEVERAL: Final = Needs(processes=2, settings={"SEATRUSH_MEMBER_RATE": "0"})
"""Several api processes, and members who may ask as often as they like."""


class Stand:
    """A deployment that runs, and what stands around it."""

    def __init__(self, needs: Needs, directory: Path) -> None:
        self.needs = needs
        self.directory = directory
        self.data = directory / "data"
        self.code = ROOT
        """Where the code lies that the deployment runs."""
        self.deployment: Deployment
        self.redis_url = f"unix://{embedded.socket_path(self.data)}"
        """Redis itself, whatever stands in front of it."""
        self.database_url = embedded_ledger(self.data)
        self.redis_wire: Wire | None = None
        self.door: Wire | None = None
        self.postgres: postgres.PostgresServer | None = None
        self.clocks: dict[str, Path] = {}
        """The files that set the clocks: of `redis`, and of `engine`."""
        self.url = ""
        """Where clients come in."""
        self._port = str(free_port())
        self._settings = dict(needs.settings)

    async def start(self) -> None:
        """Start the deployment, for the first time or after its end."""
        arguments = ["--port", self._port]
        if self.redis_wire is not None:
            arguments += ["--redis", self.redis_wire.url]
        elif self.needs.redis == "own":
            arguments += ["--redis", self.redis_url]
        if self.database_url != embedded_ledger(self.data):
            arguments += ["--database", self.database_url]
        settings = {"SEATRUSH_PROCESSES": str(self.needs.processes)} | self._settings

        def begin() -> None:
            self.deployment = Deployment(
                self.data, *arguments, root=self.code, program=self.needs.program, **settings
            )

        # Not in the loop: the way to Redis may lie in it. Whoever loses patience meanwhile leaves no process behind.
        beginning = asyncio.ensure_future(asyncio.to_thread(begin))
        try:
            await asyncio.shield(beginning)
        except asyncio.CancelledError:
            await beginning
            raise

    def set_up(self, **settings: str) -> None:
        """Give the processes of the next start more of an environment."""
        self._settings |= settings

    async def pids(self, kind: str) -> list[int]:
        """The processes of a kind: api, work or redis."""
        found = await asyncio.to_thread(self.deployment.processes)
        return sorted(pid for pid, each in found.items() if each == kind)

    def redis(self) -> redis.Redis:
        """A connection of one's own to the server that decides."""
        return redis.Redis.from_url(self.redis_url)

    @asynccontextmanager
    async def runtime(self) -> AsyncIterator[Runtime]:
        """The engine's parts on the same Redis and ledger, past every wire, for reading."""
        texts = {"data": str(self.data), "redis_url": self.redis_url, "database_url": self.database_url}
        settings = structs.replace(config.from_environment({}, texts), durability="memory")
        async with open_runtime(settings) as opened:
            yield opened

    def keep(self, directory: Path) -> None:
        """Copy what the processes said and kept to a directory."""
        directory.mkdir(parents=True, exist_ok=True)
        for path in (self.directory / "serve.log", self.data / "redis.log", self.directory / "redis.log"):
            if path.exists():
                shutil.copy(path, directory / path.name)
        for path in self.data.glob("ledger.db*"):
            shutil.copy(path, directory)
        for aof in (self.data / "redis", self.directory / "redis"):
            if aof.exists():
                shutil.copytree(aof, directory / "redis", dirs_exist_ok=True)


@asynccontextmanager
async def opened(needs: Needs, change: Callable[[Path], None] = lambda code: None) -> AsyncIterator[Stand]:
    """A stand that is ready; nothing is left of it after the block. `change` is made to a copy of the code."""
    async with AsyncExitStack() as stack:
        # A short path: Redis's socket lies in it.
        directory = stack.enter_context(redis_servers.short_directory())
        stand = Stand(needs, directory)
        stand.data.mkdir(mode=0o700)
        if needs.copied:
            stand.code = directory / "code"
            for package in ("engine", "api"):
                shutil.copytree(
                    ROOT / package, stand.code / package, ignore=shutil.ignore_patterns("__pycache__")
                )
            change(stand.code)
        if needs.small:
            stack.enter_context(_small_disk(stand))
        if needs.fake_clock:
            _fake_clocks(stand)
        if needs.redis != "embedded":
            stack.enter_context(_own_redis(stand))
        if needs.redis == "wired":
            wire = Wire(embedded.socket_path(directory), directory / "wire.sock")
            stand.redis_wire = await stack.enter_async_context(wire)
        if needs.ledger == "postgres":
            programs = postgres.find_programs() or redis_servers.absent("there is no PostgreSQL")
            stand.postgres = stack.enter_context(postgres.running(programs))
            stand.database_url = stand.postgres.url("postgres")
        await stand.start()
        stack.push_async_callback(_close, stand)
        stand.url = stand.deployment.url
        if needs.wired_door:
            door = Wire((stand.deployment.host, stand.deployment.port), ("127.0.0.1", 0))
            stand.door = await stack.enter_async_context(door)
            stand.url = stand.door.url
        yield stand


async def _close(stand: Stand) -> None:
    await asyncio.to_thread(stand.deployment.close)


@contextmanager
def _own_redis(stand: Stand) -> Iterator[None]:
    """A server of the stand's own, with the configuration of the embedded one."""
    environment = dict(os.environ)
    if "redis" in stand.clocks:
        environment |= _faked(stand.clocks["redis"])
    stand.redis_url = f"unix://{embedded.socket_path(stand.directory)}"
    configuration = embedded.configure(stand.directory, "fsync")
    server = redis_servers.find("valkey")
    command = embedded.command(server, configuration)
    with redis_servers.serving(command, stand.redis_url, environment):
        yield


@contextmanager
def _small_disk(stand: Stand) -> Iterator[None]:
    """A file system of 8 MB for the files of one part, while the other's lie elsewhere; it takes root to mount one."""
    ledger = stand.directory / "ledger"
    ledger.mkdir(mode=0o700)
    stand.database_url = f"sqlite:///{ledger}/ledger.db"
    where = stand.data if stand.needs.small == "redis" else ledger
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", SMALL, "tmpfs", str(where)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def _fake_clocks(stand: Stand) -> None:
    """Have the clocks follow files; that takes libfaketime."""
    for name in ("redis", "engine"):
        stand.clocks[name] = stand.directory / f"{name}.clock"
        stand.clocks[name].write_text("+0\n")
    stand.set_up(**_faked(stand.clocks["engine"]))


def _faked(clock: Path) -> dict[str, str]:
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        redis_servers.absent("there is no libfaketime (Debian's package faketime)")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        # Only what the wall says jumps: CLOCK_MONOTONIC does not, on any machine.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
