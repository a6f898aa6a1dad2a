"""Sign-up, look, cancel, confirm, decline over HTTP: what a member sees, and that retries see the same."""

import asyncio
from typing import Any

import pytest

from tests.api.client import HERE, OFFICER, Answer, Client, person
from tests.stand import at, campaign, offering

ONE_SEAT = [{"pool": "open", "capacity": 1}]
OFFERED: dict[str, Any] = {
    "waitlist": {"size_max": 9, "promotion": "offer", "offer_ttl_s": 600},
    "pools": ONE_SEAT,
}
NEVER_MADE = f"{HERE}/enrollments/{'x' * 16}"


def same(first: Answer, again: Answer) -> bool:
    """Whether two answers are byte-identical, with all headers but the time."""
    headers = [
        {name: value for name, value in each.headers.items() if name != "Date"} for each in (first, again)
    ]
    return (first.status, first.body, headers[0]) == (again.status, again.body, headers[1])


async def test_sign_up_confirms_a_seat_and_says_where_it_is(client_on_both: Client) -> None:
    await client_on_both.stand.publish(campaign())
    given = await client_on_both.sign_up("m1", key="k")
    assert given.status == 201
    assert given.headers["Content-Type"] == "application/json"
    seen = given.json
    assert given.headers["Location"] == f"{HERE}/enrollments/{seen['enrollment']}"
    assert len(seen["enrollment"]) == 16
    assert seen | {"enrollment": "", "decided_at": ""} == {
        "enrollment": "",
        "campaign": "autumn",
        "offering": "soap",
        "member": "m1",
        "pool": "open",
        "status": "confirmed",
        "seats": [1],
        "seq": 3,
        "version": 1,
        "position": None,
        "expires_at": None,
        "decided_at": "",
    }
    assert seen["decided_at"].endswith("Z")
    assert len(seen["decided_at"]) == len("2026-11-28T02:00:00.123Z")
    found = await client_on_both.get(given.headers["Location"], person("m1"))
    assert (found.status, found.body) == (200, given.body)


async def test_held_and_waitlisted_are_accepted_but_not_created(client_on_both: Client) -> None:
    await client_on_both.stand.publish(
        campaign(offering(hold_ttl_s=600, pools=ONE_SEAT, waitlist={"size_max": 9}))
    )
    held, waiting = [await client_on_both.sign_up(member, key="k") for member in ("m1", "m2")]
    assert (held.status, held.json["status"], held.json["seats"]) == (202, "held", [1])
    assert held.json["expires_at"] > held.json["decided_at"]
    assert (waiting.status, waiting.json["status"], waiting.json["seats"]) == (202, "waitlisted", [])
    assert (waiting.json["position"], waiting.json["pool"], waiting.json["expires_at"]) == (1, None, None)
    assert all(each.headers["Location"].endswith(each.json["enrollment"]) for each in (held, waiting))


async def test_replay_is_byte_identical_whatever_came_later(client_on_both: Client) -> None:
    client = client_on_both
    await client.stand.publish(campaign(offering(waitlist={"size_max": 9}), offering("held", hold_ttl_s=600)))
    asked = [("m1", "soap"), ("m2", "soap"), ("m3", "soap"), ("m4", "held")]
    first = [await client.sign_up(member, name, key="k") for member, name in asked]
    assert [each.status for each in first] == [201, 201, 202, 202]

    async def all_the_same() -> bool:
        again = [await client.sign_up(member, name, key="k") for member, name in asked]
        return all(map(same, first, again))

    assert await all_the_same()
    for (member, _), each in zip(asked, first, strict=True):
        assert (await client.ask("DELETE", each.headers["Location"], person(member))).status == 200
    assert await all_the_same()
    over = {"opens": at(hours=-3), "closes": at(hours=-2)}
    await client.stand.publish(campaign(offering(**over), offering("held", **over)))
    assert await all_the_same()
    assert (await client.sign_up("m1", key="another")).code == "closed"


async def test_replay_at_the_same_moment_is_one_enrollment(client_on_both: Client) -> None:
    await client_on_both.stand.publish(campaign())
    answers = await asyncio.gather(*(client_on_both.sign_up("m1", key="k") for _ in range(40)))
    assert all(same(answers[0], each) for each in answers)
    assert answers[0].status == 201
    assert await client_on_both.stand.told() == [("enrolled", "confirmed")]


