"""Inspection: the whole state of a campaign as it lies in Redis, read in small steps so that sales go on.

A reading is of one moment only if nothing was decided meanwhile: if `state` says the same after it as before.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from engine.live import keys
from engine.live.server import NothingRan, Server
from engine.live.streams import State

SCAN_ENTRIES: Final = 1_000
"""Entries asked for in one step."""


class Reading(Struct, frozen=True):
    """All keys of a campaign. What is packed stays so: a million enrollments need some hundred bytes each."""

    campaign: str
    state: State
    at: int
    """The server's time when the reading began, UTC milliseconds."""
    document: bytes
    rules: bytes
    draws: int
    """How many have begun."""
    drawing: int
    """The number of the one that is being settled, 0 for none."""
    offerings: dict[str, bytes]
    counts: dict[str, int]
    enrollments: dict[str, bytes]
    members: dict[str, bytes]
    requests: dict[str, bytes]
    free: dict[str, float]
    waiting: dict[str, float]
    queues: dict[str, float]
    timers: dict[str, float]
    codes: dict[str, bytes]


class Log(Struct, frozen=True):
    """What of a campaign's log is in its stream, by seq; 0 where the stream is empty."""

    seq: int
    """The campaign's, at the same moment."""
    first: int
    last: int
    length: int


class Inspector:
    """Reads campaigns. Every method raises NothingRan when the server cannot be asked."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def campaigns(self) -> list[str]:
        """The campaigns in Redis's directory."""
        names = await self._server.ask(keys.DIRECTORY, lambda client: client.hkeys(keys.DIRECTORY))
        return [_text(name) for name in names]

    async def state(self, campaign: str) -> State | None:
        """Where a campaign stands, or None when it has no whole state."""
        meta = keys.of(campaign, "META")
        return _state(await self._server.ask(meta, lambda client: client.hgetall(meta)))

    async def read(self, campaign: str) -> Reading | None:
        """All keys of a campaign, or None when it has no whole state."""
        meta, (seconds, microseconds), offerings, counts = await self._together(
            campaign,
            lambda pipeline: (
                pipeline.hgetall(keys.of(campaign, "META")),
                pipeline.time(),
                pipeline.hgetall(keys.of(campaign, "OFFERINGS")),
                pipeline.hgetall(keys.of(campaign, "COUNTS")),
            ),
        )
        state = _state(meta)
        if state is None:
            return None
        return Reading(
            campaign=campaign,
            state=state,
            at=seconds * 1000 + microseconds // 1000,
            document=meta.get(b"document", b""),
            rules=meta.get(b"rules", b""),
            draws=int(meta.get(b"draws", 0)),
            drawing=int(meta.get(b"drawing", 0)),
            offerings={_text(name): packed for name, packed in offerings.items()},
            counts={_text(name): int(count) for name, count in counts.items()},
            enrollments=await self._hash(campaign, "ENROLLMENTS"),
            members=await self._hash(campaign, "MEMBERS"),
            requests=await self._hash(campaign, "REQUESTS"),
            free=await self._sorted_set(campaign, "FREE"),
            waiting=await self._sorted_set(campaign, "WAITING"),
            queues=await self._sorted_set(campaign, "QUEUES"),
            timers=await self._sorted_set(campaign, "TIMERS"),
            codes=await self._hash(campaign, "CODES"),
        )

    async def records(self, campaign: str, enrollments: Sequence[str]) -> tuple[int, list[bytes | None]]:
        """The packed record of each enrollment, None for none, and a seq that is no earlier than any of them."""
        seq = 0
        records: list[bytes | None] = []
        for start in range(0, len(enrollments), SCAN_ENTRIES):
            page = enrollments[start : start + SCAN_ENTRIES]
            now, found = await self._together(
                campaign,
                lambda pipeline, page=page: (
                    pipeline.hget(keys.of(campaign, "META"), "seq"),
                    pipeline.hmget(keys.of(campaign, "ENROLLMENTS"), page),
                ),
            )
            seq = int(now or 0)
            records += found
        return seq, records

    async def draw(self, campaign: str, offering: str) -> tuple[int, int]:
        """The numbers of the draw that an offering was or is in, and of the one under way; 0 for none.

        Raises NothingRan also while the campaign is not open.
        """
        number, (gate, drawing) = await self._together(
            campaign,
            lambda pipeline: (
                pipeline.hget(keys.of(campaign, "COUNTS"), f"draw/{offering}"),
                pipeline.hmget(keys.of(campaign, "META"), ["gate", "drawing"]),
            ),
        )
        if gate != b"open":
            raise NothingRan("the campaign's state is closed or not in Redis")
        return int(number or 0), int(drawing or 0)

    async def is_still(self, reading: Reading) -> bool:
        """Whether a campaign is open, and has been since a reading began: nothing was emptied or rebuilt amid it."""
        state = await self.state(reading.campaign)
        return (
            state is not None
            and (state.epoch, state.gate) == (reading.state.epoch, reading.state.gate)
            and state.gate == "open"
        )

    async def log(self, campaign: str) -> Log:
        """What is in the campaign's stream, in one step."""
        stream = keys.of(campaign, "EVENTS")
        seq, first, last, length = await self._together(
            campaign,
            lambda pipeline: (
                pipeline.hget(keys.of(campaign, "META"), "seq"),
                pipeline.xrange(stream, count=1),
                pipeline.xrevrange(stream, count=1),
                pipeline.xlen(stream),
            ),
        )
        return Log(int(seq or 0), _seq(first), _seq(last), length)

    async def _together(self, campaign: str, queue: Callable[..., object]) -> list[Any]:
        """The answers to what `queue` puts into a pipeline, all of one moment."""

        async def execute(client: Any) -> list[Any]:
            async with client.pipeline(transaction=True) as pipeline:
                queue(pipeline)
                answers: list[Any] = await pipeline.execute()
                return answers

        return await self._server.ask(keys.of(campaign, "META"), execute)

    async def _hash(self, campaign: str, part: str) -> dict[str, bytes]:
        key = keys.of(campaign, part)

        async def scan(client: Any) -> dict[str, bytes]:
            pages = client.hscan_iter(key, count=SCAN_ENTRIES)
            return {_text(name): value async for name, value in pages}

        return await self._server.ask(key, scan)

    async def _sorted_set(self, campaign: str, part: str) -> dict[str, float]:
        key = keys.of(campaign, part)

        async def scan(client: Any) -> dict[str, float]:
            pages = client.zscan_iter(key, count=SCAN_ENTRIES)
            return {_text(name): score async for name, score in pages}

        return await self._server.ask(key, scan)


def _state(meta: dict[bytes, bytes]) -> State | None:
    try:
        epoch, seq, version, recorded = (
            int(meta[b"epoch"]),
            int(meta[b"seq"]),
            int(meta[b"version"]),
            int(meta.get(b"recorded", 0)),
        )
        return State(epoch, seq, version, meta[b"gate"].decode(), recorded)
    except (KeyError, ValueError):
        return None


def _seq(entries: list[tuple[bytes, Any]]) -> int:
    return int(entries[0][0].partition(b"-")[2]) if entries else 0


def _text(name: bytes) -> str:
    return name.decode(errors="backslashreplace")
