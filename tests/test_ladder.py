"""Competitions from the first sign-up to the medals, on a real Redis and both ledgers."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine import tables
from engine.domain.faults import Fault
from engine.domain.ladder import Cut, Round
from engine.ladder import (
    IMPORTS_MAX,
    IS_ADVANCED,
    IS_BUSY,
    IS_LAST,
    IS_OPEN,
    NO_RESULTS,
    NO_SUCH_ROUND,
    Imported,
    Ladder,
)
from engine.live.server import Unknown
from engine.workers.advancer import Advancer
from tests.draws import Hooked, agrees
from tests.ladders import (
    advance,
    bring,
    decide,
    following,
    heats,
    imported,
    over,
    pools,
    results,
    roster,
    standing,
)
from tests.stand import CAMPAIGN, Stand, at, campaign, offering, open_stand


@pytest.fixture
async def stand(stores: tuple[str, str], data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts on an empty Redis and an empty ledger."""
    async with open_stand(*stores, data_directory) as opened:
        yield opened


async def held(stand: Stand, *after: dict[str, Any], number: int = 4) -> None:
    """Two crews of `number` in the heats, whose sign-up is over."""
    first = heats()
    await stand.publish(campaign(first, *after))
    for crew in (1, 2):
        for member in range(number):
            made = await stand.sign_up(f"c{crew}m{member}", "heats", unit=f"xicheng.red.c{crew}")
            assert made.outcome == "confirmed", made
    await stand.publish(campaign(over(first), *after))


SCORES = [
    ("c1m0", 90, 30),
    ("c1m1", 80, 20),
    ("c1m2", 80, 10),
    ("c1m3", 70, 5),
    ("c2m0", 95, 9),
    ("c2m1", 60, 9),
]


async def test_the_best_of_each_unit_go_on_and_the_next_wait(stand: Stand) -> None:
    await held(stand, following())
    done = await imported(stand, "heats", results(*SCORES))
    assert [line.member for line in done.ranking] == ["c2m0", "c1m0", "c1m2", "c1m1", "c1m3", "c2m1"]
    assert (await stand.sign_up("c1m0", "final", unit="xicheng.red.c1")).outcome == "not_eligible"
    await advance(stand, "heats")
    await agrees(stand)
    rows = await roster(stand, "final")
    assert standing(rows) == [
        *((member, "confirmed") for member in ("c2m0", "c1m0", "c1m2", "c2m1")),
        ("c1m1", "waitlisted"),
    ]
    assert [row.record.seat for row in rows] == [1, 2, 3, 4, 0]
    headers = [event.header for event in await stand.log() if event.header.type == "advanced"]
    assert {(header.actor, header.channel) for header in headers} == {("officer", "http")}
    # Whom a decision enrolled is enrolled like all others.
    mine = await stand.decisions.mine(CAMPAIGN, "c1m1")
    assert isinstance(mine, list)
    assert [(each.record.offering, each.position) for each in mine if each.record] == [
        ("heats", 0),
        ("final", 1),
    ]


async def test_a_substitute_comes_up_when_one_declines_in_time(stand: Stand) -> None:
    await held(stand, following())
    await imported(stand, "heats", results(*SCORES))
    await advance(stand, "heats")
    await agrees(stand)
    first, second, *_ = await roster(stand, "final")
    assert (await stand.cancel(first.enrollment, first.record.member)).outcome == "changed"
    await agrees(stand)
    assert standing(await roster(stand, "final"))[-1] == ("c1m1", "confirmed")
    await stand.cancel(second.enrollment)
    await agrees(stand)
    assert Counter(status for _, status in standing(await roster(stand, "final"))) == {"confirmed": 3}
    await agrees(stand)


