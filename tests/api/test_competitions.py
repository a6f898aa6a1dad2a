"""Rounds of a competition over HTTP: results as files, who goes on, one's own line, medals."""

import io
import threading
from typing import Any

import openpyxl
import pytest

from api import views
from engine import tables
from engine.domain import ladder
from engine.workers.advancer import Advancer
from tests.api.client import HERE, NOWHERE, OFFICER, ORGANIZER, Answer, Client, person
from tests.api.live.page import opened
from tests.ladders import following, heats, over, results
from tests.stand import CAMPAIGN, campaign, offering

PLACE = f"{HERE}/offerings/heats"
SCORES = [("m0", 90, 30), ("m1", 80, 20.5), ("m2", 80, 20.5), ("m3", 70, 5)]
EVERYBODYS: Any = {"pools": [{"pool": "all", "capacity": 9}]}
FINAL: Any = following(pools=[{"pool": "all", "capacity": 2}], waitlist={"size_max": 1}, medals={"gold": 1})


async def held(client: Client) -> None:
    """Five members in the heats, whose sign-up is over."""
    first = heats(**EVERYBODYS)
    await client.stand.publish(campaign(first, FINAL))
    for number in range(5):
        assert (await client.sign_up(f"m{number}", "heats")).status == 201
    await client.stand.publish(campaign(over(first), FINAL))


async def put(
    client: Client, body: bytes, media_type: str = "text/csv", query: str = "", **headers: str
) -> Answer:
    sent = {"Content-Type": media_type, "Accept-Language": "en"} | headers
    return await client.ask("PUT", f"{PLACE}/results{query}", OFFICER, body=body, headers=sent)


def workbook(*rows: tuple[object, ...]) -> bytes:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    for row in (("member", "score", "time"), *rows):
        sheet.append(list(row))
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


async def test_from_results_to_the_next_round(client: Client) -> None:
    await held(client)
    none = (await client.get(f"{PLACE}/results", OFFICER)).json
    assert (none["state"], none["results"]) == ("none", [])
    assert (await client.get(f"{PLACE}/results/me", person("m0"))).told == (404, "not_found")

    done = (await put(client, results(*SCORES))).json
    assert (done["dry_run"], done["lines"], done["absent"], done["next_round"]) == (False, 4, 1, "final")
    first, *tied, last = done["results"]
    assert first == {
        "place": 1,
        "member": "m0",
        "pool": "all",
        "pool_place": 1,
        "by_lot": False,
        "values": {"score": 90.0, "time": 30.0},
        "going": "seat",
    }
    assert [(each["by_lot"], each["going"]) for each in tied] == [(True, "seat"), (True, "substitute")]
    assert (last["member"], last["going"]) == ("m3", None)
    before = (await client.get(f"{PLACE}/results/me", person("m0"))).json
    assert (before["state"], before["result"]["going"], before["cut"]) == ("imported", None, None)

    decided = await client.ask("POST", f"{PLACE}/advance", ORGANIZER)
    assert decided.status == 202
    assert decided.headers["Location"] == f"{PLACE}/results"
    assert (decided.json["state"], decided.json["seats"], decided.json["substitutes"]) == ("advancing", 2, 1)
    assert (await put(client, results(*SCORES))).told == (409, "wrong_state")
    async with opened(client, tied[1]["member"]) as page:
        await page.say("watch", campaign=CAMPAIGN)
        await page.hear("counts")
        await Advancer(client.stand.runtime.ladder, client.stand.runtime.ledger).run_once()
        body = (await page.hear("changed"))["body"]
        assert (body["offering"], body["status"], body["position"]) == ("final", "waitlisted", 1)
    again = await client.ask("POST", f"{PLACE}/advance", ORGANIZER)
    assert (again.status, again.json) == (200, decided.json | {"state": "advanced"})

    mine = (await client.get(f"{PLACE}/results/me", person("m0"))).json
    assert (mine["state"], mine["lines"], mine["next_round"]) == ("advanced", 4, "final")
    assert mine["result"] == first
    assert (
        mine["cut"]
        == done["cuts"]["all"]
        == {
            "seats": 2,
            "substitutes": 1,
            "pool_place": 2,
            "values": {"score": 80.0, "time": 20.5},
        }
    )
    place = f"{HERE}/enrollments/{mine['enrollment']}"
    enrolled = await client.get(place, person("m0"))
    assert (enrolled.json["offering"], enrolled.json["status"]) == ("final", "confirmed")
    assert (await client.ask("DELETE", place, person("m0"))).json["status"] == "cancelled"
    came_up = (await client.get(f"{HERE}/me", person(tied[1]["member"]))).json["enrollments"][-1]
    assert (came_up["offering"], came_up["status"]) == ("final", "confirmed")
    stayed = (await client.get(f"{PLACE}/results/me", person("m3"))).json
    assert (stayed["result"]["going"], stayed["enrollment"]) == (None, None)


async def test_nobody_signs_up_for_a_round_that_is_advanced_to(client: Client) -> None:
    await held(client)
    assert (await client.sign_up("m0", "final")).told == (403, "not_eligible")


async def test_the_ranking_in_pages(client: Client) -> None:
    await held(client)
    await put(client, results(*SCORES))
    first = (await client.get(f"{PLACE}/results?limit=3", OFFICER)).json
    rest = (await client.get(f"{PLACE}/results?limit=3&cursor={first['next']}", OFFICER)).json
    assert [each["place"] for each in first["results"] + rest["results"]] == [1, 2, 3, 4]
    assert rest["next"] is None


