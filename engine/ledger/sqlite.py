"""The ledger in an SQLite file: one thread that writes, one that reads, so that the event loop never waits.

WAL with synchronous=FULL: a commit is on disk before `record` returns. Writers of several processes take turns
(BEGIN IMMEDIATE, busy timeout).
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from engine.domain import chain
from engine.domain.chain import Link
from engine.domain.events import Event
from engine.domain.ladder import Advance, Line, Round
from engine.domain.share import Share, Summary
from engine.ledger import batch, migrations, reading, statements
from engine.ledger.batch import Changes, reduce
from engine.ledger.protocol import Batch, DeadLetter, Fenced, Refused, Registration, Unavailable

BUSY_TIMEOUT_S: Final = 10.0
BUSY_PAUSE_S: Final = 0.005
CACHE_KIB: Final = 65_536
CHECKPOINT_PAGES: Final = 16_000
"""A batch of a rush touches about a page per member (by their index), and a checkpoint costs two more fsyncs."""
SQLITE_MIN: Final = (3, 37, 0)
"""The first version with STRICT tables."""

T = TypeVar("T")


class SqliteLedger(reading.Reading):
    """`protocol.Ledger` in a file, made when it is missing; its folder must exist."""

    def __init__(self, path: Path) -> None:
        self._sql = statements.queries("sqlite")
        self._writer = _Session(path)
        self._reader = _Session(path)

    async def open(self) -> None:
        """Connect. Raises Unavailable, or RuntimeError when the schema is newer than this code."""
        if sqlite3.sqlite_version_info < SQLITE_MIN:
            raise RuntimeError(f"SQLite 3.37 or newer is needed, this is {sqlite3.sqlite_version}")
        await self._writer.open()
        await self._reader.open()
        await self._reader.run(migrations.pending_sqlite)

    async def close(self) -> None:
        """Close both connections and end their threads; safe to call twice."""
        await self._writer.close()
        await self._reader.close()

    async def migrate(self) -> list[str]:
        """Bring the schema up to date and return the names of the migrations applied; two at once are safe."""
        return await self._write(migrations.apply_sqlite)

    async def pending_migrations(self) -> list[str]:
        """The names of the migrations that are not applied yet."""
        return [migration.name for migration in await self._reader.run(migrations.pending_sqlite)]

    async def register(self, campaign: str, unit: str, actor: str, channel: str, at: int) -> Registration:
        """Make the campaign known (epoch 1, not created), or return what is known."""

        def work(connection: sqlite3.Connection) -> Registration:
            if connection.execute(self._sql["add_campaign"], (campaign, unit)).rowcount:
                connection.execute(self._sql["add_cursor"], (campaign,))
                line = (at, actor, channel, "registered", campaign, unit)
                connection.execute(self._sql["add_trail"], line)
            return reading.registration(connection.execute(self._sql["campaigns"], (campaign,)).fetchone())

        return await self._write(work)

    async def mark_created(self, campaign: str) -> None:
        """Note that the campaign's state now exists in Redis. Raises LookupError for one not registered."""

        def work(connection: sqlite3.Connection) -> None:
            if not connection.execute(self._sql["mark_created"], (campaign,)).rowcount:
                raise LookupError(f"{campaign} is not registered")

        await self._write(work)

    async def begin_epoch(self, campaign: str, epoch: int, recorded_seq: int, actor: str, at: int) -> bool:
        """Take the next epoch, as `protocol.Ledger.begin_epoch` says."""

        def work(connection: sqlite3.Connection) -> bool:
            if not connection.execute(self._sql["begin_epoch"], (campaign, epoch, recorded_seq)).rowcount:
                return False
            connection.execute(self._sql["reopen_rounds"], (campaign,))
            line = batch.epoch_line(campaign, epoch + 1, recorded_seq, actor, at)
            connection.execute(self._sql["add_trail"], line)
            return True

        return await self._write(work)

    async def record(
        self, campaign: str, epoch: int, after_seq: int, batch: Sequence[Event | DeadLetter]
    ) -> None:
        """Apply consecutive events and move the cursor, as `protocol.Ledger.record` says."""

        await self.record_many([Batch(campaign, epoch, after_seq, batch)])

    async def record_many(self, batches: Sequence[Batch]) -> None:
        """Record one batch of each of several campaigns, as `protocol.Ledger.record_many` says."""

        def work(connection: sqlite3.Connection) -> None:
            reduced = [reduce(each.campaign, each.epoch, each.after_seq, each.entries) for each in batches]
            with _transaction(connection):
                for each, changes in zip(batches, reduced, strict=True):
                    fence = (each.campaign, each.epoch, each.after_seq, changes.last_seq)
                    if not connection.execute(self._sql["move_cursor"], fence).rowcount:
                        raise Fenced(f"the cursor of {each.campaign} is not at {each.epoch}-{each.after_seq}")
                    self._apply(connection, changes)

        await self._writer.run(work)

    def _apply(self, connection: sqlite3.Connection, changes: Changes) -> None:
        many = connection.executemany
        many(self._sql["add_event"], changes.events)
        many(self._sql["add_dead_letter"], changes.dead_letters)
        many(self._sql["add_definition"], changes.definitions)
        if changes.pools is not None:
            connection.execute(self._sql["remove_pools"], (changes.campaign,))
            many(self._sql["add_pool"], changes.pools)
        many(self._sql["free_seat"], changes.freed())
        if many(self._sql["put_enrollment"], changes.put).rowcount == len(changes.put):
            # As a rule every row is now the one that was put, and to ask each for its version would take longer.
            many(self._sql["take_seat"], [row[:5] for row in changes.taken()])
        else:
            many(self._sql["take_seat_of_version"], changes.taken())
        many(self._sql["add_trail"], changes.trail)
        row = connection.execute(self._sql["newest_link"], (changes.campaign,)).fetchone()
        link = changes.link(Link(*row) if row else None)
        connection.execute(self._sql["add_link"], (changes.campaign, link.seq, link.digest))

    async def keep_draw(
        self, campaign: str, number: int, file: bytes, summary: Summary, shares: Sequence[Share]
    ) -> bytes:
        """Keep a draw, as `protocol.Ledger.keep_draw` says."""

        def work(connection: sqlite3.Connection) -> bytes:
            packed = batch.pack(summary)
            if connection.execute(self._sql["keep_draw"], (campaign, number, file, packed)).rowcount:
                connection.executemany(self._sql["add_share"], batch.share_rows(campaign, number, shares))
            row: tuple[bytes] | None = connection.execute(self._sql["draw"], (campaign, number)).fetchone()
            if row is None:
                raise LookupError(f"{campaign} is not registered")
            return row[0]

        return await self._write(work)

    async def report_headcounts(
        self, headcounts: Mapping[str, int], actor: str, channel: str, at: int
    ) -> int:
        """Note how many people units have, as `protocol.Ledger.report_headcounts` says."""

        def work(connection: sqlite3.Connection) -> int:
            rows = [(unit, at, headcount) for unit, headcount in headcounts.items()]
            changed = connection.executemany(self._sql["report_headcount"], rows).rowcount
            if changed > 0:
                connection.execute(self._sql["add_trail"], batch.headcounts_line(changed, actor, channel, at))
            return max(changed, 0)

        return await self._write(work)

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
        kept = (campaign, offering, batch.pack(columns), len(ranking), at, batch.pack({}))

        def work(connection: sqlite3.Connection) -> bool:
            if not connection.execute(self._sql["keep_round"], kept).rowcount:
                return False
            connection.execute(self._sql["remove_results"], (campaign, offering))
            connection.executemany(self._sql["add_result"], batch.result_rows(campaign, offering, ranking))
            line = (at, actor, channel, "results", campaign, f"{offering}: {len(ranking)} lines")
            connection.execute(self._sql["add_trail"], line)
            return True

        return await self._write(work)

    async def keep_advance(self, decided: Round, going: Sequence[tuple[Advance, str]], at: int) -> bool:
        """Keep who goes on, as `protocol.Ledger.keep_advance` says."""
        kept = (
            *(decided.campaign, decided.offering, decided.version, decided.next),
            *(batch.pack(decided.cuts), decided.actor, decided.channel),
        )

        def work(connection: sqlite3.Connection) -> bool:
            if not connection.execute(self._sql["decide_round"], kept).rowcount:
                return False
            connection.executemany(self._sql["set_going"], batch.going_rows(decided, going))
            connection.execute(self._sql["add_trail"], batch.trail_of(decided, going, at))
            return True

        return await self._write(work)

    async def end_round(self, campaign: str, offering: str) -> None:
        """Note that all who go on from a round are enrolled."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(self._sql["end_round"], (campaign, offering))

        await self._write(work)

    async def forget_round(self, campaign: str, offering: str, at: int) -> None:
        """Forget the results of a round, as `protocol.Ledger.forget_round` says."""

        def work(connection: sqlite3.Connection) -> None:
            if connection.execute(self._sql["forget_round"], (campaign, offering)).rowcount:
                connection.execute(self._sql["remove_results"], (campaign, offering))
                connection.execute(self._sql["add_trail"], batch.forgotten_line(campaign, offering, at))

        await self._write(work)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def write(connection: sqlite3.Connection) -> T:
            with _transaction(connection):
                return work(connection)

        return await self._writer.run(write)

    async def rewrite_log(
        self, campaign: str, member: str | None, after_seq: int, until_seq: int, limit: int
    ) -> int:
        """Forget in a part of the log, as `protocol.Ledger.rewrite_log` says."""
        named = None if member is None else member.encode()

        def work(connection: sqlite3.Connection) -> int:
            asked = (campaign, after_seq, until_seq, named, limit)
            page = connection.execute(self._sql["log_about"], asked).fetchall()
            last_seq = page[-1][0] if len(page) == limit else until_seq
            logged, letters = batch.rewritten_rows(campaign, member, page)
            connection.executemany(self._sql["put_fields"], logged)
            connection.executemany(self._sql["put_dead_fields"], letters)
            connection.execute(self._sql["forget_enrollments"], (campaign, member, after_seq, last_seq))
            return last_seq

        return await self._write(work)

    async def forget(
        self, campaign: str, member: str | None, until_seq: int, actor: str, channel: str, at: int
    ) -> bool:
        """Forget in the other tables, as `protocol.Ledger.forget` says."""

        def work(connection: sqlite3.Connection) -> bool:
            rounds = connection.execute(self._sql["rounds_under_way"], (campaign,)).fetchall()
            if any(under_way for (under_way,) in rounds):
                return False
            for query in batch.FORGET:
                connection.execute(self._sql[query], (campaign, member))
            if member is None:
                connection.execute(self._sql["note_forgotten"], (campaign, until_seq, at))
            connection.execute(
                self._sql["add_trail"], batch.erased_line(campaign, member, actor, channel, at)
            )
            return True

        return await self._write(work)

    async def scrub(self) -> bool:
        """Write the file anew, as `protocol.Ledger.scrub` says."""

        def work(connection: sqlite3.Connection) -> bool:
            connection.execute("VACUUM")
            deadline_s = time.monotonic() + BUSY_TIMEOUT_S
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > deadline_s:
                    return False
                time.sleep(BUSY_PAUSE_S)
            return True

        return await self._writer.run(work)

    async def _add_link(self, campaign: str, link: Link) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(self._sql["add_link"], (campaign, link.seq, link.digest))

        await self._write(work)

    async def _rows(self, query: str, *arguments: object) -> Sequence[tuple[Any, ...]]:
        def work(connection: sqlite3.Connection) -> Sequence[tuple[Any, ...]]:
            return connection.execute(self._sql[query], arguments).fetchall()

        return await self._reader.run(work)


class _Session:
    """A connection in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connect)

    def _connect(self) -> None:
        with _translated(self._path):
            connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            self._connection = connection
            _use_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")
            connection.create_function("stand_in", 2, chain.stand_in, deterministic=True)
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T:
        assert self._connection is not None, "the ledger is not open"
        with _translated(self._path):
            return work(self._connection)

    async def close(self) -> None:
        if self._connection is not None:
            await self.run(sqlite3.Connection.close)
            self._connection = None
        self._thread.shutdown()


def _use_wal(connection: sqlite3.Connection) -> None:
    """Two that switch a new file at once can stand in each other's way, and for that SQLite does not wait by itself."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(BUSY_PAUSE_S)
        else:
            return


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Say what a fault of SQLite means in the words of `protocol`; a fault of this code stays what it is."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.DataError, OverflowError) as error:
        raise Refused(str(error)) from error
    except (sqlite3.ProgrammingError, sqlite3.NotSupportedError):
        raise
    except sqlite3.DatabaseError as error:
        raise Unavailable(f"{path}: {error}") from error
