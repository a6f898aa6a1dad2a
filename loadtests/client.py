"""A client: what one member sends over HTTP until it has a definite answer; every exchange is written down."""

import asyncio
import itertools
import time
from multiprocessing.synchronize import Semaphore
from typing import Final

import aiohttp

from api import tokens
from engine.domain.person import Person
from loadtests.exchange import UNDECIDED, Exchange, Kind

PATIENCE_S: Final = 120.0
PAUSES_S: Final = (0.02, 0.05, 0.1, 0.2)
TOKEN_TTL_S: Final = 3600

_METHODS: Final[dict[Kind, str]] = {
    "sign_up": "POST",
    "cancel": "DELETE",
    "confirm": "POST",
    "decline": "POST",
}


class Client:
    """One member of a campaign. `answered` is released with every definite answer.

    With a `patience_s`, a member without a definite answer gives up after so many seconds, and RuntimeError says so.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        secret: bytes,
        campaign: str,
        person: Person,
        exchanges: list[Exchange],
        *,
        answered: Semaphore | None = None,
        patience_s: float = PATIENCE_S,
        token_ttl_s: float = TOKEN_TTL_S,
    ) -> None:
        self._session = session
        self._campaign = campaign
        self.person = person
        self._exchanges = exchanges
        self._answered = answered
        self._patience_s = patience_s
        token = tokens.sign(secret, person, time.time() + token_ttl_s)
        self._authorization = {"Authorization": f"Bearer {token}"}

    async def send(
        self, kind: Kind, *, offering: str = "", key: str = "", wanted: str = "", enrollment: str = ""
    ) -> Exchange:
        """Send until there is a definite answer, as a client does: with the same key."""
        give_up = time.monotonic() + self._patience_s
        for pause_s in itertools.chain(PAUSES_S, itertools.repeat(PAUSES_S[-1])):
            exchange = await self.send_once(
                kind, offering=offering, key=key, wanted=wanted, enrollment=enrollment
            )
            if exchange.status not in UNDECIDED:
                if self._answered:
                    self._answered.release()
                return exchange
            if time.monotonic() > give_up:
                break
            await asyncio.sleep(pause_s)
        raise RuntimeError("the server does not come back")

    async def send_once(
        self, kind: Kind, *, offering: str = "", key: str = "", wanted: str = "", enrollment: str = ""
    ) -> Exchange:
        """Send once, whatever comes of it."""
        paths: dict[Kind, str] = {
            "sign_up": f"/offerings/{offering}/enrollments",
            "mine": "/me",
            "campaign": "",
            "confirm": f"/enrollments/{enrollment}/confirm",
            "decline": f"/enrollments/{enrollment}/decline",
        }
        path = f"/v1/campaigns/{self._campaign}" + paths.get(kind, f"/enrollments/{enrollment}")
        headers = self._authorization | ({"Idempotency-Key": key} if key else {})
        body = {"pool": wanted} if wanted else None
        sent_ns = time.monotonic_ns()
        try:
            async with self._session.request(
                _METHODS.get(kind, "GET"), path, headers=headers, json=body
            ) as response:
                status, answer = response.status, await response.read()
                retry_after = response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, OSError):
            status, answer, retry_after = 0, b"", ""
        named = enrollment if kind in ("cancel", "confirm", "decline", "find") else ""
        exchange = Exchange(
            kind, self.person.sub, self.person.unit, sent_ns, time.monotonic_ns(), status, answer,
            offering, key, wanted, named, self._campaign, retry_after,
        )  # fmt: skip
        self._exchanges.append(exchange)
        return exchange
