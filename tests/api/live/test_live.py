"""The WebSocket: who may, what is watched, and answers that are those of HTTP."""

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from api.live import connection
from engine.domain.person import Person
from tests.api.client import HERE, ORGANIZER, Client, person, request, served, token, written
from tests.api.live.page import opened
from tests.api.redis_proxy import between
from tests.stand import CAMPAIGN, at, campaign, offering

CODE = "0" * 20

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "x" * 22 + "==",
}


async def test_the_token_comes_with_the_handshake_or_in_the_first_message(client: Client) -> None:
    await client.stand.publish(campaign())
    async with opened(client, "m1") as page:
        assert (await page.sign_up())[0] == 201
    async with opened(client, None) as page:
        await page.say("auth", token=token(person("m2")))
        assert (await page.sign_up())[0] == 201
    assert [event.header.channel for event in await client.stand.log() if event.record] == ["live"] * 2


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, (422, "invalid")),
        (UPGRADE | {"Sec-WebSocket-Version": "12"}, (422, "invalid")),
        (UPGRADE | {"Sec-WebSocket-Key": "short"}, (422, "invalid")),
        (UPGRADE | {"Authorization": "Bearer nonsense"}, (401, "unauthenticated")),
        (UPGRADE | {"Authorization": f"Bearer {token(ORGANIZER)}"}, (403, "forbidden")),
    ],
)
async def test_handshakes_that_are_refused(
    client: Client, headers: dict[str, str], told: tuple[int, str]
) -> None:
    assert (await client.ask("GET", "/v1/live", headers=headers)).told == told


@pytest.mark.parametrize(
    ("sent", "code", "closed"),
    [("nonsense", "unauthenticated", 4401), (token(ORGANIZER), "forbidden", 4403)],
)
async def test_tokens_that_will_not_do(client: Client, sent: str, code: str, closed: int) -> None:
    async with opened(client, None) as page:
        await page.say("auth", token=sent)
        assert (await page.hear("error"))["code"] == code
        assert await page.ended() == closed


async def test_nothing_is_done_for_one_who_is_not_known(client: Client) -> None:
    await client.stand.publish(campaign())
    async with opened(client, None) as page:
        await page.say("sign_up", id="k1", campaign=CAMPAIGN, offering="soap")
        assert (await page.hear("error"))["code"] == "unauthenticated"
        await page.say("auth", token=token(person("m1")))
        assert (await page.sign_up())[0] == 201


async def test_one_who_does_not_say_who_it_is_is_closed(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "AUTH_S", 0.05)
    async with opened(client, None) as page:
        assert await page.ended() == 4401


async def test_a_token_is_checked_at_every_decision_and_may_be_renewed(client: Client) -> None:
    await client.stand.publish(campaign())
    async with opened(client, "m1") as page:
        await page.say("auth", token=token(person("m1"), ttl_s=0.2))
        status = 201
        # Its own time makes it so: there is no event to wait for.
        while status != 401:
            status, _ = await page.sign_up()
        await page.say("auth", token="nonsense")
        assert (await page.hear("error"))["code"] == "unauthenticated"
        await page.say("auth", token=token(person("m1")))
        assert (await page.sign_up("k2"))[0] == 200


async def test_answers_are_those_of_http(client: Client) -> None:
    await client.stand.publish(campaign(offering(waitlist={"size_max": 1})))
    async with opened(client, "m1", **{"Accept-Language": "en"}) as page:
        status, body = await page.sign_up("k1")
        again = await client.sign_up("m1", key="k1")
        assert (again.status, again.json) == (status, body)
        assert await page.sign_up("k1") == (201, body)
        assert await page.sign_up("k2") == (200, body)
        for asked in ({"offering": "tea"}, {"campaign": "nothing"}, {"pool": "own"}):
            assert (await page.sign_up("k3", **({"offering": "soap"} | asked)))[1]["code"] == "not_found"
        here = {"enrollment": body["enrollment"]}
        cancelled = body | {"status": "cancelled", "seats": [], "version": 2}
        assert await page.ask("cancel", "c1", **here) == (200, cancelled)
        status, problem = await page.ask("confirm", "c2", **here)
        assert (status, problem["code"]) == (409, "wrong_state")
        path = f"{HERE}/enrollments/{here['enrollment']}/confirm"
        answer = await client.ask("POST", path, person("m1"), headers={"Accept-Language": "en"})
        assert problem == answer.json
        assert (await page.ask("cancel", "c3", enrollment="x" * 16))[1]["code"] == "not_found"


