"""The ledger in PostgreSQL 12 or newer, through a pool of asyncpg connections.

A batch arrives by COPY: events in their table, enrollments in a temporary one from which they are put in place.
Connections keep state of their own (that table, prepared statements): a pooler in between must pool sessions.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from engine.domain.chain import Link
from engine.domain.events import Event
from engine.domain.ladder import Advance, Line, Round
from engine.domain.share import Share, Summary
from engine.ledger import batch, migrations, reading, statements
from engine.ledger.batch import Changes, reduce
from engine.ledger.protocol import Batch, DeadLetter, Fenced, Refused, Registration, Unavailable

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

COMMAND_TIMEOUT_S: Final = 20.0
CONNECTIONS_MAX: Final = 8

SESSION: Final = {
    # A recorder that was cut off in the middle of a transaction must not hold the cursor's row for ever.
    "idle_in_transaction_session_timeout": "60s",
    # Every statement walks along indexes. The planner cannot know: a rush outgrows its statistics within seconds, the
    # staging table has none, and a plan made while the tables were small would be kept when they are large.
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_bitmapscan": "off",
    "plan_cache_mode": "force_custom_plan",
    "jit": "off",
    "client_min_messages": "warning",
}


class PostgresLedger(reading.Reading):
    """`protocol.Ledger` in a PostgreSQL database."""

    def __init__(self, url: str, command_timeout_s: float = COMMAND_TIMEOUT_S) -> None:
        self._sql = statements.queries("postgres")
        self._url = url
        self._command_timeout_s = command_timeout_s
        self._pool: asyncpg.Pool | None = None

    async def open(self) -> None:
        """Connect. Raises Unavailable, or RuntimeError when the schema is newer than this code."""
        with _translated():
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=CONNECTIONS_MAX,
                timeout=self._command_timeout_s,
                command_timeout=self._command_timeout_s,
                server_settings=SESSION,
            )
        await self.pending_migrations()

    async def close(self) -> None:
        """Close every connection, by force those that do not end in time; safe to call twice."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._command_timeout_s):
                    await pool.close()

    async def migrate(self) -> list[str]:
        """Bring the schema up to date and return the names of the migrations applied; two at once are safe.

        Where it is up to date already, that takes no right to change it.
        """
        if not await self.pending_migrations():
            return []
        async with self._transaction() as connection:
            return await migrations.apply_postgres(connection)

    async def pending_migrations(self) -> list[str]:
        """The names of the migrations that are not applied yet."""
        async with self._connection() as connection:
            return [migration.name for migration in await migrations.pending_postgres(connection)]

    async def register(self, campaign: str, unit: str, actor: str, channel: str, at: int) -> Registration:
        """Make the campaign known (epoch 1, not created), or return what is known."""
        async with self._transaction() as connection:
            if await connection.fetchval(self._sql["add_campaign"], campaign, unit):
                await connection.execute(self._sql["add_cursor"], campaign)
                line = (at, actor, channel, "registered", campaign, unit)
                await connection.execute(self._sql["add_trail"], *line)
            (row,) = await connection.fetch(self._sql["campaigns"], campaign)
            return reading.registration(tuple(row))

    async def mark_created(self, campaign: str) -> None:
        """Note that the campaign's state now exists in Redis. Raises LookupError for one not registered."""
        async with self._transaction() as connection:
            if not await connection.fetchval(self._sql["mark_created"], campaign):
                raise LookupError(f"{campaign} is not registered")

    async def begin_epoch(self, campaign: str, epoch: int, recorded_seq: int, actor: str, at: int) -> bool:
        """Take the next epoch, as `protocol.Ledger.begin_epoch` says."""
        async with self._transaction() as connection:
            await connection.execute(self._sql["lock_campaign"], campaign)
            if not await connection.fetchval(self._sql["begin_epoch"], campaign, epoch, recorded_seq):
                return False
            await connection.execute(self._sql["reopen_rounds"], campaign)
            line = batch.epoch_line(campaign, epoch + 1, recorded_seq, actor, at)
            await connection.execute(self._sql["add_trail"], *line)
            return True

    async def record(
        self, campaign: str, epoch: int, after_seq: int, batch: Sequence[Event | DeadLetter]
    ) -> None:
        """Apply consecutive events and move the cursor, as `protocol.Ledger.record` says."""
        await self.record_many([Batch(campaign, epoch, after_seq, batch)])

    async def record_many(self, batches: Sequence[Batch]) -> None:
        """Record one batch of each of several campaigns, as `protocol.Ledger.record_many` says."""
        reduced = [reduce(each.campaign, each.epoch, each.after_seq, each.entries) for each in batches]
        fences = [
            (each.campaign, each.epoch, each.after_seq, changes.last_seq)
            for each, changes in zip(batches, reduced, strict=True)
        ]
        async with self._transaction() as connection:
            moved = await connection.fetchval(
                self._sql["move_cursors"], *map(list, zip(*fences, strict=True))
            )
            if moved != len(fences):
                raise Fenced(f"the cursors of {[fence[:3] for fence in fences]} are not all there")
            await self._apply(connection, reduced)

    async def _apply(self, connection: "PoolConnectionProxy", reduced: Sequence[Changes]) -> None:
        await _copy(connection, "events", [row for changes in reduced for row in changes.events])
        await _copy(connection, "dead_letters", [row for changes in reduced for row in changes.dead_letters])
        await _copy(connection, "definitions", [row for changes in reduced for row in changes.definitions])
        for changes in reduced:
            if changes.pools is not None:
                await connection.execute(self._sql["remove_pools"], changes.campaign)
                await _copy(connection, "pools", changes.pools)
        put = [row for changes in reduced for row in changes.put]
        if put:
            await connection.execute(self._sql["stage"])
            await _copy(connection, "incoming", put)
            if any(changes.freed() for changes in reduced):
                await connection.execute(self._sql["free_seats"])
            await connection.execute(self._sql["put_enrollments"])
        trail = [line for changes in reduced for line in changes.trail]
        if trail:
            await connection.executemany(self._sql["add_trail"], trail)
        await self._link(connection, reduced)

    async def _link(self, connection: "PoolConnectionProxy", reduced: Sequence[Changes]) -> None:
        rows = await connection.fetch(self._sql["newest_links"], [changes.campaign for changes in reduced])
        newest = {campaign: Link(seq, digest) for campaign, seq, digest in rows}
        links = [(changes.campaign, changes.link(newest.get(changes.campaign))) for changes in reduced]
        await _copy(connection, "chain", [(campaign, link.seq, link.digest) for campaign, link in links])

    async def keep_draw(
        self, campaign: str, number: int, file: bytes, summary: Summary, shares: Sequence[Share]
    ) -> bytes:
        """Keep a draw, as `protocol.Ledger.keep_draw` says."""
        async with self._transaction() as connection:
            if await connection.fetchval(self._sql["keep_draw"], campaign, number, file, batch.pack(summary)):
                await _copy(connection, "shares", batch.share_rows(campaign, number, shares))
            kept: bytes | None = await connection.fetchval(self._sql["draw"], campaign, number)
            if kept is None:
                raise LookupError(f"{campaign} is not registered")
            return kept

    async def report_headcounts(
        self, headcounts: Mapping[str, int], actor: str, channel: str, at: int
    ) -> int:
        """Note how many people units have, as `protocol.Ledger.report_headcounts` says."""
        reported = list(headcounts), list(headcounts.values())
        async with self._transaction() as connection:
            await connection.execute(self._sql["lock_headcounts"])
            changed: int = await connection.fetchval(self._sql["report_headcounts"], *reported, at)
            if changed:
                line = batch.headcounts_line(changed, actor, channel, at)
                await connection.execute(self._sql["add_trail"], *line)
            return changed

    async def keep_results(
        self,
        campaign: str,
        offering: str,
        columns: Sequence[str],
        ranking: Sequence[Line],
        actor: str,
        channel: str,
        at: int,
    ) -> bool:
        """Keep the ranking of a round, as `protocol.Ledger.keep_results` says."""
        # A large ranking takes a while: the loop stays free.
        rows = await asyncio.to_thread(batch.result_rows, campaign, offering, ranking)
        async with self._transaction() as connection:
            kept = (batch.pack(columns), len(ranking), at, batch.pack({}))
            if not await connection.fetchval(self._sql["keep_round"], campaign, offering, *kept):
                return False
            await connection.execute(self._sql["remove_results"], campaign, offering)
            await _copy(connection, "results", rows)
            line = (at, actor, channel, "results", campaign, f"{offering}: {len(ranking)} lines")
            await connection.execute(self._sql["add_trail"], *line)
            return True

    async def keep_advance(self, decided: Round, going: Sequence[tuple[Advance, str]], at: int) -> bool:
        """Keep who goes on, as `protocol.Ledger.keep_advance` says."""
        async with self._transaction() as connection:
            kept = (batch.pack(decided.cuts), decided.actor, decided.channel)
            names = (decided.campaign, decided.offering, decided.version, decided.next)
            if not await connection.fetchval(self._sql["decide_round"], *names, *kept):
                return False
            await connection.executemany(self._sql["set_going"], batch.going_rows(decided, going))
            await connection.execute(self._sql["add_trail"], *batch.trail_of(decided, going, at))
            return True

    async def end_round(self, campaign: str, offering: str) -> None:
        """Note that all who go on from a round are enrolled."""
        async with self._connection() as connection:
            await connection.execute(self._sql["end_round"], campaign, offering)

    async def forget_round(self, campaign: str, offering: str, at: int) -> None:
        """Forget the results of a round, as `protocol.Ledger.forget_round` says."""
        async with self._transaction() as connection:
            if await connection.fetchval(self._sql["forget_round"], campaign, offering):
                await connection.execute(self._sql["remove_results"], campaign, offering)
                await connection.execute(
                    self._sql["add_trail"], *batch.forgotten_line(campaign, offering, at)
                )

    async def rewrite_log(
        self, campaign: str, member: str | None, after_seq: int, until_seq: int, limit: int
    ) -> int:
        """Forget in a part of the log, as `protocol.Ledger.rewrite_log` says."""
        named = None if member is None else member.encode()
        async with self._transaction() as connection:
            found = await connection.fetch(
                self._sql["log_about"], campaign, after_seq, until_seq, named, limit
            )
            page = [(row[0], row[1], row[2], row[3]) for row in found]
            last_seq: int = page[-1][0] if len(page) == limit else until_seq
            logged, letters = batch.rewritten_rows(campaign, member, page)
            await connection.executemany(self._sql["put_fields"], logged)
            await connection.executemany(self._sql["put_dead_fields"], letters)
            await connection.execute(self._sql["forget_enrollments"], campaign, member, after_seq, last_seq)
            return last_seq

    async def forget(
        self, campaign: str, member: str | None, until_seq: int, actor: str, channel: str, at: int
    ) -> bool:
        """Forget in the other tables, as `protocol.Ledger.forget` says."""
        async with self._transaction() as connection:
            rounds = await connection.fetch(self._sql["rounds_under_way"], campaign)
            if any(under_way for (under_way,) in rounds):
                return False
            for query in batch.FORGET:
                await connection.execute(self._sql[query], campaign, member)
            if member is None:
                await connection.execute(self._sql["note_forgotten"], campaign, until_seq, at)
            await connection.execute(
                self._sql["add_trail"], *batch.erased_line(campaign, member, actor, channel, at)
            )
            return True

    async def scrub(self) -> bool:
        """Let PostgreSQL clean its tables, as `protocol.Ledger.scrub` says."""
        async with self._connection() as connection:
            await connection.execute(self._sql["scrub"], timeout=migrations.TIMEOUT_S)
        return True

    async def _add_link(self, campaign: str, link: Link) -> None:
        async with self._connection() as connection:
            await connection.execute(self._sql["add_link"], campaign, link.seq, link.digest)

    async def _rows(self, query: str, *arguments: object) -> Sequence[tuple[Any, ...]]:
        async with self._connection() as connection:
            return [tuple(row) for row in await connection.fetch(self._sql[query], *arguments)]

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator["PoolConnectionProxy"]:
        assert self._pool is not None, "the ledger is not open"
        with _translated():
            async with self._pool.acquire(timeout=self._command_timeout_s) as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator["PoolConnectionProxy"]:
        async with self._connection() as connection, connection.transaction():
            yield connection


async def _copy(connection: "PoolConnectionProxy", table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        await connection.copy_records_to_table(table, records=rows)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Say what a fault of PostgreSQL or of the way to it means in the words of `protocol`."""
    try:
        yield
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, OverflowError) as error:
        # The message alone: its details quote the row.
        raise Refused(str(error.args[0])) from error
    except TimeoutError as error:
        raise Unavailable("PostgreSQL did not answer in time") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        # A connection that the server ends at a bad moment leaves asyncpg in a state that it calls its own fault.
        raise Unavailable(f"PostgreSQL: {error}") from error
