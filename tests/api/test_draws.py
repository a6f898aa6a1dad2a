"""Ballots over HTTP: entering with wishes, what everybody sees, and the draw's file."""

import hashlib
from typing import Any

import msgspec

from engine.domain import draw
from engine.domain.draw import Draw
from tests.api.client import HERE, Client, person
from tests.stand import at, campaign, offering

CLOSES = at(days=1)
BALLOT: dict[str, Any] = {"policy": {"name": "ballot"}, "closes": CLOSES}


async def close(client: Client) -> None:
    """Sign-up is over, and the draw is held."""
    await client.stand.publish(campaign(offering(policy={"name": "ballot"}, closes=at(seconds=-0.001))))
    assert await client.stand.runtime.drawing.draw_if_due("autumn")


async def test_an_entry_is_accepted_and_shows_its_wish(client_on_both: Client) -> None:
    await client_on_both.stand.publish(campaign(offering(**BALLOT)))
    given = await client_on_both.sign_up("m1", key="k", body={"wish": 2})
    assert given.status == 202
    seen = given.json
    assert (seen["status"], seen["wish"], seen["seats"], seen["position"]) == ("entered", 2, [], None)
    again = await client_on_both.sign_up("m1", key="k", body={"wish": 1})
    assert (again.status, again.body) == (202, given.body)
    mine = await client_on_both.get(f"{HERE}/me", person("m1"))
    assert mine.json["enrollments"] == [seen]
    await close(client_on_both)
    replay = await client_on_both.sign_up("m1", key="k")
    assert (replay.status, replay.body) == (202, given.body)
    found = (await client_on_both.get(given.headers["Location"], person("m1"))).json
    assert (found["status"], found["seats"], found["wish"]) == ("confirmed", [1], 2)


async def test_a_wish_where_nothing_is_drawn_is_refused_by_name(client: Client) -> None:
    await client.stand.publish(campaign())
    refused = await client.sign_up("m1", body={"wish": 1})
    assert (refused.status, refused.json["code"]) == (422, "invalid")
    assert [(error["path"], error["code"]) for error in refused.json["errors"]] == [
        ("/wish", "nothing_drawn")
    ]
    refused = await client.sign_up("m1", body={"wish": 0})
    assert refused.json["errors"][0]["code"] == "too_small"


async def test_everybody_sees_the_commitment_and_the_number_of_entries(client: Client) -> None:
    await client.stand.publish(campaign(offering(**BALLOT), offering("paper")))
    await client.sign_up("m1")
    seen = (await client.get(HERE)).json
    assert len(seen["draw"]["commitment"]) == 64
    assert [each.get("entered") for each in seen["offerings"]] == [1, None]
    one = (await client.get(f"{HERE}/offerings/soap")).json
    assert one["entered"] == 1


async def test_the_draw_is_shown_once_it_is_over(client: Client) -> None:
    await client.stand.publish(campaign(offering(**BALLOT)))
    for number in range(5):
        await client.sign_up(f"m{number}")
    before = (await client.get(HERE)).json["draw"]
    assert (await client.get(f"{HERE}/offerings/soap/draw")).status == 404
    await close(client)
    shown = await client.get(f"{HERE}/offerings/soap/draw")
    assert shown.status == 200
    drawn = msgspec.json.decode(shown.body, type=Draw)
    assert draw.verify(drawn) == []
    assert before == {"commitment": drawn.commitment}
    assert hashlib.sha256(bytes.fromhex(drawn.seed)).hexdigest() == before["commitment"]
    assert b"m1" not in shown.body
    again = await client.get(f"{HERE}/offerings/soap/draw", If_None_Match=shown.headers["ETag"])
    assert again.status == 304


async def test_a_campaign_without_ballots_has_no_draw(client: Client) -> None:
    await client.stand.publish(campaign())
    assert "draw" not in (await client.get(HERE)).json
    assert (await client.get(f"{HERE}/offerings/soap/draw")).status == 404
    assert (await client.get("/v1/campaigns/unknown/offerings/soap/draw")).status == 404


async def test_a_seed_is_never_shown_before_the_draw(client: Client) -> None:
    await client.stand.publish(campaign(offering(**BALLOT)))
    definition = client.stand.runtime.catalog.get("autumn")
    assert definition
    assert definition.lottery
    for path in (HERE, "/v1/campaigns", f"{HERE}/offerings/soap", f"{HERE}/offerings/soap/draw"):
        assert definition.lottery.secret.encode() not in (await client.get(path)).body


