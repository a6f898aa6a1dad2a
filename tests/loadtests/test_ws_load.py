"""The WebSocket load generator, against a server that says more than results."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from loadtests import http_load, ws_load
from loadtests.ws_load import Broken, Conversation


async def live(request: web.Request) -> web.WebSocketResponse:
    """Before each result: counts too long for a short frame, and a ping. The offering says what goes wrong."""
    if request.headers.get("Authorization") != "Bearer good":
        raise web.HTTPUnauthorized
    socket = web.WebSocketResponse(compress=False, autoping=False)
    await socket.prepare(request)
    members = []
    async for message in socket:
        if message.type is WSMsgType.PONG:
            continue
        said: dict[str, Any] = message.json()
        if said["op"] == "auth":
            members.append(said["token"])
            continue
        if said["offering"] == "closing":
            await socket.close(code=4408)
            break
        if said["offering"] == "not-understood":
            await socket.send_json({"op": "error", "code": "invalid"})
            continue
        await socket.send_json({"op": "counts", "pools": "x" * 200})
        await socket.send_json({"op": "counts", "pools": "x" * 70_000})
        await socket.send_json({"op": "result", "id": "another's", "status": 500})
        await socket.ping(b"still there?")
        status = 201 if len(members) == int(said["offering"]) else 409
        await socket.send_json({"op": "result", "id": said["id"], "status": status, "body": {}})
    return socket


async def refuse(request: web.Request) -> web.Response:
    return web.json_response({}, status=409)


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    app = web.Application()
    app.router.add_get(ws_load.PATH, live)
    app.router.add_route("*", "/refused", refuse)
    serving = TestServer(app, host="127.0.0.1")
    async with serving:
        yield serving


async def load(server: TestServer, *conversations: Conversation) -> http_load.Load:
    assert server.port is not None
    return await asyncio.to_thread(ws_load.run, "127.0.0.1", server.port, conversations, 8)


async def test_every_message_is_answered(server: TestServer) -> None:
    long = ws_load.auth("t" * 2_000)
    talks = [
        Conversation(
            "good",
            [
                ws_load.sign_up("autumn", "0", f"{number}-first"),
                ws_load.sign_up("autumn", "1", f"{number}-second", before=long),
                ws_load.sign_up("autumn", "0", f"{number}-refused"),
            ],
        )
        for number in range(20)
    ]
    done = await load(server, *talks, Conversation("good", []))
    assert done.statuses == {201: 40, 409: 20}
    assert len(done.latencies_s) == 60
    assert done.per_second > 0


@pytest.mark.parametrize(
    ("token", "offering", "why"),
    [
        ("bad", "0", "the upgrade was answered 401"),
        ("good", "closing", "the server closed a connection with 4408"),
        ("good", "not-understood", "a message was answered invalid"),
    ],
)
async def test_what_breaks_a_load_is_named(server: TestServer, token: str, offering: str, why: str) -> None:
    with pytest.raises(Broken, match=why):
        await load(server, Conversation(token, [ws_load.sign_up("autumn", offering, "key")]))


async def test_what_goes_on_beside_a_load_must_succeed(server: TestServer) -> None:
    asked = http_load.request("POST", "/refused", body=b"{}")
    pace = http_load.Pace(iter([asked] * 100_000), 10_000)
    assert server.port is not None
    with pytest.raises(RuntimeError, match=r"beside the load was answered \{409: 1\}"):
        await asyncio.to_thread(http_load.run, "127.0.0.1", server.port, [asked] * 5_000, 4, beside=pace)
