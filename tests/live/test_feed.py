"""The feed: events of every campaign, in order, to those who look on."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence

import pytest

from engine.domain import events
from engine.live.feed import Feed
from engine.live.streams import Entry
from tests.stand import CAMPAIGN, Stand, campaign, offering

WIDE = [{"pool": "open", "capacity": 10_000}]


class Listener:
    """Writes down what it is told."""

    def __init__(self, stand: Stand) -> None:
        self.feed = Feed(stand.runtime.streams, stand.runtime.catalog.names, self._told)
        self.heard: dict[str, list[int]] = {}
        self._changed = asyncio.Condition()
        self._notes: set[asyncio.Task[None]] = set()

    def _told(self, name: str, entries: Sequence[Entry]) -> None:
        self.heard.setdefault(name, []).extend(events.parse_id(entry.id)[1] for entry in entries)
        self._notes.add(asyncio.create_task(self._note()))

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def until(self, name: str, seq: int) -> None:
        """Wait until an event was told of."""
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(lambda: self.heard.get(name, [0])[-1] >= seq)


@pytest.fixture
async def listener(stand: Stand) -> AsyncIterator[Listener]:
    listening = Listener(stand)
    listening.feed.start()
    yield listening
    await listening.feed.stop()


async def test_it_begins_where_a_campaign_stands_and_misses_nothing(stand: Stand, listener: Listener) -> None:
    await stand.publish(campaign(offering(pools=WIDE)))
    before = (await stand.sign_up("m0")).as_of_seq
    await listener.feed.follow(CAMPAIGN)
    decided = await asyncio.gather(*(stand.sign_up(f"m{number}") for number in range(1, 1_500)))
    last = max(each.as_of_seq for each in decided)
    await listener.until(CAMPAIGN, last)
    assert listener.heard[CAMPAIGN] == list(range(before + 1, last + 1))


async def test_campaigns_that_are_new_are_followed_by_themselves(stand: Stand, listener: Listener) -> None:
    await stand.publish(campaign())
    await listener.feed.follow(CAMPAIGN)
    await stand.publish(campaign(offering(pools=WIDE), name="spring"))
    async with asyncio.timeout(20):
        for number in itertools.count():
            # It begins with what comes after it was noticed, so that somebody has to go on signing up.
            await stand.sign_up(f"m{number}", within="spring")
            if "spring" in listener.heard:
                break
            await asyncio.sleep(0.01)
    assert CAMPAIGN not in listener.heard


async def test_it_rests_while_nobody_looks_on(stand: Stand, listener: Listener) -> None:
    await stand.publish(campaign(offering(pools=WIDE)))
    await listener.feed.follow(CAMPAIGN)
    first = (await stand.sign_up("m1")).as_of_seq
    await listener.until(CAMPAIGN, first)
    listener.feed.rest()
    missed = (await stand.sign_up("m2")).as_of_seq
    await listener.feed.follow(CAMPAIGN)
    last = (await stand.sign_up("m3")).as_of_seq
    await listener.until(CAMPAIGN, last)
    assert missed not in listener.heard[CAMPAIGN]
