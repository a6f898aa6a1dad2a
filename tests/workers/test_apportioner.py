"""The apportioner: pools follow the headcounts until their offering opens, and never after."""

import asyncio
import contextlib
from typing import Any

import pytest

from engine.clock import SystemClock
from engine.domain.faults import Fault
from engine.live.catalog import Catalog
from engine.live.server import NothingRan
from engine.publishing import Publisher
from engine.workers.apportioner import Apportioner
from engine.workers.worker import Worker
from tests.stand import CAMPAIGN, Stand, at, campaign, offering

LATER: dict[str, Any] = {"opens": at(hours=1)}
OPEN: dict[str, Any] = {"opens": at(hours=-1)}


def shared(name: str = "soap", seats: int = 10, **changed: Any) -> dict[str, Any]:
    """An offering that shares its seats among two units."""
    quotas = {"seats": seats, "units": ["xicheng.a", "xicheng.b"]} | changed.pop("quotas", {})
    raw = offering(name, **(LATER | changed), quotas=quotas)
    del raw["pools"]
    return raw


async def report(stand: Stand, at_ms: int = 1_000, /, **headcounts: int) -> None:
    named = {f"xicheng.{unit}": headcount for unit, headcount in headcounts.items()}
    await stand.runtime.ledger.report_headcounts(named, "o-1", "http", at_ms)


def apportioner(stand: Stand, catalog: Catalog | None = None) -> Apportioner:
    opened = stand.runtime
    return Apportioner(opened.publisher, catalog or opened.catalog, opened.ledger, opened.clock)


async def sizes(stand: Stand, name: str = "soap", within: str = CAMPAIGN) -> tuple[int, ...]:
    definition = await stand.runtime.catalog.load(within)
    assert definition is not None
    return tuple(pool.capacity for pool in definition.offerings[name].document.pools)


async def version(stand: Stand, within: str = CAMPAIGN) -> int:
    definition = await stand.runtime.catalog.load(within)
    assert definition is not None
    return definition.version


async def test_publishing_makes_pools_by_the_headcounts(stand: Stand) -> None:
    await report(stand, a=30, b=10)
    await stand.publish(campaign(shared(opens=at(hours=-1), quotas={"merges": [at(hours=1)]})))
    assert await sizes(stand) == (8, 2)
    asked = [await stand.sign_up(f"m{number}", unit="xicheng.b.c") for number in range(3)]
    assert [each.outcome for each in asked] == ["confirmed", "confirmed", "sold_out"]
    assert (await stand.sign_up("m9", unit="xicheng")).outcome == "not_eligible"


async def test_publishing_needs_every_headcount(stand: Stand) -> None:
    await report(stand, a=30)
    missing = Fault("/offerings/0/quotas/units/1", "no_headcount", {"unit": "xicheng.b"})
    assert await stand.try_publish(campaign(shared())) == [missing]
    assert await stand.runtime.ledger.campaigns() == []
    await report(stand, a=0, b=0)
    assert await stand.try_publish(campaign(shared())) == [Fault("/offerings/0/quotas/units", "nobody_there")]


async def test_pools_that_make_the_document_too_large(stand: Stand) -> None:
    units = [f"xicheng.{'u' * 40}{number}" for number in range(64)]
    await stand.runtime.ledger.report_headcounts(dict.fromkeys(units, 1), "o-1", "http", 1_000)
    many = [shared(f"o{number}", quotas={"units": units, "merges": [at(hours=1)]}) for number in range(100)]
    refused = await stand.try_publish(campaign(*many))
    assert isinstance(refused, list)
    assert [(each.path, each.code) for each in refused] == [("/offerings", "too_large_with_pools")]


async def test_pools_follow_the_headcounts_until_the_offering_opens(stand: Stand) -> None:
    await report(stand, a=30, b=10)
    await stand.publish(campaign(shared(), shared("open", **OPEN), offering("plain")))
    worker = apportioner(stand)
    await worker.run_once()
    assert await version(stand) == 1
    await report(stand, 2_000, a=10)
    await worker.run_once()
    assert (await sizes(stand), await sizes(stand, "open"), await version(stand)) == ((5, 5), (8, 2), 2)
    header = (await stand.log())[-1].header
    assert (header.type, header.actor, header.channel, header.version) == ("published", "system", "engine", 2)
    # Nothing that makes a difference is not published.
    await report(stand, 3_000, a=100, b=100)
    await worker.run_once()
    assert await version(stand) == 2


