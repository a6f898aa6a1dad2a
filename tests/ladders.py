"""Competitions for tests: rounds, results as files, and what must be so after each step."""

from collections.abc import Iterable, Sequence
from typing import Any

from engine import tables
from engine.domain.faults import Fault
from engine.domain.ladder import Round
from engine.ladder import Imported, Refusal
from engine.ledger.protocol import Row
from engine.workers.advancer import Advancer
from tests.stand import CAMPAIGN, Stand, at, offering

RULE: dict[str, Any] = {"ties": [{"column": "time", "order": "lowest"}]}


def pools(units: Iterable[str], capacity: int) -> list[dict[str, Any]]:
    """A pool for each unit, with the unit's last segment as its name."""
    return [
        {"pool": unit.rpartition(".")[2], "capacity": capacity, "eligible": {"units": [unit]}}
        for unit in units
    ]


def heats(name: str = "heats", day: int = 3, **changed: Any) -> dict[str, Any]:
    """A first round of two crews in one team, open now."""
    return offering(
        name,
        **{
            "kind": "competition",
            "sessions": [{"starts": at(days=day), "ends": at(days=day, hours=4)}],
            "pools": pools(["xicheng.red.c1", "xicheng.red.c2"], 10),
            "results": RULE,
        }
        | changed,
    )


def following(name: str = "final", source: str = "heats", **changed: Any) -> dict[str, Any]:
    """A round for the two best of each crew, and a substitute of each."""
    policy = {"name": "advancement", "from": source, "best": 2, "substitutes": 1}
    changed = {
        "policy": policy,
        "pools": [{"pool": "all", "capacity": 4}],
        "waitlist": {"size_max": 2},
    } | changed
    return heats(name, **{"day": 6} | changed)


def over(first: dict[str, Any]) -> dict[str, Any]:
    """A round whose sign-up was closed a moment ago."""
    return first | {"closes": at(seconds=-0.001)}


def results(*rows: Sequence[object], columns: Sequence[str] = ("member", "score", "time")) -> bytes:
    """A CSV file."""
    return "".join(",".join(map(str, row)) + "\r\n" for row in (columns, *rows)).encode()


async def bring(
    stand: Stand, name: str, file: bytes, *, dry_run: bool = False, media_type: str = tables.CSV
) -> Imported | list[Fault] | Refusal:
    """Import results."""
    definition = await stand.runtime.catalog.load(CAMPAIGN)
    assert definition is not None
    return await stand.runtime.ladder.import_results(
        definition, name, media_type, file, "officer", "http", dry_run=dry_run
    )


async def imported(stand: Stand, name: str, file: bytes) -> Imported:
    answer = await bring(stand, name, file)
    assert isinstance(answer, Imported), answer
    return answer


async def decide(stand: Stand, name: str) -> Round | Refusal:
    """Decide who goes on."""
    definition = await stand.runtime.catalog.load(CAMPAIGN)
    assert definition is not None
    return await stand.runtime.ladder.advance(definition, name, "officer", "http")


async def advance(stand: Stand, name: str) -> None:
    """Decide who goes on, and enrol them."""
    assert isinstance(await decide(stand, name), Round)
    await Advancer(stand.runtime.ladder, stand.runtime.ledger).run_once()
    known = await stand.runtime.ledger.round(CAMPAIGN, name)
    assert known is not None
    assert known.done


async def roster(stand: Stand, name: str) -> list[Row]:
    """Who is in an offering and who waits, as the ledger has it."""
    return await stand.runtime.ledger.roster(CAMPAIGN, name, 10_000)


def standing(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """(member, status) of a roster."""
    return [(row.record.member, row.record.status) for row in rows]
