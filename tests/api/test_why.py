"""Why, over HTTP: what a member is told of a refusal and of an enrollment, and what is not told of others."""

from pathlib import Path
from typing import Any

import pytest

from engine import replay
from engine.ledger.protocol import DeadLetter
from engine.why import Explainer
from tests.api.client import HERE, NOWHERE, OFFICER, Client, person, served
from tests.stand import at, campaign, offering

WHY = f"{HERE}/offerings/soap/why"
ONE = [{"pool": "open", "capacity": 1}]


@pytest.fixture
async def client_on_each(one_redis_url: str, database_url: str, data_directory: Path) -> Any:
    """The api with each ledger in turn."""
    async with served(one_redis_url, data_directory, database_url=database_url) as serving:
        yield serving


def as_refused(answer: Any) -> str:
    """The address at which a refusal is explained."""
    return f"{WHY}?as_of_seq={answer.json['as_of_seq']}&refused_as={answer.code}"


async def told(client: Client, path: str, who: str, language: str = "en") -> Any:
    await client.record()
    answer = await client.get(path, person(who), Accept_Language=language)
    assert answer.status == 200, answer.body
    return answer.json


async def test_a_refusal_is_explained_as_of_its_seq(client_on_each: Client) -> None:
    client = client_on_each
    await client.stand.publish(campaign(offering(pools=ONE, waitlist={"size_max": 1}), offering("paper")))
    first = await client.enrolled("m1")
    await client.enrolled("m2")
    refused = await client.sign_up("m3")
    assert refused.told == (409, "sold_out")
    # What happens afterwards changes nothing in the answer.
    await client.ask("DELETE", first, person("m1"))
    await client.stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 9}]), offering("paper")))
    why = await told(client, as_refused(refused), "m3")
    assert (why["code"], why["rule"], why["version"]) == ("sold_out", "/offerings/0/pools", 1)
    assert (why["as_of_seq"], why["sign_ups"]) == (refused.json["as_of_seq"], 2)
    assert (why["waiting"], why["waiting_max"]) == (1, 1)
    (pool,) = why["pools"]
    seated = (await client.get(first, person("m1"))).json
    assert (pool["taken"], pool["capacity"], pool["may_take"]) == (1, 1, True)
    assert (pool["last_given_seq"], pool["last_given_at"]) == (seated["seq"], seated["decided_at"])
    assert [(each["kind"], each["offering"], each["free"]) for each in why["next"]] == [
        ("waitlist", "soap", None),
        ("other_offering", "paper", 2),
    ]
    now = await told(client, WHY, "m3")
    assert (now["code"], now["version"]) == ("none", 2)


@pytest.mark.parametrize(("language", "words"), [("en", "1 of the 1 seats"), ("zh", "1 个名额已占用 1 个")])
async def test_it_is_said_in_both_languages(client: Client, language: str, words: str) -> None:
    await client.stand.publish(campaign(offering(pools=ONE)))
    await client.enrolled("m1")
    refused = await client.sign_up("m3")
    await client.record()
    answer = await client.get(as_refused(refused), person("m3"), Accept_Language=language)
    assert words in answer.json["detail"]
    assert answer.headers["Content-Language"] == ("en" if language == "en" else "zh-CN")


async def test_nothing_of_others_but_counts(client: Client) -> None:
    await client.stand.publish(campaign(offering(pools=ONE, waitlist={"size_max": 2})))
    others = [await client.enrolled(f"other-{number}") for number in range(2)]
    place = await client.enrolled("m3")
    refused = await client.sign_up("m4")
    await client.ask("DELETE", others[0], OFFICER)
    await client.record()
    seen = (await client.get(f"{place}/why", person("m3"))).body
    seen += (await client.get(as_refused(refused), person("m4"))).body
    for hidden in ("other-", "officer-1", *(other.rpartition("/")[2] for other in others)):
        assert hidden.encode() not in seen


async def test_own_enrollments_that_count(client: Client) -> None:
    limit = {"limits": [{"max": 1, "per": "campaign"}]}
    await client.stand.publish(campaign(offering(), offering("paper"), rules=limit))
    place = await client.enrolled("m1", "paper")
    refused = await client.sign_up("m1")
    why = await told(client, as_refused(refused), "m1")
    assert (why["code"], why["limit"], why["rule"]) == (
        "limit_reached",
        {"max": 1, "per": "campaign"},
        "/rules/limits/0",
    )
    (mine,) = why["mine"]
    assert (mine["enrollment"], mine["offering"], mine["status"]) == (
        place.rpartition("/")[2],
        "paper",
        "confirmed",
    )
    await client.ask("DELETE", place, person("m1"))
    # It counted then, though it does not now.
    assert (await told(client, as_refused(refused), "m1"))["mine"] == [mine]
    assert (await told(client, WHY, "m1"))["code"] == "none"