async def test_who_declines_too_late_keeps_the_place(stand: Stand) -> None:
    await held(stand, following(cancel_until=at(seconds=-1)))
    await imported(stand, "heats", results(*SCORES))
    await advance(stand, "heats")
    await agrees(stand)
    first, *_ = await roster(stand, "final")
    assert (await stand.cancel(first.enrollment, first.record.member)).outcome == "too_late"
    # Nor does a seat that is new go to a substitute by then.
    first_round = over(heats())
    more = following(cancel_until=at(seconds=-1), pools=[{"pool": "all", "capacity": 9}])
    await stand.publish(campaign(first_round, more))
    await agrees(stand)
    assert standing(await roster(stand, "final"))[-1] == ("c1m1", "waitlisted")


async def test_a_seat_that_is_to_be_confirmed_goes_on_when_it_lapses(stand: Stand) -> None:
    await held(stand, following(hold_ttl_s=1))
    await imported(stand, "heats", results(*SCORES))
    await advance(stand, "heats")
    await agrees(stand)
    held_ones = [row for row in await roster(stand, "final") if row.record.status == "held"]
    assert len(held_ones) == 4
    for row in held_ones[1:]:
        assert (await stand.confirm(row.enrollment, row.record.member)).outcome == "changed"
    while (await stand.decisions.find(CAMPAIGN, held_ones[0].enrollment)).record.status == "held":  # type: ignore[union-attr]
        await stand.decisions.advance(CAMPAIGN)
    await agrees(stand)
    assert standing(await roster(stand, "final"))[-1] == ("c1m1", "confirmed")


async def test_seats_that_a_unit_leaves_go_to_substitutes_by_place(stand: Stand) -> None:
    await held(stand, following())
    await imported(stand, "heats", results(*SCORES[:5]))
    await advance(stand, "heats")
    await agrees(stand)
    rows = standing(await roster(stand, "final"))
    assert rows == [(member, "confirmed") for member in ("c2m0", "c1m0", "c1m2", "c1m1")]


async def test_a_dry_run_keeps_nothing(stand: Stand) -> None:
    await held(stand, following())
    would = await bring(stand, "heats", results(*SCORES), dry_run=True)
    assert isinstance(would, Imported)
    assert [each.going for each in would.advance] == ["seat"] * 4 + ["substitute"]
    assert await stand.runtime.ledger.round(CAMPAIGN, "heats") is None
    assert await decide(stand, "heats") == NO_RESULTS


async def test_results_may_be_imported_again_until_it_is_decided(stand: Stand) -> None:
    await held(stand, following())
    await imported(stand, "heats", results(*SCORES))
    await imported(stand, "heats", results(("c1m3", 1, 1)))
    decided = await decide(stand, "heats")
    assert isinstance(decided, Round)
    assert (decided.version, decided.lines, decided.done) == (2, 1, False)
    assert await bring(stand, "heats", results(*SCORES)) == IS_ADVANCED
    assert await bring(stand, "heats", results(*SCORES), dry_run=True) == IS_ADVANCED
    assert await decide(stand, "heats") == decided
    await advance(stand, "heats")
    await agrees(stand)
    assert standing(await roster(stand, "final")) == [("c1m3", "confirmed")]
    trail = [row.action for row in await stand.runtime.ledger.trail(CAMPAIGN, 50)]
    assert [trail.count(action) for action in ("results", "advanced")] == [2, 1]


async def test_every_bad_row_is_named_and_nothing_is_kept(stand: Stand) -> None:
    await held(stand, following())
    gone = await stand.sign_up("c2m9", "heats", unit="xicheng.red.c2")
    assert gone.outcome == "closed"
    bad = results(("c1m0", 90, 1), ("stranger", 1, 2), ("c1m0", 1, 2), ("c1m1", "x", 2), ("c1m2", "", "=1"))
    refused = await bring(stand, "heats", bad)
    assert isinstance(refused, list)
    assert sorted((fault.path, fault.code) for fault in refused) == [
        ("/3/member", "no_seat"),
        ("/4/member", "duplicate"),
        ("/5/score", "not_a_number"),
        ("/6/score", "missing"),
        ("/6/time", "not_a_number"),
    ]
    assert await stand.runtime.ledger.round(CAMPAIGN, "heats") is None
    assert await bring(stand, "heats", b"PK\x03\x04", media_type="xlsx") == [Fault("", "not_a_workbook")]