async def test_what_is_reported_too_late_does_not_count(stand: Stand) -> None:
    now_ms = stand.runtime.clock.now_ms()
    await report(stand, a=30, b=10)
    fixed = at(seconds=10)
    await stand.publish(campaign(shared(quotas={"recomputed": fixed}), shared("last", opens=at(minutes=5))))
    worker = apportioner(stand)
    await report(stand, now_ms + 9_000, a=10)
    await worker.run_once()
    assert (await sizes(stand), await sizes(stand, "last")) == ((5, 5), (5, 5))
    await report(stand, now_ms + 12_000, a=90)
    await worker.run_once()
    assert (await sizes(stand), await sizes(stand, "last")) == ((5, 5), (9, 1))
    # The last minute before an opening is for members to see what they will get.
    await report(stand, now_ms + 241_000, a=0)
    await worker.run_once()
    assert await sizes(stand, "last") == (9, 1)
    # Nor does it when the organizer publishes again.
    await stand.publish(campaign(shared(seats=20, quotas={"recomputed": fixed})))
    assert await sizes(stand) == (10, 10)


class Behind(SystemClock):
    """A clock that has not come to the opening."""

    def now_ms(self) -> int:
        return super().now_ms() - 7_200_000


async def test_an_offering_that_has_opened_meanwhile_stays(stand: Stand) -> None:
    """It is Redis that says whether an offering is open, in the call that would publish."""
    await report(stand, a=30, b=10)
    await stand.publish(campaign(shared(**OPEN)))
    opened = stand.runtime
    publisher = Publisher(
        opened.server, opened.ledger, opened.catalog, opened.decisions, Behind(), lambda: 1_000
    )
    await report(stand, a=10, b=10)
    # As if it had been reported in time.
    definition = await opened.catalog.load(CAMPAIGN)
    assert definition is not None
    before = await stand.log()
    assert await publisher.recompute(definition) == "precondition_failed"
    assert (await sizes(stand), await stand.log()) == ((8, 2), before)


@pytest.mark.parametrize("attempt", range(3))
async def test_two_at_once_publish_once(stand: Stand, attempt: int) -> None:
    await report(stand, a=30, b=10)
    await stand.publish(campaign(shared()))
    await report(stand, 2_000, a=10)
    others = [apportioner(stand, Catalog(stand.runtime.server)) for _ in range(3)]
    await asyncio.gather(*(each.run_once() for each in others))
    await asyncio.gather(*(each.run_once() for each in others))
    assert (await sizes(stand), await version(stand)) == ((5, 5), 2)


async def test_one_that_does_not_know_the_newest_version_catches_up(stand: Stand) -> None:
    """Whoever published it died before it told the others."""
    await report(stand, a=30, b=10)
    await stand.publish(campaign(shared()))
    worker = apportioner(stand, Catalog(stand.runtime.server))
    await worker.run_once()
    await stand.publish(campaign(shared(seats=20)))
    await stand.administrator.hset("seatrush:directory", CAMPAIGN, "1")
    await report(stand, 2_000, a=10)
    await worker.run_once()
    await worker.run_once()
    assert (await sizes(stand), await version(stand)) == ((10, 10), 3)


async def test_one_campaign_that_is_not_ready_does_not_hold_up_the_others(stand: Stand) -> None:
    await report(stand, a=30, b=10)
    for name in ("broken", "whole"):
        await stand.publish(campaign(shared(), name=name))
    await stand.administrator.hset("seatrush:{broken}:meta", "gate", "closed")
    await report(stand, 2_000, a=10)
    worker = apportioner(stand)
    with contextlib.suppress(NothingRan):
        await worker.run_once()
    assert await sizes(stand, within="whole") == (5, 5)


class Cut(Catalog):
    """A catalog that a shard does not answer."""

    async def refresh(self) -> None:
        await super().refresh()
        raise NothingRan("no connection")


async def test_a_shard_that_does_not_answer_does_not_hold_up_the_others(stand: Stand) -> None:
    await report(stand, a=30, b=10)
    await stand.publish(campaign(shared()))
    await report(stand, 2_000, a=10)
    with pytest.raises(NothingRan):
        await apportioner(stand, Cut(stand.runtime.server)).run_once()
    assert (await sizes(stand), await version(stand)) == ((5, 5), 2)


async def test_headcounts_of_nobody_leave_the_pools(stand: Stand) -> None:
    await report(stand, a=30, b=10)
    await stand.publish(campaign(shared()))
    worker = apportioner(stand)
    await report(stand, 2_000, a=0, b=0)
    await worker.run_once()
    assert (await sizes(stand), await version(stand)) == ((8, 2), 1)
    await report(stand, 3_000, b=1)
    await worker.run_once()
    assert await sizes(stand) == (0, 10)


async def test_it_looks_by_itself(stand: Stand) -> None:
    await report(stand, a=30, b=10)
    await stand.publish(campaign(shared()))
    await report(stand, 2_000, a=10)
    worker = Worker(apportioner(stand))
    worker.start()
    await stand.runtime.streams.next({CAMPAIGN: (1, len(await stand.log()))}, 1, 10_000)
    await worker.stop()
    assert (await stand.log())[-1].header.type == "published"