async def test_already_in_is_200_with_the_current_state(client: Client) -> None:
    await client.stand.publish(campaign(offering(hold_ttl_s=600)))
    first = await client.sign_up("m1", key="k1")
    await client.ask("POST", first.headers["Location"] + "/confirm", person("m1"))
    for key in (None, "k2"):
        again = await client.sign_up("m1", key=key)
        assert (again.status, again.json["status"], again.json["version"]) == (200, "confirmed", 2)
        assert again.json["enrollment"] == first.json["enrollment"]
        assert "Location" not in again.headers


async def test_after_a_cancel_a_new_key_or_none_signs_up_again(client: Client) -> None:
    await client.stand.publish(campaign())
    first = await client.sign_up("m1", key="k1")
    await client.ask("DELETE", first.headers["Location"], person("m1"))
    anew = await client.sign_up("m1")
    assert anew.status == 201
    assert anew.json["enrollment"] != first.json["enrollment"]
    await client.ask("DELETE", anew.headers["Location"], person("m1"))
    assert (await client.sign_up("m1", key="k2")).status == 201


@pytest.mark.parametrize("key", ["k", "!", "~" * 64, '"a,b";c={}', "autumn/m2", "\\u0000", "%00"])
async def test_every_visible_ascii_key_is_its_own(client: Client, key: str) -> None:
    await client.stand.publish(campaign(offering("a"), offering("b")))
    first = await client.sign_up("m1", "a", key=key)
    assert same(first, await client.sign_up("m1", "a", key=key))
    assert (await client.sign_up("m1", "b", key=key)).code == "key_reused"
    assert (await client.sign_up("m1", "a", key=key, body={"pool": "open"})).code == "key_reused"
    assert (await client.sign_up("m2", "b", key=key)).status == 201


async def test_member_ids_of_any_form_keep_apart(client: Client) -> None:
    """Ids are opaque: what separates fields elsewhere is a letter like any other in them."""
    await client.stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 99}])))
    ids = ["m", "M", "m/1", "m{1}", "m}", "m:1", "*", '"', "\\", "%", "'", "m-1,2", "~" * 64, "0", "null"]
    answers = [await client.sign_up(each, key="k") for each in ids]
    assert [each.json["member"] for each in answers] == ids
    assert sorted(each.json["seats"][0] for each in answers) == list(range(1, len(ids) + 1))
    for each, answer in zip(ids, answers, strict=True):
        listed = (await client.get(f"{HERE}/me", person(each))).json
        assert listed == {"enrollments": [answer.json], "next": None}


async def test_no_body_is_an_empty_object(client: Client) -> None:
    await client.stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 9}])))
    path = f"{HERE}/offerings/soap/enrollments"
    assert (await client.ask("POST", path, person("m1"))).status == 201
    assert (await client.ask("POST", path, person("m2"), headers={"Content-Length": "0"})).status == 201
    assert (await client.ask("POST", path, person("m3"), body=b"{}" + b" " * (16 * 1024 - 2))).status == 201
    assert (await client.ask("POST", path, person("m4"), body={"pool": None})).status == 201


async def test_cancel_shows_it_and_again_the_same_bytes(client_on_both: Client) -> None:
    await client_on_both.stand.publish(campaign(offering(pools=ONE_SEAT, waitlist={"size_max": 9})))
    taken = await client_on_both.enrolled("m1")
    waiting = await client_on_both.enrolled("m2")
    first = await client_on_both.ask("DELETE", taken, person("m1"))
    assert (first.status, first.json["status"], first.json["seats"], first.json["version"]) == (
        200,
        "cancelled",
        [],
        2,
    )
    assert (await client_on_both.get(waiting, person("m2"))).json["status"] == "confirmed"
    before = await client_on_both.stand.log()
    for _ in range(2):
        assert same(first, await client_on_both.ask("DELETE", taken, person("m1"), body={}))
    assert await client_on_both.stand.log() == before


