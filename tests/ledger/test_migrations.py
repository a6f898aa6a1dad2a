"""Bringing the schema of a ledger up to date."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing

import asyncpg
import pytest

from engine.domain.share import Summary
from engine.ledger import statements
from engine.ledger.batch import reduce
from engine.ledger.connect import connect
from engine.ledger.protocol import Fenced, Ledger
from tests.fixtures.postgres import as_owner
from tests.ledger.logs import CAMPAIGN, Log, rush
from tests.ledger.test_conformance import assert_holds, pages_of_roster, record


def names(url: str) -> list[str]:
    dialect: statements.Dialect = "sqlite" if url.startswith("sqlite") else "postgres"
    return [migration.name for migration in statements.migrations(dialect)]


async def execute(url: str, statement: str) -> None:
    """Run a statement past the ledger, as the owner of its schema."""
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute(statement)
    else:
        server = await asyncpg.connect(as_owner(url))
        try:
            await server.execute(statement)
        finally:
            await server.close()


def test_both_dialects_have_the_same_steps_and_queries() -> None:
    assert names("sqlite") == names("postgres")
    assert [name[:5] for name in names("sqlite")] == [
        f"{number:04}_" for number in range(1, 1 + len(names("sqlite")))
    ]
    for dialect in ("sqlite", "postgres"):
        for name, text in statements.queries(dialect).items():
            assert text.startswith("-- "), f"{name} of {dialect} does not say what it does"


async def test_migrating_twice(blank_url: str) -> None:
    ledger = connect(blank_url)
    await ledger.open()
    assert await ledger.pending_migrations() == names(blank_url)
    assert await ledger.migrate() == names(blank_url)
    assert await ledger.pending_migrations() == []
    assert await ledger.migrate() == []
    assert await ledger.campaigns() == []
    await ledger.close()


async def test_four_migrate_at_once(blank_url: str) -> None:
    ledgers = [connect(blank_url) for _ in range(4)]
    async with AsyncExitStack() as stack:
        for ledger in ledgers:
            stack.push_async_callback(ledger.close)
        await asyncio.gather(*(ledger.open() for ledger in ledgers))
        applied = await asyncio.gather(*(ledger.migrate() for ledger in ledgers))
        assert sorted(applied) == [[], [], [], names(blank_url)]
        assert await ledgers[3].campaigns() == []


async def test_a_schema_newer_than_the_code_is_refused(blank_url: str) -> None:
    ledger = connect(blank_url)
    await ledger.open()
    await ledger.migrate()
    await ledger.close()
    await execute(
        blank_url,
        "INSERT INTO schema_migrations (number, name, applied_at)"
        " SELECT 9999, 'x', applied_at FROM schema_migrations WHERE number = 1",
    )
    ledger = connect(blank_url)
    with pytest.raises(RuntimeError, match="at 9999"):
        await ledger.open()
    with pytest.raises(RuntimeError, match="at 9999"):
        await ledger.migrate()
    await ledger.close()


async def test_a_migration_that_fails_leaves_nothing(blank_url: str) -> None:
    await execute(blank_url, "CREATE TABLE audit_trail (stray integer)")
    ledger = connect(blank_url)
    await ledger.open()
    with pytest.raises(Exception, match="audit_trail"):
        await ledger.migrate()
    assert await ledger.pending_migrations() == names(blank_url)
    await execute(blank_url, "DROP TABLE audit_trail")
    assert await ledger.migrate() == names(blank_url)
    await ledger.close()


async def migrated(url: str) -> Ledger:
    ledger = connect(url)
    await ledger.open()
    await ledger.migrate()
    return ledger


async def fill(url: str, log: Log) -> None:
    """Put what the first version recorded of a log into a ledger of the first schema."""
    changes = reduce(log.campaign, log.epoch, 0, log.entries)
    await insert(url, "campaigns (campaign, unit, epoch)", [(log.campaign, "xicheng", log.epoch)])
    await insert(url, "cursors", [(log.campaign, "recorder", log.seq)])
    await insert(url, "events", changes.events)
    await insert(url, "definitions", changes.definitions)
    await insert(url, "pools", changes.pools or [])
    await insert(url, "enrollments", [row[:12] for row in changes.put])
    await insert(url, "seats", [row[:5] for row in changes.taken()])


async def insert(url: str, table: str, rows: Sequence[tuple[str | int | bytes, ...]]) -> None:
    def literal(value: str | int | bytes) -> str:
        if isinstance(value, bytes):
            return f"x'{value.hex()}'" if url.startswith("sqlite") else f"'\\x{value.hex()}'"
        return f"'{value}'" if isinstance(value, str) else str(value)

    values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
    await execute(url, f"INSERT INTO {table} VALUES {values}")


async def test_a_ledger_of_the_first_schema_goes_on(blank_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    log = rush(700)
    steps = statements.migrations
    with monkeypatch.context() as first_version:
        first_version.setattr(statements, "migrations", lambda dialect: steps(dialect)[:1])
        await (await migrated(blank_url)).close()
        await fill(blank_url, log)
    ledger = connect(blank_url)
    await ledger.open()
    assert await ledger.pending_migrations() == names(blank_url)[1:]
    assert await ledger.migrate() == names(blank_url)[1:]
    await assert_holds(ledger, log)
    before = [row.enrollment for row in await pages_of_roster(ledger, "soap", 7) if row.position]
    assert before == [
        name for name, each in log.records.items() if each.offering == "soap" and each.status == "waitlisted"
    ]
    assert len(before) > 3
    filled = log.seq
    for member in ("m-1001", "m-1002", "m-1003"):
        log.entered(member)
    log.draw_began()
    for seq in (filled + 2, filled + 3, filled + 1):
        log.drawn(f"e-{seq}", "waitlisted")
    log.draw_ended()
    log.cancelled(before.pop(0))
    with pytest.raises(Fenced):
        await record(ledger, log, after=filled)
    await ledger.link(CAMPAIGN, filled)
    await record(ledger, log, after=filled)
    await assert_holds(ledger, log)
    rows = [row for row in await pages_of_roster(ledger, "soap", 7) if row.position]
    assert [row.enrollment for row in rows] == before + [
        f"e-{seq}" for seq in (filled + 2, filled + 3, filled + 1)
    ]
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    assert await ledger.keep_draw(CAMPAIGN, 1, b"{}", Summary(0, {}), []) == b"{}"
    await ledger.close()
