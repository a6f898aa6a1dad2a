"""The persistent record, as the rest of the engine sees it: one protocol, kept by SQLite and by PostgreSQL.

Times are UTC milliseconds since 1970. Every method is safe to call from several processes at once.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from engine.domain.chain import Link
from engine.domain.enrollment import Record
from engine.domain.events import Event
from engine.domain.ladder import Advance, Line, Round
from engine.domain.share import History, Share, Summary


class Unavailable(Exception):
    """The ledger cannot be reached, or did not answer in time; what was asked may or may not have happened."""


class Refused(Exception):
    """The ledger refused a batch: one of its events breaks a rule of the schema. Nothing of it was written."""


class Fenced(Exception):
    """Another recorder has moved this campaign's cursor. Nothing was written."""


class Registration(Struct, frozen=True):
    """A campaign that the ledger knows."""

    campaign: str
    unit: str
    epoch: int
    """The generation of the campaign's state in Redis; a rebuild takes the next."""
    created: bool
    """Whether its state was made in Redis. Once it was, only a rebuild may make it again."""
    recorded_seq: int
    """The recorder's cursor: every event up to this seq is in the ledger."""


class DeadLetter(Struct, frozen=True):
    """An event that could not be applied, raw, with the reason."""

    campaign: str
    epoch: int
    seq: int
    fields: Mapping[bytes, bytes]
    reason: str


class Batch(Struct, frozen=True):
    """Consecutive events of a campaign, in order and without gaps: after_seq + 1, after_seq + 2, …"""

    campaign: str
    epoch: int
    after_seq: int
    entries: Sequence[Event | DeadLetter]


class Definition(Struct, frozen=True):
    """A published version of a campaign document."""

    campaign: str
    version: int
    document: bytes
    actor: str
    published_at: int


class Row(Struct, frozen=True):
    """An enrollment as the ledger has it."""

    campaign: str
    enrollment: str
    record: Record
    position: int
    """Its place on the waitlist, from 1; 0 when it does not wait."""


class Headcount(Struct, frozen=True):
    """How many people a unit has, as it was last reported."""

    unit: str
    headcount: int
    reported_at: int


class PoolDue(Struct, frozen=True):
    """A pool that members of a round go on to, while not all of them are enrolled."""

    source: str
    """The offering they come from."""
    offering: str
    pool: str


class TrailRow(Struct, frozen=True):
    """One line of the audit trail: who did what, other than members acting for themselves."""

    at: int
    actor: str
    channel: str
    action: str
    campaign: str
    detail: str


class Logged(Struct, frozen=True):
    """An entry of a campaign's log."""

    seq: int
    event: Event | None
    """None for a dead letter, and for what cannot be read any more."""
    names: bool
    """Whether something of it is to be forgotten."""


class Held(Struct, frozen=True):
    """What the ledger's tables have of a member in a campaign, in rows."""

    enrollments: int
    shares: int
    """In draws."""
    results: int
    acts: int
    """What the member did as an officer or an organizer: published, decided, changed for others."""


