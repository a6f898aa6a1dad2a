"""The api as its clients see it: served in this process on a loopback port, on a real Redis and a real ledger."""

import asyncio
import io
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from msgspec import Struct
from multidict import CIMultiDictProxy
from yarl import URL

from api import tokens
from api.serving import serving
from engine.domain import document
from engine.domain.person import Person, Role
from engine.workers.recorder import Recorder
from tests.stand import CAMPAIGN, Stand, campaign, open_stand

SECRET: Final = "the secret of the tests, 32 bytes"
HERE: Final = f"/v1/campaigns/{CAMPAIGN}"
NOWHERE: Final = "/v1/campaigns/nothing"
CANARY: Final = "canary-7f3a"
"""What a test plants in all that is personal or secret, to see whether it gets into a log."""

Headers = Mapping[str, str] | Sequence[tuple[str, str]]


def person(sub: str = "m1", *roles: Role, unit: str = "xicheng") -> Person:
    """Somebody of the unit whose campaigns the tests publish; a member unless other roles are given."""
    return Person(sub, unit, roles=frozenset(roles or ("member",)))


OFFICER: Final = person("officer-1", "officer")
ORGANIZER: Final = person("organizer-1", "organizer")
OPS: Final = person("ops-1", "ops")


def token(who: Person, *, ttl_s: float = 3600, secret: str = SECRET) -> str:
    """A token of the tests' deployment."""
    return tokens.sign(secret.encode(), who, time.time() + ttl_s)


def written(*offerings: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """A valid document of the unit `xicheng`, as an organizer writes it."""
    plain: dict[str, Any] = msgspec.json.decode(document.canonical(campaign(*offerings, **changed)))
    return plain


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body of a JSON document."""
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        """The code of a problem; "" for what is none."""
        if self.headers.get("Content-Type") != "application/problem+json":
            return ""
        code: str = self.json["code"]
        return code

    @property
    def errors(self) -> list[tuple[str, str]]:
        """The (path, code) of each fault that an `invalid` names."""
        return [(error["path"], error["code"]) for error in self.json["errors"]]

    @property
    def told(self) -> tuple[int, str]:
        """The status and the code."""
        return self.status, self.code


class Client:
    """Asks the api; `stand` is what stands behind it."""

    def __init__(self, stand: Stand, url: URL, session: aiohttp.ClientSession) -> None:
        self.stand = stand
        self.url = url
        self._session = session

    async def ask(
        self,
        method: str,
        path: str,
        who: Person | str | None = None,
        *,
        body: object = None,
        headers: Headers = (),
    ) -> Answer:
        """One request, its path sent as it stands.

        `who` is a person, or a token as it stands. A body of bytes or chunks is sent as it stands, any other as JSON.
        """
        sent = [*(headers.items() if isinstance(headers, Mapping) else headers)]
        if who is not None:
            sent.append(("Authorization", f"Bearer {who if isinstance(who, str) else token(who)}"))
        if body is not None and not any(name.lower() == "content-type" for name, _ in sent):
            sent.append(("Content-Type", "application/json"))
        data: object = body
        if isinstance(body, bytes):
            data = io.BytesIO(body)
        elif body is not None and not isinstance(body, AsyncIterator):
            data = msgspec.json.encode(body)
        url = URL(f"{self.url}{path}", encoded=True)
        async with self._session.request(
            method, url, headers=sent, data=data, allow_redirects=False
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, who: Person | str | None = None, **headers: str) -> Answer:
        """GET; a header's name is written with underscores."""
        return await self.ask("GET", path, who, headers=_named(headers))

    async def sign_up(
        self,
        who: Person | str = "m1",
        offering: str = "soap",
        *,
        key: str | None = None,
        body: object = None,
        within: str = CAMPAIGN,
        **headers: str,
    ) -> Answer:
        """POST of a sign-up by a person, or by the member of this id."""
        sent = _named(headers) | ({} if key is None else {"Idempotency-Key": key})
        path = f"/v1/campaigns/{within}/offerings/{offering}/enrollments"
        who = person(who) if isinstance(who, str) else who
        return await self.ask("POST", path, who, body={} if body is None else body, headers=sent)

    async def enrolled(self, who: str = "m1", offering: str = "soap") -> str:
        """Sign up, and return the address of the enrollment."""
        answer = await self.sign_up(who, offering)
        assert answer.status in (201, 202), answer.body
        return answer.headers["Location"]

    async def refused(self, method: str, path: str, body: object, **headers: str) -> tuple[int, Any]:
        """The status, and the errors or the code, of a member's request that must change nothing."""
        who = person(CANARY)
        await self.stand.publish(campaign())
        before = await self.stand.log()
        sent = {"Idempotency-Key": CANARY} | _named(headers)
        answer = await self.ask(method, path, who, body=body, headers=sent)
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert await self.stand.log() == before
        assert (await self.get(f"{HERE}/me", who)).json["enrollments"] == []
        return answer.status, answer.errors if answer.code == "invalid" else answer.code

    async def send(self, request: bytes) -> bytes:
        """Send bytes as they stand, and return all that comes back before the server closes."""
        reader, writer = await self.connect()
        writer.write(request)
        try:
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which nothing was sent yet."""
        assert self.url.host is not None
        return await asyncio.open_connection(self.url.host, self.url.port)

    def another(self, **settings: Any) -> AbstractAsyncContextManager["Client"]:
        """The api in another process, as it were: on the same Redis and ledger, with a runtime of its own."""
        mine = self.stand.runtime.settings
        assert mine.redis_url is not None
        return served(mine.redis_url, mine.data, database_url=mine.database_url, **settings)

    async def record(self, within: str = CAMPAIGN) -> None:
        """Bring every event into the ledger, as the recorder does it."""
        opened = self.stand.runtime
        recorder = Recorder(opened.server, opened.streams, opened.ledger, opened.clock, 10_000)
        state = await opened.streams.state(within)
        assert state is not None
        while any(
            each.recorded_seq < state.seq
            for each in await opened.ledger.campaigns()
            if each.campaign == within
        ):
            await recorder.run_once()
        await recorder.close()


def request(
    method: str, path: str, who: Person | None = None, body: bytes = b"", headers: Headers = ()
) -> bytes:
    """A request as bytes; without a body it has no Content-Length."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if who is not None:
        lines.append(f"Authorization: Bearer {token(who)}")
    lines += [
        f"{name}: {value}" for name, value in (headers.items() if isinstance(headers, Mapping) else headers)
    ]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@asynccontextmanager
async def served(
    redis_url: str, directory: Path, *, database_url: str | None = None, **settings: Any
) -> AsyncIterator[Client]:
    """The api on an empty Redis and ledger, for as long as the block."""
    database_url = database_url or f"sqlite:///{directory}/ledger.db"
    async with (
        open_stand(redis_url, database_url, directory, **{"token_secret": SECRET} | settings) as stand,
        serving_on(stand) as url,
        aiohttp.ClientSession() as session,
    ):
        yield Client(stand, url, session)


@asynccontextmanager
async def serving_on(stand: Stand) -> AsyncIterator[URL]:
    """Serve a stand on a free port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = URL.build(scheme="http", host="127.0.0.1", port=bound.getsockname()[1])
        async with serving(stand.runtime, bound):
            yield url
