"""Record a rush from the cursor on, as a process to be killed: `python -m tests.ledger.record_until_killed URL`."""

import asyncio
import sys
from contextlib import suppress

from engine.ledger.connect import connect
from engine.ledger.protocol import Fenced, Ledger
from tests.ledger.logs import CAMPAIGN, Log, rush

LENGTH = 6_000
SIZE = 11


async def record_on(ledger: Ledger, log: Log) -> None:
    """Record the rest of a log in small batches.

    The last commit of a recorder that was killed may still be on its way: then the cursor is read anew.
    """
    seq = 0
    while seq < log.seq:
        (known,) = await ledger.campaigns()
        seq = known.recorded_seq
        with suppress(Fenced):
            while seq < log.seq:
                batch = log.entries[seq : seq + SIZE]
                await ledger.record(CAMPAIGN, 1, seq, batch)
                seq += len(batch)


async def main(url: str) -> None:
    """Open the ledger, record, close it."""
    ledger = connect(url)
    await ledger.open()
    await record_on(ledger, rush(LENGTH))
    await ledger.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