class Ledger(Protocol):
    """One database. Open it before use; close it once."""

    async def open(self) -> None:
        """Connect. Raises Unavailable, or RuntimeError when the schema is newer than this code."""

    async def close(self) -> None:
        """Release every connection and thread; safe to call twice."""

    async def migrate(self) -> list[str]:
        """Bring the schema up to date and return the names of the migrations applied; two at once are safe."""

    async def pending_migrations(self) -> list[str]:
        """The names of the migrations that are not applied yet."""

    # Publishing

    async def register(self, campaign: str, unit: str, actor: str, channel: str, at: int) -> Registration:
        """Make the campaign known before its first publication (epoch 1, not created), or return what is known."""

    async def mark_created(self, campaign: str) -> None:
        """Note that the campaign's state now exists in Redis."""

    async def begin_epoch(self, campaign: str, epoch: int, recorded_seq: int, actor: str, at: int) -> bool:
        """Take the next epoch for the campaign's state in Redis, if the ledger is still at this epoch and seq.

        Every recorder of the epoch before is fenced off from then on. False when it is elsewhere: of two rebuilds one
        goes on. Rounds are due again of whose enrollments some are not in the log. The audit trail has a line.
        """

    async def campaigns(self) -> list[Registration]:
        """Every campaign, in order of its name."""

    # Recording

    async def record(
        self, campaign: str, epoch: int, after_seq: int, batch: Sequence[Event | DeadLetter]
    ) -> None:
        """Apply consecutive events and move the cursor from `after_seq` to the last of them, in one transaction.

        `batch` is in order and without gaps: after_seq + 1, after_seq + 2, …
        In the same one the campaign's chain is extended by a link over the batch.
        Raises Fenced when the cursor or the chain is not at `after_seq` or the epoch is another, Refused when an event
        breaks a rule, Unavailable when it is not known whether the transaction was committed (then: read the cursor
        anew).
        """

    async def record_many(self, batches: Sequence[Batch]) -> None:
        """Record one batch of each of several campaigns, as `record` would, all in one transaction.

        Raises the same; nothing of any batch is written then, and which one is at fault is not said.
        """

    async def link(self, campaign: str, until_seq: int) -> bool:
        """Bring the chain nearer to a seq that is recorded, where a version recorded that had none.

        Some thousand events are linked, and it says whether the chain is there.
        What it writes follows from the log alone, so that several may do it at once. Where the log lacks a seq, the
        roll lacks its line.
        """

    # Drawing

    async def keep_draw(
        self, campaign: str, number: int, file: bytes, summary: Summary, shares: Sequence[Share]
    ) -> bytes:
        """Keep a draw, the file and what else is known of it, unless there is one; returns the file kept.

        Of two writers the first wins; what is kept never changes. Raises Unavailable when it is not known whether the
        file was kept (then: keep it anew), LookupError for a campaign that is not registered.
        """

    async def draw(self, campaign: str, number: int) -> bytes | None:
        """The file of a draw; None while there is none."""

    async def share(self, campaign: str, number: int, member: str) -> Share | None:
        """What a member had in a draw, None without an entry."""

    async def summary(self, campaign: str, number: int) -> Summary | None:
        """A draw in a few numbers, None while there is none."""

    async def histories(
        self, unit: str, besides: tuple[str, int], member: str | None = None
    ) -> dict[str, History]:
        """Losses and wins in the draws of a unit's campaigns, each campaign once, by member, or of one member.

        `besides` names a draw that does not count, by campaign and number."""

    # Headcounts

    async def report_headcounts(
        self, headcounts: Mapping[str, int], actor: str, channel: str, at: int
    ) -> int:
        """Note how many people units have, all of them or none; returns how many are not what they were.

        Where some are not, the audit trail has a line, of no campaign.
        """

    async def headcounts(self, unit: str, limit: int, after: str = "") -> list[Headcount]:
        """The newest of a unit and those below it, by their names, after one."""

    async def headcounts_at(self, units: Sequence[str], at: int) -> dict[str, int]:
        """What units had at a moment: the last that was reported by then, or where there is none the first after it.

        A unit of which nothing was ever reported is left out.
        """

    async def headcounts_line(self) -> int:
        """Grows with every change of a headcount; 0 before the first."""

    # Competitions

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
        """Keep the ranking of a round in the place of an earlier one; False once it is decided who goes on.

        Raises Unavailable when it is not known whether it was kept (then: keep it anew).
        """

    async def keep_advance(self, decided: Round, going: Sequence[tuple[Advance, str]], at: int) -> bool:
        """Keep who goes on, each with the id of the enrollment to come.

        `decided` has the round as it was read with `next`, `actor`, `channel` and `cuts` set. False when other results
        were imported since, or it was decided before: what is kept never changes.
        """

    async def end_round(self, campaign: str, offering: str) -> None:
        """Note that all who go on from a round are enrolled."""

    async def round(self, campaign: str, offering: str) -> Round | None:
        """A round, None before results were imported."""

    async def rounds_due(self) -> list[Round]:
        """The rounds of all campaigns of which it is decided who goes on, and not all of them are enrolled."""

    async def pools_due(self, campaign: str) -> list[PoolDue]:
        """The pools that those go on to who are not all enrolled, in order."""

    async def forget_round(self, campaign: str, offering: str, at: int) -> None:
        """Forget the results of a round, for an offering of the same name; none if not all who go on are enrolled.

        The audit trail has a line, where there was anything to forget.
        """

    async def results(self, campaign: str, offering: str, limit: int, after: int = 0) -> list[Line]:
        """The ranking of a round after a place."""

    async def result_of(self, campaign: str, offering: str, member: str) -> Line | None:
        """A member's line in the ranking of a round."""

    # Forgetting

    async def log_about(
        self, campaign: str, member: str | None, after_seq: int, until_seq: int, limit: int
    ) -> list[Logged]:
        """The log after a seq up to another, with dead letters: what may name a member, or for None all of it."""

    async def held(self, campaign: str, member: str) -> Held:
        """What the tables have of a member in a campaign, or for "" in the audit trail of what belongs to none."""

    async def rewrite_log(
        self, campaign: str, member: str | None, after_seq: int, until_seq: int, limit: int
    ) -> int:
        """Forget a member, or everybody, in the log after a seq up to another and in the enrollments of its sign-ups.

        At most `limit` entries are looked at, in one transaction; returns the seq up to which it is done. The lines of
        the roll stay the same.
        """

    async def forget(
        self, campaign: str, member: str | None, until_seq: int, actor: str, channel: str, at: int
    ) -> bool:
        """Forget a member, or everybody, in all other tables; the audit trail has a line that does not say whom.

        For everybody it is noted that the log is forgotten up to a seq. False, and nothing is done, while members who
        go on from a round are being enrolled.
        """

    async def forgotten(self) -> dict[str, int]:
        """The campaigns of which everybody was forgotten, and up to which seq."""

    async def scrub(self) -> bool:
        """Leave nothing in the files of rows that were changed; False where somebody who reads them keeps it from that.

        The file of SQLite is written anew, and others who write wait meanwhile. In PostgreSQL its own VACUUM runs.
        """

    # Reading

    async def enrollments_of(
        self, member: str, limit: int, after: tuple[int, str] | None = None
    ) -> list[Row]:
        """A member's enrollments over all campaigns, newest first, after the row (decided_at, enrollment)."""

    async def roster(
        self, campaign: str, offering: str, limit: int, after: tuple[int, int] | None = None
    ) -> list[Row]:
        """Live enrollments of an offering: first those with seats, then those who wait, each by `Record.order`.

        `after` is (0 with a seat or 1 waiting, `Record.order`) of the last row seen.
        """

    async def enrollments(self, campaign: str, limit: int, after: int = 0) -> list[Row]:
        """All enrollments of a campaign in order of their seq, after one, for the audit; positions are 0."""

    async def sign_ups(self, campaign: str, member: str, until: int, limit: int) -> list[Row]:
        """A member's enrollments of a campaign up to a seq, the newest first; positions are 0."""

    async def seats(self, campaign: str) -> dict[tuple[str, str], int]:
        """The number of rows in the table of seats per (offering, pool)."""

    async def events(self, campaign: str, after_seq: int, limit: int) -> list[Event]:
        """Recorded events after a seq, in order."""

    async def newest_link(self, campaign: str) -> Link | None:
        """How far a campaign's chain has come; None before its first event."""

    async def links(self, campaign: str, after_seq: int, limit: int) -> list[Link]:
        """The chain after a seq, a link for each batch that was recorded, in order."""

    async def lines(
        self, campaign: str, after_seq: int, until_seq: int, limit: int
    ) -> list[tuple[int, bytes]]:
        """Lines of the roll by their seq, in order, after a seq up to another."""

    async def definition(self, campaign: str, version: int | None = None) -> Definition | None:
        """A version of the campaign document, by default the newest recorded."""

    async def dead_letters(self, campaign: str) -> list[DeadLetter]:
        """Events that could not be applied, in order of seq."""

    async def dead_letter_counts(self) -> dict[str, int]:
        """The number of dead letters of each campaign that has any."""

    async def trail(self, campaign: str, limit: int) -> list[TrailRow]:
        """The newest lines of the audit trail of a campaign, or for "" of what belongs to none."""
