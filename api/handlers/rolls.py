"""Receipts, and the rolls that prove them: signed, and public but for the receipts themselves."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from api import answers, problems, views
from api.answer import Answer
from api.call import Call
from api.handlers import enrollments
from engine.domain.chain import Link
from engine.ledger.protocol import Unavailable
from engine.live.decisions import Decision

logger = logging.getLogger(__name__)

NDJSON: Final = "application/x-ndjson"
READS_S_MAX: Final = 10.0
"""How long a client may take to read a page."""
BUSY_SHARE: Final = 0.25
"""Of a process's time that goes into rolls, however many are asked for: the rest is for decisions."""


async def receipt(call: Call) -> Answer:
    """GET …/enrollments/{enrollment}/receipt, from the ledger."""
    campaign = call.parameter("campaign")
    found = await enrollments.visible(call)
    if found.record is None:
        return answers.refusal(call, campaign, found)
    if found.record.status != "confirmed":
        refused = Decision("wrong_state", found.as_of_seq, found.record.status)
        return answers.refusal(call, campaign, refused)
    signed = await call.api.receipts.receipt(campaign, found.record)
    if signed is None:
        return problems.response("not_ready", call.language)
    return answers.json(signed)


async def key(call: Call) -> Answer:
    """GET /receipt-key."""
    return answers.json(views.ReceiptKey(call.api.receipts.key))


async def head(call: Call) -> Answer:
    """GET …/roll/head, from the ledger."""
    link = await _link(call)
    if isinstance(link, Answer):
        return link
    etag = _etag(call, link)
    if current := answers.unchanged(call, etag):
        return current
    return answers.cached(
        call, answers.encode(call.api.receipts.head(call.parameter("campaign"), link)), etag
    )


async def roll(call: Call) -> web.StreamResponse:
    """GET …/roll, from the ledger: as far as it has come when it is asked for."""
    link = await _link(call)
    if isinstance(link, Answer):
        return link
    etag = _etag(call, link)
    if current := answers.unchanged(call, etag):
        return current
    sent = web.StreamResponse(headers={"Content-Type": NDJSON, "ETag": etag, "Cache-Control": "no-cache"})
    await sent.prepare(call.request)
    if call.request.method == "HEAD":
        return sent
    pages = call.api.receipts.roll(call.parameter("campaign"), link)
    try:
        while page := await _next(call, pages):
            async with asyncio.timeout(READS_S_MAX):
                await sent.write(page)
    except ConnectionError:
        # Whoever asked has gone.
        pass
    except (Unavailable, TimeoutError) as error:
        # It has no end then, so that nobody takes it for whole.
        logger.info("a roll was not sent to its end: %s", type(error).__name__)
        if call.request.transport is not None:
            call.request.transport.abort()
    return sent


async def _next(call: Call, pages: AsyncIterator[bytes]) -> bytes:
    """The next page, empty after the last; pages of all rolls are made one by one, with pauses."""
    async with call.api.rolls:
        began_s = time.monotonic()
        page = await anext(pages, b"")
        await asyncio.sleep((time.monotonic() - began_s) * (1 / BUSY_SHARE - 1))
    return page


def _etag(call: Call, link: Link) -> str:
    return answers.etag_of(link.digest, call.api.receipts.key)


async def _link(call: Call) -> Link | Answer:
    """How far the campaign's chain has come, or the refusal."""
    campaign, catalog = call.parameter("campaign"), call.api.runtime.catalog
    link = await call.api.receipts.link(campaign)
    if link is not None:
        return link
    known = await catalog.find(campaign) is not None or catalog.is_lost(campaign)
    return problems.response("not_ready" if known else "not_found", call.language)
