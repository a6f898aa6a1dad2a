"""Record a rush from the cursor on, as a process to be killed: `python -m tests.ledger.record_until_killed URL`."""

import asyncio
import sys

from engine.ledger.connect import connect
from tests.ledger.logs import CAMPAIGN, rush

LENGTH = 6_000
SIZE = 11


async def main(url: str) -> None:
    """Go on from the cursor, in small batches."""
    log = rush(LENGTH)
    ledger = connect(url)
    await ledger.open()
    (known,) = await ledger.campaigns()
    for begin in range(known.recorded_seq, log.seq, SIZE):
        await ledger.record(CAMPAIGN, 1, begin, log.entries[begin : begin + SIZE])
    await ledger.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