async def test_a_code_is_taken_as_over_http(client: Client) -> None:
    guests = [{"pool": "guests", "capacity": 9, "codes": True}]
    await client.stand.publish(campaign(offering(pools=guests)))
    issued = await client.stand.try_issue("guests")
    assert not isinstance(issued, str)
    code = issued.secrets[0].code
    async with opened(client, "m1") as first, opened(client, "m2", **{"Accept-Language": "en"}) as second:
        status, body = await first.sign_up(code=code.lower())
        assert (status, body["pool"]) == (201, "guests")
        status, problem = await second.sign_up(code=code)
        assert (status, problem["code"], problem["reason"]) == (403, "not_eligible", "code_used_up")
        answer = await client.sign_up("m2", body={"code": code}, Accept_Language="en")
        assert problem == answer.json


async def test_a_refusal_says_when_to_ask_again(client: Client) -> None:
    await client.stand.publish(campaign(offering(opens=at(hours=1))))
    async with opened(client) as page:
        await page.say("sign_up", id="k1", campaign=CAMPAIGN, offering="soap")
        result = await page.hear("result")
        assert (result["status"], result["body"]["code"]) == (409, "not_open")
        assert 3500 < result["retry_after"] <= 3600


async def test_offers_are_confirmed_and_declined(client: Client) -> None:
    one = [{"pool": "open", "capacity": 1}]
    waitlist = {"size_max": 9, "promotion": "offer"}
    await client.stand.publish(campaign(offering(pools=one, waitlist=waitlist)))
    async with opened(client, "m1") as first, opened(client, "m2") as second, opened(client, "m3") as third:
        _, held = await first.sign_up()
        _, waiting = await second.sign_up()
        _, last = await third.sign_up()
        assert (waiting["position"], last["position"]) == (1, 2)
        await second.say("watch", campaign=CAMPAIGN)
        await second.hear("counts")
        await third.say("watch", campaign=CAMPAIGN)
        await third.hear("counts")
        await first.ask("cancel", "c1", enrollment=held["enrollment"])
        offered = (await second.hear("changed"))["body"]
        assert (offered["enrollment"], offered["status"]) == (waiting["enrollment"], "offered")
        status, body = await second.ask("decline", "d1", enrollment=waiting["enrollment"])
        assert (status, body["status"]) == (200, "cancelled")
        offered = (await third.hear("changed"))["body"]
        assert (offered["enrollment"], offered["status"]) == (last["enrollment"], "offered")
        status, body = await third.ask("confirm", "d1", enrollment=last["enrollment"])
        assert (status, body["status"], body["seats"]) == (200, "confirmed", [1])


@pytest.mark.parametrize(
    ("sent", "path", "fault"),
    [
        ("nonsense", "", "syntax"),
        ("[]", "", "not_an_object"),
        ("{}", "/op", "not_one_of"),
        ('{"op":"rob"}', "/op", "not_one_of"),
        ('{"op":7}', "/op", "not_one_of"),
        ('{"op":"watch"}', "/campaign", "missing"),
        ('{"op":"watch","campaign":"A"}', "/campaign", "not_an_id"),
        ('{"op":"watch","campaign":"a","offerings":"b"}', "/offerings", "not_a_list"),
        ('{"op":"sign_up","campaign":"a","offering":"b"}', "/id", "missing"),
        ('{"op":"sign_up","id":"k 1","campaign":"a","offering":"b"}', "/id", "not_a_key"),
        ('{"op":"sign_up","id":"k\\n","campaign":"a","offering":"b"}', "/id", "not_a_key"),
        ('{"op":"sign_up","id":"k","campaign":"a","offering":"b","party":2}', "/party", "unknown_field"),
        (
            f'{{"op":"sign_up","id":"k","campaign":"a","offering":"b","code":"{CODE}\\n"}}',
            "/code",
            "not_a_code",
        ),
        ('{"op":"sign_up","id":"k","campaign":"a","offering":"b","code":"guess"}', "/code", "not_a_code"),
        ('{"op":"cancel","id":"k","campaign":"a","enrollment":"short"}', "/enrollment", "pattern"),
        ('{"op":"auth"}', "/token", "missing"),
    ],
)
async def test_what_cannot_be_understood_is_named(client: Client, sent: str, path: str, fault: str) -> None:
    async with opened(client, "m1", **{"Accept-Language": "zh-CN"}) as page:
        await page.socket.send_str(sent)
        error = await page.hear("error")
        assert error["code"] == error["body"]["code"] == "invalid"
        assert [(each["path"], each["code"]) for each in error["body"]["errors"]] == [(path, fault)]
        assert any("一" <= letter <= "鿿" for letter in error["body"]["detail"])
        await page.socket.send_bytes(b"{}")
        assert (await page.hear("error"))["code"] == "unsupported_media_type"


