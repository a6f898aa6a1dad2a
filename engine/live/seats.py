"""Seats: who of some members has a confirmed place in an offering, as it is now."""

from collections.abc import Sequence
from itertools import chain
from typing import Final

import msgspec

from engine.domain.enrollment import Record
from engine.domain.ladder import Seat
from engine.live import keys, members
from engine.live.server import NothingRan, Server

ASKED_AT_ONCE: Final = 500

_record = msgspec.msgpack.Decoder(Record)


async def confirmed(server: Server, campaign: str, offering: str, names: Sequence[str]) -> dict[str, Seat]:
    """The seats of those who have one. Raises NothingRan, also while the campaign is not open for decisions."""
    epoch = await _open_epoch(server, campaign)
    seats: dict[str, Seat] = {}
    for first in range(0, len(names), ASKED_AT_ONCE):
        listed = await _get(server, campaign, "MEMBERS", names[first : first + ASKED_AT_ONCE])
        entries = chain.from_iterable(members.decode(packed) or () for packed in listed if packed)
        enrollments = [entry.enrollment for entry in entries if entry.offering == offering]
        packed_records = await _get(server, campaign, "ENROLLMENTS", enrollments) if enrollments else []
        for enrollment, packed in zip(enrollments, packed_records, strict=True):
            record = _record.decode(packed) if packed else None
            if record is not None and record.status == "confirmed":
                seats[record.member] = Seat(enrollment, record.pool)
    if await _open_epoch(server, campaign) != epoch:
        raise NothingRan("the campaign was rebuilt meanwhile")
    return seats


async def _open_epoch(server: Server, campaign: str) -> bytes:
    meta = keys.of(campaign, "META")
    gate, epoch = await server.command(meta, "HMGET", meta, "gate", "epoch")
    if gate != b"open":
        raise NothingRan("the campaign's state is closed or not in Redis")
    return bytes(epoch)


async def _get(server: Server, campaign: str, part: str, fields: Sequence[str]) -> list[bytes | None]:
    key = keys.of(campaign, part)
    found: list[bytes | None] = await server.command(key, "HMGET", key, *fields)
    return found
