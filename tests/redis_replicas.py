"""A real Redis that is replicated, for tests: a primary, its replicas and the sentinels of both, of one line.

Everything here blocks; an event loop calls it in a thread, but for what starts a server: that ends with its thread.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import redis

from engine.live import embedded
from tests import redis_servers
from tests.redis_cluster import free_ports, until

SERVICE: Final = "seatrush"
SENTINELS: Final = 3
QUORUM: Final = 2
DOWN_AFTER_MS: Final = 2_000
TIMEOUT_S: Final = 10

SERVER: Final = """\
bind 127.0.0.1
port {port}
dir "{directory}"
daemonize no
save ""
appendonly yes
appendfsync {appendfsync}
appenddirname redis
maxmemory-policy noeviction
loglevel warning
repl-diskless-sync-delay 0
repl-ping-replica-period 1
"""

SENTINEL: Final = """\
bind 127.0.0.1
port {port}
dir "{directory}"
daemonize no
loglevel warning
sentinel monitor {service} 127.0.0.1 {primary} {quorum}
sentinel down-after-milliseconds {service} {down_after_ms}
sentinel failover-timeout {service} 10000
"""


class Server:
    """One of them, a sentinel too."""

    def __init__(self, program: Path, directory: Path, port: int, configuration: str, *options: str) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}"
        path = directory / str(port) / "redis.conf"
        path.parent.mkdir()
        path.write_text(configuration.format(port=port, directory=path.parent))
        self._command = [*embedded.command(program, path), *options]
        self._log = path.with_name("log")
        self._process: subprocess.Popen[bytes] | None = None
        # Any, since redis-py types a reply as the union of what all its modes of decoding may give.
        self.client: Any = redis.Redis(
            host="127.0.0.1", port=port, decode_responses=True, socket_timeout=TIMEOUT_S
        )

    def start(self) -> None:
        """Start it, with the data that it has, unless it runs."""
        if self._process is not None:
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self._answers, f"the server on port {self.port} answers")

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it do nothing, with its connections open."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._send(signal.SIGCONT)

    def close(self) -> None:
        """End it and its connections."""
        self.client.close()
        self.kill()

    def info(self, section: str) -> dict[str, Any]:
        """INFO, a section."""
        return dict(self.client.info(section))

    def follow(self, port: int) -> None:
        """Make it a replica of the server on a port."""
        self.client.replicaof("127.0.0.1", port)

    def promote(self) -> None:
        """Make it a primary, with what it has."""
        self.client.replicaof("no", "one")

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            assert self._process is None or self._process.poll() is None, "the server has ended"
            return False


class Replicated:
    """A primary and its replicas, and the sentinels, if there are any."""

    def __init__(self, servers: Sequence[Server], sentinels: Sequence[Server]) -> None:
        self.servers = servers
        self.sentinels = sentinels
        self.url = f"redis-sentinel://{','.join(f'127.0.0.1:{each.port}' for each in sentinels)}/{SERVICE}"

    def form(self) -> None:
        """Make the first the primary of the others, and wait until all know each other."""
        first, *others = self.servers
        for each in others:
            each.follow(first.port)
        until(lambda: self.following(first) == len(others), "every replica follows")
        for sentinel in self.sentinels:
            sentinel.start()
        until(lambda: all(map(self._knows_all, self.sentinels)), "every sentinel knows all")

    def heal(self) -> None:
        """Start what was killed, make all of it one again, and forget every key and script."""
        for server in self.servers:
            server.start()
        primary = self.primary() if self.sentinels else self.servers[0]
        primary.promote()
        for each in self.servers:
            if each is not primary:
                each.follow(primary.port)
        primary.client.script_flush()
        primary.client.flushall()
        self.wait_for(primary)

    def wait_for(self, primary: Server) -> None:
        """Wait until every replica has all that a primary has."""
        others = len(self.servers) - 1
        until(lambda: self.following(primary) == others, "every replica follows")
        primary.client.set("marked", "")
        until(lambda: int(primary.client.wait(others, 1_000)) == others, "every replica has all")

    def following(self, primary: Server) -> int:
        """How many replicas follow a server, and have said so."""
        told = primary.info("replication")
        replicas = [told[f"slave{number}"] for number in range(told["connected_slaves"])]
        return sum(each["state"] == "online" and int(each["offset"]) > 0 for each in replicas)

    def primary(self) -> Server:
        """The server that all sentinels name; waits until they name the same one, and it is none's replica."""
        named = set[int]()

        def agree() -> bool:
            named.clear()
            named.update(int(_asked(each, "GET-MASTER-ADDR-BY-NAME")[1]) for each in self.sentinels)
            return len(named) == 1 and self._at(min(named)).info("replication")["role"] == "master"

        until(agree, "the sentinels name one primary")
        return self._at(named.pop())

    def _at(self, port: int) -> Server:
        return next(each for each in self.servers if each.port == port)

    def _knows_all(self, sentinel: Server) -> bool:
        flat = _asked(sentinel, "MASTER")
        told = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
        return (int(told["num-slaves"]), int(told["num-other-sentinels"])) == (
            len(self.servers) - 1,
            len(self.sentinels) - 1,
        )


def _asked(sentinel: Server, question: str) -> Any:
    return sentinel.client.execute_command(f"SENTINEL {question}", SERVICE)


@contextmanager
def running(
    line: str, *, replicas: int = 2, sentinels: int = SENTINELS, appendfsync: str = "always"
) -> Iterator[Replicated]:
    """The servers of a line; they end with the block, and with this process."""
    program = redis_servers.find(line)
    with redis_servers.short_directory() as directory:
        first, *others = free_ports(1 + replicas + sentinels)
        configuration = SERVER.replace("{appendfsync}", appendfsync)
        watching = SENTINEL.replace("{primary}", str(first)).replace("{service}", SERVICE)
        watching = watching.replace("{quorum}", str(QUORUM)).replace("{down_after_ms}", str(DOWN_AFTER_MS))
        found = Replicated(
            [Server(program, directory, port, configuration) for port in (first, *others[:replicas])],
            [Server(program, directory, port, watching, "--sentinel") for port in others[replicas:]],
        )
        try:
            for server in found.servers:
                server.start()
            found.form()
            yield found
        finally:
            for server in (*found.sentinels, *found.servers):
                server.close()
