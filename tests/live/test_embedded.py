"""The embedded Redis: its configuration in force, and no way to lose data, the lock, or a process."""

import asyncio
import ctypes.util
import logging
import os
import resource
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio
import uvloop
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from engine import lock
from engine.live import embedded, launcher
from engine.live.embedded import EmbeddedRedis
from tests import redis_servers


@pytest.fixture(params=redis_servers.LINES)
def server(request: pytest.FixtureRequest) -> Path:
    """The program of each line."""
    return redis_servers.find(request.param)


@pytest.fixture
async def running(data_directory: Path, server: Path) -> AsyncIterator[EmbeddedRedis]:
    """A started one, with fsync."""
    instance = EmbeddedRedis(data_directory, "fsync", server=server)
    await instance.start()
    yield instance
    await instance.stop()


def alive(pid: int | None) -> bool:
    """Whether a process lives; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


def mapped(pid: int | None) -> str:
    """The libraries of a process, among all that it has mapped."""
    return Path(f"/proc/{pid}/maps").read_text()


async def configuration(url: str) -> dict[str | None, str | None]:
    """All that CONFIG GET tells."""
    async with redis.asyncio.Redis.from_url(url, decode_responses=True) as client:
        return await client.config_get("*")


async def test_configuration_is_in_force(running: EmbeddedRedis, data_directory: Path) -> None:
    found = await configuration(running.url)
    expected = {
        "appendonly": "yes",
        "appendfsync": "always",
        "no-appendfsync-on-rewrite": "no",
        "maxmemory-policy": "noeviction",
        "save": "",
        "port": "0",
        "unixsocket": str(data_directory / "redis.sock"),
        "unixsocketperm": "700",
        "dir": str(data_directory),
        "crash-log-enabled": "no",
    }
    assert {key: found[key] for key in expected} == expected
    assert stat.S_IMODE((data_directory / "redis.sock").stat().st_mode) == 0o700


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the server keeps the allocator it was built with"
)
@pytest.mark.parametrize("chosen", [None, ""], ids=["ours", "the operator's"])
async def test_allocator_is_one_for_many_small_values(
    data_directory: Path, monkeypatch: pytest.MonkeyPatch, chosen: str | None
) -> None:
    library = ctypes.util.find_library(launcher.ALLOCATOR)
    if library is None:
        redis_servers.absent(f"the machine has no {launcher.ALLOCATOR}")
    if chosen is None:
        monkeypatch.delenv("LD_PRELOAD", raising=False)
    else:
        monkeypatch.setenv("LD_PRELOAD", chosen)
    instance = EmbeddedRedis(data_directory, "fsync", server=redis_servers.find("valkey"))
    await instance.start()
    assert (library in mapped(instance.pid)) is (chosen is None)
    await instance.stop()


async def test_memory_keeps_nothing(data_directory: Path, server: Path) -> None:
    instance = EmbeddedRedis(data_directory, "memory", server=server)
    await instance.start()
    found = await configuration(instance.url)
    await instance.stop()
    assert (found["appendonly"], found["save"]) == ("no", "")
    assert not (data_directory / "redis").exists()


async def test_data_survives_a_stop(running: EmbeddedRedis, data_directory: Path, server: Path) -> None:
    async with redis.asyncio.Redis.from_url(running.url) as client:
        await client.set("seat", "17")
    await running.stop()
    again = EmbeddedRedis(data_directory, "fsync", server=server)
    await again.start()
    async with redis.asyncio.Redis.from_url(again.url) as client:
        assert await client.get("seat") == b"17"
    await again.stop()


async def test_stop_leaves_nothing(running: EmbeddedRedis, data_directory: Path) -> None:
    pid = running.pid
    assert alive(pid)
    await running.stop()
    assert not alive(pid)
    assert running.pid is None
    assert not (data_directory / "redis.sock").exists()
    await running.stop()


async def test_stop_ends_one_that_does_not_listen(
    running: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "STOP_TIMEOUT_S", 0.1)
    pid = running.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    await running.stop()
    assert not alive(pid)


async def test_killed_child_comes_back_with_its_data(running: EmbeddedRedis) -> None:
    for number in range(2, 5):
        async with redis.asyncio.Redis.from_url(running.url) as client:
            await client.incr("seats")
        pid = running.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            await running.ready(starts=number)
        assert running.pid != pid
        async with redis.asyncio.Redis.from_url(running.url) as client:
            assert await client.get("seats") == b"%d" % (number - 1)


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
async def test_failed_aof_write_ends_it_and_loses_nothing_answered(running: EmbeddedRedis) -> None:
    """Redis ends itself when it cannot write its AOF, here for the size of the file."""
    assert running.pid is not None
    resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    answered = 0

    async def write_on() -> None:
        nonlocal answered
        async with redis.asyncio.Redis.from_url(running.url, retry=Retry(NoBackoff(), 0)) as client:
            while True:
                await client.set(str(answered), "x" * 1_000)
                answered += 1

    with pytest.raises(redis.exceptions.ConnectionError):
        await write_on()
    async with asyncio.timeout(10):
        await running.ready(starts=2)
    async with redis.asyncio.Redis.from_url(running.url) as client:
        assert await client.exists(*map(str, range(answered))) == answered > 50


async def test_it_is_tried_again_until_it_starts(
    running: EmbeddedRedis, data_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failed = asyncio.Event()

    def note_failures(record: logging.LogRecord) -> bool:
        if "does not start" in record.getMessage():
            failed.set()
        return True

    caplog.handler.addFilter(note_failures)
    (data_directory / "redis").rename(data_directory / "away")
    (data_directory / "redis").touch()
    assert running.pid is not None
    os.kill(running.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        await failed.wait()
    (data_directory / "redis").unlink()
    (data_directory / "away").rename(data_directory / "redis")
    async with asyncio.timeout(10):
        await running.ready(starts=2)


async def test_stop_while_it_is_being_started_again(running: EmbeddedRedis) -> None:
    pid = running.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await running.stop()
    assert running.pid is None


async def test_stale_socket_is_replaced(running: EmbeddedRedis, data_directory: Path, server: Path) -> None:
    await running.stop()
    (data_directory / "redis.sock").write_text("left behind")
    again = EmbeddedRedis(data_directory, "fsync", server=server)
    await again.start()
    await again.stop()


async def test_start_that_fails_says_why_and_leaves_nothing(data_directory: Path, server: Path) -> None:
    (data_directory / "redis").write_text("in the place of the AOF's directory")
    instance = EmbeddedRedis(data_directory, "fsync", server=server)
    with pytest.raises(embedded.StartFailed, match=r"does not start: .*redis"):
        await instance.start()
    assert instance.pid is None
    assert instance.starts == 0


def test_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(embedded.StartFailed, match="too long for a Unix socket"):
        embedded.socket_path(tmp_path / ("d" * 100))


async def test_quotes_and_spaces_in_the_path(data_directory: Path, server: Path) -> None:
    odd = data_directory / 'a "b" \\c 工'
    odd.mkdir(mode=0o700)
    instance = EmbeddedRedis(odd, "fsync", server=server)
    await instance.start()
    assert (odd / "redis").is_dir()
    await instance.stop()


def test_both_event_loops_can_hold_it(data_directory: Path, server: Path) -> None:
    async def once() -> None:
        instance = EmbeddedRedis(data_directory, "fsync", server=server)
        await instance.start()
        await instance.stop()

    factories: tuple[Callable[[], asyncio.AbstractEventLoop], ...] = (
        asyncio.new_event_loop,
        uvloop.new_event_loop,
    )
    for factory in factories:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(once())


async def test_start_outside_the_main_thread_is_a_fault(data_directory: Path) -> None:
    def start() -> None:
        asyncio.run(EmbeddedRedis(data_directory, "fsync").start())

    with pytest.raises(RuntimeError, match="main thread"):
        await asyncio.to_thread(start)


OWNER = """
import asyncio, sys
from pathlib import Path
from engine import lock
from engine.live.embedded import EmbeddedRedis

