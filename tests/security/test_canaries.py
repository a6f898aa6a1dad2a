"""Secrets and members in what a deployment leaves behind: its log, its metrics, its AOF, its ledger.

Every call is made by everybody, rightly and wrongly, on a deployment whose secrets and members are canaries; then
all of it is searched.
"""

import asyncio
import http.client
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import msgspec
import pytest
import redis

from api import docs_viewer, routes, tokens
from api.routes import Route
from engine.domain.person import Person, Role
from loadtests.deployment import ROOT, Deployment
from tests import redis_servers
from tests.commands.running import run
from tests.stand import campaign, offering

SECRET: Final = "canary-secret-5f1c8e-of-32-bytes-or-more"
DATABASE_PASSWORD: Final = "canary-database-2b7d"
MEMBER: Final = "canary-member-91ac"
KEY: Final = "canary-key-c03e"
UNIT: Final = "xicheng.canary-unit-6d"
INDUSTRY: Final = "canary-industry-a4"
TAG: Final = "canary-tag-77"
SAID: Final = "canary-said-1e9b"
"""What stands in headers, queries and bodies where nothing of it is wanted."""
ADDRESS: Final = "203.0.113.77"
ROLES: Final[tuple[Role, ...]] = ("member", "officer", "organizer", "ops")


def token(*held: Role, ttl_s: float = 3600, secret: str = SECRET) -> str:
    person = Person(MEMBER, UNIT if held == ("member",) else "xicheng", INDUSTRY, (TAG,), frozenset(held))
    return tokens.sign(secret.encode(), person, time.time() + ttl_s)


class Deployed:
    """A deployment on a Redis and a PostgreSQL of its own, and what was said to it that is secret."""

    def __init__(self, deployment: Deployment, redis_url: str) -> None:
        self.deployment = deployment
        self.redis_url = redis_url
        self.tokens = [token(role) for role in ROLES]
        self.tokens += [token("member", ttl_s=-9), token("member", secret="x" * 32), SAID]
        self.codes: list[str] = []

    def ask(self, method: str, path: str, token: str | None = None, body: bytes = b"", **headers: str) -> Any:
        """One request with canaries all over it; the decoded answer."""
        sent = {
            "Idempotency-Key": KEY,
            "User-Agent": SAID,
            "Cookie": f"session={SAID}",
            "X-Forwarded-For": ADDRESS,
            "Referer": f"http://{SAID}/",
            "Content-Type": "application/json",
        } | headers
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection(self.deployment.host, self.deployment.port, timeout=20)
        connection.request(method, path, body or None, sent)
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        return (
            msgspec.json.decode(said)
            if "json" in answer.headers.get("Content-Type", "").replace("ndjson", "") and said
            else said
        )


@pytest.fixture
def deployed(postgres_url: str) -> Iterator[Deployed]:
    with redis_servers.short_directory() as directory, redis_servers.running("valkey") as url:
        document = directory / "autumn.json"
        guests = {"pool": "guests", "capacity": 9, "codes": True}
        open_to_all = {"pool": "open", "capacity": 2}
        document.write_bytes(
            msgspec.json.encode(campaign(offering(pools=[open_to_all, guests]), offering("tea")))
        )
        deployment = Deployment(
            directory / "data",
            "--apply",
            str(document),
            SEATRUSH_REDIS_URL=redis_servers.as_engine(url),
            SEATRUSH_DATABASE_URL=postgres_url.replace("@", f":{DATABASE_PASSWORD}@"),
            SEATRUSH_TOKEN_SECRET=SECRET,
            SEATRUSH_MEMBER_RATE="0",
            SEATRUSH_TRUSTED_PROXIES="127.0.0.1",
        )
        try:
            yield Deployed(deployment, url)
        finally:
            deployment.close()


def every_call(deployed: Deployed, route: Route, enrollment: str, code: str) -> None:
    """A route by everybody, as it should be asked and with bodies that nobody should send."""
    path = route.path.format(campaign="autumn", offering="soap", enrollment=enrollment, code=code)
    for said in (None, *deployed.tokens):
        for body in (b"", msgspec.json.encode({SAID: MEMBER, "code": deployed.codes[0]}), SAID.encode()):
            deployed.ask(route.method, f"{path}?{SAID}={KEY}", said, body)


async def talk(deployed: Deployed) -> None:
    """The WebSocket, with a token that is good and one that is not."""
    for said in (deployed.tokens[0], SAID):
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{deployed.deployment.url}/v1/live") as page,
        ):
            await page.send_json({"op": "auth", "token": said})
            named = {"campaign": "autumn", "offering": "soap", "code": deployed.codes[1]}
            await page.send_json({"op": "sign_up", "id": f"{KEY}-live", **named})
            await page.send_json({"op": SAID, "id": KEY})
            await page.receive()


