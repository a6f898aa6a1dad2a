"""What every ledger must do for draws: entries, their results, the order of those who wait, and the draw's file."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Final

import asyncpg
import msgspec
import pytest

from engine.domain.enrollment import LIVE, Record
from engine.domain.share import Cut, History, Share, Summary, Wished
from engine.ledger import statements
from engine.ledger.connect import connect
from engine.ledger.postgres import SESSION
from engine.ledger.protocol import Ledger, Refused
from tests.ledger.logs import CAMPAIGN, POOLS, Log, ballot
from tests.ledger.test_conformance import (
    assert_holds,
    everything,
    pages_of,
    pages_of_roster,
    record,
    recorded_seq,
    register,
)

NOTHING: Final = Summary(0, {})
FILE: Final = b'{"campaign": "autumn-2026", "seed": "\xe5\x89\xaa\xe7\xba\xb8", "raw": "\x00\xff"}'


def on_the_roster(log: Log, offering: str) -> list[tuple[str, Record, int]]:
    """Name, record and position of the live enrollments of an offering, as the roster must list them."""
    living = sorted(
        (
            (name, each)
            for name, each in log.records.items()
            if each.offering == offering and each.status in LIVE
        ),
        key=lambda pair: (pair[1].status == "waitlisted", pair[1].order),
    )
    seated = sum(each.status != "waitlisted" for _, each in living)
    return [(name, each, max(0, number - seated)) for number, (name, each) in enumerate(living, 1)]


# Entries and results


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
async def test_a_draw_leaves_what_its_log_says(ledger: Ledger, size: int) -> None:
    log = ballot(120, seed=size)
    await register(ledger)
    await record(ledger, log, size=size)
    await assert_holds(ledger, log)
    kept = (await everything(ledger)).values()
    assert {each.status for each in kept} == {"confirmed", "waitlisted", "cancelled", "not_drawn"}
    assert {each.wish for each in kept} == {0, 1, 2}
    assert {each.turn > 0 for each in kept if each.status == "waitlisted"} == {False, True}


async def test_an_entry_is_not_live(ledger: Ledger) -> None:
    log = Log()
    log.published()
    log.entered("m-1", wish=2)
    log.enrolled("m-2")
    log.draw_began()
    await register(ledger)
    await record(ledger, log)
    await assert_holds(ledger, log)
    assert await ledger.seats(CAMPAIGN) == {}
    assert [row.enrollment for row in await ledger.roster(CAMPAIGN, "soap", 9)] == ["e-3"]
    (row,) = await ledger.enrollments_of("m-1", 9)
    assert (row.record.status, row.record.wish, row.record.queues, row.position) == (
        "entered",
        2,
        ["*", "own"],
        0,
    )


async def test_who_is_not_drawn_is_not_live(ledger: Ledger) -> None:
    log = Log()
    log.published()
    log.entered("m-1")
    log.draw_began()
    log.drawn("e-2", "not_drawn")
    log.draw_ended()
    await register(ledger)
    await record(ledger, log, size=2)
    await assert_holds(ledger, log)
    assert await ledger.roster(CAMPAIGN, "soap", 9) == []
    assert [row.position for row in await ledger.enrollments_of("m-1", 9)] == [0]


async def test_a_seat_is_drawn_once(ledger: Ledger) -> None:
    log = Log()
    log.published()
    log.entered("m-1")
    log.entered("m-2")
    log.drawn("e-2", "confirmed", "open", 1)
    log.drawn("e-3", "held", "open", 1)
    await register(ledger)
    with pytest.raises(Refused):
        await record(ledger, log)
    assert await recorded_seq(ledger) == 0


@pytest.mark.parametrize("size", [1, 9])
async def test_an_older_version_changes_no_turn(ledger: Ledger, size: int) -> None:
    log = Log()
    log.published()
    log.entered("m-1")
    log.entered("m-2")
    log.drawn("e-3", "waitlisted")
    log.drawn("e-2", "waitlisted")
    log.changed("drawn", "e-3", "entered", version=1)
    await register(ledger)
    await record(ledger, log, size=size)
    await assert_holds(ledger, log)
    assert [row.enrollment for row in await ledger.roster(CAMPAIGN, "soap", 9)] == ["e-3", "e-2"]


@pytest.mark.parametrize("field", ["wish", "turn"])
async def test_ranks_and_turns_that_no_column_holds_are_refused(ledger: Ledger, field: str) -> None:
    log = Log()
    log.published()
    log.entered("m-1")
    log.records["e-2"] = msgspec.structs.replace(log.records["e-2"], **{field: 2**64 - 1})
    log.changed("cancelled", "e-2", "cancelled")
    await register(ledger)
    with pytest.raises(Refused):
        await record(ledger, log)
    assert await recorded_seq(ledger) == 0


# The order of those who wait


async def test_by_their_turn_since_a_draw_else_by_their_sign_up(ledger: Ledger) -> None:
    log = Log()
    log.published()
    log.enrolled("before")  # e-2
    log.entered("last")
    log.entered("first")
    log.entered("promoted")
    log.draw_began()
    log.drawn("e-5", "waitlisted")
    log.drawn("e-4", "waitlisted")
    log.drawn("e-3", "waitlisted")
    log.draw_ended()
    log.enrolled("after")  # e-11
    log.changed("promoted", "e-5", "confirmed", "open", 1)
    await register(ledger)
    await record(ledger, log)
    assert [(row.record.member, row.position) for row in await ledger.roster(CAMPAIGN, "soap", 9)] == [
        ("promoted", 0),
        ("before", 1),
        ("first", 2),
        ("last", 3),
        ("after", 4),
    ]
    for member, position in {"before": 1, "first": 2, "last": 3, "after": 4, "promoted": 0}.items():
        assert [row.position for row in await ledger.enrollments_of(member, 9)] == [position]


@pytest.mark.parametrize("limit", [1, 2, 3, 20, 1000])
async def test_pages_of_a_roster_since_a_draw(ledger: Ledger, limit: int) -> None:
    log = ballot(120)
    await register(ledger)
    await record(ledger, log)
    for offering in dict.fromkeys(offering for offering, _ in POOLS):
        rows = await pages_of_roster(ledger, offering, limit)
        expected = on_the_roster(log, offering)
        assert [(row.enrollment, row.record, row.position) for row in rows] == expected
        waiting = [each.seq for _, each, position in expected if position]
        assert len(waiting) > 3
        assert waiting != sorted(waiting)


async def test_positions_of_a_members_enrollments_since_a_draw(ledger: Ledger) -> None:
    log = ballot(120)
    await register(ledger)
    await record(ledger, log)
    positions = {
        name: position
        for offering in dict.fromkeys(offering for offering, _ in POOLS)
        for name, _, position in on_the_roster(log, offering)
    }
    for member in {each.member for each in log.records.values()}:
        for row in await pages_of(ledger, member, 1):
            assert row.position == positions.get(row.enrollment, 0)


async def test_a_page_stays_whole_while_the_queue_moves(ledger: Ledger) -> None:
    log = Log()
    log.published()
    for number in range(4):
        log.entered(f"m-{number}")
    for name in ("e-4", "e-2", "e-5", "e-3"):
        log.drawn(name, "waitlisted")
    await register(ledger)
    await record(ledger, log)
    first = await ledger.roster(CAMPAIGN, "soap", 2)
    log.changed("promoted", "e-4", "confirmed", "open", 1)
    log.enrolled("m-9")
    await record(ledger, log, after=9)
    rest = await ledger.roster(CAMPAIGN, "soap", 9, (1, first[-1].record.order))
    assert [row.enrollment for row in first + rest] == ["e-4", "e-2", "e-5", "e-3", "e-11"]
    assert [row.position for row in rest] == [2, 3, 4]


@pytest.mark.parametrize(
    ("query", "arguments"),
    [("roster", (CAMPAIGN, "soap", 1, 7, 3)), ("enrollments_of", ("m-1", 2**62, "", 3))],
)
async def test_lists_walk_along_indexes(
    ledger_url: str, ledger: Ledger, query: str, arguments: tuple[object, ...]
) -> None:
    log = ballot(120)
    await register(ledger)
    await record(ledger, log)
    plan = await plan_of(ledger_url, query, arguments)
    if ledger_url.startswith("sqlite"):
        reads = [line for line in plan if line.startswith(("SEARCH", "SCAN")) and "enrollments" in line]
        bounded = "<expr>=? AND <expr>"
    else:
        reads = [line for line in plan if " on enrollments" in line]
        bounded = "CASE WHEN (turn > 0) THEN turn ELSE seq END"
    assert reads
    assert all("USING INDEX" in line or "Index Scan" in line for line in reads), plan
    bounds = [line for line in plan if bounded in line and "Sort Key" not in line]
    assert len(bounds) == (2 if query == "roster" else 1), plan


async def plan_of(url: str, query: str, arguments: tuple[object, ...]) -> list[str]:
    """The lines of a query's plan; PostgreSQL's as if the tables were too large to be read whole."""
    if url.startswith("sqlite:///"):
        text = statements.queries("sqlite")[query]
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", arguments)]
    text = statements.queries("postgres")[query]
    server = await asyncpg.connect(url, server_settings={**SESSION, "enable_seqscan": "off"})
    rows = await server.fetch(f"EXPLAIN (COSTS OFF) {text}", *arguments)
    await server.close()
    return [row[0] for row in rows]


# The file


async def test_the_file_of_a_draw_is_kept(ledger: Ledger, ledger_url: str) -> None:
    await register(ledger)
    assert await ledger.draw(CAMPAIGN, 1) is None
    assert await ledger.keep_draw(CAMPAIGN, 1, FILE, NOTHING, []) == FILE
    assert await ledger.draw(CAMPAIGN, 1) == FILE
    await ledger.close()
    again = connect(ledger_url)
    await again.open()
    assert await again.draw(CAMPAIGN, 1) == FILE
    await again.close()


async def test_the_first_file_stays(ledger: Ledger, other: Ledger) -> None:
    await register(ledger)
    await register(ledger, "another")
    assert await ledger.keep_draw(CAMPAIGN, 1, FILE, NOTHING, []) == FILE
    assert await ledger.keep_draw(CAMPAIGN, 1, b"another", NOTHING, []) == FILE
    assert await other.keep_draw(CAMPAIGN, 1, b"", NOTHING, []) == FILE
    assert await other.draw(CAMPAIGN, 1) == FILE
    assert await other.draw("another", 1) is None
    assert await other.keep_draw("another", 1, b"another", NOTHING, []) == b"another"
    assert await ledger.draw(CAMPAIGN, 1) == FILE


async def test_of_several_writers_one_wins(ledger: Ledger, other: Ledger) -> None:
    await register(ledger)
    files = [b"%d" % number for number in range(8)]
    kept = await asyncio.gather(
        *(
            each.keep_draw(CAMPAIGN, 1, file, NOTHING, [])
            for file, each in zip(files, [ledger, other] * 4, strict=True)
        )
    )
    assert len(set(kept)) == 1
    assert kept[0] in files
    assert await ledger.draw(CAMPAIGN, 1) == kept[0] == await other.draw(CAMPAIGN, 1)


@pytest.mark.parametrize("file", [b"", bytes(range(256)) * 40_000])
async def test_a_file_may_be_empty_or_large(ledger: Ledger, file: bytes) -> None:
    await register(ledger)
    assert await ledger.keep_draw(CAMPAIGN, 1, file, NOTHING, []) == file
    assert await ledger.draw(CAMPAIGN, 1) == file


async def test_a_campaign_that_is_not_registered_has_no_draw(ledger: Ledger) -> None:
    assert await ledger.draw("unheard-of", 1) is None
    with pytest.raises(LookupError, match="unheard-of is not registered"):
        await ledger.keep_draw("unheard-of", 1, FILE, NOTHING, [])
    assert await ledger.draw("unheard-of", 1) is None


# Shares


def share(member: str, *, won: bool) -> Share:
    return Share(member, 1_000, 1, won, [])


async def test_shares_of_the_draw_that_is_kept(ledger: Ledger, other: Ledger) -> None:
    await register(ledger)
    wishes = [Wished("soap", "confirmed", "open"), Wished("paper", "not_drawn", "")]
    ours = [Share("m1", 1_500, 1, won=True, wishes=wishes), Share("m2", 1_000, 2, won=False, wishes=[])]
    summary = Summary(2, {"soap": Cut(1, 1, 1), "paper": Cut(1, 0, 0)})
    assert await ledger.summary(CAMPAIGN, 1) is None
    await ledger.keep_draw(CAMPAIGN, 1, FILE, summary, ours)
    later = [share("m1", won=False), share("m3", won=False)]
    await other.keep_draw(CAMPAIGN, 1, b"later", NOTHING, later)
    assert [await ledger.share(CAMPAIGN, 1, member) for member in ("m1", "m2", "m3")] == [*ours, None]
    assert await ledger.summary(CAMPAIGN, 1) == summary


async def test_each_draw_of_a_campaign_is_kept(ledger: Ledger) -> None:
    await register(ledger)
    (here,) = await ledger.campaigns()
    for number, won in ((1, False), (2, True), (3, False)):
        file = b"%d" % number
        kept = await ledger.keep_draw(CAMPAIGN, number, file, Summary(number, {}), [share("m1", won=won)])
        assert kept == file
    assert [await ledger.draw(CAMPAIGN, number) for number in (1, 2, 3, 4)] == [b"1", b"2", b"3", None]
    assert await ledger.summary(CAMPAIGN, 2) == Summary(2, {})
    assert await ledger.share(CAMPAIGN, 2, "m1") == share("m1", won=True)
    assert await ledger.histories(here.unit, (CAMPAIGN, 3)) == {"m1": History(0, 1)}


async def test_draws_of_the_same_unit_are_counted(ledger: Ledger) -> None:
    await register(ledger)
    (here,) = await ledger.campaigns()
    for name, unit, won in (("a", here.unit, True), ("b", here.unit, False), ("c", "elsewhere", True)):
        await ledger.register(name, unit, "organizer", "http", 0)
        await ledger.keep_draw(name, 1, FILE, NOTHING, [share("m1", won=won), share("m2", won=False)])
    await ledger.keep_draw(CAMPAIGN, 1, FILE, NOTHING, [share("m1", won=True)])
    found = await ledger.histories(here.unit, (CAMPAIGN, 1))
    assert found == {"m1": History(1, 1), "m2": History(2, 0)}
    assert await ledger.histories(here.unit, (CAMPAIGN, 1), "m2") == {"m2": History(2, 0)}
    assert await ledger.histories(here.unit, (CAMPAIGN, 1), "m3") == {}
    assert await ledger.histories(here.unit, ("a", 1), "m1") == {"m1": History(1, 1)}
