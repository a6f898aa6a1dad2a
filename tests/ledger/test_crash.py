"""A recorder that is killed at any moment repeats nothing and skips nothing."""

import asyncio
import random
import sys

from engine.ledger.consistency import Log
from engine.ledger.protocol import Ledger
from tests.ledger.logs import rush
from tests.ledger.record_until_killed import LENGTH, record_on
from tests.ledger.test_chain import linked
from tests.ledger.test_conformance import assert_holds, recorded_seq, register

KILLS = 5


async def test_killed_while_recording(ledger: Ledger, ledger_url: str) -> None:
    await register(ledger)
    log = rush(LENGTH)
    for _ in range(KILLS):
        moment = await recorded_seq(ledger) + random.randrange(1, LENGTH // (2 * KILLS))
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.ledger.record_until_killed", ledger_url
        )
        while await recorded_seq(ledger) < moment:
            pass
        child.kill()
        assert await child.wait() < 0, "it came to the end before it was killed"
    await record_on(ledger, log)
    await assert_holds(ledger, log)
    # Each link is of the transaction that moved the cursor to its end.
    assert await ledger.newest_link(log.campaign) == linked(log)
    held = Log(ledger, log.campaign, log.seq)
    async for _ in held.pages():
        pass
    assert held.differences == []
