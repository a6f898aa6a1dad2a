"""Inspection: the whole state of a campaign, read out of Redis for the audit."""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.domain import campaign as documents
from engine.domain.enrollment import Record
from engine.live import keys
from engine.live.server import Server, reading

PAGE_ENTRIES: Final = 1_000

_record = msgspec.msgpack.Decoder(Record)
_strings = msgspec.msgpack.Decoder(list[str])
_first_answer = msgspec.msgpack.Decoder(list[Any])
_document = msgspec.json.Decoder(documents.Campaign)


class Snapshot(Struct, frozen=True):
    """Everything of one campaign; names are as `keys.PARTS` describes them."""

    epoch: int
    seq: int
    version: int
    gate: str
    document: documents.Campaign
    records: dict[str, Record]
    counts: dict[str, int]
    free: frozenset[str]
    members: dict[str, list[str]]
    answered: frozenset[str]
    """The enrollments that a replay would be answered with."""
    waiting: frozenset[str]
    queues: frozenset[str]
    timers: dict[str, int]


async def read(server: Server, campaign: str) -> Snapshot | None:
    """The state of a campaign, or None when Redis has none. Raises NothingRan.

    The parts are read one after the other: they fit together when the campaign's seq was the same after as before.
    """
    with reading():
        meta = await server.client.hgetall(keys.of(campaign, "META"))
        if b"gate" not in meta:
            return None
        records = {
            name: _record.decode(packed) async for name, packed in _hash(server, campaign, "ENROLLMENTS")
        }
        requests = [_first_answer.decode(packed) async for _, packed in _hash(server, campaign, "REQUESTS")]
        return Snapshot(
            epoch=int(meta[b"epoch"]),
            seq=int(meta[b"seq"]),
            version=int(meta[b"version"]),
            gate=meta[b"gate"].decode(),
            document=_document.decode(meta[b"document"]),
            records=records,
            counts={name: int(number) async for name, number in _hash(server, campaign, "COUNTS")},
            free=frozenset([name async for name, _ in _sorted_set(server, campaign, "FREE")]),
            members={
                name: _strings.decode(packed) async for name, packed in _hash(server, campaign, "MEMBERS")
            },
            answered=frozenset(first[0] for first in requests),
            waiting=frozenset([name async for name, _ in _sorted_set(server, campaign, "WAITING")]),
            queues=frozenset([name async for name, _ in _sorted_set(server, campaign, "QUEUES")]),
            timers={name: int(at) async for name, at in _sorted_set(server, campaign, "TIMERS")},
        )


async def read_records(server: Server, campaign: str, enrollments: list[str]) -> dict[str, Record]:
    """Some enrollments as they are now. Raises NothingRan."""
    if not enrollments:
        return {}
    with reading():
        packed = await server.client.hmget(keys.of(campaign, "ENROLLMENTS"), enrollments)
    return {name: _record.decode(each) for name, each in zip(enrollments, packed, strict=True) if each}


async def _hash(server: Server, campaign: str, part: str) -> AsyncIterator[tuple[str, bytes]]:
    async for name, value in server.client.hscan_iter(keys.of(campaign, part), count=PAGE_ENTRIES):
        yield name.decode(), value


async def _sorted_set(server: Server, campaign: str, part: str) -> AsyncIterator[tuple[str, float]]:
    async for name, score in server.client.zscan_iter(keys.of(campaign, part), count=PAGE_ENTRIES):
        yield name.decode(), score
