"""A rush on a Redis Cluster whose slots move: nothing lost, nothing twice, nothing seen but 503 with Retry-After."""

from pathlib import Path

import pytest

from loadtests.bench import cluster as bench
from loadtests.deployment import audit
from tests import redis_cluster, redis_servers


@pytest.mark.parametrize("line", redis_servers.LINES)
def test_slots_move_in_a_rush(line: str, data_directory: Path) -> None:
    with redis_cluster.running(line) as cluster:
        data = data_directory / "data"
        moved = bench.run(cluster, data, members=1_000, clients=4, seed=1, moves=3)
        audited = audit(data, "--redis", cluster.url)
    assert moved.report.violations == [], moved.report.in_words()
    assert len(moved.moves_s) == 3
    assert any('code="MOVED"' in line for line in moved.retries)
    assert any('code="NOSCRIPT"' in line for line in moved.retries)
    assert audited.returncode == 0, audited.stdout + audited.stderr
