"""Bringing a ledger's schema up to date.

Each dialect takes a lock, asks what is applied, applies what is pending and commits, all in one transaction: of two
processes that migrate at once, the second finds nothing left to do.
"""

import sqlite3
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from engine.ledger import statements

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

_APPLIED = "SELECT number FROM schema_migrations"
_LOCK = 0x5EA7_2054
"""The advisory lock of PostgreSQL under which migrations run; any number that nobody else uses."""

TIMEOUT_S: Final = 3_600.0
"""For a step of PostgreSQL, and for the lock while another process migrates: an index is made of millions of rows."""


def _left(dialect: statements.Dialect, applied: set[int]) -> list[statements.Migration]:
    known = statements.migrations(dialect)
    newest = max(applied, default=0)
    if newest > known[-1].number:
        raise RuntimeError(
            f"the ledger's schema is at {newest:04}, this version knows it up to {known[-1].number:04}: "
            "run the version that migrated it, or a newer one"
        )
    return [migration for migration in known if migration.number not in applied]


def pending_sqlite(connection: sqlite3.Connection) -> list[statements.Migration]:
    """What is not applied yet. Raises RuntimeError when the schema is newer than this code."""
    there = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'").fetchone()
    return _left("sqlite", {row[0] for row in connection.execute(_APPLIED)} if there else set())


def apply_sqlite(connection: sqlite3.Connection) -> list[str]:
    """Apply what is pending, inside a transaction that has the write lock; the names applied."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations"
        " (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL)"
    )
    pending = pending_sqlite(connection)
    for migration in pending:
        for statement in _split(migration.script):
            connection.execute(statement)
        row = (migration.number, migration.name, time.time_ns() // 1_000_000)
        connection.execute("INSERT INTO schema_migrations VALUES (?, ?, ?)", row)
    return [migration.name for migration in pending]


def _split(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would commit the transaction around them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


async def pending_postgres(connection: "PoolConnectionProxy") -> list[statements.Migration]:
    """What is not applied yet. Raises RuntimeError when the schema is newer than this code."""
    there = await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL")
    return _left("postgres", {row[0] for row in await connection.fetch(_APPLIED)} if there else set())


async def apply_postgres(connection: "PoolConnectionProxy") -> list[str]:
    """Apply what is pending, inside a transaction; the names applied."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK, timeout=TIMEOUT_S)
    # First of all, as it makes the server look at its catalogue again: `to_regclass` alone may answer from a cache
    # filled before the lock was granted.
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations"
        " (number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    pending = await pending_postgres(connection)
    for migration in pending:
        await connection.execute(migration.script, timeout=TIMEOUT_S)
        await connection.execute(
            "INSERT INTO schema_migrations (number, name) VALUES ($1, $2)", migration.number, migration.name
        )
    return [migration.name for migration in pending]
