"""Long lists in pages: campaigns, a roster, a member's enrollments."""

import asyncio
from typing import Any

import pytest

from tests.api.client import HERE, OFFICER, ORGANIZER, Client, person
from tests.stand import at, campaign, offering

ROSTER = f"{HERE}/offerings/soap/roster"
EVERYWHERE = "/v1/me/enrollments"


async def pages(
    client: Client, path: str, name: str, limit: int, who: Any = None
) -> list[list[dict[str, Any]]]:
    """Every page of a list, each followed by its `next`."""
    seen, cursor = [], ""
    while True:
        page = (await client.get(f"{path}?limit={limit}{cursor}", who)).json
        seen.append(page[name])
        if page["next"] is None:
            return seen
        cursor = f"&cursor={page['next']}"


@pytest.mark.parametrize(
    ("limit", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (4, [4, 1]), (5, [5]), (200, [5])]
)
async def test_campaigns_come_in_order_of_their_names(client: Client, limit: int, sizes: list[int]) -> None:
    for name in ("c", "a", "e", "b", "d"):
        await client.stand.publish(campaign(name=name))
    seen = await pages(client, "/v1/campaigns", "campaigns", limit)
    assert [len(page) for page in seen] == sizes
    assert [each["campaign"] for page in seen for each in page] == list("abcde")
    whole = (await client.get("/v1/campaigns")).json["campaigns"]
    assert whole == [(await client.get(f"/v1/campaigns/{name}")).json for name in "abcde"]


async def test_there_may_be_no_campaigns(client: Client) -> None:
    assert (await client.get("/v1/campaigns")).json == {"campaigns": [], "next": None}


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_roster_has_seats_before_the_waiting_each_in_order(client: Client, limit: int) -> None:
    three = [{"pool": "open", "capacity": 3}]
    await client.stand.publish(campaign(offering(pools=three, waitlist={"size_max": 9}), offering("tea")))
    places = [await client.enrolled(f"m{number}") for number in range(6)]
    await client.enrolled("m7", "tea")
    # The seat goes to the first who waits, who signed up after those that have one.
    await client.ask("DELETE", places[0], person("m0"))
    await client.record()
    for who in (OFFICER, ORGANIZER):
        seen = [each for page in await pages(client, ROSTER, "enrollments", limit, who) for each in page]
        assert [(each["member"], each["status"], each["position"]) for each in seen] == [
            ("m1", "confirmed", None),
            ("m2", "confirmed", None),
            ("m3", "confirmed", None),
            ("m4", "waitlisted", 1),
            ("m5", "waitlisted", 2),
        ]
        assert seen == [(await client.get(each, OFFICER)).json for each in places[1:]]


@pytest.mark.parametrize("limit", [1, 2, 50])
async def test_ones_own_come_newest_first_over_all_campaigns(client: Client, limit: int) -> None:
    for name in ("spring", "autumn"):
        await client.stand.publish(
            campaign(offering("a"), offering("b", waitlist={"size_max": 1}), name=name)
        )
    places = [
        (await client.sign_up("m1", each, within=name)).headers["Location"]
        for name, each in [("spring", "a"), ("autumn", "b"), ("autumn", "a"), ("spring", "b")]
    ]
    await client.sign_up("m2", "a")
    await client.ask("DELETE", places[2], person("m1"))
    for name in ("spring", "autumn"):
        await client.record(name)
    seen = [
        each for page in await pages(client, EVERYWHERE, "enrollments", limit, person("m1")) for each in page
    ]
    expected = [(await client.get(each, person("m1"))).json for each in places]
    assert sorted(seen, key=lambda each: each["enrollment"]) == sorted(
        expected, key=lambda each: each["enrollment"]
    )
    moments = [each["decided_at"] for each in seen]
    assert moments == sorted(moments, reverse=True)
    assert {each["status"] for each in seen} == {"confirmed", "cancelled"}


async def test_the_recorder_brings_what_the_ledger_answers(client: Client) -> None:
    await client.stand.publish(campaign())
    place = await client.enrolled("m1")
    assert (await client.get(EVERYWHERE, person("m1"))).json == {"enrollments": [], "next": None}
    workers = client.stand.runtime.workers()
    for worker in workers:
        worker.start()
    await asyncio.gather(*(worker.stop() for worker in workers))
    listed = (await client.get(EVERYWHERE, person("m1"))).json["enrollments"]
    assert listed == [(await client.get(place, person("m1"))).json]


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("limit=0", [("limit", "too_small")]),
        ("limit=-1", [("limit", "too_small")]),
        ("limit=", [("limit", "too_small")]),
        ("limit=1.5", [("limit", "too_small")]),
        ("limit=1e2", [("limit", "too_small")]),
        ("limit=1_0", [("limit", "too_small")]),
        ("limit=%C2%B2", [("limit", "too_small")]),
        ("limit=%FF", [("limit", "too_small")]),
        ("limit=201", [("limit", "too_large")]),
        ("limit=" + "9" * 5_000, [("limit", "too_small")]),
        ("cursor=", [("cursor", "not_a_cursor")]),
        ("cursor=x", [("cursor", "not_a_cursor")]),
        ("cursor=%00", [("cursor", "not_a_cursor")]),
        ("cursor=%F0%9F%8D%81", [("cursor", "not_a_cursor")]),
        ("cursor=" + "A" * 600, [("cursor", "not_a_cursor")]),
        ("limit=x&cursor=x", [("limit", "too_small"), ("cursor", "not_a_cursor")]),
    ],
)
@pytest.mark.parametrize("path", ["/v1/campaigns", ROSTER, EVERYWHERE])
async def test_what_is_no_page_is_named(
    client: Client, path: str, query: str, errors: list[tuple[str, str]]
) -> None:
    await client.stand.publish(campaign())
    refused = await client.get(f"{path}?{query}", person("m1", "member", "officer"))
    assert (refused.status, refused.errors) == (422, errors)


async def test_a_cursor_is_of_its_own_list(client: Client) -> None:
    await client.stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 9}]), offering("tea")))
    await client.stand.publish(campaign(name="winter"))
    for number in range(3):
        await client.enrolled(f"m{number}")
    await client.enrolled("m0", "tea")
    await client.record()
    cursors = {
        "/v1/campaigns": (await client.get("/v1/campaigns?limit=1")).json["next"],
        ROSTER: (await client.get(f"{ROSTER}?limit=1", OFFICER)).json["next"],
        EVERYWHERE: (await client.get(f"{EVERYWHERE}?limit=1", person("m0"))).json["next"],
    }
    assert all(cursors.values())
    both = person("m0", "member", "officer")
    for path in cursors:
        for origin, cursor in cursors.items():
            answer = await client.get(f"{path}?cursor={cursor}", both)
            assert answer.status == (200 if origin == path else 422)


async def test_a_page_stays_whole_while_the_list_moves(client: Client) -> None:
    """What is enrolled on a page that was seen is not seen again, and nobody is skipped."""
    await client.stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 9}], closes=at(days=2))))
    places = [await client.enrolled(f"m{number}") for number in range(4)]
    await client.record()
    first = (await client.get(f"{ROSTER}?limit=2", OFFICER)).json
    await client.ask("DELETE", places[0], person("m0"))
    await client.enrolled("m4")
    await client.record()
    rest = (await client.get(f"{ROSTER}?limit=9&cursor={first['next']}", OFFICER)).json
    assert [each["member"] for each in rest["enrollments"]] == ["m2", "m3", "m4"]
