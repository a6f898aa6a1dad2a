"""Polls over HTTP and WebSocket: live tallies, the opening, and what those who come too early are told."""

from typing import Any

from tests.api.client import HERE, Client, person
from tests.api.live.page import opened
from tests.stand import at, campaign, offering

UNTIL = at(hours=2)
POLL: dict[str, Any] = {"policy": {"name": "poll", "threshold": 2, "until": UNTIL}}


async def test_tallies_and_the_opening_are_seen(client_on_both: Client) -> None:
    client = client_on_both
    await client.stand.publish(campaign(offering(**POLL), rules={"votes_max": 1}))
    first = await client.sign_up("m1")
    assert (first.status, first.json["status"]) == (202, "entered")
    seen = (await client.get(f"{HERE}/offerings/soap")).json
    assert (seen["entered"], seen["draw"], seen["met_at"]) == (1, 0, None)
    await client.sign_up("m2")
    seen = (await client.get(HERE)).json["offerings"][0]
    assert (seen["entered"], seen["draw"]) == (2, 0)
    assert seen["met_at"].endswith("Z")
    assert await client.stand.runtime.drawing.draw_if_due("autumn")
    seen = (await client.get(HERE)).json["offerings"][0]
    assert (seen["entered"], seen["draw"], seen["pools"][0]["taken"]) == (0, 1, 2)
    file = (await client.get(f"{HERE}/offerings/soap/draw")).json
    assert file["order"] == "votes"
    mine = (await client.get(f"{HERE}/offerings/soap/draw/me", person("m2"))).json
    assert (mine["place"], mine["weight"], mine["wishes"][0]["status"]) == (2, 0.0, "confirmed")
    assert (mine["losses"], mine["wins"]) == (0, 0)


async def test_votes_that_are_used_up(client: Client) -> None:
    await client.stand.publish(campaign(offering(**POLL), offering("yoga", **POLL), rules={"votes_max": 1}))
    await client.sign_up("m1")
    refused = await client.sign_up("m1", "yoga")
    assert refused.told == (409, "limit_reached")
    assert refused.json["per"] == "poll"


async def test_a_second_class_says_when_it_opens_if_anybody_knows(client: Client) -> None:
    second = {"name": "second_class", "of": "soap", "waiting": 1, "kept_s": 3_600}
    offerings = [offering(waitlist={"size_max": 9}), offering("second", policy=second)]
    await client.stand.publish(campaign(*offerings))
    refused = await client.sign_up("m1", "second")
    assert refused.told == (409, "not_open")
    assert "opens_at" not in refused.json
    assert int(refused.headers["Retry-After"]) >= 60
    for member in ("m1", "m2", "m3"):
        await client.sign_up(member)
    refused = await client.sign_up("m4", "second")
    assert refused.told == (409, "not_open")
    assert refused.json["opens_at"].endswith("Z")
    assert (await client.sign_up("m3", "second")).status == 201
    seen = [each.get("met_at", "") for each in (await client.get(HERE)).json["offerings"]]
    assert seen[0] == ""
    assert seen[1].endswith("Z")


async def test_whoever_watches_sees_votes_and_openings(client: Client) -> None:
    second = {"name": "second_class", "of": "soap", "waiting": 1}
    offerings = [offering(waitlist={"size_max": 9}, **POLL), offering("second", policy=second)]
    await client.stand.publish(campaign(*offerings))
    async with opened(client, "m1") as page:
        await page.say("watch", campaign="autumn", offerings=["soap", "second"])
        assert (await page.hear("counts"))["entered"] == 0
        # Voting has begun; the second class has not opened.
        assert (await page.hear("opened"))["offering"] == "soap"
        for member in ("m1", "m2", "m3"):
            await client.sign_up(member)
        while (await page.hear("counts")).get("entered") != 3:
            pass
        assert await client.stand.runtime.drawing.draw_if_due("autumn")
        told = await page.hear("changed")
        assert (told["body"]["member"], told["body"]["status"]) == ("m1", "confirmed")
        assert (await page.hear("opened"))["offering"] == "second"
    async with opened(client, "m4") as page:
        await page.say("watch", campaign="autumn", offerings=["second"])
        assert (await page.hear("opened"))["offering"] == "second"
