"""What every ledger must do for headcounts: the newest counts, and what held at a moment can always be told."""

import asyncio

from engine.ledger.protocol import Headcount, Ledger


async def report(ledger: Ledger, at: int = 1_000, /, **headcounts: int) -> int:
    named = {unit.replace("_", "."): headcount for unit, headcount in headcounts.items()}
    return await ledger.report_headcounts(named, "o-1", "http", at)


async def test_the_newest_report_counts(ledger: Ledger) -> None:
    assert await ledger.headcounts("d", 10) == []
    assert await ledger.headcounts_line() == 0
    assert await report(ledger, 1_000, d_a=10, d_b=0) == 2
    assert await report(ledger, 2_000, d_a=12, d_b=0, d_c=10_000_000) == 2
    assert await ledger.headcounts("d", 10) == [
        Headcount("d.a", 12, 2_000),
        Headcount("d.b", 0, 1_000),
        Headcount("d.c", 10_000_000, 2_000),
    ]


async def test_only_what_changes_is_noted_and_trailed(ledger: Ledger) -> None:
    await report(ledger, 1_000, d_a=10)
    line = await ledger.headcounts_line()
    assert await report(ledger, 2_000, d_a=10) == 0
    assert await ledger.report_headcounts({}, "o-1", "http", 2_500) == 0
    assert await ledger.headcounts_line() == line
    assert await report(ledger, 3_000, d_a=11) == 1
    assert await ledger.headcounts_line() > line
    assert [
        (row.at, row.actor, row.channel, row.action, row.detail) for row in await ledger.trail("", 9)
    ] == [
        (3_000, "o-1", "http", "headcounts", "1 changed"),
        (1_000, "o-1", "http", "headcounts", "1 changed"),
    ]


async def test_what_held_at_a_moment(ledger: Ledger) -> None:
    await report(ledger, 1_000, d_a=10, d_b=5)
    await report(ledger, 2_000, d_a=20)
    await report(ledger, 3_000, d_a=30, d_c=7)
    asked = ["d.c", "d.a", "d.b", "d.unknown"]
    held = {at: await ledger.headcounts_at(asked, at) for at in (500, 1_000, 1_999, 2_000, 2_999, 3_000)}
    assert held == {
        500: {"d.a": 10, "d.b": 5, "d.c": 7},
        1_000: {"d.a": 10, "d.b": 5, "d.c": 7},
        1_999: {"d.a": 10, "d.b": 5, "d.c": 7},
        2_000: {"d.a": 20, "d.b": 5, "d.c": 7},
        2_999: {"d.a": 20, "d.b": 5, "d.c": 7},
        3_000: {"d.a": 30, "d.b": 5, "d.c": 7},
    }
    assert await ledger.headcounts_at([], 3_000) == {}


async def test_a_clock_that_is_behind_does_not_undo_a_report(ledger: Ledger, other: Ledger) -> None:
    await report(ledger, 5_000, d_a=10)
    await report(other, 1_000, d_a=20)
    await report(ledger, 5_001, d_a=30)
    assert await ledger.headcounts("d.a", 1) == [Headcount("d.a", 30, 5_002)]
    assert await ledger.headcounts_at(["d.a"], 5_000) == {"d.a": 10}
    assert await ledger.headcounts_at(["d.a"], 5_001) == {"d.a": 20}


async def test_a_unit_is_whole_segments_and_pages_follow_its_names(ledger: Ledger) -> None:
    await report(ledger, d=1, d_a=2, d_a_x=3, d_b=4, dd=5)
    await ledger.report_headcounts({"d.a-b": 6, "d-a": 7, "d.a.x-1": 8}, "o-1", "cli", 1_000)
    pages, after = [], ""
    while page := await ledger.headcounts("d", 2, after):
        pages.append([each.unit for each in page])
        after = page[-1].unit
    assert pages == [["d", "d.a"], ["d.a-b", "d.a.x"], ["d.a.x-1", "d.b"]]
    assert [each.unit for each in await ledger.headcounts("d.a", 10)] == ["d.a", "d.a.x", "d.a.x-1"]


async def test_reports_at_once_are_all_noted(ledger: Ledger, other: Ledger) -> None:
    """One after the other in some order; whatever that was, the last is the newest of all of its units."""
    reports = [{f"d.u{unit}": count for unit in range(20)} for count in range(1, 13)]
    changed = await asyncio.gather(
        *(
            (ledger, other)[number % 2].report_headcounts(each, "o-1", "http", 1_000)
            for number, each in enumerate(reports)
        )
    )
    assert changed == [20] * 12
    newest = await ledger.headcounts("d", 100)
    assert len({each.headcount for each in newest}) == 1
    assert {each.reported_at for each in newest} == {1_011}


async def test_ten_thousand_at_once(ledger: Ledger) -> None:
    many = {f"d.t{number % 100}.c{number}": number for number in range(10_000)}
    assert await ledger.report_headcounts(many, "o-1", "cli", 1_000) == 10_000
    assert await ledger.report_headcounts(many, "o-1", "cli", 2_000) == 0
    assert await ledger.headcounts_at(list(many)[-64:], 1_000) == dict(list(many.items())[-64:])
