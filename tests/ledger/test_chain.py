"""The chain of a campaign's log, on each ledger."""

import asyncio

import pytest

from engine.domain import chain
from engine.domain.chain import Link
from engine.domain.events import Event
from engine.ledger import batch
from engine.ledger.protocol import Batch, DeadLetter, Fenced, Ledger, Refused
from tests.ledger.logs import CAMPAIGN, Log, rush
from tests.ledger.test_conformance import record, recorded_seq, register
from tests.ledger.test_migrations import execute


def line(entry: Event | DeadLetter) -> bytes:
    if isinstance(entry, DeadLetter):
        return chain.dead_line(entry.seq, batch.pack(entry.fields))
    return chain.line(entry)


def linked(log: Log, seq: int | None = None) -> Link:
    """The chain of a log, link by link."""
    link = chain.begin(log.campaign)
    for entry in log.entries[:seq]:
        link = chain.extend(link, [line(entry)], entry.seq)
    return link


async def test_a_chain_is_the_same_whatever_the_batches(ledger: Ledger) -> None:
    await register(ledger)
    log = rush(300)
    log.dead({b"h": b"\xc1", b"r": b"?"}, "made up")
    assert await ledger.newest_link(CAMPAIGN) is None
    await record(ledger, log, size=7)
    assert await ledger.newest_link(CAMPAIGN) == linked(log)
    ends = [*range(7, 301, 7), 301]
    assert await ledger.links(CAMPAIGN, 0, 1_000) == [linked(log, seq) for seq in ends]
    assert await ledger.links(CAMPAIGN, 14, 2) == [linked(log, seq) for seq in (21, 28)]


async def test_the_lines_of_the_roll(ledger: Ledger) -> None:
    await register(ledger)
    log = rush(30)
    log.dead({b"h": b"\xc1"}, "made up")
    log.opened()
    await record(ledger, log)
    lines = [(entry.seq, line(entry)) for entry in log.entries]
    assert await ledger.lines(CAMPAIGN, 0, 32, 100) == lines
    assert await ledger.lines(CAMPAIGN, 28, 31, 100) == lines[28:31]
    assert await ledger.lines(CAMPAIGN, 28, 32, 2) == lines[28:30]
    assert await ledger.lines("another", 0, 32, 100) == []


async def test_chains_of_several_campaigns_in_one_transaction(ledger: Ledger) -> None:
    logs = [Log("one"), Log("two")]
    for log in logs:
        await register(ledger, log.campaign)
        log.published()
    for _ in range(2):
        batches = []
        for log in logs:
            after_seq = await recorded_seq(ledger, log.campaign)
            log.opened()
            batches.append(Batch(log.campaign, 1, after_seq, log.entries[after_seq:]))
        await ledger.record_many(batches)
    for log in logs:
        assert await ledger.newest_link(log.campaign) == linked(log)
    assert linked(logs[0]).digest != linked(logs[1]).digest


async def test_what_is_refused_leaves_no_link(ledger: Ledger) -> None:
    await register(ledger)
    log = Log()
    log.published({("soap", "open"): 1})
    await record(ledger, log)
    log.enrolled("m-1001", "soap", "open", 2)
    with pytest.raises(Refused):
        await record(ledger, log, after=1)
    assert await ledger.newest_link(CAMPAIGN) == linked(log, 1)
    with pytest.raises(Fenced):
        await ledger.record(CAMPAIGN, 1, 0, log.entries[:1])
    assert await ledger.links(CAMPAIGN, 0, 9) == [linked(log, 1)]


async def test_what_a_version_without_a_chain_recorded_is_linked(
    ledger: Ledger, other: Ledger, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole log of an old ledger, and batches of a process that is not replaced yet."""
    monkeypatch.setattr("engine.ledger.reading.LINKED_AT_ONCE", 64)
    await register(ledger)
    log = rush(200)
    log.dead({b"h": b"\xc1"}, "made up")
    await record(ledger, log)
    await execute(ledger_url, "DELETE FROM chain")
    log.opened()
    with pytest.raises(Fenced):
        await record(ledger, log, after=201)
    await asyncio.gather(ledger.link(CAMPAIGN, 201), other.link(CAMPAIGN, 201))
    assert await ledger.links(CAMPAIGN, 0, 9) == [linked(log, seq) for seq in (64, 128, 192, 201)]
    await record(ledger, log, after=201)
    assert await ledger.newest_link(CAMPAIGN) == linked(log)
    await ledger.link(CAMPAIGN, 202)
    assert len(await ledger.links(CAMPAIGN, 0, 9)) == 5


async def test_a_log_with_a_gap_and_an_unreadable_event_is_linked_as_it_is(
    ledger: Ledger, ledger_url: str
) -> None:
    await register(ledger)
    log = rush(10)
    await record(ledger, log)
    unreadable = batch.pack({b"h": b"?"})
    literal = f"x'{unreadable.hex()}'" if "sqlite" in ledger_url else f"'\\x{unreadable.hex()}'"
    await execute(ledger_url, f"UPDATE events SET fields = {literal} WHERE seq = 3")
    await execute(ledger_url, "DELETE FROM events WHERE seq IN (5, 10)")
    await execute(ledger_url, "DELETE FROM chain")
    await ledger.link(CAMPAIGN, 10)
    lines = await ledger.lines(CAMPAIGN, 0, 10, 100)
    assert [seq for seq, _ in lines] == [1, 2, 3, 4, 6, 7, 8, 9]
    assert lines[2] == (3, chain.dead_line(3, unreadable))
    newest = chain.extend(chain.begin(CAMPAIGN), (line for _, line in lines), 10)
    assert await ledger.newest_link(CAMPAIGN) == newest