async def test_a_message_that_is_too_large_ends_the_connection(client: Client) -> None:
    async with opened(client) as page:
        await page.say("auth", token="x" * 20_000)
        assert await page.ended() == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_counts_follow_what_is_watched(client: Client) -> None:
    await client.stand.publish(campaign(offering(waitlist={"size_max": 9}), offering("tea")))
    async with opened(client) as page:
        await page.say("watch", campaign=CAMPAIGN, offerings=["soap"])
        expected: dict[str, Any] = {"op": "counts", "campaign": CAMPAIGN, "offering": "soap"}
        told = await page.hear("counts")
        assert told == expected | {"pools": {"open": {"capacity": 2, "taken": 0, "waiting": 0}}}
        await client.sign_up("m2", "tea")
        for member in ("m2", "m3", "m4"):
            await client.sign_up(member)
        last = {"open": {"capacity": 2, "taken": 2, "waiting": 1}}
        assert await page.hear("counts", lambda told: told["pools"] == last) == expected | {"pools": last}


async def test_a_watch_takes_the_place_of_the_one_before(client: Client) -> None:
    await client.stand.publish(campaign(offering(), offering("tea")))
    async with opened(client) as page:
        await page.say("watch", campaign=CAMPAIGN)
        assert {(await page.hear("counts"))["offering"] for _ in range(2)} == {"soap", "tea"}
        await page.say("watch", campaign=CAMPAIGN, offerings=[])
        await page.say("watch", campaign="nothing")
        assert (await page.hear("error"))["code"] == "not_found"
        await page.say("watch", campaign=CAMPAIGN, offerings=["wine"])
        assert (await page.hear("error"))["code"] == "not_found"


async def test_the_opening_is_told_to_all_who_watch_it(client: Client) -> None:
    await client.stand.publish(campaign(offering(opens=at(seconds=1)), offering("tea", opens=at(hours=1))))
    async with opened(client, "m1") as first, opened(client, "m2") as second:
        for page in (first, second):
            await page.say("watch", campaign=CAMPAIGN)
        advancing = asyncio.create_task(advance_until_opened(client))
        for page in (first, second):
            told = await page.hear("opened")
            assert (told["campaign"], told["offering"]) == (CAMPAIGN, "soap")
            assert (await page.sign_up())[0] == 201
        await advancing
    async with opened(client, "m3") as late:
        await late.say("watch", campaign=CAMPAIGN, offerings=["soap"])
        assert (await late.hear("opened"))["offering"] == "soap"


async def advance_until_opened(client: Client) -> None:
    """What the promoter does."""
    while "opened" not in [event.header.type for event in await client.stand.log()]:
        due_ms = await client.stand.decisions.advance(CAMPAIGN)
        await asyncio.sleep(min(due_ms or 0, 1_000) / 1000)


async def test_a_new_version_is_shown(client: Client) -> None:
    await client.stand.publish(campaign())
    async with opened(client) as page:
        await page.say("watch", campaign=CAMPAIGN)
        await page.hear("counts")
        five = written(offering(pools=[{"pool": "open", "capacity": 5}]))
        assert (await client.ask("PUT", HERE, ORGANIZER, body=five)).status == 200
        await page.hear("counts", lambda told: told["pools"]["open"]["capacity"] == 5)


async def test_what_another_door_changes_is_told_to_the_member_alone(client: Client) -> None:
    await client.stand.publish(campaign())
    place = await client.enrolled("m1")
    async with opened(client, "m1") as mine, opened(client, "m2") as other:
        for page in (mine, other):
            await page.say("watch", campaign=CAMPAIGN)
            await page.hear("counts")
        assert (await client.ask("DELETE", place, person("m1"))).status == 200
        assert (await mine.hear("changed"))["body"]["status"] == "cancelled"
        await other.hear("counts", lambda told: told["pools"]["open"]["taken"] == 0)
        assert not [message for message in other._waiting if message["op"] == "changed"]


async def test_a_member_may_renew_as_another(client: Client) -> None:
    await client.stand.publish(campaign())
    async with opened(client, "m1") as page:
        assert (await page.sign_up())[1]["member"] == "m1"
        await page.say("auth", token=token(Person("m2")))
        assert (await page.sign_up())[1]["member"] == "m2"


async def test_one_who_sends_too_much_is_read_more_slowly(one_redis_url: str, data_directory: Path) -> None:
    async with (
        served(one_redis_url, data_directory, live_messages_per_s=20, live_messages_burst=5) as client,
        opened(client) as page,
    ):
        began = asyncio.get_running_loop().time()
        for _ in range(15):
            await page.socket.send_str("{}")
        for _ in range(15):
            await page.hear("error")
        # Five at once, and ten at 20 a second.
        assert asyncio.get_running_loop().time() - began >= 0.45


