"""Headcounts and the quotas that follow them, over HTTP."""

import asyncio
from typing import Any

import pytest

from engine.workers.apportioner import Apportioner
from tests.api.client import HERE, ORGANIZER, Client, person, written
from tests.api.test_roles import UNITS
from tests.stand import at, offering

PLACE = "/v1/headcounts"


async def report(client: Client, headcounts: object, who: Any = ORGANIZER, **more: object) -> Any:
    return await client.ask("PUT", PLACE, who, body={"headcounts": headcounts} | more)


async def listed(client: Client, query: str = "", who: Any = ORGANIZER) -> list[tuple[str, int]]:
    answer = await client.get(f"{PLACE}{query}", who)
    return [(each["unit"], each["headcount"]) for each in answer.json["headcounts"]]


async def test_reported_headcounts_are_listed_by_unit(client: Client) -> None:
    reported = await report(client, {"xicheng.b": 7, "xicheng.a": 5, "xicheng.a.x": 0})
    assert (reported.status, reported.json) == (200, {"changed": 3})
    assert (await report(client, {"xicheng.b": 7, "xicheng.a": 6})).json == {"changed": 1}
    assert await listed(client) == [("xicheng.a", 6), ("xicheng.a.x", 0), ("xicheng.b", 7)]
    assert await listed(client, "?unit=xicheng.a") == [("xicheng.a", 6), ("xicheng.a.x", 0)]
    assert await listed(client, "?unit=xicheng.c") == []
    (first, *_) = (await client.get(PLACE, ORGANIZER)).json["headcounts"]
    assert first["reported_at"].endswith("Z")
    (newest, *_) = await client.stand.runtime.ledger.trail("", 9)
    assert (newest.actor, newest.channel, newest.action) == (ORGANIZER.sub, "http", "headcounts")


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1, 1, 1]), (2, [2, 1]), (3, [3])])
async def test_pages(client: Client, limit: int, sizes: list[int]) -> None:
    await report(client, {f"xicheng.u{number}": number for number in range(3)})
    seen, cursor = [], ""
    while True:
        page = (await client.get(f"{PLACE}?limit={limit}{cursor}", ORGANIZER)).json
        seen.append([each["headcount"] for each in page["headcounts"]])
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert [len(page) for page in seen] == sizes
    assert [each for page in seen for each in page] == [0, 1, 2]


@pytest.mark.parametrize(("unit", "allowed"), UNITS)
async def test_organizers_report_and_see_within_their_unit(client: Client, unit: str, allowed: bool) -> None:
    organizer = person("o", "organizer", unit=unit)
    answer = await report(client, {"xicheng.health": 7}, organizer)
    assert answer.told == ((200, "") if allowed else (403, "forbidden"))
    assert (await client.get(f"{PLACE}?unit=xicheng.health", organizer)).told == answer.told
    assert await listed(client) == ([("xicheng.health", 7)] if allowed else [])
    assert (await client.get(PLACE, organizer)).status == (200 if unit else 403)


async def test_one_that_is_not_theirs_or_wrong_undoes_all(client: Client) -> None:
    right = {f"xicheng.u{number}": 1 for number in range(9)}
    assert (await report(client, right | {"dongcheng": 1})).told == (403, "forbidden")
    # What is said of another's unit comes before all that is wrong.
    assert (await report(client, right | {"dongcheng": -1}, surprise=1)).told == (403, "forbidden")
    wrong = await report(client, right | {"xicheng.u0": -1, "xicheng.u1": "7", "xicheng.U": 1}, surprise=1)
    assert wrong.errors == [
        ("/headcounts/xicheng.u0", "too_small"),
        ("/headcounts/xicheng.u1", "not_an_integer"),
        ("/headcounts/xicheng.U", "not_a_unit"),
        ("/surprise", "unknown_field"),
    ]
    assert await listed(client) == []


@pytest.mark.parametrize(
    ("headcounts", "code"),
    [
        (None, "not_an_object"),
        ([], "not_an_object"),
        ({}, "too_few"),
        ({f"xicheng.u{number}": 1 for number in range(10_001)}, "too_many"),
        ({"xicheng": 10_000_001}, "too_large"),
        ({"xicheng": 1.5}, "not_an_integer"),
        ({"xicheng": True}, "not_an_integer"),
    ],
)
async def test_bad_reports(client: Client, headcounts: object, code: str) -> None:
    answer = await report(client, headcounts)
    assert answer.told == (422, "invalid")
    assert [found for _, found in answer.errors] == [code]


async def test_ten_thousand_at_once(client: Client) -> None:
    many = {f"xicheng.team-{number % 100}.crew-{number}": number for number in range(10_000)}
    assert (await report(client, many)).json == {"changed": 10_000}


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("unit=", [("unit", "not_a_unit")]),
        ("unit=Xicheng", [("unit", "not_a_unit")]),
        ("unit=xicheng%0a&limit=0", [("unit", "not_a_unit"), ("limit", "too_small")]),
        ("cursor=x", [("cursor", "not_a_cursor")]),
    ],
)
async def test_bad_queries(client: Client, query: str, errors: list[tuple[str, str]]) -> None:
    assert (await client.get(f"{PLACE}?{query}", ORGANIZER)).errors == errors


