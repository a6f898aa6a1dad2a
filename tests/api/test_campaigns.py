"""Campaign documents over HTTP: publish, see, and the conditions of both."""

import asyncio

import msgspec
import pytest

from engine.domain import document, quotas
from engine.domain.campaign import Campaign
from tests.api.client import HERE, NOWHERE, ORGANIZER, Client, person, written
from tests.domain import documents
from tests.stand import campaign, offering


async def test_first_publication_creates_and_later_ones_replace(client_on_both: Client) -> None:
    client = client_on_both
    first = await client.ask("PUT", HERE, ORGANIZER, body=written())
    assert (first.status, first.json) == (201, {"campaign": "autumn", "version": 1, "changed": True})
    assert (first.headers["Location"], first.headers["ETag"]) == (HERE, '"1"')
    replaced = written(offering(), offering("tea"))
    second = await client.ask("PUT", HERE, ORGANIZER, body=replaced)
    assert (second.status, second.json) == (200, {"campaign": "autumn", "version": 2, "changed": True})
    assert second.headers["ETag"] == '"2"'
    assert "Location" not in second.headers
    again = await client.ask("PUT", HERE, ORGANIZER, body=replaced)
    assert (again.status, again.json) == (200, {"campaign": "autumn", "version": 2, "changed": False})
    published = [event for event in await client.stand.log() if event.header.type == "published"]
    assert [(event.header.actor, event.header.channel) for event in published] == [
        ("organizer-1", "http")
    ] * 2


@pytest.mark.parametrize(
    ("headers", "new", "published"),
    [
        ({}, 201, 200),
        ({"If-Match": '"1"'}, 412, 200),
        ({"If-Match": '"1.7"'}, 412, 200),
        ({"If-Match": '"9", "1"'}, 412, 200),
        ({"If-Match": "*"}, 412, 200),
        ({"If-Match": '"2"'}, 412, 412),
        ({"If-Match": 'W/"1"'}, 412, 412),
        ({"If-Match": '"0"'}, 412, 412),
        ({"If-Match": '"11"'}, 412, 412),
        ({"If-Match": '""'}, 412, 412),
        ({"If-Match": ""}, 412, 412),
        ({"If-None-Match": "*"}, 201, 412),
        ({"If-None-Match": '"1"'}, 201, 412),
        ({"If-None-Match": 'W/"1.2"'}, 201, 412),
        ({"If-None-Match": '"2"'}, 201, 200),
        ({"If-Match": '"1"', "If-None-Match": "*"}, 412, 412),
    ],
)
async def test_conditions(client: Client, headers: dict[str, str], new: int, published: int) -> None:
    assert (await client.ask("PUT", HERE, ORGANIZER, body=written(), headers=headers)).status == new
    await client.ask("PUT", HERE, ORGANIZER, body=written(), headers={"If-None-Match": "*"})
    before = await client.stand.log()
    answer = await client.ask("PUT", HERE, ORGANIZER, body=written(offering("tea")), headers=headers)
    assert answer.status == published
    if published == 412:
        assert answer.code == "precondition_failed"
        assert await client.stand.log() == before


async def test_several_lines_of_a_condition_are_one_list(client: Client) -> None:
    await client.stand.publish(campaign())
    lines = [("If-Match", '"7"'), ("If-Match", '"1"')]
    assert (
        await client.ask("PUT", HERE, ORGANIZER, body=written(offering("tea")), headers=lines)
    ).status == 200


async def test_a_condition_holds_for_what_another_process_published(client: Client) -> None:
    await client.stand.publish(campaign())
    async with client.another() as other:
        for version in range(2, 8):
            asked = client if version % 2 else other
            replaced = written(offering(title={"zh": str(version), "en": "t"}))
            condition = {"If-Match": f'"{version - 1}"'}
            answer = await asked.ask("PUT", HERE, ORGANIZER, body=replaced, headers=condition)
            assert (answer.status, answer.headers["ETag"]) == (200, f'"{version}"')
        for each in (client, other):
            assert (await each.get(HERE)).json["version"] == 7
            assert (await each.sign_up()).status in (200, 201)


async def test_of_two_units_that_publish_one_name_at_once_one_has_it(client: Client) -> None:
    async with client.another() as other:
        for number in range(10):
            name = f"c{number}"
            answers = await asyncio.gather(
                *(
                    each.ask(
                        "PUT",
                        f"/v1/campaigns/{name}",
                        person("organizer", "organizer", unit=unit),
                        body=written(name=name, unit=unit),
                    )
                    for each, unit in ((client, "xicheng.health"), (other, "xicheng.finance"))
                )
            )
            assert sorted(each.status for each in answers) == [201, 403]


