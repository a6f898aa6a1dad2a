"""What only PostgreSQL can do to a ledger: be away, fall silent, and lose an answer on its way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from engine.domain.share import Summary
from engine.ledger import statements
from engine.ledger.connect import connect
from engine.ledger.postgres import PostgresLedger
from engine.ledger.protocol import Refused, Unavailable
from tests.ledger.logs import CAMPAIGN, Log, rush
from tests.ledger.test_conformance import assert_holds, record, recorded_seq, register
from tests.postgres import PostgresServer
from tests.redis_servers import short_directory

SOCKET = ".s.PGSQL.5432"


class Way:
    """What lies between a ledger and its server, and may lose things."""

    def __init__(self, server: Path) -> None:
        self.loses_commit_replies = False
        self.clear = asyncio.Event()
        self.clear.set()
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry what is said both ways until a side hangs up."""
        from_server, to_server = await asyncio.open_unix_connection(self._server)
        answers = asyncio.create_task(self._carry(from_server, writer))
        questions = asyncio.create_task(self._carry(reader, to_server))
        self._tasks |= {answers, questions}
        await asyncio.wait([answers, questions], return_when=asyncio.FIRST_COMPLETED)
        writer.close()
        to_server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while words := await reader.read(65536):
                await self.clear.wait()
                if self.loses_commit_replies and b"COMMIT\0" in words:
                    return
                writer.write(words)

    async def close(self) -> None:
        """Leave nobody waiting."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def way(postgres_server: PostgresServer) -> AsyncIterator[tuple[Way, str]]:
    """A way to the session's server, and the parameter of a URL that takes it."""
    with short_directory() as directory:
        way = Way(postgres_server.directory / SOCKET)
        async with await asyncio.start_unix_server(way.connected, directory / SOCKET):
            yield way, quote(str(directory), safe="")
            await way.close()


async def test_a_lost_reply_to_a_commit(postgres_url: str, way: tuple[Way, str]) -> None:
    """Whether it was committed is not known, and the cursor tells."""
    log = rush(30)
    ledger = connect(f"{postgres_url.partition('?')[0]}?host={way[1]}")
    await ledger.open()
    await register(ledger)
    way[0].loses_commit_replies = True
    with pytest.raises(Unavailable):
        await record(ledger, log)
    way[0].loses_commit_replies = False
    await assert_holds(ledger, log)
    await ledger.close()


async def test_a_server_that_falls_silent(postgres_url: str, way: tuple[Way, str]) -> None:
    log = rush(30)
    ledger = PostgresLedger(f"{postgres_url.partition('?')[0]}?host={way[1]}", command_timeout_s=0.2)
    await ledger.open()
    await register(ledger)
    way[0].clear.clear()
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable, match="in time"):
            await record(ledger, log)
        with pytest.raises(Unavailable, match="in time"):
            await ledger.campaigns()
    way[0].clear.set()
    await record(ledger, log, after=await recorded_seq(ledger))
    await assert_holds(ledger, log)
    await ledger.close()


async def test_a_server_that_crashes_in_the_middle(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    log = rush(3000)
    ledger = connect(postgres_url)
    await ledger.open()
    await register(ledger)
    recording = asyncio.create_task(record(ledger, log, size=5))
    while not await recorded_seq(ledger):
        pass
    postgres_server.kill()
    with pytest.raises(Unavailable):
        await recording
    for refused in (
        ledger.campaigns(),
        ledger.register("c", "u", "a", "http", 0),
        ledger.events(CAMPAIGN, 0, 1),
        ledger.keep_draw(CAMPAIGN, 1, b"{}", Summary(0, {}), []),
        ledger.draw(CAMPAIGN, 1),
    ):
        with pytest.raises(Unavailable):
            await refused
    late = connect(postgres_url)
    with pytest.raises(Unavailable):
        await late.open()
    await late.close()
    postgres_server.start()
    seq = await recorded_seq(ledger)
    assert 0 < seq < log.seq
    await record(ledger, log, after=seq)
    await assert_holds(ledger, log)
    await ledger.close()


async def test_a_server_that_never_was(tmp_path: Path) -> None:
    for url in (
        f"postgresql://u:s3cret@/d?host={quote(str(tmp_path), safe='')}",
        "postgresql://u:s3cret@127.0.0.1:1/d",
    ):
        ledger = connect(url)
        with pytest.raises(Unavailable) as away:
            await ledger.open()
        assert "s3cret" not in str(away.value)
        await ledger.close()


async def test_a_database_that_is_not_there(postgres_server: PostgresServer) -> None:
    ledger = connect(postgres_server.url("missing"))
    with pytest.raises(Unavailable, match="missing"):
        await ledger.open()
    await ledger.close()


async def test_text_that_postgresql_cannot_hold_is_refused(postgres_url: str) -> None:
    ledger = connect(postgres_url)
    await ledger.open()
    await register(ledger)
    log = Log()
    log.enrolled("m\0")
    with pytest.raises(Refused):
        await record(ledger, log)
    await ledger.close()


async def test_a_migration_may_take_longer_than_other_calls(
    blank_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = statements.Migration(1, "0001_slow", "SELECT pg_sleep(1.5)")
    monkeypatch.setattr(statements, "migrations", lambda dialect: [slow])
    ledgers = [PostgresLedger(blank_postgres_url, command_timeout_s=1.0) for _ in range(2)]
    for ledger in ledgers:
        await ledger.open()
    assert sorted(await asyncio.gather(*(ledger.migrate() for ledger in ledgers))) == [[], ["0001_slow"]]
    for ledger in ledgers:
        await ledger.close()


async def test_a_driver_that_calls_a_lost_connection_its_own_fault(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does, when the server ends the connection at a bad moment: it is no other case than any lost one."""

    async def reset(*arguments: object, **named: object) -> None:
        raise asyncpg.InternalClientError("got result for unknown protocol state 3")

    ledger = connect(postgres_url)
    await ledger.open()
    monkeypatch.setattr(asyncpg.Connection, "reset", reset)
    with pytest.raises(Unavailable):
        await ledger.campaigns()
    await ledger.close()
