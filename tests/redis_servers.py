"""Redis servers for tests, of both lines, with the configuration that the embedded one has."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit

import pytest
import redis

from engine.live import embedded

LINES: Final = ("valkey", "redis")
"""Valkey from the wheel, and the machine's own redis-server."""

START_TIMEOUT_S: Final = 10

ACL: Final = Path(__file__).parents[1] / "docs" / "deploy" / "redis.acl"
"""The user that a deployment's engine connects as, and what it may do."""
PASSWORD: Final = "the-engine's-own"


def find(line: str) -> Path:
    """The server of a line; a test that needs one which is not there is skipped, and fails under CI."""
    found = embedded.find_in_wheel() if line == "valkey" else embedded.find_on_path()
    return found or absent(f"the machine has no server of the {line} line")


def absent(what: str) -> NoReturn:
    """Skip the test that needs what is absent, visibly; under CI nothing may be."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@contextmanager
def short_directory() -> Iterator[Path]:
    """A private directory with a path short enough for sockets in it, removed with all it holds."""
    directory = Path(tempfile.mkdtemp(prefix="seatrush-")).resolve()
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def running(line: str) -> Iterator[str]:
    """A server of a line, by URL; it ends with the block, and with this process."""
    with short_directory() as directory:
        url = f"unix://{embedded.socket_path(directory)}"
        with serving(embedded.command(find(line), embedded.configure(directory, "fsync")), url):
            with redis.Redis.from_url(url) as administrator:
                administrator.execute_command("ACL", "SETUSER", *rules(), f">{PASSWORD}")
            yield url


def rules() -> list[str]:
    """The user that is shipped, as ACL SETUSER takes it: its name, then its rules."""
    return ACL.read_text().split()[1:]


def as_engine(url: str) -> str:
    """The URL of a server that `running` started, with the engine's own user; others stay as they are."""
    if urlsplit(url).scheme != "unix" or "@" in url:
        return url
    return url.replace("://", f"://{rules()[0]}:{PASSWORD}@")


def as_administrator(url: str) -> str:
    """The URL without the engine's own user."""
    return url.replace(f"{rules()[0]}:{PASSWORD}@", "")


@contextmanager
def serving(command: Sequence[str], url: str, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """A command that serves Redis under a URL, for as long as the block; its process id."""
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment)
    try:
        _wait_until_serving(server, url)
        yield server.pid
    finally:
        server.kill()
        server.wait()


def _wait_until_serving(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except redis.RedisError:
                if server.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return