async def test_what_is_no_round_has_no_results(stand: Stand) -> None:
    first = heats()
    await stand.publish(campaign(first, following(), offering()))
    for name in ("soap", "nothing"):
        assert await bring(stand, name, results(*SCORES)) == NO_SUCH_ROUND
        assert await decide(stand, name) == NO_SUCH_ROUND
    await stand.sign_up("c1m0", "heats", unit="xicheng.red.c1")
    await imported(stand, "heats", results(("c1m0", 1, 1)))
    assert await decide(stand, "heats") == IS_OPEN
    await stand.publish(campaign(over(first), following(), offering()))
    await advance(stand, "heats")
    await imported(stand, "final", results(("c1m0", 1, 1)))
    assert await decide(stand, "final") == IS_LAST


async def test_medals_are_nominated_by_place(stand: Stand) -> None:
    await held(stand, following(medals={"gold": 1, "bronze": 2}))
    await imported(stand, "heats", results(*SCORES))
    await advance(stand, "heats")
    definition = stand.runtime.catalog.get(CAMPAIGN)
    assert definition is not None
    ladder = stand.runtime.ladder
    assert await ladder.nominations(definition, "final") == NO_RESULTS
    assert await ladder.nominations(definition, "heats") == NO_SUCH_ROUND
    await imported(stand, "final", results(("c1m0", 1, 30), ("c2m0", 3, 2.5), ("c1m2", 2, 9), ("c2m1", 0, 0)))
    assert await ladder.nominations(definition, "final") == (
        "medal,place,member,pool,score,time\r\n"
        "gold,1,c2m0,all,3,2.5\r\n"
        "bronze,2,c1m2,all,2,9\r\n"
        "bronze,3,c1m0,all,1,30\r\n"
    )


class Killed(Exception):
    """The process ended here."""