# Quotas


def shared(**changed: Any) -> dict[str, Any]:
    quotas = {"seats": 10, "units": ["xicheng.a", "xicheng.b"], "merges": [at(hours=2)]}
    raw = written(offering(opens=at(hours=1)))
    del raw["offerings"][0]["pools"]
    raw["offerings"][0]["quotas"] = quotas | changed
    return raw


async def test_quotas_are_published_shown_and_published_again(client: Client) -> None:
    missing = await client.ask("PUT", HERE, ORGANIZER, body=shared(), headers={"Accept-Language": "en"})
    assert missing.errors == [
        ("/offerings/0/quotas/units/0", "no_headcount"),
        ("/offerings/0/quotas/units/1", "no_headcount"),
    ]
    assert "xicheng.a" in missing.json["errors"][0]["detail"]
    await report(client, {"xicheng.a": 30, "xicheng.b": 10})
    document = shared()
    assert (await client.ask("PUT", HERE, ORGANIZER, body=document)).status == 201
    (seen,) = (await client.get(HERE)).json["offerings"]
    assert (seen["quotas"]["seats"], seen["quotas"]["units"]) == (10, ["xicheng.a", "xicheng.b"])
    assert [(pool["pool"], pool["capacity"], pool["taken"]) for pool in seen["pools"]] == [
        ("xicheng-a", 8, 0),
        ("xicheng-b", 2, 0),
    ]
    (merge,) = seen["pools"][0]["merges"]
    assert merge == {"at": seen["quotas"]["merges"][0], "units": ["xicheng"]}
    # As it is in force, so it may be published.
    for pool in seen["pools"]:
        del pool["taken"]
    document["offerings"][0]["pools"] = seen["pools"]
    again = await client.ask("PUT", HERE, ORGANIZER, body=document)
    assert (again.status, again.json["version"], again.json["changed"]) == (200, 1, False)
    document["offerings"][0]["pools"] = seen["pools"][:1]
    refused = await client.ask("PUT", HERE, ORGANIZER, body=document)
    assert refused.errors == [("/offerings/0/pools", "not_of_quotas")]


async def test_a_report_changes_what_is_shown_before_the_opening(client: Client) -> None:
    await report(client, {"xicheng.a": 30, "xicheng.b": 10})
    await client.ask("PUT", HERE, ORGANIZER, body=shared())
    await report(client, {"xicheng.a": 10})
    opened = client.stand.runtime
    await Apportioner(opened.publisher, opened.catalog, opened.ledger, opened.clock).run_once()
    shown = (await client.get(HERE)).json
    assert [pool["capacity"] for pool in shown["offerings"][0]["pools"]] == [5, 5]
    assert shown["version"] == 2


async def test_an_organizer_and_the_apportioner_do_not_undo_each_other(client: Client) -> None:
    await report(client, {"xicheng.a": 30, "xicheng.b": 10})
    await client.ask("PUT", HERE, ORGANIZER, body=shared())
    opened = client.stand.runtime
    worker = Apportioner(opened.publisher, opened.catalog, opened.ledger, opened.clock)
    for round_ in range(5):
        await report(client, {"xicheng.a": 10 + round_, "xicheng.b": 90 - round_})
        title = {"zh": "肥皂", "en": f"Soap {round_}"}
        changed = shared(seats=100)
        changed["title"] = title
        put, _ = await asyncio.gather(client.ask("PUT", HERE, ORGANIZER, body=changed), worker.run_once())
        assert put.status == 200
        await worker.run_once()
        shown = (await client.get(HERE)).json
        assert shown["title"] == title
        assert [pool["capacity"] for pool in shown["offerings"][0]["pools"]] == [10 + round_, 90 - round_]


async def test_sign_ups_follow_the_units(client: Client) -> None:
    await report(client, {"xicheng.a": 30, "xicheng.b": 10})
    await client.ask("PUT", HERE, ORGANIZER, body=shared(merges=[at(hours=-1)], seats=4))
    document = shared(seats=4)
    document["offerings"][0]["opens"] = at(hours=-1)
    await client.ask("PUT", HERE, ORGANIZER, body=document)
    told = [(await client.sign_up(person(f"m{number}", unit="xicheng.b"))).told for number in range(2)] + [
        (await client.sign_up(person("m9", unit="xicheng.c"))).told
    ]
    assert told == [(201, ""), (409, "sold_out"), (403, "not_eligible")]
    document["offerings"][0]["quotas"]["merges"] = [at(seconds=-1)]
    await client.ask("PUT", HERE, ORGANIZER, body=document)
    assert (await client.sign_up(person("m9", unit="xicheng.c"))).json["pool"] == "xicheng-a"