async def test_eligibility_is_told_by_the_lists_that_do_not_match(client: Client) -> None:
    kept = [{"pool": "own", "capacity": 1, "eligible": {"units": ["elsewhere"], "tags": ["outdoor"]}}]
    await client.stand.publish(campaign(offering(pools=kept)))
    refused = await client.sign_up("m1")
    why = await told(client, as_refused(refused), "m1")
    assert why["code"] == "not_eligible"
    (pool,) = why["pools"]
    assert (pool["lacking"], pool["eligible"]) == (
        ["units", "tags"],
        {"units": ["elsewhere"], "tags": ["outdoor"]},
    )
    assert "units, tags" in why["detail"]


async def test_windows_are_those_of_the_version_in_force(client: Client) -> None:
    later = at(hours=1)
    await client.stand.publish(campaign(offering(opens=later)))
    refused = await client.sign_up("m1")
    await client.stand.publish(campaign(offering()))
    why = await told(client, as_refused(refused), "m1")
    assert (why["code"], why["opens"]) == ("not_open", refused.json["opens_at"])
    assert [(each["kind"], each["since"]) for each in why["next"]] == [("opens", why["opens"])]


async def test_an_enrollment_from_the_waitlist_to_its_end(client_on_each: Client) -> None:
    client = client_on_each
    soap = offering(pools=ONE, waitlist={"size_max": 9, "promotion": "offer", "offer_ttl_s": 600})
    await client.stand.publish(campaign(soap))
    first, second = await client.enrolled("m1"), await client.enrolled("m2")
    place = await client.enrolled("m3")
    why = await told(client, f"{place}/why", "m3")
    assert (why["status"], why["number"]) == ("waitlisted", 3)
    assert why["queue"] == {"position": 2, "given_ahead": 0, "given_behind": 0, "left_ahead": 0}
    assert [(step["type"], step["position"], step["by"]) for step in why["steps"]] == [
        ("enrolled", 2, "self")
    ]
    await client.ask("DELETE", second, person("m2"))
    assert (await told(client, f"{place}/why", "m3"))["queue"] == {
        "position": 1,
        "given_ahead": 0,
        "given_behind": 0,
        "left_ahead": 1,
    }
    await client.ask("DELETE", first, OFFICER)
    why = await told(client, f"{place}/why", "m3")
    assert (why["status"], why["queue"]) == ("offered", None)
    promoted = why["steps"][-1]
    assert (promoted["type"], promoted["cause"], promoted["by"]) == ("promoted", "cancelled", "system")
    assert (promoted["pool"], promoted["seats"]) == ("open", [1])
    assert [(each["kind"], each["until"]) for each in why["next"]] == [("confirm", promoted["expires_at"])]
    await client.ask("POST", f"{place}/confirm", person("m3"))
    await client.ask("DELETE", place, OFFICER)
    why = await told(client, f"{place}/why", "m3")
    assert [(step["status"], step["by"]) for step in why["steps"]] == [
        ("waitlisted", "self"),
        ("offered", "system"),
        ("confirmed", "self"),
        ("cancelled", "officer"),
    ]
    assert [each["kind"] for each in why["next"]] == ["sign_up_again"]
    assert (await told(client, f"{first}/why", "m1"))["steps"][-1]["by"] == "officer"


async def test_an_entry_of_a_draw(client: Client) -> None:
    ballot: dict[str, Any] = {"policy": {"name": "ballot"}, "pools": ONE}
    await client.stand.publish(campaign(offering(**ballot)))
    places = [await client.enrolled(f"m{number}") for number in range(3)]
    entered = await told(client, f"{places[0]}/why", "m0")
    assert (entered["status"], [each["kind"] for each in entered["next"]]) == ("entered", ["draw"])
    await client.stand.publish(campaign(offering(**ballot, closes=at(seconds=-0.001))))
    assert await client.stand.runtime.drawing.draw_if_due("autumn")
    found = [await told(client, f"{place}/why", f"m{number}") for number, place in enumerate(places)]
    drawn = sorted(found, key=lambda each: each["draw"]["place"])
    assert [each["status"] for each in drawn] == ["confirmed", "not_drawn", "not_drawn"]
    for place, each in enumerate(drawn, 1):
        expected = {
            "place": place,
            "members": 3,
            "weight": 1.0,
            "entries": 3,
            "free": 1,
            "seats": 1,
            "last_place": 1,
            "blocked": False,
        }
        assert each["draw"] == expected
    refused = await client.sign_up("m9")
    assert refused.told == (410, "closed")
    assert (await told(client, as_refused(refused), "m9"))["code"] == "closed"