async def main():
    held = lock.acquire(Path(sys.argv[1]))
    redis = EmbeddedRedis(Path(sys.argv[1]), "fsync", server=Path(sys.argv[2]), inherited=[held.fileno()])
    await redis.start()
    print(redis.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def owner_to_be_killed(
    directory: Path, server: Path
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A process that holds the lock and a Redis, with the id of that Redis; killed with -9 at the end at the latest."""
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, directory, server, stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    try:
        yield owner, int(await owner.stdout.readline())
    finally:
        if owner.returncode is None:
            owner.kill()
        await owner.wait()


on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only there a killed parent takes its Redis along"
)


@on_linux
async def test_killed_parent_takes_redis_along_and_frees_the_lock(data_directory: Path, server: Path) -> None:
    async with owner_to_be_killed(data_directory, server) as (owner, pid):
        with pytest.raises(lock.Unavailable, match=f"in use by process {owner.pid}$"):
            lock.acquire(data_directory)
        assert alive(pid)
    # Redis holds the lock as long as it lives.
    lock.acquire(data_directory).close()
    assert not alive(pid)


@on_linux
async def test_killed_parent_in_the_middle_of_an_aof_rewrite(data_directory: Path, server: Path) -> None:
    """The rewriting child of Redis holds the lock too, and ends by itself."""
    socket = str(data_directory / "redis.sock")
    async with (
        owner_to_be_killed(data_directory, server),
        redis.asyncio.Redis(unix_socket_path=socket) as client,
    ):
        await client.mset({str(number): "x" for number in range(100_000)})
        await client.config_set("rdb-key-save-delay", 1_000)
        await client.bgrewriteaof()
        assert (await client.info("persistence"))["aof_rewrite_in_progress"] == 1
    lock.acquire(data_directory).close()
    again = EmbeddedRedis(data_directory, "fsync", server=server)
    await again.start()
    async with redis.asyncio.Redis.from_url(again.url) as client:
        assert await client.dbsize() == 100_000
    await again.stop()


async def test_orphaned_redis_keeps_the_lock(
    data_directory: Path, server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where no signal comes at the parent's death: its Redis still serves the directory."""
    monkeypatch.setattr(lock, "ORPHANS_GONE_S", 0.1)
    held = lock.acquire(data_directory)
    instance = EmbeddedRedis(data_directory, "fsync", server=server, inherited=[held.fileno()])
    await instance.start()
    held.close()
    (data_directory / "lock").write_text("999999999\n")
    with pytest.raises(lock.Unavailable, match="left behind"):
        lock.acquire(data_directory)
    await instance.stop()
    lock.acquire(data_directory).close()
