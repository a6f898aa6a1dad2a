"""Invitation codes over HTTP: issued once, used, listed and revoked; never in a log."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from api import problems
from engine.domain import invitation
from tests.api.client import CANARY, HERE, OFFICER, ORGANIZER, Answer, Client, person
from tests.stand import campaign, offering

CODES: Final = f"{HERE}/offerings/soap/codes"
GUESTS: Final[dict[str, Any]] = {"pool": "guests", "capacity": 9, "codes": True}


async def issue(client: Client, **terms: Any) -> Answer:
    return await client.ask("POST", CODES, ORGANIZER, body={"pool": "guests"} | terms)


async def publish(client: Client, *pools: dict[str, Any], **changed: Any) -> None:
    await client.stand.publish(campaign(offering(pools=[*pools, GUESTS], **changed), offering("tea")))


async def test_a_code_from_its_issue_to_its_end(client_on_both: Client) -> None:
    client = client_on_both
    await publish(client)
    issued = await issue(client, uses=2, expires="2099-01-01T08:00:00+08:00")
    assert issued.status == 201
    assert issued.headers["Cache-Control"] == "no-store"
    [secret] = issued.json["codes"]
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{5}(-[0-9A-HJKMNP-TV-Z]{5}){3}", secret["code"])
    assert secret["id"] == invitation.identify("autumn", secret["code"])
    shared = {"pool": "guests", "uses": 2, "member": None, "expires": "2099-01-01T00:00:00.000Z"}
    assert issued.json == shared | {"codes": [secret]}

    spelt = secret["code"].replace("-", "").lower().replace("0", "o").replace("1", "l")
    given = await client.sign_up("m1", key="k", body={"code": spelt, "pool": "guests"})
    assert (given.status, given.json["pool"], given.json["seats"]) == (201, "guests", [1])
    assert "code" not in given.json
    again = await client.sign_up("m1", key="k", body={"code": spelt, "pool": "guests"})
    assert (again.status, again.body) == (201, given.body)

    listed = await client.get(issued.headers["Location"], OFFICER)
    code = shared | {"id": secret["id"], "used": 1, "revoked": False}
    assert listed.json == {"codes": [code], "next": None}
    revoked = await client.ask("DELETE", f"{CODES}/{secret['id']}", ORGANIZER)
    assert (revoked.status, revoked.json) == (200, code | {"revoked": True})
    assert (await client.ask("DELETE", f"{CODES}/{secret['id']}", OFFICER)).body == revoked.body
    refused = await client.sign_up("m2", body={"code": secret["code"]})
    assert (refused.told, refused.json["reason"]) == ((403, "not_eligible"), "code_revoked")
    assert (await client.ask("DELETE", given.headers["Location"], person("m1"))).status == 200
    assert (await client.get(CODES, ORGANIZER)).json["codes"] == [code | {"revoked": True, "used": 0}]


@pytest.mark.parametrize("language", ["zh-CN", "en"])
@pytest.mark.parametrize("reason", problems.NOT_OPENED)
async def test_a_refusal_says_why(client: Client, reason: str, language: str) -> None:
    await publish(client)
    terms: dict[str, Any] = {"member": "m1" if reason == "code_unknown" else None}
    expires = datetime.now(UTC) + timedelta(seconds=0.2)
    if reason == "code_expired":
        terms["expires"] = expires.isoformat()
    [secret] = (await issue(client, **terms)).json["codes"]
    if reason == "code_revoked":
        await client.ask("DELETE", f"{CODES}/{secret['id']}", ORGANIZER)
    if reason == "code_used_up":
        await client.sign_up("m1", body={"code": secret["code"]})
    if reason == "code_expired":
        await asyncio.sleep((expires - datetime.now(UTC)).total_seconds() + 0.01)
    refused = await client.sign_up("m2", body={"code": secret["code"]}, Accept_Language=language)
    assert refused.told == (403, "not_eligible")
    assert refused.json["reason"] == reason
    assert refused.json["detail"] == problems.NOT_OPENED[reason]["zh" if language == "zh-CN" else "en"]
    assert refused.json["as_of_seq"] == (await client.stand.log())[-1].seq


async def test_a_refusal_without_a_code_gives_no_reason(client: Client) -> None:
    await publish(client)
    assert "reason" not in (await client.sign_up("m1")).json


@pytest.mark.parametrize(
    ("terms", "errors"),
    [
        ({"pool": None}, [("/pool", "not_a_string")]),
        ({"pool": "open"}, [("/pool", "takes_no_codes")]),
        ({"pool": "none"}, [("/pool", "takes_no_codes")]),
        ({"codes": 0}, [("/codes", "too_small")]),
        ({"codes": 1_001}, [("/codes", "too_large")]),
        ({"uses": 0}, [("/uses", "too_small")]),
        ({"uses": 1_000_001, "codes": "2"}, [("/codes", "not_an_integer"), ("/uses", "too_large")]),
        ({"member": "m 1"}, [("/member", "not_a_key")]),
        ({"member": ""}, [("/member", "not_a_key")]),
        ({"expires": "+1d"}, [("/expires", "not_an_instant")]),
        ({"expires": "2020-01-01T00:00:00Z"}, [("/expires", "not_to_come")]),
        ({"code": "mine"}, [("/code", "unknown_field")]),
    ],
)
async def test_what_is_wrong_is_named(
    client: Client, terms: dict[str, Any], errors: list[tuple[str, str]]
) -> None:
    await publish(client, {"pool": "open", "capacity": 1})
    before = await client.stand.log()
    answer = await issue(client, **terms)
    assert (answer.status, answer.errors) == (422, errors)
    assert await client.stand.log() == before


async def test_what_is_not_there(client: Client) -> None:
    await publish(client)
    [code] = await client.stand.issue("guests")
    paths = {f"{HERE}/offerings/clay/codes", "/v1/campaigns/nothing/offerings/soap/codes"}
    for path in paths:
        assert (await client.ask("POST", path, ORGANIZER, body={"pool": "guests"})).told == (404, "not_found")
        assert (await client.get(path, ORGANIZER)).told == (404, "not_found")
        assert (await client.ask("DELETE", f"{path}/{code}", ORGANIZER)).told == (404, "not_found")
    assert (await client.ask("DELETE", f"{CODES}/{'0' * 32}", ORGANIZER)).told == (404, "not_found")
    assert (await client.ask("DELETE", f"{HERE}/offerings/tea/codes/{code}", ORGANIZER)).status == 404
    assert (await client.ask("DELETE", f"{CODES}/soap", ORGANIZER)).errors == [("code", "not_a_code_id")]


async def test_the_list_has_pages(client: Client) -> None:
    await publish(client)
    ids = await client.stand.issue("guests", codes=5)
    seen: list[str] = []
    path = f"{CODES}?limit=2"
    while path:
        page = (await client.get(path, ORGANIZER)).json
        seen += [each["id"] for each in page["codes"]]
        path = f"{CODES}?limit=2&cursor={page['next']}" if page["next"] else ""
    assert seen == ids


async def test_everybody_sees_which_pools_take_codes(client: Client) -> None:
    await publish(client, {"pool": "open", "capacity": 1})
    pools = (await client.get(f"{HERE}/offerings/soap")).json["pools"]
    assert [pool.get("codes") for pool in pools] == [None, True]


@pytest.mark.usefixtures("no_canary_in_logs")
async def test_neither_a_code_nor_its_member_is_logged(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await publish(client)
    issued = await issue(client, member=CANARY)
    [secret] = issued.json["codes"]
    assert (await client.sign_up(person(CANARY), body={"code": secret["code"]})).status == 201
    await client.record()
    for record in caplog.get_records("call"):
        assert secret["code"] not in record.getMessage()
    trail = await client.stand.runtime.ledger.trail("autumn", 9)
    lines = [(line.actor, line.channel, line.action, line.detail) for line in trail]
    assert (ORGANIZER.sub, "http", "codes_issued", "soap/guests: 1") in lines
