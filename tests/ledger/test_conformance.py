"""What every ledger must do, whatever database it is."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest

from engine.domain.enrollment import LIVE, Record
from engine.domain.events import Event
from engine.ledger.protocol import (
    Batch,
    DeadLetter,
    Definition,
    Fenced,
    Ledger,
    Refused,
    Registration,
    Row,
    TrailRow,
)
from tests.ledger.logs import BEGINS, CAMPAIGN, POOLS, Log, rush

UNIT = "xicheng.finance"


async def register(ledger: Ledger, campaign: str = CAMPAIGN) -> None:
    await ledger.register(campaign, UNIT, "o-1", "http", BEGINS)


async def record(ledger: Ledger, log: Log, *, after: int = 0, size: int = 1000) -> None:
    """Record a log from a seq on, in batches of a size."""
    for begin in range(after, log.seq, size):
        await ledger.record(log.campaign, log.epoch, begin, log.entries[begin : begin + size])


async def recorded_seq(ledger: Ledger, campaign: str = CAMPAIGN) -> int:
    return next(known.recorded_seq for known in await ledger.campaigns() if known.campaign == campaign)


async def everything(ledger: Ledger) -> dict[str, Record]:
    return {row.enrollment: row.record for row in await ledger.enrollments(CAMPAIGN, 1_000_000)}


async def assert_holds(ledger: Ledger, log: Log) -> None:
    """The ledger holds what the log leaves behind, no more and no less."""
    assert await recorded_seq(ledger) == log.seq
    assert await ledger.events(CAMPAIGN, 0, 1_000_000) == [
        entry for entry in log.entries if isinstance(entry, Event)
    ]
    assert await ledger.dead_letters(CAMPAIGN) == [
        entry for entry in log.entries if isinstance(entry, DeadLetter)
    ]
    assert await everything(ledger) == log.records
    assert await ledger.seats(CAMPAIGN) == log.seats()


# Publishing


async def test_a_campaign_is_registered_once(ledger: Ledger) -> None:
    first = Registration(CAMPAIGN, UNIT, epoch=1, created=False, recorded_seq=0)
    assert await ledger.register(CAMPAIGN, UNIT, "o-1", "http", 1) == first
    assert await ledger.register(CAMPAIGN, "another.unit", "o-2", "cli", 2) == first
    assert await ledger.campaigns() == [first]
    assert await ledger.trail(CAMPAIGN, 9) == [TrailRow(1, "o-1", "http", "registered", CAMPAIGN, UNIT)]


async def test_two_register_at_once(ledger: Ledger, other: Ledger) -> None:
    known = await asyncio.gather(
        *(each.register(CAMPAIGN, UNIT, "o-1", "http", 1) for each in [ledger, other] * 4)
    )
    assert known == [Registration(CAMPAIGN, UNIT, epoch=1, created=False, recorded_seq=0)] * 8
    assert len(await ledger.trail(CAMPAIGN, 9)) == 1


async def test_created_is_noted_for_good(ledger: Ledger) -> None:
    await register(ledger)
    await ledger.mark_created(CAMPAIGN)
    await ledger.mark_created(CAMPAIGN)
    assert (await ledger.register(CAMPAIGN, UNIT, "o-1", "http", 2)).created
    with pytest.raises(LookupError):
        await ledger.mark_created("unheard-of")


async def test_campaigns_come_in_order_of_their_name(ledger: Ledger) -> None:
    names = ["b", "a-2", "a", "a2", "10", "9"]
    for name in names:
        await register(ledger, name)
    assert [known.campaign for known in await ledger.campaigns()] == sorted(names)


async def test_versions_of_the_document(ledger: Ledger) -> None:
    log = Log()
    first = log.published()
    second = log.published(version=2)
    await register(ledger)
    assert await ledger.definition(CAMPAIGN) is None
    await record(ledger, log)
    expected = [
        Definition(CAMPAIGN, version, event.document or b"", "o-1", event.header.at)
        for version, event in enumerate((first, second), 1)
    ]
    assert "剪纸 🧵𠮷".encode() in expected[0].document
    assert await ledger.definition(CAMPAIGN) == expected[1]
    assert await ledger.definition(CAMPAIGN, 1) == expected[0]
    assert await ledger.definition(CAMPAIGN, 2) == expected[1]
    assert await ledger.definition(CAMPAIGN, 3) is None
    assert await ledger.definition("unheard-of") is None


# Recording


@pytest.mark.parametrize("size", [1, 2, 7, 100, 1000])
async def test_a_rush_leaves_what_its_log_says(ledger: Ledger, size: int) -> None:
    log = rush(1000 if size > 1 else 150, seed=size)
    await register(ledger)
    await record(ledger, log, size=size)
    await assert_holds(ledger, log)
    assert log.seats() == POOLS or size == 1


async def test_events_come_back_as_they_were(ledger: Ledger) -> None:
    log = rush(30)
    log.opened()
    await register(ledger)
    await record(ledger, log)
    assert await ledger.events(CAMPAIGN, 0, 1000) == log.entries
    assert await ledger.events(CAMPAIGN, 7, 5) == log.entries[7:12]
    assert await ledger.events(CAMPAIGN, log.seq, 5) == []
    assert await ledger.events("unheard-of", 0, 5) == []


async def test_campaigns_do_not_mix(ledger: Ledger) -> None:
    logs = []
    for campaign in ("a", "b"):
        log = Log(campaign)
        log.published()
        log.enrolled("m-1", seat=1)
        await register(ledger, campaign)
        await record(ledger, log)
        logs.append(log)
    for log in logs:
        assert await ledger.events(log.campaign, 0, 9) == log.entries
        assert await ledger.seats(log.campaign) == {("soap", "open"): 1}
        assert [row.campaign for row in await ledger.enrollments(log.campaign, 9)] == [log.campaign]


async def test_a_batch_must_be_consecutive(ledger: Ledger) -> None:
    log = rush(20)
    await register(ledger)
    strangers = [Log(campaign="another"), Log(epoch=2)]
    for stranger in strangers:
        stranger.published()
    batches: Sequence[tuple[int, list[Event | DeadLetter]]] = [
        (0, []),
        (0, log.entries[1:]),
        (1, log.entries),
        (0, [*log.entries[:5], *log.entries[6:]]),
        (0, [*log.entries[:5], log.entries[4]]),
        (0, list(reversed(log.entries))),
        *((0, stranger.entries) for stranger in strangers),
    ]
    for after, batch in batches:
        with pytest.raises(ValueError, match=r"empty|expected"):
            await ledger.record(CAMPAIGN, 1, after, batch)
    assert await recorded_seq(ledger) == 0


async def test_the_fence(ledger: Ledger) -> None:
    log = rush(40)
    await register(ledger)
    await record(ledger, log)
    event = Log().opened()
    for campaign, epoch, after in [
        (CAMPAIGN, 1, 39),  # repeats
        (CAMPAIGN, 1, 41),  # skips
        (CAMPAIGN, 2, 40),  # is of another epoch
        ("unheard-of", 1, 0),
    ]:
        stray = msgspec.structs.replace(event, campaign=campaign, epoch=epoch, seq=after + 1)
        with pytest.raises(Fenced):
            await ledger.record(campaign, epoch, after, [stray])
    await assert_holds(ledger, log)


async def test_of_two_recorders_one_is_fenced(ledger: Ledger, other: Ledger) -> None:
    log = rush(1200)
    await register(ledger)
    seq = 0
    while seq < log.seq:
        ends = (min(seq + 50, log.seq), min(seq + 80, log.seq))
        results = await asyncio.gather(
            ledger.record(CAMPAIGN, 1, seq, log.entries[seq : ends[0]]),
            other.record(CAMPAIGN, 1, seq, log.entries[seq : ends[1]]),
            return_exceptions=True,
        )
        (winner,) = [index for index, result in enumerate(results) if result is None]
        assert isinstance(results[1 - winner], Fenced)
        seq = ends[winner]
        assert await recorded_seq(ledger) == seq
    await assert_holds(ledger, log)


async def test_several_campaigns_are_recorded_at_once(ledger: Ledger, other: Ledger) -> None:
    logs = [Log(f"c-{number}") for number in range(6)]
    for log in logs:
        await register(ledger, log.campaign)
        log.published()
        for seat in range(1, 11):
            log.enrolled(f"m-{seat}", seat=seat)
    await asyncio.gather(
        *(record(each, log, size=3) for log, each in zip(logs, [ledger, other] * 3, strict=True))
    )
    for log in logs:
        assert await ledger.events(log.campaign, 0, 99) == log.entries
        assert await ledger.seats(log.campaign) == {("soap", "open"): 10}


async def test_a_dead_letter_is_kept_and_the_cursor_moves_over_it(ledger: Ledger) -> None:
    log = Log()
    log.published()
    log.enrolled("m-1", seat=1)
    log.dead({b"h": b"\xc1 no msgpack", b"\xff": b"\x00"}, "field 'h': 坏了 🧨")
    log.dead({}, "nothing in it")
    log.enrolled("m-2", seat=2)
    await register(ledger)
    await record(ledger, log)
    await assert_holds(ledger, log)
    assert [letter.seq for letter in await ledger.dead_letters(CAMPAIGN)] == [3, 4]
    assert [event.seq for event in await ledger.events(CAMPAIGN, 0, 9)] == [1, 2, 5]
    assert await ledger.dead_letters("unheard-of") == []


async def test_dead_letters_are_counted(ledger: Ledger) -> None:
    for campaign, letters in (("a", 2), ("b", 0), ("c", 1)):
        log = Log(campaign)
        log.published()
        for _ in range(letters):
            log.dead({}, "nothing in it")
        await register(ledger, campaign)
        await record(ledger, log)
    assert await ledger.dead_letter_counts() == {"a": 2, "c": 1}


# Several campaigns in one transaction


async def several(ledger: Ledger, *campaigns: str) -> list[Log]:
    """Campaigns of which the ledger has the publication, and three sign-ups are still to be recorded."""
    logs = [Log(campaign) for campaign in campaigns]
    for log in logs:
        await register(ledger, log.campaign)
        log.published()
        await record(ledger, log)
        for seat in (1, 2, 3):
            log.enrolled(f"m-{seat}", seat=seat)
    return logs


def batches_of(logs: Sequence[Log]) -> list[Batch]:
    return [Batch(log.campaign, log.epoch, 1, log.entries[1:]) for log in logs]


async def test_batches_of_several_campaigns_are_recorded_together(ledger: Ledger) -> None:
    logs = await several(ledger, "c", "a", "b")
    logs[0].cancelled("e-2")
    logs[1].cancelled("e-3", actor="o-1")
    logs[2].published({("soap", "open"): 20, ("tea", "open"): 1}, version=2)
    logs[2].enrolled("m-4", "tea", seat=1)
    await ledger.record_many(batches_of(logs))
    assert [known.recorded_seq for known in await ledger.campaigns()] == [5, 6, 5]
    for log in logs:
        assert await ledger.events(log.campaign, 0, 99) == log.entries
        assert {
            row.enrollment: row.record for row in await ledger.enrollments(log.campaign, 99)
        } == log.records
        assert await ledger.seats(log.campaign) == log.seats()
    assert (await ledger.trail("a", 9))[0].action == "cancelled"


async def test_of_batches_recorded_together_all_are_written_or_none(ledger: Ledger) -> None:
    for fault in ("a cursor", "an epoch", "a seat"):
        names = [f"{letter}-{fault[-4:].strip()}" for letter in "abc"]
        logs = await several(ledger, *names)
        batches = batches_of(logs)
        if fault == "a cursor":
            await ledger.record(names[1], 1, 1, logs[1].entries[1:2])
        elif fault == "an epoch":
            strayed = [msgspec.structs.replace(entry, epoch=2) for entry in logs[1].entries[1:]]
            batches[1] = Batch(names[1], 2, 1, strayed)
        else:
            logs[1].enrolled("m-9", seat=3)
            batches = batches_of(logs)
        before = await ledger.campaigns()
        with pytest.raises(Refused if fault == "a seat" else Fenced):
            await ledger.record_many(batches)
        assert await ledger.campaigns() == before
        assert await ledger.seats(names[0]) == {} == await ledger.seats(names[2])
        await ledger.record_many([batches[2], batches[0]])
        assert await ledger.seats(names[0]) == {("soap", "open"): 3}


async def test_of_two_recorders_of_several_campaigns_one_is_fenced(ledger: Ledger, other: Ledger) -> None:
    logs = await several(ledger, *(f"c-{number}" for number in range(8)))
    batches = batches_of(logs)
    results = await asyncio.gather(
        ledger.record_many(batches), other.record_many(batches[::-1]), return_exceptions=True
    )
    assert [type(result) for result in results if result is not None] == [Fenced]
    for log in logs:
        assert await ledger.events(log.campaign, 0, 99) == log.entries


# Seats


async def test_a_seat_is_held_once(ledger: Ledger) -> None:
    log = Log()
    log.published()
    log.enrolled("m-1", seat=3)
    await register(ledger)
    await record(ledger, log)
    log.enrolled("m-2", seat=4)
    log.enrolled("m-3", seat=3)
    with pytest.raises(Refused):
        await record(ledger, log, after=2)
    del log.records["e-3"], log.records["e-4"], log.entries[2:]
    await assert_holds(ledger, log)


async def test_a_seat_is_held_once_within_a_batch(ledger: Ledger) -> None:
    log = Log()
    log.published()
    log.enrolled("m-1", seat=3)
    log.enrolled("m-2", seat=3)
    await register(ledger)
    with pytest.raises(Refused):
        await record(ledger, log)
    assert await recorded_seq(ledger) == 0
    assert await everything(ledger) == {}


@pytest.mark.parametrize("size", [1, 2, 9])
async def test_a_freed_seat_is_given_again(ledger: Ledger, size: int) -> None:
    """Also within a batch, and down a chain: e-2 leaves seat 3, e-3 takes and leaves it, e-4 takes it."""
    log = Log()
    log.published()
    log.enrolled("m-2", seat=3)
    log.enrolled("m-3")
    log.enrolled("m-4")
    await register(ledger)
    await record(ledger, log)
    log.cancelled("e-2")
    log.changed("promoted", "e-3", "confirmed", "open", 3)
    log.cancelled("e-3")
    log.changed("promoted", "e-4", "offered", "open", 3)
    log.changed("confirmed", "e-4", "confirmed", "open", 3, actor="m-4")
    await record(ledger, log, after=4, size=size)
    await assert_holds(ledger, log)
    assert await ledger.seats(CAMPAIGN) == {("soap", "open"): 1}


async def test_seats_change_hands_crosswise(ledger: Ledger) -> None:
    log = Log()
    log.published()
    log.enrolled("m-2", seat=1)
    log.enrolled("m-3", seat=2)
    await register(ledger)
    await record(ledger, log)
    log.cancelled("e-2")
    log.cancelled("e-3")
    log.enrolled("m-3", seat=1)
    log.enrolled("m-2", seat=2)
    await record(ledger, log, after=3)
    await assert_holds(ledger, log)


@pytest.mark.parametrize(("pool", "seat"), [("open", 11), ("open", -1), ("vip", 1), ("", 1)])
async def test_a_seat_outside_its_pool_is_refused(ledger: Ledger, pool: str, seat: int) -> None:
    log = Log()
    log.published()
    log.enrolled("m-1", seat=10)
    log.enrolled("m-2", pool=pool, seat=seat)
    await register(ledger)
    await record(ledger, beginning_of(log, 2))
    with pytest.raises(Refused):
        await record(ledger, log, after=2)
    assert await recorded_seq(ledger) == 2


def beginning_of(log: Log, length: int) -> Log:
    beginning = Log(log.campaign, log.epoch)
    beginning.entries = log.entries[:length]
    return beginning


async def test_capacity_follows_the_newest_document(ledger: Ledger) -> None:
    log = Log()
    log.published({("soap", "open"): 2})
    log.enrolled("m-1", seat=2)
    await register(ledger)
    await record(ledger, log)
    log.published({("soap", "open"): 3, ("soap", "new"): 1}, version=2)
    log.enrolled("m-2", seat=3)
    log.enrolled("m-3", pool="new", seat=1)
    await record(ledger, log, after=2)
    log.cancelled("e-4")
    log.published({("soap", "open"): 2}, version=3)
    log.enrolled("m-4", seat=1)
    await record(ledger, log, after=5)
    log.enrolled("m-5", seat=3)
    with pytest.raises(Refused):
        await record(ledger, log, after=8)
    del log.records["e-9"], log.entries[8:]
    await assert_holds(ledger, log)


async def test_a_document_that_cannot_be_read_is_refused(ledger: Ledger) -> None:
    await register(ledger)
    for document in (None, b"{", b'{"offerings": [{"offering": "soap"}]}'):
        log = Log()
        log.published()
        event = log.entries[0]
        assert isinstance(event, Event)
        fields = {b"h": event.fields[b"h"]} | ({} if document is None else {b"d": document})
        with pytest.raises(Refused, match="version 1"):
            await ledger.record(CAMPAIGN, 1, 0, [Event(CAMPAIGN, 1, 1, event.header, None, fields)])
    assert await recorded_seq(ledger) == 0


@pytest.mark.parametrize("size", [1, 2, 9])
async def test_an_older_version_changes_nothing(ledger: Ledger, size: int) -> None:
    log = Log()
    log.published()
    log.enrolled("m-1", seat=1)
    log.enrolled("m-2")
    log.changed("promoted", "e-3", "offered", "open", 2, version=5)
    log.changed("promoted", "e-3", "confirmed", "open", 3, version=4)
    log.changed("cancelled", "e-3", "cancelled", version=3)
    await register(ledger)
    await record(ledger, log, size=size)
    await assert_holds(ledger, log)
    assert log.records["e-3"].seat == 2
    assert await ledger.seats(CAMPAIGN) == {("soap", "open"): 2}


async def test_numbers_that_no_column_holds_are_refused(ledger: Ledger) -> None:
    log = Log()
    log.published()
    log.enrolled("m-1", seat=2**64 - 1)
    await register(ledger)
    with pytest.raises(Refused):
        await record(ledger, log)
    assert await recorded_seq(ledger) == 0


# Reading


async def pages_of(ledger: Ledger, member: str, limit: int) -> list[Row]:
    rows: list[Row] = []
    after = None
    while page := await ledger.enrollments_of(member, limit, after):
        assert len(page) <= limit
        rows += page
        after = (page[-1].record.decided_at, page[-1].enrollment)
    return rows


async def pages_of_roster(ledger: Ledger, offering: str, limit: int) -> list[Row]:
    rows: list[Row] = []
    after = None
    while page := await ledger.roster(CAMPAIGN, offering, limit, after):
        assert len(page) <= limit
        rows += page
        after = (int(page[-1].record.status == "waitlisted"), page[-1].record.order)
    return rows


async def test_a_members_sign_ups_up_to_a_seq(ledger: Ledger) -> None:
    log, another = Log(), Log("another")
    for each in (log, another):
        each.published()
        each.enrolled("m-1", seat=1)
        each.enrolled("m-2")
        each.cancelled("e-2")
        each.enrolled("m-1", "paper-cutting")
        await register(ledger, each.campaign)
        await record(ledger, each)
    expected = [Row(CAMPAIGN, name, log.records[name], 0) for name in ("e-5", "e-2")]
    assert await ledger.sign_ups(CAMPAIGN, "m-1", 5, 9) == expected
    assert await ledger.sign_ups(CAMPAIGN, "m-1", 5, 1) == expected[:1]
    assert await ledger.sign_ups(CAMPAIGN, "m-1", 4, 9) == expected[1:]
    assert await ledger.sign_ups(CAMPAIGN, "m-1", 1, 9) == []
    assert await ledger.sign_ups("unheard-of", "m-1", 5, 9) == []


async def test_a_members_enrollments_over_all_campaigns(ledger: Ledger) -> None:
    for campaign in ("a", "b", "c"):  # decided at the same moments
        log = Log(campaign)
        log.published()
        for number in range(2, 7):
            log.enrolled("m-1" if number % 2 else "m-2", seat=number)
        log.cancelled("e-3")
        log.enrolled("m-1")
        log.enrolled("m-2")
        log.enrolled("m-1", "paper-cutting")
        await register(ledger, campaign)
        await record(ledger, log)
    rows = await pages_of(ledger, "m-1", 100)
    assert {(row.campaign, row.enrollment) for row in rows} == {
        (campaign, name) for campaign in "abc" for name in ("e-3", "e-5", "e-8", "e-10")
    }
    assert {row.record.member for row in rows} == {"m-1"}
    times = [row.record.decided_at for row in rows]
    assert times == sorted(times, reverse=True)
    assert {(row.enrollment, row.record.status, row.position) for row in rows} == {
        ("e-3", "cancelled", 0),
        ("e-5", "confirmed", 0),
        ("e-8", "waitlisted", 1),
        ("e-10", "waitlisted", 1),
    }
    assert [row.position for row in await ledger.enrollments_of("m-2", 1)] == [2]
    assert await ledger.enrollments_of("m-3", 9) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_of_a_members_enrollments(ledger: Ledger, limit: int) -> None:
    log = rush(800)
    await register(ledger)
    await record(ledger, log)
    member = max((record.member for record in log.records.values()), key=lambda member: _count(log, member))
    rows = await pages_of(ledger, member, limit)
    assert [row.enrollment for row in rows] == [
        name for name, record in reversed(log.records.items()) if record.member == member
    ]
    assert len(rows) > 2


def _count(log: Log, member: str) -> int:
    return sum(record.member == member for record in log.records.values())


@pytest.mark.parametrize("limit", [1, 3, 20, 1000])
async def test_the_roster(ledger: Ledger, limit: int) -> None:
    log = rush(700)
    await register(ledger)
    await record(ledger, log)
    rows = await pages_of_roster(ledger, "paper-cutting", limit)
    living = {
        name: record
        for name, record in log.records.items()
        if record.offering == "paper-cutting" and record.status in LIVE
    }
    assert {row.enrollment: row.record for row in rows} == living
    order = [(row.record.status == "waitlisted", row.record.seq) for row in rows]
    assert all(one < next_one for one, next_one in pairwise(order))
    assert [row.position for row in rows if row.position] == list(
        range(1, 1 + sum(waits for waits, _ in order))
    )
    assert all((row.position > 0) == (row.record.status == "waitlisted") for row in rows)
    assert sum(waits for waits, _ in order) > 3
    assert await ledger.roster(CAMPAIGN, "unheard-of", 9) == []


async def test_pages_for_the_audit(ledger: Ledger) -> None:
    log = rush(300)
    await register(ledger)
    await record(ledger, log)
    rows: list[Row] = []
    while page := await ledger.enrollments(CAMPAIGN, 17, rows[-1].record.seq if rows else 0):
        rows += page
    assert [(row.enrollment, row.record) for row in rows] == list(log.records.items())
    assert {row.position for row in rows} == {0}


async def test_the_trail_says_who_did_what_for_others(ledger: Ledger) -> None:
    log = Log()
    log.published()
    log.enrolled("m-1", seat=1)
    log.enrolled("m-2", seat=2, actor="officer-1")
    log.enrolled("m-3")
    log.cancelled("e-2")
    log.changed("promoted", "e-4", "offered", "open", 1)
    log.changed("lapsed", "e-4", "lapsed")
    log.cancelled("e-3", actor="officer-2")
    log.opened()
    log.codes_issued(["a" * 32, "b" * 32])
    log.code_revoked("b" * 32)
    await register(ledger)
    await record(ledger, log)
    expected = [
        TrailRow(BEGINS, "o-1", "http", "registered", CAMPAIGN, UNIT),
        TrailRow(BEGINS + 1, "o-1", "http", "published", CAMPAIGN, "version 1"),
        TrailRow(BEGINS + 3, "officer-1", "http", "enrolled", CAMPAIGN, "e-3"),
        TrailRow(BEGINS + 8, "officer-2", "http", "cancelled", CAMPAIGN, "e-3"),
        TrailRow(BEGINS + 10, "f-1", "http", "codes_issued", CAMPAIGN, "soap/own: 2"),
        TrailRow(BEGINS + 11, "o-1", "cli", "code_revoked", CAMPAIGN, f"soap/own: {'b' * 32}"),
    ]
    assert await ledger.trail(CAMPAIGN, 9) == expected[::-1]
    assert await ledger.trail(CAMPAIGN, 2) == expected[:-3:-1]
    assert await ledger.trail("unheard-of", 9) == []


async def test_closing_twice(ledger: Ledger) -> None:
    await ledger.close()
    await ledger.close()
