"""A page as its members have it open: a WebSocket on /v1/live, and the messages that have come."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec

from engine.domain.person import Person
from tests.api.client import Client, person, token
from tests.stand import CAMPAIGN

PATIENCE_S: Final = 20


class Page:
    """An open connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._waiting: list[Any] = []

    async def say(self, op: str, **fields: Any) -> None:
        """Send a message."""
        await self.socket.send_str(msgspec.json.encode({"op": op, **fields}).decode())

    async def hear(self, op: str, wanted: Callable[[Any], bool] = lambda message: True) -> Any:
        """The next message of a kind; others are kept for whoever asks for them."""
        for message in self._waiting:
            if message["op"] == op and wanted(message):
                self._waiting.remove(message)
                return message
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = msgspec.json.decode((await self.socket.receive_str()).encode())
                if message["op"] == op and wanted(message):
                    return message
                self._waiting.append(message)

    async def hear_any(self, *ops: str) -> Any:
        """The next message of one of several kinds."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = msgspec.json.decode((await self.socket.receive_str()).encode())
                if message["op"] in ops:
                    return message
                self._waiting.append(message)

    async def ask(self, op: str, name: str, **fields: Any) -> tuple[int, Any]:
        """Send a message that is answered; the status and the body."""
        await self.say(op, id=name, **({"campaign": CAMPAIGN} | fields))
        result = await self.hear("result", lambda message: message["id"] == name)
        return result["status"], result["body"]

    async def sign_up(self, name: str = "k1", offering: str = "soap", **fields: Any) -> tuple[int, Any]:
        """Sign up."""
        return await self.ask("sign_up", name, offering=offering, **fields)

    async def ended(self) -> int | None:
        """The code with which the server closes."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        return self.socket.close_code


@asynccontextmanager
async def opened(client: Client, who: Person | str | None = "m1", **headers: str) -> AsyncIterator[Page]:
    """A page of a member, authenticated by its header unless `who` is None."""
    if who is not None:
        headers["Authorization"] = f"Bearer {token(person(who) if isinstance(who, str) else who)}"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(client.url.with_path("/v1/live"), headers=headers) as socket,
    ):
        yield Page(socket)