@pytest.mark.parametrize("parts", [0, 1, 2, 3])
async def test_a_crash_between_any_two_parts_changes_nothing(
    stand: Stand, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.ladder.ASSIGNED_AT_ONCE", 2)
    await held(stand, following())
    await imported(stand, "heats", results(*SCORES))
    calls = 0

    async def hook(verb: str, arguments: tuple[Any, ...]) -> None:
        nonlocal calls
        calls += verb == "assign"
        if calls == parts:
            raise Unknown("the reply was lost")

    opened = stand.runtime
    decisions: Any = Hooked(opened.decisions, hook)
    ladder = Ladder(opened.server, opened.ledger, opened.catalog, decisions, opened.clock, lambda: 1_000_000)
    decided = await decide(stand, "heats")
    assert isinstance(decided, Round)
    if parts:
        with pytest.raises(Unknown):
            await Advancer(ladder, opened.ledger).run_once()
    await advance(stand, "heats")
    planned = [line for line in await opened.ledger.results(CAMPAIGN, "heats", 99) if line.going]
    await agrees(stand)
    rows = await roster(stand, "final")
    assert {row.enrollment for row in rows} == {line.next_enrollment for line in planned}
    assert [status for _, status in standing(rows)] == ["confirmed"] * 4 + ["waitlisted"]
    before = await stand.log()
    assert await ladder.carry_out(decided)
    assert await stand.log() == before


async def test_two_workers_at_once_and_who_declines_meanwhile(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.ladder.ASSIGNED_AT_ONCE", 1)
    await held(stand, following())
    await imported(stand, "heats", results(*SCORES))
    decided = await decide(stand, "heats")
    assert isinstance(decided, Round)
    opened = stand.runtime
    first = (await opened.ledger.results(CAMPAIGN, "heats", 1))[0]
    gone: list[str] = []

    async def hook(verb: str, arguments: tuple[Any, ...]) -> None:
        if verb == "assign":
            gone.append((await stand.cancel(first.next_enrollment, first.member)).outcome)

    decisions: Any = Hooked(opened.decisions, hook)
    ladders = [
        Ladder(opened.server, opened.ledger, opened.catalog, decisions, opened.clock, lambda: 1_000_000)
        for _ in range(2)
    ]
    assert await asyncio.gather(*(ladder.carry_out(decided) for ladder in ladders)) == [True, True]
    assert set(gone) == {"changed"}
    await agrees(stand)
    # The seat was free before anybody waited for it: the substitute has it all the same.
    assert standing(await roster(stand, "final")) == [
        (member, "confirmed") for member in ("c1m0", "c1m2", "c2m1", "c1m1")
    ]


async def test_who_declined_is_not_enrolled_again(stand: Stand) -> None:
    await held(stand, following())
    await imported(stand, "heats", results(*SCORES))
    decided = await decide(stand, "heats")
    assert isinstance(decided, Round)
    await advance(stand, "heats")
    await agrees(stand)
    first, *_ = await roster(stand, "final")
    await stand.cancel(first.enrollment)
    assert await stand.runtime.ladder.carry_out(decided)
    assert (await stand.decisions.find(CAMPAIGN, first.enrollment)).record.status == "cancelled"  # type: ignore[union-attr]
    await agrees(stand)


ELSEWHERE: dict[str, Any] = {"pools": [{"pool": "everybody", "capacity": 4}]}


@pytest.mark.parametrize("lacking", [[], [following(**ELSEWHERE)], [heats("final", 6)]])
async def test_it_waits_for_a_document_that_has_a_place(
    stand: Stand, lacking: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It is decided by a document that is no longer in force."""
    await held(stand, following())
    await imported(stand, "heats", results(*SCORES))
    before = stand.runtime.catalog.get(CAMPAIGN)
    assert before is not None
    await stand.publish(campaign(over(heats()), *lacking))
    ladder = stand.runtime.ladder
    decided = await ladder.advance(before, "heats", "officer", "http")
    assert isinstance(decided, Round)
    for _ in range(3):
        assert not await ladder.carry_out(decided)
    assert [record.message for record in caplog.records].count(
        "autumn: who goes on to final waits for a document with their pools"
    ) == 1
    assert not await ladder.has_place(stand.runtime.catalog.get(CAMPAIGN), decided)
    await stand.publish(campaign(over(heats()), following()))
    await advance(stand, "heats")
    await agrees(stand)


async def test_what_a_round_leads_to_stays_until_all_are_enrolled(stand: Stand) -> None:
    await held(stand, following())
    await imported(stand, "heats", results(*SCORES))
    assert isinstance(await decide(stand, "heats"), Round)
    refused = {
        "/offerings": [over(heats())],
        "/offerings/1/pools": [over(heats()), following(**ELSEWHERE)],
        "/offerings/1/policy": [over(heats()), heats("final", 6, pools=[{"pool": "all", "capacity": 4}])],
    }
    for path, offerings in refused.items():
        fault = Fault(path, "has_advancing", {"name": "heats"})
        assert await stand.try_publish(campaign(*offerings)) == [fault]
    larger = following(pools=[{"pool": "all", "capacity": 9}])
    await stand.publish(campaign(over(heats()), larger))
    await advance(stand, "heats")
    await agrees(stand)
    # From now on the seats that were given are what keeps a pool.
    fault = Fault("/offerings/1/pools", "has_live_enrollments", {"name": "all"})
    assert await stand.try_publish(campaign(over(heats()), following(**ELSEWHERE))) == [fault]


async def test_who_left_after_the_import_does_not_go_on(stand: Stand) -> None:
    await held(stand, following())
    await imported(stand, "heats", results(*SCORES))
    mine = await stand.decisions.mine(CAMPAIGN, "c1m0")
    assert isinstance(mine, list)
    assert (await stand.cancel(mine[0].enrollment)).outcome == "changed"
    decided = await decide(stand, "heats")
    assert isinstance(decided, Round)
    assert decided.cuts["c1"] == Cut(2, 1, 3, [80, 20])
    await advance(stand, "heats")
    await agrees(stand)
    assert standing(await roster(stand, "final")) == [
        *((member, "confirmed") for member in ("c2m0", "c1m2", "c1m1", "c2m1")),
        ("c1m3", "waitlisted"),
    ]
    ranking = await stand.runtime.ledger.results(CAMPAIGN, "heats", 99)
    assert [(line.member, line.place, line.going) for line in ranking[:2]] == [
        ("c2m0", 1, "seat"),
        ("c1m0", 2, ""),
    ]


async def test_a_round_made_anew_has_no_results(stand: Stand) -> None:
    await held(stand, following(), offering(), number=1)
    await imported(stand, "heats", results(("c1m0", 9, 1)))
    await advance(stand, "heats")
    for member in ("c1m0", "c2m0"):
        mine = await stand.decisions.mine(CAMPAIGN, member)
        assert isinstance(mine, list)
        for each in mine:
            await stand.cancel(each.enrollment)
    await stand.publish(campaign(offering()))
    await held(stand, following(), offering(), number=1)
    assert await decide(stand, "heats") == NO_RESULTS
    await imported(stand, "heats", results(("c2m0", 9, 1)))
    await advance(stand, "heats")
    await agrees(stand)
    assert standing(await roster(stand, "final")) == [("c2m0", "confirmed")]


async def test_files_are_read_one_at_a_time_and_few_wait(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    await held(stand, following())
    may_read, reading, most = threading.Event(), [0], 0
    read = tables.read

    def slow(media_type: str, data: bytes) -> Any:
        nonlocal most
        reading.append(reading[-1] + 1)
        most = max(most, reading[-1])
        may_read.wait(10)
        reading.append(reading[-1] - 1)
        return read(media_type, data)

    monkeypatch.setattr(tables, "read", slow)
    file = results(*SCORES)
    tasks = [asyncio.ensure_future(bring(stand, "heats", file, dry_run=True)) for _ in range(IMPORTS_MAX + 1)]
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result() for task in done] == [IS_BUSY]
    gone = rest.pop()
    gone.cancel()
    may_read.set()
    assert all(isinstance(each, Imported) for each in await asyncio.gather(*rest))
    assert most == 1
    # Whoever went away leaves the place to others.
    again = [bring(stand, "heats", file, dry_run=True) for _ in range(IMPORTS_MAX)]
    assert all(isinstance(each, Imported) for each in await asyncio.gather(*again))


TEAMS = [f"xicheng.t{team}" for team in range(10)]
CREWS = [f"{team}.{team.rpartition('.')[2]}c{crew}" for team in TEAMS for crew in range(4)]


def ladder_of_three(**final: Any) -> list[dict[str, Any]]:
    """40 crews of 100, the best 3 of each to 10 teams, the best 2 of each to the final."""
    return [
        heats("crew-heats", pools=pools(CREWS, 100)),
        following(
            "team-heats", "crew-heats", day=6, pools=pools(TEAMS, 12), waitlist={"size_max": 80},
            policy={"name": "advancement", "from": "crew-heats", "best": 3, "substitutes": 2},
        ),
        following(
            "final", "team-heats", day=9, pools=[{"pool": "all", "capacity": 20}], waitlist={"size_max": 10},
            policy={"name": "advancement", "from": "team-heats", "best": 2, "substitutes": 1},
            medals={"gold": 1, "silver": 2, "bronze": 3}, **final,
        ),
    ]  # fmt: skip


async def quotas(stand: Stand, name: str) -> dict[str, list[str]]:
    """The members with a confirmed seat in each pool of a round."""
    await agrees(stand)
    seated: dict[str, list[str]] = {}
    for row in await roster(stand, name):
        if row.record.status == "confirmed":
            seated.setdefault(row.record.pool, []).append(row.record.member)
    return seated


async def test_a_ladder_of_4000_keeps_every_quota(stand: Stand) -> None:
    chance = random.Random(4000)
    rounds = ladder_of_three()
    await stand.publish(campaign(*rounds))
    unit_of = {f"{crew.rpartition('.')[2]}m{number}": crew for crew in CREWS for number in range(100)}
    made = await asyncio.gather(
        *(stand.sign_up(member, "crew-heats", unit=unit) for member, unit in unit_of.items())
    )
    assert Counter(each.outcome for each in made) == {"confirmed": 4_000}
    assert (await stand.sign_up("late", "crew-heats", unit=CREWS[0])).outcome == "sold_out"
    rounds[0] = over(rounds[0])
    await stand.publish(campaign(*rounds))

    # A few did not come; scores are few, so that ties are many and lots decide.
    scores = {
        member: (chance.randrange(30), chance.randrange(5)) for member in unit_of if chance.random() < 0.95
    }
    done = await imported(
        stand, "crew-heats", results(*((member, *score) for member, score in scores.items()))
    )
    assert sum(line.by_lot for line in done.ranking) > 1_000
    await advance(stand, "crew-heats")
    seated = await quotas(stand, "team-heats")
    assert {pool: len(members) for pool, members in seated.items()} == {f"t{team}": 12 for team in range(10)}
    for crew in CREWS:
        of_crew = [member for member in scores if unit_of[member] == crew]
        worth = sorted((-scores[member][0], scores[member][1]) for member in of_crew)
        going = [member for members in seated.values() for member in members if unit_of[member] == crew]
        assert sorted((-scores[member][0], scores[member][1]) for member in going) == worth[:3]
        assert {unit_of[member].split(".")[1] for member in going} == {crew.split(".")[1]}

    # In time: the substitutes of the team come up, by place.
    waiting = [row for row in await roster(stand, "team-heats") if row.record.status == "waitlisted"]
    assert len(waiting) == 80
    for pool, number in (("t0", 1), ("t1", 4), ("t2", 8)):
        for member in chance.sample(seated[pool], number):
            (enrollment,) = [row for row in await roster(stand, "team-heats") if row.record.member == member]
            assert (await stand.cancel(enrollment.enrollment, member)).outcome == "changed"
    after = await quotas(stand, "team-heats")
    assert {pool: len(members) for pool, members in after.items()} == {f"t{team}": 12 for team in range(10)}
    for pool, number in (("t0", 1), ("t1", 4), ("t2", 8)):
        substitutes = [row.record.member for row in waiting if row.record.queues == [pool]]
        assert set(after[pool]) - set(seated[pool]) == set(substitutes[:number])

    points = {
        member: (chance.randrange(4), chance.randrange(3)) for members in after.values() for member in members
    }
    await imported(stand, "team-heats", results(*((member, *score) for member, score in points.items())))
    await advance(stand, "team-heats")
    finalists = (await quotas(stand, "final"))["all"]
    teams = Counter(unit_of[member].split(".")[1] for member in finalists)
    assert teams == {f"t{team}": 2 for team in range(10)}

    # Too late: the place stays, and nobody comes up.
    await stand.publish(campaign(*rounds[:2], ladder_of_three(cancel_until=at(seconds=-1))[2]))
    (row, *_) = await roster(stand, "final")
    assert (await stand.cancel(row.enrollment, row.record.member)).outcome == "too_late"
    assert (await quotas(stand, "final"))["all"] == finalists
    await imported(stand, "final", results(*((member, number, 0) for number, member in enumerate(finalists))))
    definition = stand.runtime.catalog.get(CAMPAIGN)
    assert definition is not None
    told = await stand.runtime.ladder.nominations(definition, "final")
    assert isinstance(told, str)
    medals = [line.split(",")[0] for line in told.splitlines()[1:]]
    assert medals == ["gold", "silver", "silver", "bronze", "bronze", "bronze"]
