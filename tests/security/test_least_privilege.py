"""What the engine may do in Redis and in PostgreSQL: all that it needs, and nothing beside. The files are shipped.

The tests of the engine itself run with these rights too, see tests/stand.py and tests/fixtures/postgres.py.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import asyncpg
import pytest
import redis
from redis.exceptions import AuthenticationError, ResponseError

from engine.ledger.connect import connect
from engine.ledger.protocol import Unavailable
from engine.live import embedded
from tests import redis_servers
from tests.fixtures.postgres import GRANTS, ROLE

ROOT: Final = Path(__file__).parents[2]
Ask = Callable[[str], Awaitable[object]]
SOURCES: Final = [*(ROOT / "engine" / "live").glob("*.py"), *(ROOT / "engine" / "lua").rglob("*.lua")]
GRANTED: Final = {rule[1:] for rule in redis_servers.rules() if rule.startswith("+")}

NEEDED_ELSEWHERE: Final = {"multi", "exec", "asking"}
"""What redis-py sends by itself around a transaction, and the cluster's connections ahead of a command."""


@pytest.fixture
def engine(redis_url: str) -> Iterator[redis.Redis]:
    """A client with the engine's rights, on each line of Redis."""
    with redis.Redis.from_url(redis_servers.as_engine(redis_url), protocol=2) as client:
        yield client


def used() -> set[str]:
    """Every command that a script calls, or that the engine sends, as far as the source tells."""
    text = "\n".join(path.read_text() for path in SOURCES)
    found = set(re.findall(r"(?:redis\.p?call|call_in_chunks)\('([A-Z]+)'", text))
    found |= set(re.findall(r"(?:client|connection|pipeline)\.(\w+?)(?:_iter)?\(", text))
    found |= set(re.findall(r'"([A-Z]+)"', text))
    found |= {f"{first}|{second}" for first, second in re.findall(r'"([A-Z]+)", "([A-Z]+)"', text)}
    return {name.lower() for name in found}


def test_nothing_is_granted_that_nothing_needs() -> None:
    assert GRANTED - used() - NEEDED_ELSEWHERE == set()


def test_all_that_scripts_call_is_granted() -> None:
    text = "\n".join(path.read_text() for path in SOURCES)
    called = {name.lower() for name in re.findall(r"(?:redis\.p?call|call_in_chunks)\('([A-Z]+)'", text)}
    assert called - GRANTED == set()


@pytest.mark.parametrize("line", redis_servers.LINES)
def test_the_file_is_read_at_start_and_lets_nobody_in_before_a_password_is_set(line: str) -> None:
    with redis_servers.short_directory() as directory:
        configuration = embedded.configure(directory, "fsync")
        with configuration.open("a") as file:
            file.write(f'aclfile "{redis_servers.ACL}"\n')
        url = f"unix://{embedded.socket_path(directory)}"
        with (
            redis_servers.serving(embedded.command(redis_servers.find(line), configuration), url),
            redis.Redis.from_url(url, protocol=2) as administrator,
            redis.Redis.from_url(redis_servers.as_engine(url), protocol=2) as engine,
        ):
            with pytest.raises(AuthenticationError):
                engine.ping()
            administrator.execute_command("ACL", "SETUSER", "seatrush", f">{redis_servers.PASSWORD}")
            assert engine.ping()
            assert engine.execute_command(
                "EVAL", "return redis.call('HSET', KEYS[1], 'a', 1)", 1, "seatrush:x"
            )


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("RANDOMKEY",),
        ("CONFIG", "SET", "appendfsync", "no"),
        ("CONFIG", "REWRITE"),
        ("CONFIG", "RESETSTAT"),
        ("SCRIPT", "FLUSH"),
        ("FUNCTION", "FLUSH"),
        ("SHUTDOWN", "NOSAVE"),
        ("BGREWRITEAOF",),
        ("SAVE",),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("MONITOR",),
        ("CLIENT", "KILL", "ID", "1"),
        ("CLIENT", "LIST"),
        ("ACL", "LIST"),
        ("ACL", "SETUSER", "seatrush", "+@all"),
        ("MODULE", "LIST"),
        ("SLOWLOG", "GET"),
        ("CLUSTER", "RESET"),
        ("PUBLISH", "seatrush:x", "x"),
        ("SUBSCRIBE", "seatrush:x"),
        ("RENAME", "seatrush:x", "seatrush:y"),
        ("RESTORE", "seatrush:x", "0", "x"),
        ("DUMP", "seatrush:x"),
        ("EXPIRE", "seatrush:x", "1"),
        ("XDEL", "seatrush:x", "1-1"),
        ("SELECT", "1"),
        ("GET", "other"),
        ("SET", "seatrus", "x"),
        ("HGETALL", "other:{autumn}:meta"),
        ("EVAL", "return redis.call('GET', KEYS[1])", "1", "other"),
        ("EVAL", "return redis.call('GET', 'other')", "0"),
        ("EVAL", "return redis.call('FLUSHALL')", "0"),
    ],
    ids=" ".join,
)
def test_what_the_engine_may_not_do_in_redis(engine: redis.Redis, command: tuple[str, ...]) -> None:
    with pytest.raises(ResponseError, match=r"(?i)permission|can't (run|access)"):
        engine.execute_command(*command)  # type: ignore[no-untyped-call]


