"""The proof by strace: under `appendfsync always` no reply leaves before its write is on disk, and it can fail."""

from pathlib import Path

import pytest
import redis

from engine.live import embedded
from tests import redis_servers
from tests.faults.syscalls import Trace, tracing

WRITES = 200


@pytest.mark.parametrize("line", redis_servers.LINES)
def test_a_reply_follows_its_fdatasync(line: str, data_directory: Path) -> None:
    url = f"unix://{embedded.socket_path(data_directory)}"
    command = embedded.command(redis_servers.find(line), embedded.configure(data_directory, "fsync"))
    with redis_servers.serving(command, url) as pid, redis.Redis.from_url(url) as client:
        with tracing(pid, data_directory / "always") as tracer:
            for number in range(WRITES):
                client.set("key", number)
        trace = tracer.trace()
        assert trace.early == []
        assert trace.synced >= WRITES
        assert trace.replies >= WRITES
        client.config_set("appendfsync", "everysec")
        with tracing(pid, data_directory / "everysec") as tracer:
            for number in range(WRITES):
                client.set("key", number)
        assert len(tracer.trace().early) > WRITES / 2


WRITE = 'write(8</d/a.aof>, ""..., 10) = 10'
SYNC = "fdatasync(8</d/a.aof>) = 0"
REPLY = 'write(9<UNIX:[1]>, ""..., 5) = 5'


@pytest.mark.parametrize(
    ("lines", "early", "unsynced_bytes"),
    [
        ([WRITE, SYNC, REPLY], 0, 0),
        ([WRITE, REPLY], 1, 10),
        ([WRITE, "fdatasync(8</d/a.aof>) = -1 EIO (Input/output error)"], 0, 10),
        ([WRITE, "fdatasync(8</d/a.aof>"], 0, 10),  # killed meanwhile
        (['write(7</d/redis.log>, ""..., 10) = 10', REPLY], 0, 0),
    ],
)
def test_what_a_trace_says(lines: list[str], early: int, unsynced_bytes: int) -> None:
    trace = Trace().read(lines)
    assert (len(trace.early), trace.unsynced_bytes) == (early, unsynced_bytes)