async def test_whose_it_is(client: Client) -> None:
    await client.stand.publish(campaign())
    place = await client.enrolled("m1")
    await client.record()
    for who in (person("m1"), OFFICER):
        assert (await client.get(f"{place}/why", who)).status == 200
    others = await client.get(f"{place}/why", person("m2"))
    none = await client.get(f"{place[:-16]}{'x' * 16}/why", person("m2"))
    assert others.told == none.told == (404, "not_found")
    assert others.json["as_of_seq"] == none.json["as_of_seq"]
    elsewhere = person("o", "officer", unit="xicheng.finance")
    assert (await client.get(f"{place}/why", elsewhere)).told == (404, "not_found")


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("as_of_seq=0", [("as_of_seq", "too_small")]),
        ("as_of_seq=-1", [("as_of_seq", "too_small")]),
        ("as_of_seq=x", [("as_of_seq", "too_small")]),
        ("as_of_seq=99999999999999999", [("as_of_seq", "too_small")]),
        ("as_of_seq=9007199254740993", [("as_of_seq", "too_large")]),
        ("as_of_seq=9007199254740992", [("as_of_seq", "seq_to_come")]),
        ("as_of_seq=99", [("as_of_seq", "seq_to_come")]),
        ("pool=", [("pool", "not_an_id")]),
        ("refused_as=", [("refused_as", "not_one_of")]),
        ("refused_as=invalid", [("refused_as", "not_one_of")]),
        ("as_of_seq=0&pool=No", [("as_of_seq", "too_small"), ("pool", "not_an_id")]),
    ],
)
async def test_what_is_wrong_with_a_query(client: Client, query: str, errors: list[tuple[str, str]]) -> None:
    await client.stand.publish(campaign())
    await client.record()
    answer = await client.get(f"{WHY}?{query}", person("m1"))
    assert answer.told == (422, "invalid")
    assert answer.errors == errors


async def test_what_there_is_not(client: Client) -> None:
    await client.stand.publish(campaign())
    await client.record()
    for path in (f"{NOWHERE}/offerings/soap/why", f"{HERE}/offerings/none/why", f"{WHY}?pool=none"):
        assert (await client.get(path, person("m1"))).told == (404, "not_found")
    # The offering came with the second version.
    before = (await client.get(HERE)).json["seq"]
    await client.stand.publish(campaign(offering(), offering("paper")))
    await client.record()
    paper = f"{HERE}/offerings/paper/why"
    assert (await client.get(f"{paper}?as_of_seq={before}", person("m1"))).told == (404, "not_found")
    assert (await client.get(paper, person("m1"))).json["code"] == "none"


async def test_while_the_ledger_is_behind(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.stand.runtime.explainer, "_wait_s", 0.2)
    await client.stand.publish(campaign(offering(pools=ONE)))
    place = await client.enrolled("m1")
    refused = await client.sign_up("m2")
    for path, who in ((as_refused(refused), "m2"), (f"{place}/why", "m1")):
        answer = await client.get(path, person(who))
        assert answer.told == (503, "not_ready")
        assert int(answer.headers["Retry-After"]) > 0
    assert (await told(client, as_refused(refused), "m2"))["code"] == "sold_out"
    # An enrollment has changed since it was recorded.
    await client.ask("DELETE", place, person("m1"))
    assert (await client.get(f"{place}/why", person("m1"))).told == (503, "not_ready")
    assert (await told(client, f"{place}/why", "m1"))["status"] == "cancelled"


async def test_dead_letters_are_passed_over(client: Client) -> None:
    """A change that could not be applied is not waited for, and one that follows is told."""
    opened = client.stand.runtime
    await client.stand.publish(campaign(offering(pools=ONE)))
    place = await client.enrolled("m1")
    await client.record()
    await client.ask("DELETE", place, person("m1"))
    again = (await client.sign_up("m1")).json
    log = await client.stand.log()
    letters = [DeadLetter("autumn", 1, event.seq, event.fields, "spoiled") for event in log[-2:]]
    await opened.ledger.record("autumn", 1, log[-3].seq, letters)
    why = await told(client, f"{place}/why", "m1")
    assert (why["status"], [step["type"] for step in why["steps"]]) == ("confirmed", ["enrolled"])
    answer = await client.get(f"{WHY}?as_of_seq={again['seq']}", person("m2"))
    assert (answer.status, answer.json["code"]) == (200, "sold_out")
    lost = f"{HERE}/enrollments/{again['enrollment']}/why"
    assert (await client.get(lost, person("m1"))).told == (404, "not_found")


async def test_a_log_that_is_too_long(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = client.stand.runtime
    await client.stand.publish(campaign())
    place = await client.enrolled("m1")
    await client.record()
    monkeypatch.setattr(opened.explainer, "_replay", replay.Replay(opened.ledger, opened.clock, 2))
    assert isinstance(opened.explainer, Explainer)
    for path in (WHY, f"{place}/why"):
        assert (await client.get(path, person("m1"))).told == (404, "not_found")
