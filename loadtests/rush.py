"""A rush: thousands of members for the sample campaign's seats, over HTTP from several processes, checked afterwards.

    scripts/bench rush [--members N] [--clients N] [--seed N] [--url URL --data DIR]

Sign-ups to one to three offerings, with and without a key, some for one pool only; the same request twice at one
moment; retries with the same key, also after a cancellation; a key used for something else; cancellations of one's
own, twice, and of others' enrollments; looks in between. A seed decides who does what. With --url it rushes a
deployment that runs, whose data directory has the token key and the ledger: a rehearsal on a machine of one's own.
"""

import argparse
import asyncio
import itertools
import multiprocessing
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct

from api import tokens
from api.views import CampaignView, Enrollment, EnrollmentList, OpsStatus
from engine.domain.campaign import Campaign
from engine.domain.events import Event
from engine.domain.person import Person
from engine.ledger.connect import connect
from loadtests import checker, member
from loadtests.checker import Seen
from loadtests.deployment import ROOT, Deployment, audit, embedded_ledger
from loadtests.exchange import Exchange, Violation
from loadtests.member import CAMPAIGN, Part

SAMPLE: Final = ROOT / "docs" / "samples" / "workshops.yaml"
VIOLATIONS_SHOWN: Final = 3
RECORDED_WITHIN_S: Final = 60


class Unseen(Exception):
    """What there is at the end could not be looked at."""


class Report(Struct, frozen=True):
    """What came of a rush."""

    exchanges: list[Exchange]
    log: list[Event]
    campaign: Campaign
    violations: list[Violation]

    def in_words(self) -> str:
        """The report for a person."""
        first = min(exchange.sent_ns for exchange in self.exchanges)
        seconds = (max(exchange.answered_ns for exchange in self.exchanges) - first) / 1e9
        sign_ups = sum(exchange.kind == "sign_up" and exchange.status > 0 for exchange in self.exchanges)
        answers = Counter(_outcome(exchange) for exchange in self.exchanges)
        kinds = Counter(event.header.type for event in self.log)
        newest = {event.header.enrollment: event.record for event in self.log if event.record}
        taken = sum(record.seat > 0 for record in newest.values())
        seats = sum(pool.capacity for offering in self.campaign.offerings for pool in offering.pools)
        lines = [
            (
                f"{len(self.exchanges):,} requests in {seconds:.1f} s: {len(self.exchanges) / seconds:,.0f} a second, "
                f"{sign_ups / seconds:,.0f} sign-ups a second"
            ),
            f"answers: {', '.join(f'{number:,} {outcome}' for outcome, number in answers.most_common())}",
            f"events: {', '.join(f'{number:,} {kind}' for kind, number in kinds.most_common())}",
            f"seats: {taken} of {seats} taken, {sum(each.status == 'waitlisted' for each in newest.values())} wait",
        ]
        for rule, number in Counter(violation.rule for violation in self.violations).items():
            examples = [each.what for each in self.violations if each.rule == rule][:VIOLATIONS_SHOWN]
            lines += [f"VIOLATED {rule}, {number} times", *(f"  {what}" for what in examples)]
        return "\n".join([*lines, "NOT every promise held" if self.violations else "every promise held"])


def _outcome(exchange: Exchange) -> str:
    """The answer in a word."""
    if exchange.status == 0:
        return "broken"
    success = {200: "shown", 201: "confirmed", 202: "waitlisted"}.get(exchange.status, str(exchange.status))
    return checker.refusal_of(exchange).code or ("cancelled" if exchange.kind == "cancel" else success)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, check and print: 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="scripts/bench rush", description=__doc__)
    parser.add_argument("--url", help="a deployment that runs, with the sample campaign; needs --data")
    parser.add_argument("--data", type=Path, help="its data directory")
    add_options(parser)
    parsed = parser.parse_args(arguments)
    if (parsed.url is None) != (parsed.data is None):
        parser.error("--url and --data go together")
    size = parsed.members, parsed.clients, parsed.seed
    if parsed.url is not None:
        return _rush(parsed.url, parsed.data, *size)
    with data_directory() as data:
        deployment = Deployment(data, "--apply", str(SAMPLE))
        try:
            return _rush(deployment.url, data, *size)
        finally:
            deployment.stop()


def _rush(url: str, data: Path, members: int, clients: int, seed: int) -> int:
    secret = (data / "token.key").read_bytes()
    exchanges = run(url, secret, members, clients, seed)
    report = examine(embedded_ledger(data), exchanges, look(url, secret, exchanges))
    audited = audit(data)
    print(f"seed {seed}, {members:,} members, {clients} clients")
    print(report.in_words())
    print(audited.stdout.strip())
    return int(bool(report.violations) or audited.returncode != 0)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that every rush has."""
    parser.add_argument("--members", type=int, default=5_000)
    parser.add_argument("--clients", type=int, default=8, help="client processes")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), help="default: another each time"
    )


@contextmanager
def data_directory() -> Iterator[Path]:
    """A data directory, not made yet, with a path short enough for Redis's socket; it goes with the block."""
    directory = Path(tempfile.mkdtemp(prefix="seatrush-"))
    try:
        yield directory / "data"
    finally:
        shutil.rmtree(directory)