async def test_the_same_document_at_once_is_one_version(client: Client) -> None:
    replaced = written()
    answers = await asyncio.gather(*(client.ask("PUT", HERE, ORGANIZER, body=replaced) for _ in range(8)))
    assert sorted(each.status for each in answers) == [200] * 7 + [201]
    assert {each.json["version"] for each in answers} == {1}


async def test_the_whole_document_comes_back_with_its_counts(client: Client) -> None:
    """Every field, also emoji and text outside the Basic Multilingual Plane; defaults are left out."""
    full = documents.full()
    finance = person("o", "organizer", unit="xicheng.finance")
    address = "/v1/campaigns/autumn-2026"
    headcounts = {"xicheng.finance.bank": 700, "xicheng.finance.fuxing": 300}
    await client.stand.runtime.ledger.report_headcounts(headcounts, "o", "http", 1_000)
    assert (await client.ask("PUT", address, finance, body=full)).status == 201
    seen = (await client.get(address)).json
    assert (seen.pop("version"), seen.pop("seq")) == (1, 1)
    for each in seen["offerings"]:
        assert each.pop("waiting") == 0
        assert [pool.pop("taken") for pool in each["pools"]] == [0, 0]
    validated = document.validate(full)
    assert isinstance(validated, Campaign)
    sized = quotas.resize(validated, {"packs": headcounts})
    assert isinstance(sized, Campaign)
    assert seen == msgspec.json.decode(document.canonical(sized))
    assert seen["title"] == {"zh": "秋季快乐工坊 🍁", "en": "Autumn workshops 𝒜"}


async def test_counts_and_entity_tags_follow_every_change(client_on_both: Client) -> None:
    client = client_on_both
    pools = [{"pool": "a", "capacity": 1}, {"pool": "b", "capacity": 1}]
    await client.stand.publish(campaign(offering(pools=pools, waitlist={"size_max": 9}), offering("tea")))
    await client.stand.decisions.advance("autumn")
    tags = set()
    for taken, waiting in (([0, 0], 0), ([1, 0], 0), ([1, 1], 0), ([1, 1], 1)):
        whole, part = await client.get(HERE), await client.get(f"{HERE}/offerings/soap")
        assert (whole.status, part.status) == (200, 200)
        assert part.json == whole.json["offerings"][0]
        assert [pool["taken"] for pool in part.json["pools"]] == taken
        assert part.json["waiting"] == waiting
        assert [pool["taken"] for pool in whole.json["offerings"][1]["pools"]] == [0]
        assert whole.headers["ETag"] == part.headers["ETag"]
        tags.add(whole.headers["ETag"])
        await client.sign_up(f"m{len(tags)}")
    assert len(tags) == 4


@pytest.mark.parametrize("path", [HERE, f"{HERE}/offerings/soap", "/v1/campaigns"])
async def test_what_the_client_has_is_not_sent_again(client: Client, path: str) -> None:
    await client.stand.publish(campaign())
    seen = await client.get(path)
    tag = seen.headers["ETag"]
    for has in (tag, f"W/{tag}", "*", f'"x", {tag}'):
        again = await client.get(path, If_None_Match=has)
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    assert (await client.get(path, If_None_Match='"x"')).body == seen.body
    await client.enrolled()
    changed = await client.get(path, If_None_Match=tag)
    assert changed.status == 200
    assert changed.headers["ETag"] != tag


@pytest.mark.parametrize("path", [HERE, f"{HERE}/offerings/soap", "/v1/campaigns", "/healthz", "/docs"])
async def test_head_is_get_without_the_body(client: Client, path: str) -> None:
    await client.stand.publish(campaign())
    got, head = await client.get(path), await client.ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert [head.headers.get(name) for name in ("Content-Type", "Content-Length", "ETag")] == [
        got.headers.get(name) for name in ("Content-Type", "Content-Length", "ETag")
    ]


async def test_a_campaign_that_is_not_there(client: Client) -> None:
    await client.stand.publish(campaign())
    never = f"/enrollments/{'x' * 16}"
    both = person("m1", "member", "officer")
    for path in (NOWHERE, f"{NOWHERE}/offerings/soap", f"{NOWHERE}/me", NOWHERE + never):
        assert (await client.get(path, both)).told == (404, "not_found")
    assert (await client.get(f"{NOWHERE}/offerings/soap/roster", both)).told == (404, "not_found")
    assert (await client.ask("DELETE", NOWHERE + never, both)).told == (404, "not_found")
    for verb in ("/confirm", "/decline"):
        assert (await client.ask("POST", NOWHERE + never + verb, both)).told == (404, "not_found")
    assert (await client.sign_up(within="nothing")).told == (404, "not_found")
    assert not client.stand.decisions._queues


