"""The append-only file of Redis: written anew, what was overwritten is not in it any more."""

from typing import Any, Final

import pytest

from engine.live import append_only
from engine.live.server import NothingRan, Server
from tests import canaries, redis_servers
from tests.stand import CAMPAIGN, Stand, campaign

CANARY: Final = "canary-7f3a"


async def test_what_was_overwritten_is_gone(stand: Stand, redis_url: str) -> None:
    await stand.publish(campaign())
    await stand.publish(campaign(name="other"))
    client: Any = stand.administrator
    await client.set("word", CANARY)
    await client.delete("word")
    assert await canaries.in_append_only_files(client, CANARY)
    server = Server(redis_servers.as_administrator(redis_url), fsync=True, timeout_s=5)
    assert await append_only.rewrite(server, [CAMPAIGN, "other"]) == []
    await server.close()
    assert not await canaries.in_append_only_files(client, CANARY)


async def test_a_server_that_may_not_or_cannot_is_named(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = stand.runtime.server

    async def refused(*_: object) -> None:
        raise NothingRan("NOPERM no permission", "NOPERM")

    monkeypatch.setattr(server, "ask", refused)
    (note,) = await append_only.rewrite(server, [CAMPAIGN, "other"])
    assert note == "Redis has not written its append-only file anew: NOPERM no permission"