@pytest.fixture
def ask(postgres_url: str) -> Ask:
    """Runs a statement as the engine's role."""

    async def execute(statement: str) -> str:
        connection = await asyncpg.connect(postgres_url)
        try:
            return str(await connection.execute(statement))
        finally:
            await connection.close()

    return execute


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET seq = 1",
        "UPDATE dead_letters SET reason = ''",
        "UPDATE chain SET digest = ''",
        "DELETE FROM events",
        "DELETE FROM dead_letters",
        "UPDATE definitions SET document = ''",
        "UPDATE draws SET file = ''",
        "UPDATE shares SET won = true",
        "UPDATE audit_trail SET action = 'nothing'",
        "DELETE FROM audit_trail",
        "DELETE FROM campaigns",
        "DELETE FROM cursors",
        "DELETE FROM enrollments",
        "UPDATE seats SET seq = 1",
        "DELETE FROM headcounts",
        "INSERT INTO schema_migrations (number, name) VALUES (99, 'x')",
        "TRUNCATE enrollments",
        "CREATE TABLE mine (a int)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE seats DISABLE TRIGGER seats_within_capacity",
        "DROP TRIGGER seats_within_capacity ON seats",
        "ALTER TABLE enrollments ADD COLUMN mine int",
        "DROP TABLE events",
        "CREATE INDEX ON events (epoch)",
        "CREATE ROLE other",
        "CREATE DATABASE other",
        "CREATE SCHEMA other",
        "ALTER ROLE seatrush_app SUPERUSER",
        "SET ROLE seatrush",
        "SET session_replication_role = replica",
        "SELECT rolpassword FROM pg_authid",
        "COPY events TO PROGRAM 'true'",
        "COPY events FROM '/etc/passwd'",
        "SELECT pg_read_file('/etc/passwd')",
        "ALTER SYSTEM SET fsync = off",
        "SELECT pg_reload_conf()",
    ],
)
async def test_what_the_engine_may_not_do_in_postgresql(ask: Ask, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(statement)


async def test_the_role_has_rights_on_every_table_and_on_none_all(migrated_postgres: str) -> None:
    connection = await asyncpg.connect(migrated_postgres)
    tables = {
        row[0]
        for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    }
    granted = await connection.fetch(
        "SELECT table_name, array_agg(privilege_type::text) FROM information_schema.role_table_grants"
        " WHERE grantee = $1 GROUP BY table_name",
        ROLE,
    )
    await connection.close()
    assert {row[0] for row in granted} == tables
    assert all(set(row[1]) <= {"SELECT", "INSERT", "UPDATE", "DELETE"} for row in granted)


async def test_the_grants_may_be_given_again(migrated_postgres: str) -> None:
    connection = await asyncpg.connect(migrated_postgres)
    await connection.execute(GRANTS.read_text())
    await connection.close()


async def test_the_role_does_not_migrate_and_need_not(postgres_url: str, blank_postgres_url: str) -> None:
    for url, refused in (
        (postgres_url, False),
        (blank_postgres_url.replace("://seatrush@", f"://{ROLE}@"), True),
    ):
        ledger = connect(url)
        await ledger.open()
        if refused:
            with pytest.raises(Unavailable, match="permission denied"):
                await ledger.migrate()
        else:
            assert await ledger.migrate() == []
        await ledger.close()
