"""From a URL to a ledger."""

from pathlib import Path

import pytest

from engine.ledger.connect import connect, sqlite_file
from engine.ledger.postgres import PostgresLedger
from engine.ledger.protocol import Unavailable
from engine.ledger.sqlite import SqliteLedger


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://seatrush@db/seatrush",
        "postgres://seatrush:s3%40cret@db:5432/seatrush?sslmode=require",
        "postgresql://seatrush@/seatrush?host=%2Frun%2Fpostgresql",
    ],
)
def test_postgresql(url: str) -> None:
    assert isinstance(connect(url), PostgresLedger)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ledger.db",
        "s3cret",
        "mysql://user:s3cret@host/database",
        "sqlite://ledger.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///folder/",
        "sqlite:///ledger.db?key=s3cret",
        "sqlite:///led%00ger.db",
        "postgresql://",
        "postgresql://user:s3cret@host",
        "postgresql://user:s3cret@host/",
        "postgresql://user:s3/cret@host/database",
        "postgresql://user:1@host:s3cret/database",
        "postgresql://user:s3cret@[host/database",
        "postgresql://user:s3cret@host:123456/database",
    ],
)
def test_a_wrong_url_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as refusal:
        connect(url)
    assert "s3" not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


async def test_paths_of_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url, name in [
        ("sqlite:///relative.db", "relative.db"),
        (f"sqlite:///{tmp_path}/absolute.db", "absolute.db"),
        ("sqlite:///%E5%8F%B0%E8%B4%A6%3F.db", "台账?.db"),
    ]:
        ledger = connect(url)
        assert isinstance(ledger, SqliteLedger)
        assert not (tmp_path / name).exists()
        await ledger.open()
        await ledger.close()
        assert (tmp_path / name).exists()


def test_the_file_of_a_ledger() -> None:
    assert sqlite_file("sqlite:///here/led%20ger.db") == Path("here/led ger.db")
    assert sqlite_file("sqlite:////srv/ledger.db") == Path("/srv/ledger.db")
    assert sqlite_file("postgresql://user@host/database") is None


async def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    ledger = connect(f"sqlite:///{tmp_path}/missing/ledger.db")
    with pytest.raises(Unavailable, match=r"missing/ledger\.db"):
        await ledger.open()
    await ledger.close()
