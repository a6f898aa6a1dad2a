"""A recorder that is killed at any moment repeats nothing and skips nothing."""

import asyncio
import random
import sys

from engine.ledger.protocol import Ledger
from tests.ledger.logs import CAMPAIGN, rush
from tests.ledger.record_until_killed import LENGTH
from tests.ledger.test_conformance import assert_holds, record, recorded_seq, register

KILLS = 8
RECORDING_S_MAX = 0.15


async def test_killed_while_recording(ledger: Ledger, ledger_url: str) -> None:
    await register(ledger)
    log = rush(LENGTH)
    moments = set()
    for _ in range(KILLS):
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.ledger.record_until_killed",
            ledger_url,
            stdout=asyncio.subprocess.PIPE,
        )
        assert child.stdout is not None
        assert await child.stdout.readline() == b"recording\n"
        try:
            await asyncio.wait_for(child.wait(), random.uniform(0, RECORDING_S_MAX))
        except TimeoutError:
            child.kill()
        await child.wait()
        seq = await recorded_seq(ledger)
        assert len(await ledger.events(CAMPAIGN, 0, LENGTH)) == seq
        moments.add(seq)
    assert len(moments) > 2
    await record(ledger, log, after=await recorded_seq(ledger))
    await assert_holds(ledger, log)