def run(
    url: str, secret: bytes, members: int, clients: int, seed: int, answered: Semaphore | None = None
) -> list[Exchange]:
    """Rush a deployment from several processes, and return all that was said, in no order.

    `answered` is released with every definite answer.
    """
    bounds = [members * number // clients for number in range(clients + 1)]
    parts = [Part(url, secret, range(first, last), seed) for first, last in itertools.pairwise(bounds)]
    context = multiprocessing.get_context("spawn")
    shared = context.Barrier(clients), answered or context.Semaphore(0)
    with ProcessPoolExecutor(clients, context, member.prepare, shared) as processes:
        said = list(processes.map(member.work, parts))
    return [exchange for part in said for exchange in msgspec.msgpack.decode(part, type=list[Exchange])]


def look(url: str, secret: bytes, exchanges: Sequence[Exchange]) -> Seen:
    """Wait until the ledger has followed, and read what the api shows then."""
    members = sorted({each.member for each in exchanges if each.status == 201})
    return asyncio.run(look_at(CAMPAIGN, url, secret, members))


async def look_at(name: str, url: str, secret: bytes, members: Sequence[str]) -> Seen:
    """Wait until the ledger has followed, and read what the api shows then of a campaign, and to some members.

    Raises Unseen, TimeoutError, aiohttp.ClientError.
    """
    async with aiohttp.ClientSession(url) as session:

        async def get(path: str, person: Person) -> bytes:
            token = tokens.sign(secret, person, time.time() + 60)
            while True:
                async with session.get(path, headers={"Authorization": f"Bearer {token}"}) as response:
                    body = await response.read()
                if response.status == 200:
                    return body
                if response.status != 429:
                    raise Unseen(f"{path} was answered {response.status}")
                # One who looks at everything asks more often than a member may.
                await asyncio.sleep(int(response.headers["Retry-After"]))

        path, ops = f"/v1/campaigns/{name}", Person("looker", roles=frozenset({"ops"}))
        async with asyncio.timeout(RECORDED_WITHIN_S):
            # Another process makes it so: there is no event to wait for.
            while _pending(await get("/v1/ops/status", ops), name):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        campaign = msgspec.json.decode(await get(path, ops), type=CampaignView)
        officer = Person("looker", campaign.unit, roles=frozenset({"officer"}))
        rosters = {}
        for offering in campaign.offerings:
            roster: list[Enrollment] = []
            page = EnrollmentList([], "")
            while page.next is not None:
                query = f"?limit=50&cursor={page.next}" if page.next else "?limit=50"
                body = await get(f"{path}/offerings/{offering.offering}/roster{query}", officer)
                page = msgspec.json.decode(body, type=EnrollmentList)
                roster += page.enrollments
            rosters[offering.offering] = roster
        mine = {
            each: msgspec.json.decode(await get(f"{path}/me", Person(each)), type=EnrollmentList).enrollments
            for each in members
        }
        return Seen(campaign, rosters, mine)


def _pending(status: bytes, name: str) -> int:
    found = msgspec.json.decode(status, type=OpsStatus)
    return sum(each.pending_entries for each in found.campaigns if each.campaign == name)


def examine(
    database_url: str,
    exchanges: list[Exchange],
    seen: Seen | None = None,
    *,
    interrupted: bool = False,
    look_age_s: float = 0,
) -> Report:
    """Check what was answered, and what is shown at the end, against the ledger."""
    campaign, log = asyncio.run(read_ledger(database_url, CAMPAIGN))
    violations = [
        *checker.check(campaign, log, exchanges, interrupted=interrupted, look_age_s=look_age_s),
        *checker.full(campaign, log),
        *(checker.shown(campaign, log, seen) if seen else ()),
    ]
    return Report(exchanges, log, campaign, violations)


async def read_ledger(database_url: str, name: str) -> tuple[Campaign, list[Event]]:
    """A campaign's document and its whole log. Raises Unseen, ledger.protocol.Unavailable."""
    ledger = connect(database_url)
    await ledger.open()
    try:
        definition = await ledger.definition(name)
        if definition is None:
            raise Unseen(f"the ledger does not know {name}")
        log: list[Event] = []
        while page := await ledger.events(name, log[-1].seq if log else 0, 10_000):
            log += page
        return msgspec.json.decode(definition.document, type=Campaign), log
    finally:
        await ledger.close()


if __name__ == "__main__":
    sys.exit(main())
