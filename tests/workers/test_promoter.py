"""The promoter: time passes although nobody asks."""

import asyncio

from engine.workers.promoter import Promoter
from engine.workers.worker import Worker
from tests.stand import CAMPAIGN, Stand, campaign, offering


async def test_holds_lapse_and_seats_go_on_by_themselves(stand: Stand) -> None:
    waitlist = {"size_max": 5}
    await stand.publish(
        campaign(offering(pools=[{"pool": "open", "capacity": 1}], hold_ttl_s=1, waitlist=waitlist))
    )
    await stand.sign_up("m1")
    await stand.sign_up("m2")
    opened = stand.runtime
    workers = [Worker(Promoter(opened.decisions, opened.ledger, opened.clock)) for _ in range(2)]
    for worker in workers:
        worker.start()
    await opened.streams.next({CAMPAIGN: (1, len(await stand.log()))}, 1, 10_000)
    for worker in workers:
        await worker.stop()
    assert (await stand.told())[2:] == [("lapsed", "lapsed"), ("promoted", "confirmed")]


async def test_one_campaign_that_is_not_ready_does_not_hold_up_the_others(stand: Stand) -> None:
    await stand.publish(campaign(name="broken"))
    await stand.publish(campaign(offering(hold_ttl_s=1)))
    await stand.administrator.delete("seatrush:{broken}:meta")
    await stand.sign_up("m1")
    worker = Worker(Promoter(stand.runtime.decisions, stand.runtime.ledger, stand.runtime.clock))
    worker.start()
    await stand.runtime.streams.next({CAMPAIGN: (1, len(await stand.log()))}, 1, 10_000)
    await asyncio.gather(worker.stop())
    assert (await stand.told())[-1] == ("lapsed", "lapsed")
