"""What only SQLite can do to a ledger: be locked by another process, and not be a database at all."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.ledger import sqlite
from engine.ledger.connect import connect
from engine.ledger.protocol import Unavailable
from tests.ledger.logs import CAMPAIGN, rush
from tests.ledger.test_conformance import assert_holds, record, recorded_seq, register


async def test_reads_go_on_while_a_write_waits_for_another_process(tmp_path: Path) -> None:
    log = rush(50)
    ledger = connect(f"sqlite:///{tmp_path}/ledger.db")
    await ledger.open()
    await ledger.migrate()
    await register(ledger)
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as process:
        process.execute("BEGIN IMMEDIATE")
        recording = asyncio.create_task(record(ledger, log))
        for _ in range(20):
            assert await recorded_seq(ledger) == 0
        assert not recording.done()
        process.execute("COMMIT")
    await recording
    await assert_holds(ledger, log)
    await ledger.close()


async def test_a_lock_that_is_never_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.05)
    log = rush(50)
    ledger = connect(f"sqlite:///{tmp_path}/ledger.db")
    await ledger.open()
    await ledger.migrate()
    await register(ledger)
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as process:
        process.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked"):
            await record(ledger, log)
    await record(ledger, log)
    await assert_holds(ledger, log)
    await ledger.close()


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("not a database, whatever its name says\n" * 100)
    ledger = connect(f"sqlite:///{tmp_path}/ledger.db")
    with pytest.raises(Unavailable, match=r"ledger\.db: file is not a database"):
        await ledger.open()
    await ledger.close()


async def test_what_is_cancelled_while_it_waits_leaves_the_ledger_in_order(tmp_path: Path) -> None:
    log = rush(300)
    ledger = connect(f"sqlite:///{tmp_path}/ledger.db")
    await ledger.open()
    await ledger.migrate()
    await register(ledger)
    recording = asyncio.create_task(record(ledger, log, size=10))
    while not await recorded_seq(ledger, CAMPAIGN):
        pass
    recording.cancel()
    with pytest.raises(asyncio.CancelledError):
        await recording
    await register(ledger, "another")  # behind what the writer still had to do
    await record(ledger, log, after=await recorded_seq(ledger))
    await assert_holds(ledger, log)
    await ledger.close()
