"""A rush: thousands of members for the sample campaign's seats, over HTTP from several processes, checked afterwards.

    scripts/bench rush [--members N] [--clients N] [--seed N]

Sign-ups to one to three offerings, with and without a key, some for one pool only; the same request twice at one
moment; retries with the same key, also after a cancellation; a key used for something else; cancellations of one's
own, twice, and of others' enrollments; looks in between. A seed decides who does what.
"""

import argparse
import asyncio
import itertools
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import uvloop
from msgspec import Struct

from api import tokens
from api.views import Enrollment
from engine.domain.campaign import Campaign
from engine.domain.events import Event
from engine.domain.person import Person
from engine.ledger.connect import connect
from loadtests import checker
from loadtests.checker import Violation
from loadtests.deployment import ROOT, Deployment, audit, embedded_ledger
from loadtests.exchange import Exchange

SAMPLE: Final = ROOT / "docs" / "samples" / "workshops.yaml"
CAMPAIGN: Final = "workshops"
OFFERINGS: Final = (
    "paper-cutting", "leather-wallet", "soap", "flower-arranging", "noodle-dim-sum", "fitness-dance",
)  # fmt: skip
UNITS: Final = ("xicheng.finance.bank", "xicheng.health.fuxing", "xicheng.sanitation", "")
CONNECTIONS: Final = 64
TRIES_MAX: Final = 600
PAUSE_S: Final = 0.05

_enrollment = msgspec.json.Decoder(Enrollment)


class Part(Struct, frozen=True):
    """What one client process does."""

    url: str
    secret: bytes
    members: range
    seed: int


