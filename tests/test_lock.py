"""The lock of a data directory; with an embedded Redis it is tested in live/test_embedded.py."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine import lock


def mode(path: Path) -> int:
    """The permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_directory_is_made_private(tmp_path: Path) -> None:
    with lock.acquire(tmp_path / "a" / "data"):
        assert mode(tmp_path / "a" / "data") == 0o700
        assert mode(tmp_path / "a" / "data" / "lock") == 0o600


def test_empty_directory_is_closed_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    lock.acquire(tmp_path).close()
    assert mode(tmp_path) == 0o700
    tmp_path.chmod(0o755)
    lock.acquire(tmp_path).close()
    assert mode(tmp_path) == 0o700


def test_directory_that_is_shared_for_something_else_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "theirs").touch()
    with pytest.raises(lock.Unavailable, match="holds something else"):
        lock.acquire(tmp_path)
    assert mode(tmp_path) == 0o755


def test_private_directory_may_hold_a_key_already(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "token.key").touch()
    lock.acquire(tmp_path).close()


def test_file_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(lock.Unavailable, match=r"^data directory .*/data: File exists$"):
        lock.acquire(tmp_path / "data")


def test_second_owner_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from engine import lock; lock.acquire(Path(sys.argv[1]))"
    held = lock.acquire(tmp_path)
    refused = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True)
    assert "in use by process" in refused.stderr
    held.close()
    held.close()
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True)


def test_lock_is_not_inherited_by_chance(tmp_path: Path) -> None:
    held = lock.acquire(tmp_path)
    pipe = subprocess.PIPE
    program = [sys.executable, "-c", "input(1)"]
    with subprocess.Popen(program, stdin=pipe, stdout=pipe, close_fds=False) as child:
        assert child.stdout is not None
        assert child.stdout.read(1) == b"1"
        held.close()
        lock.acquire(tmp_path).close()
        child.communicate(b"\n")
