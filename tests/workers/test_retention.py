"""Retention: campaigns that are long over forget everybody, and nobody else does."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from engine.clock import Clock
from engine.domain import chain
from engine.domain.campaign import Campaign
from engine.workers.retention import DAY_MS, Retention
from tests import canaries, rebuilds
from tests.draws import agrees, ballot, close, drawn, enter, record
from tests.stand import CAMPAIGN, Stand, at, campaign, offering, open_stand

CANARY: Final = "canary-7f3a"
KEY: Final = "canary-key-91"


@pytest.fixture
async def stand(stores: tuple[str, str], data_directory: Path) -> AsyncIterator[Stand]:
    """The engine's parts on an empty Redis and an empty ledger."""
    async with open_stand(*stores, data_directory) as opened:
        yield opened


class Later(Clock):
    """A clock that is some days ahead."""

    def __init__(self, clock: Clock, days: float) -> None:
        self._clock = clock
        self._ahead_ms = int(days * DAY_MS)

    def now_ms(self) -> int:
        """As the clock, and the days on top."""
        return self._clock.now_ms() + self._ahead_ms

    def monotonic_s(self) -> float:
        """As the clock."""
        return self._clock.monotonic_s()


def retention(stand: Stand, days: float) -> Retention:
    opened = stand.runtime
    return Retention(opened.forgetter, opened.catalog, opened.ledger, Later(opened.clock, days))


def document(**changed: Any) -> Campaign:
    return campaign(offering(pools=[{"pool": "open", "capacity": 50}], waitlist={"size_max": 9}), **changed)


async def over(stand: Stand, **changed: Any) -> None:
    """The same campaign, whose session ended a moment ago."""
    ended = {"starts": at(hours=-2), "ends": at(seconds=-0.001)}
    past = offering(
        pools=[{"pool": "open", "capacity": 50}],
        waitlist={"size_max": 9},
        sessions=[ended],
        opens=at(hours=-3),
        closes=ended["ends"],
    )
    await stand.publish(campaign(past, **changed))


async def members(stand: Stand, within: str = CAMPAIGN) -> set[str]:
    await record(stand)
    return {row.record.member for row in await stand.runtime.ledger.enrollments(within, 1_000)}


async def test_everybody_is_forgotten_and_the_counts_stay(
    stand: Stand, stores: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.forgetting.PAGE_ENTRIES", 7)
    await stand.publish(document(retention_days=30))
    names = [f"{CANARY}-{number}" for number in range(20)]
    for name in names:
        made = await stand.sign_up(name, key=KEY)
        if name.endswith("3"):
            await stand.cancel(made.enrollment, name)
            await stand.sign_up(name, key=KEY + "2")
    await over(stand, retention_days=30)
    ledger = stand.runtime.ledger
    await record(stand)
    before = await ledger.lines(CAMPAIGN, 0, 10_000, 10_000)

    await retention(stand, 29.9).run_once()
    assert await members(stand) == set(names)
    await retention(stand, 30.1).run_once()
    assert await members(stand) == {chain.stand_in(CAMPAIGN, name) for name in names}
    assert await ledger.seats(CAMPAIGN) == {("soap", "open"): 20}
    assert (await ledger.lines(CAMPAIGN, 0, before[-1][0], 10_000)) == before
    assert await canaries.in_redis(stand.administrator, CANARY, KEY) == set()
    assert await canaries.in_ledger(stores[1], CANARY, KEY) == set()
    await agrees(stand)
    state = await rebuilds.state(stand)
    await rebuilds.rebuild(stand)
    assert await rebuilds.state(stand) == state

    # There is nothing more to do, and nothing is done.
    (registration,) = await ledger.campaigns()
    await retention(stand, 31).run_once()
    assert (await ledger.campaigns()) == [registration]
    assert await ledger.forgotten() == {CAMPAIGN: registration.recorded_seq}


async def test_without_it_nobody_is_and_others_neither(stand: Stand) -> None:
    await stand.publish(document())
    await stand.publish(document(name="other", retention_days=30))
    for within in (CAMPAIGN, "other"):
        await stand.sign_up(CANARY, within=within)
    await record(stand)
    await retention(stand, 10 + 29).run_once()
    assert (await members(stand), await members(stand, "other")) == ({CANARY}, {CANARY})
    # By Redis's own clock the session is to come: by its document's the campaign is long over.
    await retention(stand, 10 + 31).run_once()
    assert await members(stand) == {CANARY}
    assert await members(stand, "other") == {chain.stand_in("other", CANARY)}


async def test_draws_stay_and_count_for_nobody(stand: Stand) -> None:
    soap = ballot(capacity=1)
    await stand.publish(campaign(soap, retention_days=1))
    for member in (CANARY, "one"):
        await enter(stand, member)
    await close(stand, soap, retention_days=1)
    await drawn(stand)
    await record(stand)
    kept = await stand.runtime.drawing.read(CAMPAIGN, 1)
    await retention(stand, 12).run_once()
    ledger = stand.runtime.ledger
    assert await ledger.draw(CAMPAIGN, 1) == kept
    histories = await ledger.histories("xicheng", ("", 0))
    assert set(histories) == {chain.stand_in(CAMPAIGN, member) for member in (CANARY, "one")}
    await agrees(stand)


async def test_a_campaign_that_is_lost_is_told_once_and_the_others_are_forgotten(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("broken", CAMPAIGN):
        await stand.publish(document(name=name, retention_days=1))
        await stand.sign_up(CANARY, within=name)
    await record(stand)
    await stand.administrator.hset("seatrush:{broken}:meta", "gate", "closed")
    worker = retention(stand, 12)
    with caplog.at_level(logging.WARNING):
        await worker.run_once()
        await worker.run_once()
    assert await members(stand) == {chain.stand_in(CAMPAIGN, CANARY)}
    warned = [each.getMessage() for each in caplog.records if each.name == "engine.workers.retention"]
    # The engine's user may not have Redis write its files anew.
    warned = [each for each in warned if "BGREWRITEAOF" not in each.upper()]
    assert len(warned) == 1
    assert "broken" in warned[0]
    assert "rebuild" in warned[0]
    assert CANARY not in caplog.text