class Report(Struct, frozen=True):
    """What came of a rush."""

    exchanges: list[Exchange]
    seconds: float
    log: list[Event]
    campaign: Campaign
    violations: list[Violation]

    def in_words(self) -> str:
        """The report for a person."""
        answers = Counter(exchange.status or "broken" for exchange in self.exchanges)
        sign_ups = sum(exchange.kind == "sign_up" for exchange in self.exchanges)
        newest = {event.header.enrollment: event.record for event in self.log if event.record}
        taken = sum(record.seat > 0 for record in newest.values())
        seats = sum(pool.capacity for offering in self.campaign.offerings for pool in offering.pools)
        lines = [
            (
                f"{len(self.exchanges):,} requests ({sign_ups:,} sign-ups) in {self.seconds:.1f} s, "
                f"{len(self.exchanges) / self.seconds:,.0f} a second; {len(self.log):,} events"
            ),
            "answers: "
            + ", ".join(f"{status} × {number:,}" for status, number in sorted(answers.items(), key=str)),
            f"seats taken: {taken} of {seats}",
        ]
        rules = Counter(violation.rule for violation in self.violations)
        lines += [f"VIOLATED {rule}, {number} times" for rule, number in rules.items()]
        lines += [f"  {violation.rule}: {violation.what}" for violation in self.violations[:20]]
        return "\n".join([*lines, "NOT every promise held" if self.violations else "every promise held"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it on a deployment of its own, check and print: 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="scripts/bench rush", description=__doc__)
    add_options(parser)
    parsed = parser.parse_args(arguments)
    with data_directory() as data:
        deployment = Deployment(data, "--apply", str(SAMPLE))
        try:
            began = time.monotonic()
            exchanges = run(deployment.url, deployment.secret, parsed.members, parsed.clients, parsed.seed)
            seconds = time.monotonic() - began
        finally:
            status = deployment.stop()
        report = examine(embedded_ledger(data), exchanges, seconds)
        audited = audit(data)
    print(report.in_words())
    print(audited.stdout.strip())
    return int(bool(report.violations) or status != 0 or audited.returncode != 0)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that every rush has."""
    parser.add_argument("--members", type=int, default=5_000)
    parser.add_argument("--clients", type=int, default=8, help="client processes")
    parser.add_argument("--seed", type=int, default=1)


@contextmanager
def data_directory() -> Iterator[Path]:
    """A data directory, not made yet, with a path short enough for Redis's socket; it goes with the block."""
    directory = Path(tempfile.mkdtemp(prefix="seatrush-"))
    try:
        yield directory / "data"
    finally:
        shutil.rmtree(directory)


def examine(database_url: str, exchanges: list[Exchange], seconds: float) -> Report:
    """Check what was answered against the ledger of a deployment that has ended."""
    campaign, log = asyncio.run(_read_ledger(database_url))
    violations = [*checker.check(campaign, log, exchanges), *checker.full(campaign, log)]
    return Report(exchanges, seconds, log, campaign, violations)


async def _read_ledger(database_url: str) -> tuple[Campaign, list[Event]]:
    ledger = connect(database_url)
    await ledger.open()
    try:
        definition = await ledger.definition(CAMPAIGN)
        assert definition is not None
        log: list[Event] = []
        while page := await ledger.events(CAMPAIGN, len(log), 10_000):
            log += page
        return msgspec.json.decode(definition.document, type=Campaign), log
    finally:
        await ledger.close()


def run(url: str, secret: bytes, members: int, clients: int, seed: int) -> list[Exchange]:
    """Rush a deployment from several processes, and return all that was said, in no order."""
    bounds = [members * number // clients for number in range(clients + 1)]
    parts = [Part(url, secret, range(first, last), seed) for first, last in itertools.pairwise(bounds)]
    with multiprocessing.get_context("spawn").Pool(clients) as pool:
        said = pool.map(_client, parts, chunksize=1)
    return [exchange for part in said for exchange in msgspec.msgpack.decode(part, type=list[Exchange])]


def retry(url: str, secret: bytes, exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Send every keyed sign-up that succeeded once more, and return what was answered."""
    keyed = {
        (each.member, each.key): each
        for each in exchanges
        if each.kind == "sign_up" and each.key and each.status in (201, 202)
    }
    return uvloop.run(_retry(Part(url, secret, range(0), 0), list(keyed.values())))


async def _retry(part: Part, sign_ups: Sequence[Exchange]) -> list[Exchange]:
    again: list[Exchange] = []
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(part.url, connector=connector) as session:

        async def one(first: Exchange) -> None:
            member = _Member(session, part, int(first.member.removeprefix("m-")), again)
            await member.sign_up(first.offering, first.key, first.wanted)

        await asyncio.gather(*(one(each) for each in sign_ups))
    return again


def _client(part: Part) -> bytes:
    """One client process."""
    return msgspec.msgpack.encode(uvloop.run(_rush(part)))


async def _rush(part: Part) -> list[Exchange]:
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    exchanges: list[Exchange] = []
    async with aiohttp.ClientSession(part.url, connector=connector) as session:
        await asyncio.gather(*(_Member(session, part, number, exchanges).run() for number in part.members))
    return exchanges


class _Member:
    """One member, who does what the seed says."""

    def __init__(
        self, session: aiohttp.ClientSession, part: Part, number: int, exchanges: list[Exchange]
    ) -> None:
        self._session = session
        self._exchanges = exchanges
        self._random = random.Random(f"{part.seed}/{number}")
        self._sub = f"m-{number}"
        self._unit = UNITS[number % len(UNITS)]
        token = tokens.sign(part.secret, Person(self._sub, self._unit), time.time() + 3600)
        self._headers = {"Authorization": f"Bearer {token}"}

    async def run(self) -> None:
        """A few offerings, one after the other."""
        chance = self._random.random
        for turn, offering in enumerate(self._random.sample(OFFERINGS, self._random.randint(1, 3))):
            key = f"{self._sub}-{turn}" if chance() < 0.8 else ""
            wanted = "open" if chance() < 0.1 else ""
            if key and chance() < 0.2:
                first, _ = await asyncio.gather(*(self.sign_up(offering, key, wanted) for _ in range(2)))
            else:
                first = await self.sign_up(offering, key, wanted)
            if first.status in (201, 202):
                await self._after_success(first)
            elif chance() < 0.1:
                await self.sign_up(offering, key, wanted)

    async def _after_success(self, first: Exchange) -> None:
        chance = self._random.random
        enrollment = _enrollment.decode(first.body).enrollment
        if first.key and chance() < 0.3:
            await self.sign_up(first.offering, first.key, first.wanted)
        if first.key and chance() < 0.05:
            other = OFFERINGS[(OFFERINGS.index(first.offering) + 1) % len(OFFERINGS)]
            await self.sign_up(other, first.key, first.wanted)
        if chance() < 0.1:
            await self._send("find", "GET", f"enrollments/{enrollment}", enrollment=enrollment)
        if chance() < 0.05:
            await self._cancel("A" * 16)
        if chance() < 0.3:
            await self._cancel(enrollment)
            if chance() < 0.5:
                await self._cancel(enrollment)
            if first.key and chance() < 0.5:
                await self.sign_up(first.offering, first.key, first.wanted)

    async def sign_up(self, offering: str, key: str, wanted: str) -> Exchange:
        """Ask for a seat."""
        return await self._send(
            "sign_up", "POST", f"offerings/{offering}/enrollments", offering=offering, key=key, wanted=wanted
        )

    async def _cancel(self, enrollment: str) -> Exchange:
        return await self._send("cancel", "DELETE", f"enrollments/{enrollment}", enrollment=enrollment)

    async def _send(
        self,
        kind: str,
        method: str,
        path: str,
        *,
        offering: str = "",
        key: str = "",
        wanted: str = "",
        enrollment: str = "",
    ) -> Exchange:
        """Send until there is a definite answer, as a client does: with the same key."""
        headers = self._headers | ({"Idempotency-Key": key} if key else {})
        body = {"pool": wanted} if wanted else None
        for _ in range(TRIES_MAX):
            sent_ns = time.monotonic_ns()
            try:
                async with self._session.request(
                    method, f"/v1/campaigns/{CAMPAIGN}/{path}", headers=headers, json=body
                ) as response:
                    status, answer = response.status, await response.read()
            except (aiohttp.ClientError, OSError):
                status, answer = 0, b""
            exchange = msgspec.convert(
                (
                    kind,
                    self._sub,
                    self._unit,
                    sent_ns,
                    time.monotonic_ns(),
                    status,
                    answer,
                    offering,
                    key,
                    wanted,
                    enrollment,
                ),
                Exchange,
            )
            self._exchanges.append(exchange)
            if status not in (0, 503):
                return exchange
            await asyncio.sleep(PAUSE_S)
        raise RuntimeError("the server does not come back")


if __name__ == "__main__":
    sys.exit(main())
