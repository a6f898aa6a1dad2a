"""What every ledger must do to forget: all of it, in parts, with the same roll; and what is others' stays."""

import pytest

from engine.domain import chain
from engine.ledger import consistency
from engine.ledger.protocol import Held, Ledger
from tests.ledger.logs import CAMPAIGN, Log, rush
from tests.ledger.test_conformance import record, register
from tests.ledger.test_migrations import execute
from tests.ledger.test_rounds import GOING, decided, keep, ranking

ALL = 10_000
STRANGE = ("~", "~" + "0" * 31, "~" + "0" * 33, "~" + "F" * 32, "a'b\"c%_\\", "x" * 64)
"""Ids that are near to a stand-in, or to SQL."""


async def rewrite(ledger: Ledger, member: str | None, until_seq: int, limit: int) -> None:
    after_seq = 0
    while after_seq < until_seq:
        done = await ledger.rewrite_log(CAMPAIGN, member, after_seq, until_seq, limit)
        assert after_seq < done <= until_seq
        after_seq = done


async def is_sound(ledger: Ledger, seq: int, letters: int = 0) -> None:
    """The log is whole and as it was linked, and nobody in the rows is another than in the log."""
    log, named = consistency.Log(ledger, CAMPAIGN, seq), dict[int, str]()
    async for page in log.pages():
        named |= {event.record.seq: event.record.member for event in page if event.record}
    assert len([each for each in log.differences if "dead letter" in each.what]) == letters
    assert len(log.differences) == letters
    rows = await ledger.enrollments(CAMPAIGN, ALL)
    assert {row.record.seq: row.record.member for row in rows} == named


@pytest.mark.parametrize("limit", [3, ALL])
async def test_a_member_is_forgotten_in_the_log(ledger: Ledger, limit: int) -> None:
    await register(ledger)
    log = rush(300)
    member = next(iter(log.records.values())).member
    log.codes_issued(["c1"])
    await record(ledger, log)
    before = await ledger.lines(CAMPAIGN, 0, ALL, ALL)
    mine = [row for row in await ledger.enrollments(CAMPAIGN, ALL) if row.record.member == member]
    assert (await ledger.held(CAMPAIGN, member)).enrollments == len(mine) > 0
    about = await ledger.log_about(CAMPAIGN, member, 0, log.seq, ALL)
    assert len([each for each in about if each.names]) >= len(mine)

    await rewrite(ledger, member, log.seq, limit)
    await is_sound(ledger, log.seq)
    assert await ledger.lines(CAMPAIGN, 0, ALL, ALL) == before
    assert await ledger.held(CAMPAIGN, member) == Held(0, 0, 0, 0)
    assert not any(each.names for each in await ledger.log_about(CAMPAIGN, member, 0, log.seq, ALL))
    for event in await ledger.events(CAMPAIGN, 0, ALL):
        if event.record:
            is_mine = event.record.member == chain.stand_in(CAMPAIGN, member)
            assert is_mine or event.header.type != "enrolled" or event.header.key


@pytest.mark.parametrize("limit", [7, ALL])
async def test_everybody_is(ledger: Ledger, limit: int) -> None:
    await register(ledger)
    log = rush(100)
    for member in STRANGE:
        log.enrolled(member)
    await record(ledger, log)
    before = await ledger.lines(CAMPAIGN, 0, ALL, ALL)
    await rewrite(ledger, None, log.seq, limit)
    await is_sound(ledger, log.seq)
    assert await ledger.lines(CAMPAIGN, 0, ALL, ALL) == before
    members = {row.record.member for row in await ledger.enrollments(CAMPAIGN, ALL)}
    assert members == {chain.stand_in(CAMPAIGN, each.member) for each in log.records.values()}
    # Once more, and nothing changes.
    await rewrite(ledger, None, log.seq, limit)
    assert {row.record.member for row in await ledger.enrollments(CAMPAIGN, ALL)} == members


async def test_what_came_later_is_a_new_members(ledger: Ledger) -> None:
    await register(ledger)
    log = Log()
    log.published()
    for _ in range(2):
        log.enrolled("mia")
    await record(ledger, log)
    await rewrite(ledger, "mia", 2, ALL)
    members = [row.record.member for row in await ledger.enrollments(CAMPAIGN, ALL)]
    assert members == [chain.stand_in(CAMPAIGN, "mia"), "mia"]
    await is_sound(ledger, 3)


