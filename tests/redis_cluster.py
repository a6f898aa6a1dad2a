"""A real Redis Cluster for tests and rehearsals: three masters and three replicas on loopback, of one line.

Everything here blocks; an event loop calls it in a thread, but for what starts a node: that ends with its thread.
"""

import random
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from engine.live import embedded, keys
from tests import redis_servers

MASTERS: Final = 3
NODES: Final = 6
TIMEOUT_S: Final = 30
MIGRATE_TIMEOUT_MS: Final = 30_000
PORTS: Final = (20_000, 32_000)
CALM_MS: Final = 15_000
"""How long a node is silent until it counts as failed: no busy machine is."""
NERVOUS_MS: Final = 2_000

CONFIGURATION: Final = """\
bind 127.0.0.1
{listen}
cluster-port {bus_port}
dir "{directory}"
daemonize no
save ""
appendonly yes
appendfsync always
appenddirname redis
maxmemory-policy noeviction
loglevel warning
cluster-enabled yes
cluster-config-file nodes.conf
cluster-require-full-coverage no
cluster-allow-replica-migration no
cluster-replica-validity-factor 0
cluster-node-timeout {timeout_ms}
repl-diskless-sync-delay 0
"""

TLS: Final = """\
port 0
tls-port {port}
tls-cert-file {certificate}
tls-key-file {certificate}
tls-ca-cert-file {certificate}
tls-auth-clients no
tls-cluster yes
tls-replication yes
"""