async def test_a_slow_reader_is_dropped(one_redis_url: str, data_directory: Path) -> None:
    async with served(one_redis_url, data_directory, live_messages_burst=1_000_000) as client:
        reader, writer = await client.connect()
        writer.write(request("GET", "/v1/live", person("m1"), headers=UPGRADE))
        assert b" 101 " in await reader.readline()
        # It never reads again, but what it sends is answered, until too much waits for it.
        not_understood = b"{" + b"x" * 100
        frame = b"\x81" + bytes([0x80 | len(not_understood)]) + bytes(4) + not_understood
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(send_for_ever(writer, frame * 100), 60)
        writer.close()
        assert (await client.get("/healthz")).status == 200


async def send_for_ever(writer: asyncio.StreamWriter, frames: bytes) -> None:
    while True:
        writer.write(frames)
        await writer.drain()


async def test_the_end_answers_what_is_being_decided_and_says_goodbye(
    one_redis_url: str, data_directory: Path
) -> None:
    async with between(one_redis_url, data_directory) as proxy, AsyncExitStack() as stack:
        server = await stack.enter_async_context(AsyncExitStack())
        client = await server.enter_async_context(served(proxy.url, data_directory))
        await client.stand.publish(campaign())
        busy = await stack.enter_async_context(opened(client, "m1"))
        idle = await stack.enter_async_context(opened(client, "m2"))
        await idle.say("watch", campaign=CAMPAIGN)
        await idle.hear("counts")
        proxy.hold()
        asking = asyncio.create_task(busy.sign_up())
        await proxy.until_held()
        ending = asyncio.create_task(server.aclose())
        assert await idle.ended() == aiohttp.WSCloseCode.GOING_AWAY
        proxy.release()
        assert (await asking)[0] == 201
        assert await busy.ended() == aiohttp.WSCloseCode.GOING_AWAY
        await ending


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "null", "file://", "https://127.0.0.1"])
async def test_a_page_of_any_origin_may_connect_and_is_nobody_without_a_token(
    client: Client, origin: str
) -> None:
    """The token is no cookie: a browser sends nothing by itself, so a page of somebody else has nothing to ride on."""
    await client.stand.publish(campaign())
    async with opened(client, None, Origin=origin, Cookie=f"token={token(person('m1'))}") as page:
        await page.say("sign_up", id="k1", campaign=CAMPAIGN, offering="soap")
        assert (await page.hear("error"))["code"] == "unauthenticated"
    assert await client.stand.told() == []
    answer = await client.get(HERE, person("m1"), Origin=origin)
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def masked(
    opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, length: int | None = None
) -> bytes:
    """A frame as a client sends it, under a mask of zeros; `length` is one that it only claims."""
    size = len(payload) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if size < 126:
        head += bytes([128 | size])
    elif size < 65536:
        head += bytes([254]) + size.to_bytes(2)
    else:
        head += bytes([255]) + size.to_bytes(8)
    return head + bytes(4) + payload


TEXT, BINARY, PING = 1, 2, 9


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (masked(TEXT, b"{}" * 8_193), 1009),
        (masked(TEXT, b"", length=2**40), 1009),
        (masked(TEXT, b"{" * 9_000, fin=False) + masked(0, b"{" * 9_000), 1009),
        (masked(TEXT, b"{", fin=False) + masked(0, b" " * 40, fin=False) * 500, 1009),
        (masked(0, b"{}"), 1002),
        (masked(TEXT, b"{", fin=False) + masked(TEXT, b"}"), 1002),
        (masked(TEXT, b"{}", rsv=4), 1002),
        (masked(3, b"{}"), 1002),
        (masked(PING, b"x" * 126), 1002),
        (masked(PING, b"x", fin=False), 1002),
    ],
    ids=["large", "claimed", "two fragments", "many fragments", "no beginning", "two beginnings", "compressed",
         "unknown", "large ping", "fragmented ping"],
)  # fmt: skip
async def test_frames_that_nobody_should_send(
    client: Client, caplog: pytest.LogCaptureFixture, frames: bytes, code: int
) -> None:
    caplog.clear()
    reader, writer = await client.connect()
    writer.write(request("GET", "/v1/live", person("m1"), headers=UPGRADE))
    await reader.readuntil(b"\r\n\r\n")
    writer.write(frames)
    async with asyncio.timeout(20):
        assert await reader.readexactly(4) == b"\x88\x02" + code.to_bytes(2)
    writer.close()
    assert (await client.get("/healthz")).status == 200
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_flood_of_pings_is_answered_and_holds_nothing_up(client: Client) -> None:
    await client.stand.publish(campaign())
    reader, writer = await client.connect()
    writer.write(request("GET", "/v1/live", person("m1"), headers=UPGRADE))
    await reader.readuntil(b"\r\n\r\n")
    writer.write(masked(PING, b"x") * 5_000)
    assert (await client.sign_up("m2")).status == 201
    async with asyncio.timeout(20):
        assert await reader.readexactly(3 * 5_000) == b"\x8a\x01x" * 5_000
    writer.close()