async def test_of_what_cannot_be_applied_or_read_the_digest_is_left(ledger: Ledger, ledger_url: str) -> None:
    await register(ledger)
    log = Log()
    log.published()
    readable = log.enrolled("mia").fields
    log.entries.pop()
    others = {b"h": readable[b"h"], b"x": b"mia"}
    for fields in ({b"h": b"\xc1mia"}, dict(readable), {b"h": b"\xc1bob"}, others | {b"h": b"?"}):
        log.dead(fields, "made up")
    log.enrolled("mia-2")
    await record(ledger, log)
    unreadable = b"\x81\xc4\x01h\xc4\x04?mia"
    literal = f"x'{unreadable.hex()}'" if "sqlite" in ledger_url else f"'\\x{unreadable.hex()}'"
    await execute(ledger_url, f"UPDATE events SET fields = {literal} WHERE seq = 6")
    before = await ledger.lines(CAMPAIGN, 0, ALL, ALL)
    await rewrite(ledger, "mia", log.seq, 2)
    letters = {letter.seq: letter.fields for letter in await ledger.dead_letters(CAMPAIGN)}
    assert letters[4] == {b"h": b"\xc1bob"}
    assert [set(letters[seq]) for seq in (2, 3, 5)] == [{b"~"}] * 3
    assert await ledger.lines(CAMPAIGN, 0, ALL, ALL) == before
    assert not await ledger.log_about(CAMPAIGN, "mia", 0, log.seq, ALL)
    await rewrite(ledger, None, log.seq, 2)
    assert all(set(letter.fields) == {b"~"} for letter in await ledger.dead_letters(CAMPAIGN))
    assert await ledger.lines(CAMPAIGN, 0, ALL, ALL) == before


async def test_the_other_tables(ledger: Ledger) -> None:
    await register(ledger)
    log = Log()
    log.published()
    await record(ledger, log)
    assert await keep(ledger, ranking(3))
    assert await ledger.held(CAMPAIGN, "m-2") == Held(0, 0, 1, 0)
    assert (await ledger.held(CAMPAIGN, "o-1")).acts == 3
    for member in ("m-2", "o-1", "officer"):
        assert await ledger.forget(CAMPAIGN, member, 1, "cli:root", "cli", 99)
        assert await ledger.held(CAMPAIGN, member) == Held(0, 0, 0, 0)
    stand_in = chain.stand_in(CAMPAIGN, "m-2")
    assert [line.member for line in await ledger.results(CAMPAIGN, "heats", 9)] == ["m-1", stand_in, "m-3"]
    definition = await ledger.definition(CAMPAIGN)
    assert definition is not None
    assert definition.actor == chain.stand_in(CAMPAIGN, "o-1")
    newest = (await ledger.trail(CAMPAIGN, 1))[0]
    assert (newest.actor, newest.channel, newest.action, newest.detail) == (
        "cli:root",
        "cli",
        "erased",
        "a member",
    )
    assert await ledger.forgotten() == {}
    for until_seq in (7, 5):
        assert await ledger.forget(CAMPAIGN, None, until_seq, "system", "engine", 100)
        assert await ledger.forgotten() == {CAMPAIGN: 7}
    assert all(chain.is_forgotten(line.member) for line in await ledger.results(CAMPAIGN, "heats", 9))


async def test_not_while_a_round_is_carried_out(ledger: Ledger) -> None:
    await register(ledger)
    await keep(ledger, ranking(3))
    assert await ledger.keep_advance(await decided(ledger), GOING, 18)
    assert not await ledger.forget(CAMPAIGN, "m-1", 0, "cli:root", "cli", 99)
    assert not await ledger.forget(CAMPAIGN, None, 0, "cli:root", "cli", 99)
    assert (await ledger.held(CAMPAIGN, "m-1")).results == 1
    assert await ledger.forgotten() == {}
    await ledger.end_round(CAMPAIGN, "heats")
    assert await ledger.forget(CAMPAIGN, "m-1", 0, "cli:root", "cli", 99)


async def test_scrubbing_leaves_all_rows(ledger: Ledger, other: Ledger) -> None:
    await register(ledger)
    log = rush(100)
    await record(ledger, log)
    before = await ledger.enrollments(CAMPAIGN, ALL)
    assert await ledger.scrub()
    assert await other.enrollments(CAMPAIGN, ALL) == before