async def dumped(url: str) -> bytes:
    """Every row of the ledger, as text and as bytes."""
    connection = await asyncpg.connect(url)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = [row for table in tables for row in await connection.fetch(f"SELECT * FROM {table[0]}")]
    await connection.close()
    return b"\n".join(
        value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row.values()
    )


async def test_secrets_are_nowhere_and_members_in_no_log(deployed: Deployed, postgres_url: str) -> None:
    member, officer = deployed.tokens[:2]
    codes = "/v1/campaigns/autumn/offerings/soap/codes"
    issued = deployed.ask("POST", codes, officer, b'{"pool":"guests","codes":3}')
    deployed.codes = [each["code"] for each in issued["codes"]]
    sign_up = "/v1/campaigns/autumn/offerings/soap/enrollments"
    signed_up = deployed.ask(
        "POST", sign_up, member, msgspec.json.encode({"pool": "guests", "code": deployed.codes[0]})
    )
    assert signed_up["member"] == MEMBER
    for route in (*routes.ROUTES, *docs_viewer.ROUTES):
        if route.path != "/v1/live":
            every_call(deployed, route, signed_up["enrollment"], issued["codes"][2]["id"])
    await talk(deployed)
    # What is in Redis is not what scripts expect: they fail, and it is logged.
    with redis.Redis.from_url(deployed.redis_url) as administrator:
        aof = b"".join(
            path.read_bytes() for path in Path(urlsplit(deployed.redis_url).path).parent.rglob("*.aof")
        )
        administrator.hset("seatrush:{autumn}:enrollments", signed_up["enrollment"], SAID)
        deployed.ask("GET", f"/v1/campaigns/autumn/enrollments/{signed_up['enrollment']}", member)
        metrics = deployed.ask("GET", "/metrics")
        ledger = await dumped(postgres_url)
        administrator.shutdown(nosave=True)
    deployed.ask("POST", sign_up, member)
    deployed.ask("GET", "/readyz")
    assert await asyncio.to_thread(deployed.deployment.stop) == 0
    log = deployed.deployment.log.read_bytes()

    # The search can find something.
    assert b"script find failed" in log
    assert b"not ready" in log
    assert b"seatrush_decisions_total" in metrics
    for kept in (MEMBER, KEY):
        assert kept.encode() in aof
        assert kept.encode() in ledger

    secrets = [SECRET, DATABASE_PASSWORD, redis_servers.PASSWORD, *deployed.tokens, *deployed.codes, ADDRESS]
    secrets += [code.replace("-", "") for code in deployed.codes]
    about_members = [UNIT, INDUSTRY, TAG]
    for name, text in {"log": log, "metrics": metrics, "AOF": aof, "ledger": ledger}.items():
        for canary in (*secrets, *about_members, SAID):
            assert canary.encode() not in text, (name, canary)
    for name, text in {"log": log, "metrics": metrics}.items():
        for canary in (MEMBER, KEY, signed_up["enrollment"]):
            assert canary.encode() not in text, (name, canary)


@pytest.mark.parametrize(
    "settings",
    [
        {"SEATRUSH_REDIS_URL": f"redis://u:{SAID}@127.0.0.1:1/0"},
        {"SEATRUSH_REDIS_URL": f"redis://u:{SAID}@h:port/0"},
        {"SEATRUSH_DATABASE_URL": f"postgresql://u:{SAID}@127.0.0.1:1/d"},
        {"SEATRUSH_DATABASE_URL": f"postgresql://u:{SAID}@/d?{SAID}=1"},
        {"SEATRUSH_DATABASE_URL": f"mysql://u:{SAID}@h/d"},
        {"SEATRUSH_TOKEN_SECRET": SAID},
        {"SEATRUSH_JWKS_URL": f"ftp://u:{SAID}@h/"},
    ],
    ids=lambda settings: next(iter(settings.values())).partition(":")[0],
)
def test_what_cannot_be_reached_or_used_is_told_without_its_secret(
    settings: dict[str, str], tmp_path: Path
) -> None:
    told = run("serve", "--port", "0", SEATRUSH_DATA=str(tmp_path / "data"), **settings)
    assert told.returncode == 2
    assert SAID not in told.stdout + told.stderr
    assert told.stderr


def test_nothing_of_the_project_is_a_secret() -> None:
    """No key or token lies in what is shipped."""
    names = [path for folder in ("engine", "api", "docs", "scripts") for path in (ROOT / folder).rglob("*")]
    for path in (path for path in names if path.is_file() and "__pycache__" not in path.parts):
        content = path.read_bytes()
        assert b"PRIVATE KEY-----" not in content, path
        assert b"eyJhbGciOi" not in content, path