async def test_confirm_and_decline_answer_the_same_again(client_on_both: Client) -> None:
    client = client_on_both
    await client.stand.publish(campaign(offering(**OFFERED)))
    places = [await client.enrolled(f"m{number}") for number in range(3)]
    await client.ask("DELETE", places[0], person("m0"))
    offer = await client.get(places[1], person("m1"))
    assert (offer.json["status"], offer.json["seats"], offer.json["position"]) == ("offered", [1], None)
    assert offer.json["expires_at"] is not None
    declined = await client.ask("POST", places[1] + "/decline", person("m1"))
    assert (declined.status, declined.json["status"]) == (200, "cancelled")
    assert same(declined, await client.ask("POST", places[1] + "/decline", person("m1"), body={}))
    confirmed = await client.ask("POST", places[2] + "/confirm", person("m2"), body={})
    assert (confirmed.status, confirmed.json["status"]) == (200, "confirmed")
    assert (confirmed.json["seats"], confirmed.json["expires_at"]) == ([1], None)
    assert same(confirmed, await client.ask("POST", places[2] + "/confirm", person("m2")))


async def test_anothers_enrollment_is_the_same_404_as_none(client_on_both: Client) -> None:
    client = client_on_both
    await client.stand.publish(campaign(offering(hold_ttl_s=600)))
    place = await client.enrolled("m1")
    before = await client.stand.log()
    strangers = [
        person("m2"),
        person("m2", "officer", unit="xicheng.health"),
        person("m2", "officer", unit="x"),
    ]
    for who in strangers:
        for method, ending in [("GET", ""), ("DELETE", ""), ("POST", "/confirm"), ("POST", "/decline")]:
            theirs, none = [await client.ask(method, each + ending, who) for each in (place, NEVER_MADE)]
            assert theirs.status == (403 if method == "POST" and "officer" in who.roles else 404)
            assert same(theirs, none)
    assert await client.stand.log() == before


async def test_officers_of_the_unit_and_above_see_and_cancel_but_do_not_confirm(client: Client) -> None:
    below = "xicheng.health"
    await client.stand.publish(campaign(offering(hold_ttl_s=600), unit=below))
    for officer in (OFFICER, person("officer-2", "officer", unit=below)):
        place = await client.enrolled("m1")
        assert (await client.get(place, officer)).json["member"] == "m1"
        for ending in ("/confirm", "/decline"):
            assert (await client.ask("POST", place + ending, officer)).told == (403, "forbidden")
        cancelled = await client.ask("DELETE", place, officer)
        assert (cancelled.status, cancelled.json["status"]) == (200, "cancelled")
        event = (await client.stand.log())[-1]
        assert (event.header.actor, event.header.channel) == (officer.sub, "http")


async def test_an_officer_who_is_a_member_too_has_enrollments_of_their_own(client: Client) -> None:
    await client.stand.publish(campaign(offering(hold_ttl_s=600)))
    both = person("m1", "member", "officer", unit="elsewhere")
    place = (await client.sign_up(both)).headers["Location"]
    assert (await client.get(place, both)).status == 200
    assert (await client.ask("POST", place + "/confirm", both)).status == 200
    assert (await client.ask("DELETE", place, both)).status == 200


async def test_me_lists_what_is_live_in_order_of_sign_up(client_on_both: Client) -> None:
    client = client_on_both
    waiting = offering("b", pools=[{"pool": "open", "capacity": 0}], waitlist={"size_max": 9})
    await client.stand.publish(campaign(offering("a"), waiting, offering("c")))
    places = [await client.enrolled("m1", name) for name in ("c", "b", "a")]
    await client.enrolled("m2", "a")
    await client.ask("DELETE", places[2], person("m1"))
    seen = (await client.get(f"{HERE}/me", person("m1"))).json
    assert seen == {
        "enrollments": [(await client.get(each, person("m1"))).json for each in places[:2]],
        "next": None,
    }
    assert [each["position"] for each in seen["enrollments"]] == [None, 1]
    assert (await client.get(f"{HERE}/me", person("m3"))).json == {"enrollments": [], "next": None}


async def test_what_was_answered_first_has_the_lower_seq(client_on_both: Client) -> None:
    await client_on_both.stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 500}])))

    async def one_after_another(runner: int) -> list[int]:
        return [(await client_on_both.sign_up(f"m{runner}-{turn}")).json["seq"] for turn in range(10)]

    runs = await asyncio.gather(*(one_after_another(runner) for runner in range(8)))
    assert all(run == sorted(run) for run in runs)
    assert sorted(seq for run in runs for seq in run) == list(range(3, 83))