async def test_a_member_sees_pseudonym_and_weight(client: Client) -> None:
    weights = {"loss": 50, "win": 25}
    await client.stand.publish(campaign(offering(**BALLOT), weights=weights))
    assert (await client.get(HERE)).json["weights"] == weights
    await client.sign_up("m1")
    before = (await client.get(f"{HERE}/offerings/soap/draw/me", person("m1"))).json
    told: dict[str, Any] = {"place": None, "members": None, "wishes": []}
    assert before | {"member": ""} == {"member": "", "weight": 1.0, "losses": 0, "wins": 0} | told
    await close(client)
    drawn = msgspec.json.decode((await client.get(f"{HERE}/offerings/soap/draw")).body, type=Draw)
    assert [entry.member for entry in drawn.entries] == [before["member"]]
    # In the next draw of the unit the seat counts.
    await client.stand.publish(campaign(offering(**BALLOT), name="winter", weights=weights))
    after = (await client.get("/v1/campaigns/winter/offerings/soap/draw/me", person("m1"))).json
    assert after | {"member": ""} == {"member": "", "weight": 0.75, "losses": 0, "wins": 1} | told
    assert after["member"] != before["member"]
    assert (await client.get("/v1/campaigns/winter/offerings/soap/draw/me", person("m2"))).json[
        "weight"
    ] == 1.0


async def test_a_member_sees_that_another_seat_stood_against_a_wish(client: Client) -> None:
    """Whoever has the dearer wish is passed over, and sees that it is not for the place in the order."""
    rules = {"limits": [{"max": 1, "per": "campaign"}]}
    await client.stand.publish(campaign(offering(**BALLOT), offering("paper", **BALLOT), rules=rules))
    await client.sign_up("m1")
    await client.sign_up("m1", "paper")
    now = at(seconds=-0.001)
    ended = [offering(name, **BALLOT | {"closes": now}) for name in ("soap", "paper")]
    await client.stand.publish(campaign(*ended, rules=rules))
    assert await client.stand.runtime.drawing.draw_if_due("autumn")
    wishes = (await client.get(f"{HERE}/offerings/soap/draw/me", person("m1"))).json["wishes"]
    seen = [(each["offering"], each["status"], each["free"], each["blocked"]) for each in wishes]
    assert seen == [("soap", "confirmed", 2, False), ("paper", "not_drawn", 2, True)]


async def test_a_member_sees_why(client: Client) -> None:
    """The place in the order, how many wished for the same, and how far its seats went."""
    pools = [{"pool": "open", "capacity": 2}]
    await client.stand.publish(
        campaign(offering(pools=pools, **BALLOT), offering("paper", pools=pools, **BALLOT))
    )
    for number in range(5):
        await client.sign_up(f"m{number}")
    await client.sign_up("m0", "paper")
    now = at(seconds=-0.001)
    ended = {"pools": pools, **BALLOT, "closes": now}
    await client.stand.publish(campaign(offering(**ended), offering("paper", **ended)))
    assert await client.stand.runtime.drawing.draw_if_due("autumn")
    told = [
        (await client.get(f"{HERE}/offerings/soap/draw/me", person(f"m{number}"))).json for number in range(5)
    ]
    assert sorted(each["place"] for each in told) == [1, 2, 3, 4, 5]
    assert {each["members"] for each in told} == {5}
    for each in told:
        first = each["wishes"][0]
        seen = (first["offering"], first["entries"], first["seats"], first["last_place"])
        assert seen == ("soap", 5, 2, 2)
        won = each["place"] <= 2
        assert (first["status"], first["pool"]) == (("confirmed", "open") if won else ("not_drawn", None))
    assert told[0]["wishes"][1] == {
        "offering": "paper",
        "status": "confirmed",
        "pool": "open",
        "entries": 1,
        "free": 2,
        "seats": 1,
        "last_place": told[0]["place"],
        "blocked": False,
    }
    stranger = (await client.get(f"{HERE}/offerings/soap/draw/me", person("stranger"))).json
    assert (stranger["place"], stranger["wishes"]) == (None, [])
