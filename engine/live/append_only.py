"""The append-only files of Redis: written anew, they have what is there now and nothing that was there before."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from engine.live import keys
from engine.live.server import NothingRan, Server

POLL_S: Final = 0.05
PATIENCE_S: Final = 600.0


async def rewrite(server: Server, campaigns: Sequence[str]) -> list[str]:
    """Have each server that one of the campaigns lies on write its file anew, and wait until it has.

    A server that keeps none has nothing to do. Returns a sentence for each that did not, with the reason.
    """
    rewritten, notes = set[str](), []
    for campaign in campaigns:
        key = keys.of(campaign, "META")
        try:
            name = await server.ask(key, _name)
            if name not in rewritten:
                rewritten.add(name)
                await _rewrite(server, key)
        except NothingRan as error:
            notes.append(f"Redis has not written its append-only file anew: {error}")
    return list(dict.fromkeys(notes))


async def _name(client: Any) -> str:
    return str((await client.info("server"))["run_id"])


async def _rewrite(server: Server, key: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    # One that is under way may have passed by what has been forgotten since.
    before = await _at_rest(server, key, deadline_s)
    if before["aof_enabled"]:
        await server.ask(key, lambda client: client.bgrewriteaof())
        after = await _at_rest(server, key, deadline_s)
        if after["aof_last_bgrewrite_status"] != "ok":
            raise NothingRan("it failed, as its log says")


async def _at_rest(server: Server, key: str, deadline_s: float) -> dict[str, Any]:
    """What the server says of its files once no rewriting is under way."""
    while True:
        info: dict[str, Any] = await server.ask(key, lambda client: client.info("persistence"))
        if not (info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"]):
            return info
        if time.monotonic() >= deadline_s:
            raise NothingRan("it takes too long")
        await asyncio.sleep(POLL_S)
