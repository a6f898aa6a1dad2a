"""Rebuilds for tests: a campaign is rebuilt, and its keys are what they were."""

from typing import Any

import msgspec

from engine.live import keys
from engine.live.inspection import Inspector
from engine.rebuilding import Rebuilt
from engine.workers.recorder import Recorder
from tests.stand import CAMPAIGN, Stand

ACTOR = "cli:tester"

_unpack = msgspec.msgpack.Decoder().decode


async def rebuild(stand: Stand, within: str = CAMPAIGN) -> Rebuilt:
    """Rebuild, and have it open again."""
    rebuilt = await stand.runtime.rebuilder.rebuild(within, ACTOR)
    assert (rebuilt.differences, rebuilt.notes) == ([], []), rebuilt
    return rebuilt


async def record(stand: Stand) -> None:
    """Bring all events into the ledger."""
    opened = stand.runtime
    await Recorder(opened.server, opened.streams, opened.ledger, opened.clock, 100_000).close()


async def lose(stand: Stand, within: str = CAMPAIGN) -> None:
    """Take every key of a campaign out of Redis."""
    server, meta = stand.runtime.server, keys.of(within, "META")
    await server.ask(meta, lambda client: client.delete(*keys.campaign_keys(within)))
    await server.ask(keys.DIRECTORY, lambda client: client.hdel(keys.DIRECTORY, within))


async def state(stand: Stand, within: str = CAMPAIGN) -> dict[str, Any]:
    """All that a campaign's keys say.

    Left out is what a rebuild may leave otherwise: the epoch; the stream, which is empty after it, and how far it is
    recorded; a count of 0, which says what none says; timers that are due, which find that they have nothing to do; and
    the number of settled results while no draw is under way, which nobody reads.
    """
    reading = await Inspector(stand.runtime.server).read(within)
    assert reading is not None
    key = keys.of(within, "META")
    meta = await stand.runtime.server.ask(key, lambda client: client.hgetall(key))
    del meta[b"epoch"]
    meta.pop(b"recorded", None)
    if b"drawing" not in meta:
        meta.pop(b"settled", None)
    meta[b"rules"] = _unpack(meta[b"rules"])
    return {
        "META": meta,
        "OFFERINGS": {name: _unpack(packed) for name, packed in reading.offerings.items()},
        "COUNTS": {name: count for name, count in reading.counts.items() if count},
        "TIMERS": {name: at for name, at in reading.timers.items() if at > reading.at},
        "ENROLLMENTS": reading.enrollments,
        "MEMBERS": reading.members,
        "REQUESTS": reading.requests,
        "CODES": reading.codes,
        "FREE": reading.free,
        "WAITING": reading.waiting,
        "QUEUES": reading.queues,
    }
