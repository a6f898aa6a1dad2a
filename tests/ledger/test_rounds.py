"""What every ledger must do for competitions: rankings, who goes on, and that neither changes once it is decided."""

import asyncio

from msgspec import structs

from engine.domain.ladder import Advance, Cut, Line, Round
from engine.ledger.protocol import Ledger, PoolDue
from tests.ledger.logs import CAMPAIGN, Log
from tests.ledger.test_conformance import assert_holds, record, register

COLUMNS = ["score", "time"]


def ranking(number: int, by: str = "m") -> list[Line]:
    return [
        Line(place, f"{by}-{place}", f"e-{place}", "own", place, place % 2 == 0, [100.0 - place, 0.1])
        for place in range(1, number + 1)
    ]


async def keep(ledger: Ledger, lines: list[Line], offering: str = "heats") -> bool:
    return await ledger.keep_results(CAMPAIGN, offering, COLUMNS, lines, "officer", "http", 17)


async def decided(ledger: Ledger, offering: str = "heats") -> Round:
    """The round as it is, with the first two going on to the final."""
    known = await ledger.round(CAMPAIGN, offering)
    assert known is not None
    return structs.replace(
        known, next="final", actor="organizer", channel="cli", cuts={"own": Cut(1, 1, 1, [99.0, 0.1])}
    )


GOING = [(Advance(1, "seat", "all"), "x-1"), (Advance(2, "substitute", "all"), "x-2")]


async def test_results_are_kept_and_replaced_whole(ledger: Ledger) -> None:
    await register(ledger)
    assert await ledger.round(CAMPAIGN, "heats") is None
    assert await ledger.results(CAMPAIGN, "heats", 99) == []
    assert await keep(ledger, ranking(5))
    assert await ledger.round(CAMPAIGN, "heats") == Round(
        CAMPAIGN, "heats", 1, COLUMNS, 5, 17, "", "", "", {}, False
    )
    assert await ledger.results(CAMPAIGN, "heats", 99) == ranking(5)
    assert await keep(ledger, ranking(3, "n"))
    known = await ledger.round(CAMPAIGN, "heats")
    assert known
    assert (known.version, known.lines) == (2, 3)
    assert await ledger.results(CAMPAIGN, "heats", 2, 1) == ranking(3, "n")[1:]
    assert await ledger.result_of(CAMPAIGN, "heats", "n-2") == ranking(3, "n")[1]
    assert await ledger.result_of(CAMPAIGN, "heats", "m-2") is None
    assert await ledger.results(CAMPAIGN, "final", 99) == []
    assert await keep(ledger, [])
    assert await ledger.results(CAMPAIGN, "heats", 99) == []


async def test_who_goes_on_is_decided_once(ledger: Ledger) -> None:
    await register(ledger)
    await keep(ledger, ranking(3))
    await keep(ledger, ranking(1), "other")
    due = await decided(ledger)
    assert await ledger.keep_advance(due, GOING, 18)
    assert await ledger.round(CAMPAIGN, "heats") == due
    first, second, third = await ledger.results(CAMPAIGN, "heats", 99)
    assert (first.going, first.next_pool, first.next_enrollment) == ("seat", "all", "x-1")
    assert (second.going, second.next_pool, second.next_enrollment) == ("substitute", "all", "x-2")
    assert third == ranking(3)[2]
    assert not await ledger.keep_advance(due, GOING[:1], 19)
    assert not await keep(ledger, ranking(9))
    assert await ledger.results(CAMPAIGN, "heats", 99) == [first, second, third]
    assert await ledger.rounds_due() == [due]
    await ledger.end_round(CAMPAIGN, "heats")
    assert await ledger.rounds_due() == []
    assert await ledger.round(CAMPAIGN, "heats") == structs.replace(due, done=True)
    trail = [(row.actor, row.channel, row.action, row.detail) for row in await ledger.trail(CAMPAIGN, 9)]
    assert trail[:3] == [
        ("organizer", "cli", "advanced", "heats to final: 1 seats, 1 substitutes"),
        ("officer", "http", "results", "other: 1 lines"),
        ("officer", "http", "results", "heats: 3 lines"),
    ]


async def test_it_is_decided_by_the_results_that_were_looked_at(ledger: Ledger) -> None:
    await register(ledger)
    await keep(ledger, ranking(3))
    due = await decided(ledger)
    await keep(ledger, ranking(3, "n"))
    assert not await ledger.keep_advance(due, GOING, 18)
    assert await ledger.results(CAMPAIGN, "heats", 99) == ranking(3, "n")
    assert await ledger.rounds_due() == []


async def test_pools_are_due_until_all_are_enrolled(ledger: Ledger) -> None:
    await register(ledger)
    await keep(ledger, ranking(3))
    assert await ledger.pools_due(CAMPAIGN) == []
    await ledger.keep_advance(await decided(ledger), [*GOING, (Advance(3, "substitute", "b"), "x-3")], 18)
    due = [PoolDue("heats", "final", "all"), PoolDue("heats", "final", "b")]
    assert await ledger.pools_due(CAMPAIGN) == due
    assert await ledger.pools_due("another") == []
    await ledger.end_round(CAMPAIGN, "heats")
    assert await ledger.pools_due(CAMPAIGN) == []


async def test_a_round_is_forgotten_unless_it_is_due(ledger: Ledger) -> None:
    await register(ledger)
    await keep(ledger, ranking(3))
    await keep(ledger, ranking(1), "other")
    await ledger.forget_round(CAMPAIGN, "other", 18)
    await ledger.forget_round(CAMPAIGN, "other", 19)
    assert await ledger.round(CAMPAIGN, "other") is None
    assert await ledger.results(CAMPAIGN, "other", 9) == []
    await ledger.keep_advance(await decided(ledger), GOING, 20)
    await ledger.forget_round(CAMPAIGN, "heats", 21)
    assert len(await ledger.results(CAMPAIGN, "heats", 9)) == 3
    await ledger.end_round(CAMPAIGN, "heats")
    await ledger.forget_round(CAMPAIGN, "heats", 22)
    assert await ledger.round(CAMPAIGN, "heats") is None
    assert await keep(ledger, ranking(2))
    trail = [(row.at, row.actor, row.action, row.detail) for row in await ledger.trail(CAMPAIGN, 9)]
    assert [row for row in trail if row[2] == "forgotten"] == [
        (22, "system", "forgotten", "heats"),
        (18, "system", "forgotten", "other"),
    ]


async def test_two_decide_and_two_import_at_once(ledger: Ledger, other: Ledger) -> None:
    await register(ledger)
    await keep(ledger, ranking(50))
    due = await decided(ledger)
    kept = await asyncio.gather(
        ledger.keep_advance(due, GOING, 18),
        other.keep_advance(due, GOING, 18),
        keep(ledger, ranking(50, "n")),
        keep(other, ranking(50, "o")),
    )
    known = await ledger.round(CAMPAIGN, "heats")
    assert known
    lines = await ledger.results(CAMPAIGN, "heats", 99)
    assert len(lines) == 50
    assert len({line.member[0] for line in lines}) == 1
    assert [bool(line.going) for line in lines] == [any(kept[:2])] * 2 + [False] * 48
    assert sum(kept[:2]) == bool(known.next)
    assert known.version == 1 + sum(kept[2:])


async def test_an_enrollment_may_begin_by_advancing(ledger: Ledger) -> None:
    log = Log()
    log.published()
    log.advanced("m-1")
    log.enrolled("m-2")
    await register(ledger)
    await record(ledger, log)
    await assert_holds(ledger, log)
