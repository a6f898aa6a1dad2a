"""Counts from memory: never older than what this process has answered, nor than a tenth of a second."""

import asyncio
from pathlib import Path

from engine.live.counts import AGE_S_MAX, CountsReader
from tests.stand import CAMPAIGN, Stand, campaign, offering, open_stand


class TurnedClock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic_s(self) -> float:
        return self.seconds


async def test_counts_are_read_once_while_they_are_news(stand: Stand) -> None:
    await stand.publish(campaign())
    clock = TurnedClock()
    reader = CountsReader(stand.runtime.server, stand.decisions, clock)
    first = await reader.read(CAMPAIGN)
    assert await reader.read(CAMPAIGN) is first
    clock.seconds += AGE_S_MAX
    assert await reader.read(CAMPAIGN) is not first


async def test_what_this_process_has_answered_is_counted_at_once(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 9}])))
    reader = CountsReader(stand.runtime.server, stand.decisions, TurnedClock())
    for taken in range(1, 9):
        decision = await stand.sign_up(f"m{taken}")
        counts = await reader.read(CAMPAIGN)
        assert counts is not None
        assert (counts.taken("soap", "open"), counts.seq) == (taken, decision.as_of_seq)


async def test_what_another_process_has_answered_is_counted_soon(
    stand: Stand, redis_url: str, data_directory: Path
) -> None:
    await stand.publish(campaign())
    clock = TurnedClock()
    reader = CountsReader(stand.runtime.server, stand.decisions, clock)
    before = await reader.read(CAMPAIGN)
    assert before is not None
    async with open_stand(redis_url, f"sqlite:///{data_directory}/other.db", data_directory) as other:
        await other.sign_up("m1")
    assert await reader.read(CAMPAIGN) is before
    clock.seconds += AGE_S_MAX
    after = await reader.read(CAMPAIGN)
    assert after is not None
    assert after.taken("soap", "open") == 1


async def test_who_asks_together_shares_one_reading(stand: Stand) -> None:
    await stand.publish(campaign())
    reader = CountsReader(stand.runtime.server, stand.decisions, TurnedClock())
    readings = await asyncio.gather(*(reader.read(CAMPAIGN) for _ in range(50)))
    assert all(each is readings[0] for each in readings)
