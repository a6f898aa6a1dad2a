"""A Redis Cluster over TLS: every connection, also that to a node which is importing a slot."""

import asyncio
import datetime
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine import config
from engine.live import keys
from engine.live.cluster import Cluster
from tests import redis_cluster
from tests.redis_cluster import RedisCluster, slot_of


@pytest.fixture
def certificate(data_directory: Path) -> Path:
    """A file with a key and a certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = data_directory / "certificate.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + signed.public_bytes(pem))
    return path


@pytest.fixture
def cluster_over_tls(certificate: Path) -> Iterator[RedisCluster]:
    """A cluster of the machine's own servers: those of the wheel are built without TLS."""
    with redis_cluster.running("redis", certificate) as cluster:
        yield cluster


async def test_a_slot_moves_over_tls(
    cluster_over_tls: RedisCluster, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    key, loop = keys.of("autumn", "COUNTS"), asyncio.get_running_loop()
    cluster = Cluster(config.cluster_nodes(cluster_over_tls.url), fsync=True, timeout_s=5)
    answers: dict[str, bytes] = {}

    async def look(step: str) -> None:
        answers[step] = await cluster.ask(key, lambda client: client.hget(key, "seats"))

    def between(step: str) -> None:
        asyncio.run_coroutine_threadsafe(look(step), loop).result(redis_cluster.TIMEOUT_S)

    try:
        await cluster.ping()
        await cluster.ask(key, lambda client: client.hset(key, "seats", 17))
        slot = slot_of("autumn")
        target = cluster_over_tls.others(cluster_over_tls.owner(slot))[0]
        await asyncio.to_thread(cluster_over_tls.move, slot, target, between)
    finally:
        await cluster.close()
    assert answers == dict.fromkeys(("migrating", "half", "moved", "taken", "done"), b"17")
