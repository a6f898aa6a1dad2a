"""No campaign can starve another: each has a queue, and a share of what is in flight, of its own."""

import asyncio
from pathlib import Path

from tests.stand import CAMPAIGN, campaign, offering, open_stand

HAMMERED = [f"hammered-{number}" for number in range(40)]
LIMITS = {"waiting_entries_max": 300, "batch_entries_max": 16}


async def test_a_campaign_beyond_its_bound_leaves_others_as_they_were(
    redis_url: str, data_directory: Path
) -> None:
    """Forty campaigns, more than the connections to Redis serve at once, are asked for more than they may hold."""
    ledger = f"sqlite:///{data_directory}/ledger.db"
    async with open_stand(redis_url, ledger, data_directory, **LIMITS) as stand:
        await stand.publish(campaign())
        for name in HAMMERED:
            await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 10_000}]), name=name))
        hammering = [
            asyncio.create_task(stand.sign_up(f"m-{number}", within=name))
            for number in range(600)
            for name in HAMMERED
        ]
        for _ in range(3):
            # All ask, and the first batches go out.
            await asyncio.sleep(0)
        assert stand.decisions.waiting > 200 * len(HAMMERED)
        quiet = [await stand.sign_up(f"quiet-{number}", within=CAMPAIGN) for number in range(2)]
        # Asked for after thousands, answered before them.
        assert [each.outcome for each in quiet] == ["confirmed", "confirmed"]
        assert stand.decisions.waiting > 0
        answers = {each.outcome for each in await asyncio.gather(*hammering)}
        assert answers == {"confirmed", "overloaded"}