async def test_an_offering_or_pool_that_is_not_there(client: Client) -> None:
    await client.stand.publish(campaign())
    assert (await client.get(f"{HERE}/offerings/tea")).told == (404, "not_found")
    assert (await client.get(f"{HERE}/offerings/tea/roster", ORGANIZER)).told == (404, "not_found")
    assert (await client.sign_up(offering="tea")).told == (404, "not_found")
    assert (await client.sign_up(body={"pool": "own"})).told == (404, "not_found")


async def test_what_live_seats_forbid_is_named(client: Client) -> None:
    four = [{"pool": "open", "capacity": 4}]
    await client.stand.publish(campaign(offering(pools=four), offering("tea"), offering("art")))
    for number in range(3):
        await client.enrolled(f"m{number}")
    await client.enrolled("m1", "tea")
    two = [{"pool": "open", "capacity": 2}]
    refused = await client.ask("PUT", HERE, ORGANIZER, body=written(offering("art"), offering(pools=two)))
    assert refused.told == (422, "invalid")
    assert sorted(refused.errors) == [
        ("/offerings", "has_live_enrollments"),
        ("/offerings/1/pools/0/capacity", "below_live_seats"),
    ]
    assert (await client.get(HERE)).json["version"] == 1


async def test_capacity_that_grows_promotes_those_who_wait(client: Client) -> None:
    await client.stand.publish(campaign(offering(waitlist={"size_max": 9})))
    places = [await client.enrolled(f"m{number}") for number in range(4)]
    five = [{"pool": "open", "capacity": 5}]
    answer = await client.ask(
        "PUT", HERE, ORGANIZER, body=written(offering(pools=five, waitlist={"size_max": 9}))
    )
    assert answer.status == 200
    seen = [(await client.get(each, person(f"m{number}"))).json for number, each in enumerate(places)]
    assert [each["seats"] for each in seen] == [[1], [2], [3], [4]]


async def test_forty_faults_are_named_forty(client: Client) -> None:
    spoiled = written(*(offering(f"o{number}") for number in range(10)))
    for each in spoiled["offerings"]:
        each["kind"] = "lottery"
        each["title"]["en"] = ""
        each["opens"] = "tomorrow"
        each["pools"][0]["capacity"] = -1
    refused = await client.ask("PUT", HERE, ORGANIZER, body=spoiled)
    assert refused.told == (422, "invalid")
    expected = [
        (f"/offerings/{number}/{path}", code)
        for number in range(10)
        for path, code in [
            ("kind", "not_one_of"),
            ("title/en", "too_short"),
            ("opens", "not_an_instant"),
            ("pools/0/capacity", "too_small"),
        ]
    ]
    assert sorted(refused.errors) == sorted(expected)
    assert all(error["detail"] for error in refused.json["errors"])
    assert (await client.get(HERE)).status == 404


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("party_max", 2, "party_not_available"),
        ("policy", {"name": "auction"}, "policy_not_available"),
        ("station", "s1", "unknown_field"),
    ],
)
async def test_what_comes_later_is_refused_by_name(
    client: Client, path: str, value: object, code: str
) -> None:
    spoiled = written()
    spoiled["offerings"][0][path] = value
    refused = await client.ask("PUT", HERE, ORGANIZER, body=spoiled)
    place = f"/offerings/0/{path}" + ("/name" if path == "policy" else "")
    assert (refused.status, refused.errors) == (422, [(place, code)])


async def test_the_document_is_of_the_campaign_that_the_address_names(client: Client) -> None:
    refused = await client.ask("PUT", NOWHERE, ORGANIZER, body=written())
    assert (refused.status, refused.errors) == (422, [("/campaign", "other_campaign")])


async def test_a_document_of_one_mebibyte_is_the_largest(client: Client) -> None:
    least = msgspec.json.encode(written())
    most = least + b" " * (document.MAX_BYTES - len(least))
    assert (await client.ask("PUT", HERE, ORGANIZER, body=most)).status == 201
    assert (await client.ask("PUT", HERE, ORGANIZER, body=most + b" ")).told == (413, "too_large")
