"""A recorder that is killed at any moment repeats nothing and skips nothing."""

import asyncio
import random
import sys

from engine.ledger.protocol import Ledger
from tests.ledger.logs import CAMPAIGN, rush
from tests.ledger.record_until_killed import LENGTH
from tests.ledger.test_conformance import assert_holds, record, recorded_seq, register

KILLS = 8


async def test_killed_while_recording(ledger: Ledger, ledger_url: str) -> None:
    await register(ledger)
    log = rush(LENGTH)
    seq = 0
    for _ in range(KILLS):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.ledger.record_until_killed", ledger_url
        )
        moment = seq + random.randrange(1, LENGTH // (2 * KILLS))
        while await recorded_seq(ledger) < moment:
            pass
        child.kill()
        assert await child.wait() < 0, "it came to the end before it was killed"
        seq = await recorded_seq(ledger)
        assert len(await ledger.events(CAMPAIGN, 0, LENGTH)) == seq
    await record(ledger, log, after=seq)
    await assert_holds(ledger, log)
