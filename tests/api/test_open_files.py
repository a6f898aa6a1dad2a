"""Open files: a process takes no more connections than leave it some for everything else."""

import subprocess
import sys

import pytest

ASK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
from api import open_files
print(open_files.room_for(int(sys.argv[3])), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "asked", "room", "limit"),
    [
        (1_024, 4_096, 1_000, 1_000, 1_256),
        (1_024, 4_096, 100, 100, 1_024),
        (1_024, 4_096, 20_000, 3_840, 4_096),
        (1_024, 1_024, 20_000, 768, 1_024),
        (200, 200, 20_000, 1, 200),
    ],
)
def test_connections_leave_room(soft: int, hard: int, asked: int, room: int, limit: int) -> None:
    told = subprocess.run(
        [sys.executable, "-c", ASK, str(soft), str(hard), str(asked)], capture_output=True, text=True
    )
    assert told.stdout.split() == [str(room), str(limit)], told.stderr
    assert ("at most" in told.stderr) is (room < asked)
