"""The disk watch: what is left on the fullest, looked at now and then, and told once when it changes."""

import logging
import os
from pathlib import Path

import pytest

from engine.config import Settings
from engine.disk import LOOK_EVERY_S, Disk
from engine.runtime import _written


class Turned:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.s = 100.0

    def now_ms(self) -> int:
        return int(self.s * 1000)

    def monotonic_s(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Turned:
    return Turned()


def leave(monkeypatch: pytest.MonkeyPatch, **blocks: int) -> None:
    """Let so many blocks of 10 bytes be left under the directory of each name."""

    def statvfs(path: Path) -> os.statvfs_result:
        if path.name not in blocks:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return os.statvfs_result((4096, 10, 1_000, 900, blocks[path.name], 0, 0, 0, 0, 255))

    monkeypatch.setattr(os, "statvfs", statvfs)


def test_the_fullest_counts(monkeypatch: pytest.MonkeyPatch, clock: Turned) -> None:
    leave(monkeypatch, redis=7, ledger=5)
    disk = Disk([Path("redis"), Path("ledger")], 60, clock)
    assert disk.free_bytes() == {Path("redis"): 70, Path("ledger"): 50}
    assert disk.is_short()


@pytest.mark.parametrize(("free_min", "short"), [(0, False), (50, False), (51, True)])
def test_short_is_less_than_the_least(
    monkeypatch: pytest.MonkeyPatch, clock: Turned, free_min: int, short: bool
) -> None:
    leave(monkeypatch, data=5)
    assert Disk([Path("data")], free_min, clock).is_short() == short


def test_without_a_directory_it_is_never_short(clock: Turned) -> None:
    disk = Disk([], 1, clock)
    assert (disk.free_bytes(), disk.is_short()) == ({}, False)


def test_what_cannot_be_asked_is_short(monkeypatch: pytest.MonkeyPatch, clock: Turned) -> None:
    leave(monkeypatch, data=5)
    assert Disk([Path("data"), Path("gone")], 1, clock).is_short()


def test_it_comes_and_goes_and_is_told_once(
    monkeypatch: pytest.MonkeyPatch, clock: Turned, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    disk = Disk([Path("data")], 50, clock)
    seen = []
    for blocks in (9, 4, 4, 9):
        leave(monkeypatch, data=blocks)
        clock.s += LOOK_EVERY_S
        seen.append(disk.is_short())
    assert seen == [False, True, True, False]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "data has 40 bytes left" in caplog.records[0].getMessage()


def test_it_is_not_looked_at_for_every_request(monkeypatch: pytest.MonkeyPatch, clock: Turned) -> None:
    disk = Disk([Path("data")], 50, clock)
    leave(monkeypatch, data=9)
    assert not disk.is_short()
    leave(monkeypatch, data=4)
    clock.s += LOOK_EVERY_S / 2
    assert not disk.is_short()
    clock.s += LOOK_EVERY_S / 2
    assert disk.is_short()


@pytest.mark.parametrize(
    ("redis_url", "database_url", "directories"),
    [
        (None, None, ["/d"]),
        (None, "postgresql://u@h/n", ["/d"]),
        ("redis://h:1/0", None, ["/d"]),
        ("redis://h:1/0", "sqlite:////srv/ledger/l.db", ["/srv/ledger"]),
        (None, "sqlite:////srv/ledger/l.db", ["/d", "/srv/ledger"]),
        ("redis://h:1/0", "postgresql://u@h/n", []),
    ],
)
def test_what_is_watched(redis_url: str | None, database_url: str | None, directories: list[str]) -> None:
    settings = Settings(data=Path("/d"), redis_url=redis_url, database_url=database_url)
    assert _written(settings) == [Path(each) for each in directories]
