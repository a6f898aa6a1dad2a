"""A stand for tests: the engine's parts on a real Redis and a real ledger, and campaigns in a line or two."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import structs
from redis.asyncio import Redis

from engine import config, runtime
from engine.domain import document, events
from engine.domain.campaign import Campaign
from engine.domain.events import Event
from engine.domain.faults import Fault
from engine.domain.invitation import Terms
from engine.domain.person import Person
from engine.invitations import Issued, Listed
from engine.live.decisions import Change, Decision
from engine.publishing import Published
from engine.runtime import Runtime
from tests import redis_servers

CAMPAIGN = "autumn"


def at(**distance: float) -> str:
    """An instant at a distance from now, such as at(hours=-1)."""
    return (datetime.now(UTC) + timedelta(**distance)).isoformat()


def offering(name: str = "soap", **changed: Any) -> dict[str, Any]:
    """An offering that is open now, with one pool of two seats and no waitlist."""
    return {
        "offering": name,
        "kind": "workshop",
        "title": {"zh": "手工皂", "en": "Soap"},
        "sessions": [{"starts": at(days=10), "ends": at(days=10, hours=2)}],
        "opens": at(hours=-1),
        "closes": at(days=1),
        "pools": [{"pool": "open", "capacity": 2}],
    } | changed


def campaign(*offerings: dict[str, Any], name: str = CAMPAIGN, **changed: Any) -> Campaign:
    """A valid campaign of the unit `xicheng`."""
    raw = {
        "campaign": name,
        "title": {"zh": "秋季", "en": "Autumn"},
        "unit": "xicheng",
        "offerings": list(offerings) or [offering()],
    } | changed
    validated = document.validate(raw)
    assert isinstance(validated, Campaign), validated
    return validated


class Stand:
    """A runtime with short names for what tests do most."""

    def __init__(self, opened: Runtime, administrator: Any) -> None:
        self.runtime = opened
        self.decisions = opened.decisions
        self.administrator = administrator
        """A client of Redis with all rights, for what no engine may do."""

    async def publish(self, published: Campaign, expected_version: int | None = None) -> Published:
        """Put a campaign in force."""
        answer = await self.try_publish(published, expected_version)
        assert isinstance(answer, Published), answer
        return answer

    async def try_publish(
        self, published: Campaign, expected_version: int | None = None
    ) -> Published | list[Fault] | str:
        """Ask for a campaign to be put in force."""
        return await self.runtime.publisher.publish(published, "organizer", "cli", expected_version)

    async def sign_up(
        self,
        member: str,
        name: str = "soap",
        *,
        key: str = "",
        wanted: str = "",
        unit: str = "",
        within: str = CAMPAIGN,
        wish: int = 0,
        code: str = "",
    ) -> Decision:
        """Ask for a seat; `code` is the id of an invitation code."""
        return await self.decisions.sign_up(
            within, name, Person(member, unit=unit), key, wanted, "http", wish, code
        )

    async def issue(self, pool: str, name: str = "soap", within: str = CAMPAIGN, **terms: Any) -> list[str]:
        """Issue invitation codes; returns their ids."""
        issued = await self.try_issue(pool, name, within, **terms)
        assert isinstance(issued, Issued), issued
        assert not issued.faults, issued
        return [secret.id for secret in issued.secrets]

    async def try_issue(
        self, pool: str, name: str = "soap", within: str = CAMPAIGN, **terms: Any
    ) -> Issued | str:
        """Ask for invitation codes."""
        return await self.runtime.invitations.issue(within, name, Terms(pool, **terms), "organizer", "cli")

    async def revoke(self, code: str, name: str = "soap") -> Listed | str:
        """Revoke an invitation code by its id."""
        return await self.runtime.invitations.revoke(CAMPAIGN, name, code, "organizer", "cli")

    async def used(self, name: str = "soap", within: str = CAMPAIGN) -> list[int]:
        """How many enrollments that are not over came in by each code of an offering."""
        page = await self.runtime.invitations.page(within, name, 200)
        assert isinstance(page, list), page
        return [each.entry.used for each in page]

    async def cancel(self, enrollment: str, member: str = "", within: str = CAMPAIGN) -> Decision:
        """Cancel, as the member or as an officer."""
        return await self.decisions.cancel(within, Change(enrollment, member, member or "officer", "http"))

    async def confirm(self, enrollment: str, member: str) -> Decision:
        """Take a held or offered seat."""
        return await self.decisions.confirm(CAMPAIGN, Change(enrollment, member, member, "http"))

    async def decline(self, enrollment: str, member: str) -> Decision:
        """Leave a held or offered seat."""
        return await self.decisions.decline(CAMPAIGN, Change(enrollment, member, member, "http"))

    async def log(self, within: str = CAMPAIGN) -> list[Event]:
        """Every event of a campaign."""
        entries = await self.runtime.streams.read(within, 1, 0, 100_000)
        return [events.decode(within, entry.id, entry.fields) for entry in entries]

    async def told(self, within: str = CAMPAIGN) -> list[tuple[str, str]]:
        """The events of members, as (type, status)."""
        return [(event.header.type, event.record.status) for event in await self.log(within) if event.record]


@asynccontextmanager
async def open_stand(
    redis_url: str, database_url: str, directory: Path, **settings: Any
) -> AsyncIterator[Stand]:
    """A stand on an empty Redis and ledger, with the rights that a deployment has there."""
    engine_url = redis_servers.as_engine(redis_url)
    base = config.from_environment(
        {}, {"data": str(directory), "redis_url": engine_url, "database_url": database_url}
    )
    async with runtime.open_runtime(structs.replace(base, **settings)) as opened:
        await opened.ledger.migrate()
        if not redis_url.startswith("unix://"):
            yield Stand(opened, opened.server.client)
            return
        async with Redis.from_url(redis_servers.as_administrator(redis_url), protocol=2) as administrator:
            yield Stand(opened, administrator)
