"""`roll`: print the roll of a campaign from the ledger, as the api publishes it."""

import sys

from engine import receipts
from engine.commands import attachment
from engine.commands.supervisor import Failed
from engine.config import Settings
from engine.ledger.connect import connect
from engine.receipts import Receipts
from engine.runtime import database_url


async def run(settings: Settings, campaign: str) -> int:
    """Print it. Raises supervisor.Failed for a campaign of which nothing is recorded, and receipts.ReceiptKeyError."""
    attachment.demand_ledger(settings)
    ledger = connect(database_url(settings))
    try:
        await ledger.open()
        link = await ledger.newest_link(campaign)
        if link is None:
            raise Failed(f"campaign {campaign}: the ledger has recorded nothing of it")
        signed = Receipts(ledger, receipts.load(settings.data, settings.receipt_key))
        async for page in signed.roll(campaign, link):
            sys.stdout.buffer.write(page)
        sys.stdout.buffer.flush()
    finally:
        await ledger.close()
    return 0