async def test_a_workbook_is_as_good_as_csv(client: Client) -> None:
    await held(client)
    by_csv = (await put(client, results(*SCORES), query="?dry_run=true")).json
    by_workbook = (await put(client, workbook(*SCORES), tables.XLSX, "?dry_run=true")).json
    assert by_workbook == by_csv
    assert by_csv["dry_run"]
    assert (await client.get(f"{PLACE}/results", OFFICER)).json["state"] == "none"


async def test_every_bad_row_is_named_in_the_language_of_the_caller(client: Client) -> None:
    await held(client)
    bad = workbook(("m0", "=1+1", 1), ("m1", "fast", 1), ("stranger", 1, 1), ("m2", 1, None))
    refused = await put(client, bad, tables.XLSX)
    assert sorted(refused.errors) == [
        ("/2/score", "formula"),
        ("/3/score", "not_a_number"),
        ("/4/member", "no_seat"),
        ("/5/time", "missing"),
    ]
    assert "This member has no confirmed seat in this round." in [
        each["detail"] for each in refused.json["errors"]
    ]
    refused = await put(client, bad, tables.XLSX, **{"Accept-Language": "zh"})
    assert "此职工在本轮没有已确认的名额。" in [each["detail"] for each in refused.json["errors"]]
    assert (await client.get(f"{PLACE}/results", OFFICER)).json["state"] == "none"


@pytest.mark.parametrize(
    ("body", "media_type", "told"),
    [
        (b"{}", "application/json", (415, "unsupported_media_type")),
        (b"PK", tables.XLSX, (422, "invalid")),
        (b"", "text/csv", (422, "invalid")),
        (b"x" * (tables.BYTES_MAX + 1), "text/csv", (413, "too_large")),
    ],
)
async def test_bodies_that_are_no_results(
    client: Client, body: bytes, media_type: str, told: tuple[int, str]
) -> None:
    await held(client)
    assert (await put(client, body, media_type)).told == told


async def test_what_is_no_round(client: Client) -> None:
    await client.stand.publish(campaign(offering()))
    for place in (f"{HERE}/offerings/soap", f"{HERE}/offerings/none", f"{NOWHERE}/offerings/soap"):
        csv = {"Content-Type": "text/csv"}
        told = [
            await client.ask("PUT", f"{place}/results", OFFICER, body=results(*SCORES), headers=csv),
            await client.get(f"{place}/results", OFFICER),
            await client.get(f"{place}/results/me", person()),
            await client.ask("POST", f"{place}/advance", OFFICER),
            await client.get(f"{place}/nominations", OFFICER),
        ]
        assert [each.told for each in told] == [(404, "not_found")] * 5
    refused = await client.ask("PUT", f"{PLACE}/results?dry_run=1", OFFICER)
    assert refused.errors == [("dry_run", "not_a_boolean")]


async def test_a_round_tells_that_it_waits_for_pools(client: Client) -> None:
    await held(client)
    await put(client, results(*SCORES))
    runtime = client.stand.runtime
    before = runtime.catalog.get(CAMPAIGN)
    assert before is not None
    renamed = FINAL | {"pools": [{"pool": "everybody", "capacity": 2}]}
    await client.stand.publish(campaign(over(heats(**EVERYBODYS)), renamed))
    await runtime.ladder.advance(before, "heats", "officer", "http")
    for path, role in ((f"{PLACE}/results", OFFICER), (f"{PLACE}/results/me", person("m0"))):
        assert (await client.get(path, role)).json["state"] == "waiting"
    again = await client.ask("POST", f"{PLACE}/advance", ORGANIZER)
    assert (again.status, again.json["state"]) == (202, "waiting")
    await client.stand.publish(campaign(over(heats(**EVERYBODYS)), FINAL))
    assert (await client.get(f"{PLACE}/results", OFFICER)).json["state"] == "advancing"


async def test_whole_rankings_are_gone_through_beside_the_loop(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await held(client)
    threads: dict[str, set[int]] = {}

    def watch(module: Any, name: str) -> None:
        work = getattr(module, name)

        def watched(*arguments: Any) -> Any:
            threads.setdefault(name, set()).add(threading.get_ident())
            return work(*arguments)

        monkeypatch.setattr(module, name, watched)

    for name in ("read", "seated", "rank", "still_in", "advance", "cuts"):
        watch(ladder, name)
    watch(views, "result_line")
    await put(client, results(*SCORES))
    await client.ask("POST", f"{PLACE}/advance", ORGANIZER)
    assert len(threads) == 7
    assert all(threading.get_ident() not in each for each in threads.values())


async def test_too_many_files_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    await held(client)
    monkeypatch.setattr(client.stand.runtime.ladder, "_read", lambda *file: None)
    refused = await put(client, results(*SCORES))
    assert refused.told == (503, "overloaded")
    assert "Retry-After" in refused.headers


async def test_nominations_are_csv_without_formulas(client: Client) -> None:
    first = heats(**EVERYBODYS, medals={"gold": 1, "silver": 1})
    await client.stand.publish(campaign(first))
    for member in ("=1+1", "m1"):
        await client.sign_up(member, "heats")
    refused = await client.get(f"{PLACE}/nominations", ORGANIZER, Accept_Language="en")
    assert refused.told == (409, "wrong_state")
    assert "(no results)" in refused.json["detail"]
    await put(client, results(("=1+1", 9, -1), ("m1", 8, 0)))
    given = await client.get(f"{PLACE}/nominations", ORGANIZER)
    assert given.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert given.body.decode().splitlines() == [
        "medal,place,member,pool,score,time",
        "gold,1,'=1+1,all,9,-1",
        "silver,2,m1,all,8,0",
    ]


async def test_no_member_is_in_a_log(client: Client, no_canary_in_logs: None) -> None:
    await held(client)
    await put(client, results(("canary-7f3a", 1, 1)))
    await put(client, b"canary-7f3a\xff")
