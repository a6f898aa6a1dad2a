"""Bringing the schema of a ledger up to date."""

import asyncio
import sqlite3
from contextlib import AsyncExitStack, closing

import asyncpg
import pytest

from engine.ledger import statements
from engine.ledger.connect import connect


def names(url: str) -> list[str]:
    dialect: statements.Dialect = "sqlite" if url.startswith("sqlite") else "postgres"
    return [migration.name for migration in statements.migrations(dialect)]


async def execute(url: str, statement: str) -> None:
    """Run a statement past the ledger."""
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute(statement)
    else:
        server = await asyncpg.connect(url)
        await server.execute(statement)
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