class Node:
    """One server of the cluster."""

    def __init__(
        self, program: Path, directory: Path, port: int, bus_port: int, certificate: Path | None
    ) -> None:
        self.port = port
        self.bus_port = bus_port
        self._program = program
        self._directory = directory / str(port)
        self._directory.mkdir()
        self._configuration = self._directory / "redis.conf"
        self._configuration.write_text(
            CONFIGURATION.format(
                listen=TLS.format(port=port, certificate=certificate) if certificate else f"port {port}",
                bus_port=bus_port,
                directory=self._directory,
                timeout_ms=CALM_MS,
            )
        )
        self._process: subprocess.Popen[bytes] | None = None
        # Any, since redis-py types a reply as the union of what all its modes of decoding may give.
        self.client: Any = redis.Redis(
            host="127.0.0.1",
            port=port,
            decode_responses=True,
            socket_timeout=TIMEOUT_S,
            ssl=certificate is not None,
            ssl_ca_certs=str(certificate) if certificate else None,
        )
        self.id = ""

    def start(self) -> None:
        """Start it, with the data that it has, unless it runs."""
        if self._process is None:
            assert threading.current_thread() is threading.main_thread(), (
                "the node would end with this thread"
            )
            with (self._directory / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    embedded.command(self._program, self._configuration),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            until(self._answers, f"the node on port {self.port} answers")
            self.id = self.client.execute_command("CLUSTER", "MYID")

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it and its connections."""
        self.client.close()
        self.kill()

    def info(self, section: str) -> dict[str, Any]:
        """INFO, a section."""
        return dict(self.client.info(section))

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            assert self._process is None or self._process.poll() is None, "the node has ended"
            return False


class RedisCluster:
    """The cluster, whose slots can be moved and whose masters can fail."""

    def __init__(self, nodes: list[Node], scheme: str) -> None:
        self.nodes = nodes
        self._voted_s: dict[int, float] = {}
        self.url = f"{scheme}://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes[:2])

    def form(self) -> None:
        """Make one cluster of nodes that know nothing yet."""
        # News travel faster between nodes that are quick to suspect each other.
        self.be_patient(NERVOUS_MS)
        share = REDIS_CLUSTER_HASH_SLOTS // MASTERS
        for number, node in enumerate(self.nodes):
            node.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < MASTERS:
                last = REDIS_CLUSTER_HASH_SLOTS - 1 if number == MASTERS - 1 else (number + 1) * share - 1
                node.client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * share, last)
            self.nodes[0].client.execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)
        until(lambda: all(self._knows_all(node) for node in self.nodes), "all nodes know each other")
        for master, replica in zip(self.nodes, self.nodes[MASTERS:], strict=False):
            replica.client.execute_command("CLUSTER", "REPLICATE", master.id)
        self.heal()
        self.be_patient(CALM_MS)

    def _knows_all(self, node: Node) -> bool:
        known = node.client.execute_command("CLUSTER", "NODES")
        return all(other.id in known for other in self.nodes) and "handshake" not in known

    def heal(self) -> None:
        """Start what was killed, and wait until all nodes agree on who has what and every replica has followed."""
        for node in self.nodes:
            node.start()
        until(lambda: self._is_linked() and self._caught_up(), "the cluster is whole")

    def link(self) -> None:
        """Wait until all nodes agree on who has what, and every replica follows; while writes go on, none has all."""
        until(self._is_linked, "every replica follows its master")

    def _is_linked(self) -> bool:
        maps = [sorted(_ranges(node)) for node in self.nodes]
        slots = sum(1 + last - first for first, last, ports in maps[0] if len(ports) == NODES // MASTERS)
        if slots != REDIS_CLUSTER_HASH_SLOTS or any(each != maps[0] for each in maps):
            return False
        replications = [node.info("replication") for node in self.nodes]
        linked = [each for each in replications if each.get("master_link_status") == "up"]
        healthy = all(
            "cluster_state:ok" in node.client.execute_command("CLUSTER", "INFO") for node in self.nodes
        )
        return healthy and len(linked) == NODES - MASTERS

    def _caught_up(self) -> bool:
        """Whether every replica has all that its master has."""
        return all(
            self.master_of(node).info("replication")["master_repl_offset"] == told["slave_repl_offset"]
            for node in self.nodes
            if (told := node.info("replication"))["role"] == "slave"
        )

    def empty(self) -> None:
        """Forget every key and script, and be calm."""
        self.heal()
        self.be_patient(CALM_MS)
        for node in self.nodes:
            node.client.script_flush()
            if node.info("replication")["role"] == "master":
                node.client.flushall()
        self.heal()

    def be_patient(self, timeout_ms: int) -> None:
        """Set how long a node may be silent until it counts as failed."""
        for node in self.nodes:
            node.client.config_set("cluster-node-timeout", timeout_ms)

    def master_of(self, replica: Node) -> Node:
        """The master of a replica."""
        port = replica.info("replication")["master_port"]
        return next(node for node in self.nodes if node.port == port)

    def owner(self, slot: int) -> Node:
        """The node that has a slot, as most say."""
        told = [
            ports[0] for node in self.nodes for first, last, ports in _ranges(node) if first <= slot <= last
        ]
        port = max(told, key=told.count)
        return next(node for node in self.nodes if node.port == port)

    def replica_of(self, master: Node) -> Node:
        """A replica of a master."""
        for node in self.nodes:
            told = node.info("replication")
            if told["role"] == "slave" and told["master_port"] == master.port:
                return node
        raise AssertionError("it has none")

    def fail_over(self, replica: Node) -> None:
        """Make a replica the master, by its own request and with its master's consent."""
        self.be_patient(NERVOUS_MS)
        # For twice that time nobody votes again for a replica of the same master, and a request in vain stops the
        # master's clients for five seconds.
        master = self.master_of(replica).port
        time.sleep(max(0, self._voted_s.get(master, 0) + 2.5 * NERVOUS_MS / 1000 - time.monotonic()))
        replica.client.execute_command("CLUSTER", "FAILOVER")
        until(lambda: replica.info("replication")["role"] == "master", "the replica is the master")
        self._voted_s[master] = time.monotonic()
        self.be_patient(CALM_MS)

    def others(self, owner: Node) -> list[Node]:
        """The other masters."""
        return [
            node for node in self.nodes if node is not owner and node.info("replication")["role"] == "master"
        ]

    def move(self, slot: int, target: Node, between: Callable[[str], object] = lambda step: None) -> None:
        """Move a slot with all its keys; `between` is called with the name of each step that has been taken."""
        source = self.owner(slot)
        target.client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        between("migrating")
        held = source.client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 10_000)
        for part, step in ((held[: len(held) // 2], "half"), (held[len(held) // 2 :], "moved")):
            if part:
                source.client.execute_command(
                    "MIGRATE", "127.0.0.1", target.port, "", 0, MIGRATE_TIMEOUT_MS, "KEYS", *part
                )
            between(step)
        # The target first, as redis-cli does: should it stop here, the slot still has an owner.
        target.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target.id)
        between("taken")
        for node in self.nodes:
            if node is not target and node.info("replication")["role"] == "master":
                node.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target.id)
        between("done")


def slot_of(campaign: str) -> int:
    """The slot of a campaign's keys."""
    slot: int = key_slot(keys.of(campaign, "META").encode())
    return slot


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so; other processes make it so, and there is no event to wait for."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)


def _ranges(node: Node) -> list[tuple[int, int, list[int]]]:
    """What a node believes: the first slot, the last slot and the ports of who has them, the master's first."""
    try:
        reply = node.client.execute_command("CLUSTER SLOTS")
    except redis.ConnectionError:
        return []
    return [(first, last, [each[1] for each in nodes]) for first, last, *nodes in reply]


def free_ports(count: int) -> list[int]:
    """Ports that are free, and that no outgoing connection is given: a node that was killed needs its own again."""
    found: list[int] = []
    for port in random.sample(range(*PORTS), PORTS[1] - PORTS[0]):
        with socket.socket() as candidate:
            if candidate.connect_ex(("127.0.0.1", port)):
                found.append(port)
        if len(found) == count:
            break
    return found


@contextmanager
def running(line: str, certificate: Path | None = None) -> Iterator[RedisCluster]:
    """A cluster of a line, over TLS with a certificate and its key; it ends with the block, and with this process."""
    program = redis_servers.find(line)
    if certificate and b"tls-cert-file" not in program.read_bytes():
        redis_servers.absent(f"the server of the {line} line is built without TLS")
    with redis_servers.short_directory() as directory:
        ports = free_ports(2 * NODES)
        nodes = [
            Node(program, directory, *pair, certificate) for pair in zip(ports[::2], ports[1::2], strict=True)
        ]
        try:
            for node in nodes:
                node.start()
            cluster = RedisCluster(nodes, "rediss-cluster" if certificate else "redis-cluster")
            cluster.form()
            yield cluster
        finally:
            for node in nodes:
                node.close()
