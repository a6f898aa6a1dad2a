"""Backpressure in processes of its own: the ledger goes away, the disk fills up, and what was answered is kept."""

import asyncio
import json
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from api import tokens
from engine.domain.person import Person
from loadtests.bench import campaigns, sign_ups
from loadtests.deployment import Deployment, audit, deployed
from tests import alarms, postgres
from tests.redis_servers import absent, short_directory

CAMPAIGN: Final = "pressed"
DOCUMENT: Final = campaigns.plain(CAMPAIGN)
SIGN_UP: Final = sign_ups.path(CAMPAIGN, campaigns.SEATS)
BACKLOG: Final = 1_000
BEFORE_SALES: Final = 2
"""Events: the publication, and the opening."""
AT_ONCE: Final = 100
PATIENCE_S: Final = 30
MIB: Final = 1 << 20


class Members:
    """Members of a deployment, and the seats that they were given."""

    def __init__(self, deployment: Deployment, session: ClientSession) -> None:
        self._secret = deployment.secret
        self._session = session
        self.seats: list[tuple[str, str]] = []
        """Of each the token of its member, and where it is."""
        self.refused: set[tuple[int, str]] = set()

    async def sign_up(self) -> bool:
        """Ask for a seat as a new member; whether it was given."""
        token = sign_ups.token(self._secret)
        status, headers, body = await self._ask("POST", SIGN_UP, token)
        if status == 201:
            self.seats.append((token, headers["Location"]))
            return True
        assert int(headers["Retry-After"]) > 0
        self.refused.add((status, body["code"]))
        return False

    async def sign_up_until_refused(self) -> None:
        """Ask for seats until no more are given."""
        while not self.refused:
            await asyncio.gather(*(self.sign_up() for _ in range(AT_ONCE)))
        assert not any(await asyncio.gather(*(self.sign_up() for _ in range(AT_ONCE))))

    async def sign_up_until_given(self) -> None:
        """Ask until a seat is given."""
        async with asyncio.timeout(PATIENCE_S):
            while not await self.sign_up():  # noqa: ASYNC110  another process has no event for it
                await asyncio.sleep(0.05)

    async def cancel(self) -> None:
        """Give the last seat back."""
        token, place = self.seats.pop()
        status, _, body = await self._ask("DELETE", place, token)
        assert (status, body["status"]) == (200, "cancelled")

    async def status(self) -> Any:
        """What ops see."""
        token = tokens.sign(self._secret, Person("ops", roles=frozenset({"ops"})), time.time() + 3600)
        status, _, body = await self._ask("GET", "/v1/ops/status", token)
        assert status == 200
        return body

    async def _ask(self, method: str, path: str, token: str) -> tuple[int, Any, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.request(method, path, headers=headers) as answer:
            return answer.status, answer.headers, await answer.json(content_type=None)


def scrape(deployment: Deployment) -> str:
    with urllib.request.urlopen(f"{deployment.url}/metrics", timeout=PATIENCE_S) as answer:
        body: bytes = answer.read()
    return body.decode()


async def scraped_when(deployment: Deployment, name: str, holds: Callable[[float], bool]) -> str:
    """The first scrape in which a metric has a sample of which something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            text = await asyncio.to_thread(scrape, deployment)
            for family in text_string_to_metric_families(text):
                if any(sample.name == name and holds(sample.value) for sample in family.samples):
                    return text
            await asyncio.sleep(0.1)


@contextmanager
def postgres_away(server: postgres.PostgresServer) -> Iterator[None]:
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextmanager
def sqlite_held(data: Path) -> Iterator[None]:
    """Somebody writes into the ledger, and does not come to an end."""
    with closing(sqlite3.connect(data / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_postgresql_goes_away(postgres_url: str, postgres_server: postgres.PostgresServer) -> None:
    settings = {"SEATRUSH_BACKLOG_ENTRIES_MAX": str(BACKLOG), "SEATRUSH_DATABASE_URL": postgres_url}
    with deployed(DOCUMENT, **settings) as deployment:
        async with ClientSession(deployment.url) as session:
            members = Members(deployment, session)
            before = scrape(deployment)
            with postgres_away(postgres_server):
                await check_what_happens_at_the_limit(members)
                assert not (await members.status())["ledger_ready"]
                during = await scraped_when(deployment, "seatrush_backlog_share", lambda share: share >= 1)
                expected = ["SeatrushBacklogFilling", "SeatrushBacklogFull", "SeatrushLedgerUnreachable"]
                alarms.fire(expected, before, during)
            await members.sign_up_until_given()
        assert deployment.stop() == 0
        assert audit(deployment.data, "--database", postgres_url).returncode == 0


async def test_sqlite_takes_no_writes() -> None:
    with deployed(DOCUMENT, SEATRUSH_BACKLOG_ENTRIES_MAX=str(BACKLOG)) as deployment:
        async with ClientSession(deployment.url) as session:
            members = Members(deployment, session)
            with sqlite_held(deployment.data):
                await check_what_happens_at_the_limit(members)
            await members.sign_up_until_given()
        assert deployment.stop() == 0
        assert audit(deployment.data).returncode == 0


async def check_what_happens_at_the_limit(members: Members) -> None:
    """Seats are given up to the limit and no further, and may be given back beyond it."""
    await members.sign_up_until_refused()
    assert members.refused == {(503, "not_ready")}
    given = len(members.seats)
    assert BACKLOG <= BEFORE_SALES + given < BACKLOG + AT_ONCE
    await members.cancel()
    (told,) = (await members.status())["campaigns"]
    assert told["ready"]
    assert told["backlog_share"] == pytest.approx(told["pending_entries"] / BACKLOG, abs=0.0001)
    assert given < told["pending_entries"] <= BEFORE_SALES + given + 1
    assert told["taken"] == len(members.seats)


@contextmanager
def small_disk(mib: int) -> Iterator[Path]:
    """A directory on a disk of its own, in memory."""
    with short_directory() as directory:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(directory)]
        if subprocess.run(mount, capture_output=True).returncode:
            absent("no tmpfs can be mounted here: that takes root")
        try:
            yield directory
        finally:
            subprocess.run(["umount", "--lazy", str(directory)], check=True)


async def test_the_disk_fills_up() -> None:
    floor = 32 * MIB
    with small_disk(64) as directory, ExitStack() as stack:
        (directory / "campaign.json").write_text(json.dumps(DOCUMENT))
        apply = ("--apply", str(directory / "campaign.json"))
        deployment = Deployment(directory / "data", *apply, SEATRUSH_DISK_FREE_MIN=str(floor))
        stack.callback(deployment.close)
        async with ClientSession(deployment.url) as session:
            members = Members(deployment, session)
            assert await members.sign_up()
            before = scrape(deployment)
            filling = directory / "filling"
            filling.write_bytes(bytes(40 * MIB))
            await members.sign_up_until_refused()
            assert members.refused == {(503, "not_ready")}
            await members.cancel()
            told = await members.status()
            assert told["disk_free_bytes"] < floor == told["disk_free_min_bytes"]
            during = await scraped_when(deployment, "seatrush_disk_free_bytes", lambda left: left < floor)
            alarms.fire(["SeatrushDiskFull", "SeatrushDiskShort"], before, during)
            filling.unlink()
            await members.sign_up_until_given()
        assert deployment.stop() == 0
        assert deployment.log.read_text().count("sales stop") >= 1
        assert audit(deployment.data).returncode == 0
