"""A room: those who watch one campaign, and what they are sent. All who watch the same offerings get the same bytes."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from msgspec import UNSET, UnsetType

from api.live import messages
from api.live.messages import PoolCounts
from engine.clock import Clock
from engine.domain import policies
from engine.domain.definition import Definition, milliseconds
from engine.domain.instants import iso
from engine.domain.policies import second_class
from engine.live.counts import Counts

PERIOD_S: Final = 0.25
"""Counts are sent at most this often."""
SHARE_MAX: Final = 0.1
"""The part of the time that sending counts may take: with very many watchers they are sent less often."""
SENDS_PER_TURN: Final = 250
"""After so many the loop does other things, such as sign-ups."""


class Watcher(Protocol):
    """Who can be sent frames."""

    def send(self, frames: bytes) -> None:
        """Send whole frames, or drop the connection when too much waits for it already."""


class Room:
    """The watchers of a campaign, by the offerings that they watch."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watchers: dict[tuple[str, ...], set[Watcher]] = {}
        self._sent: dict[str, bytes] = {}
        self._rest_until_s = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether nobody watches."""
        return not self._watchers

    def enter(self, watcher: Watcher, offerings: tuple[str, ...]) -> None:
        """Watch these offerings."""
        self._watchers.setdefault(offerings, set()).add(watcher)

    def leave(self, watcher: Watcher, offerings: tuple[str, ...]) -> None:
        """Watch them no more."""
        watchers = self._watchers.get(offerings, set())
        watchers.discard(watcher)
        if not watchers:
            self._watchers.pop(offerings, None)

    def now(self, definition: Definition, counts: Counts, offerings: Sequence[str], now_ms: int) -> bytes:
        """What one who begins to watch is sent: the counts, and which windows are open already."""
        frames = [_counts(definition, counts, offering) for offering in offerings]
        for name in offerings:
            document = definition.offerings[name].document
            opens_at = iso(milliseconds(document.opens))
            if document.policy.name == second_class.POLICY.name:
                opens_at = counts.met_at(name) or ""
            if opens_at and milliseconds(document.opens) <= now_ms < milliseconds(document.closes):
                frames.append(_opened(definition.campaign, name, opens_at))
        return b"".join(frames)

    async def opened(self, campaign: str, offerings: Iterable[tuple[str, int]]) -> None:
        """Tell that windows have begun: the offerings, and when, UTC milliseconds."""
        frames = {offering: _opened(campaign, offering, iso(at)) for offering, at in offerings}
        await self._send(frames)

    async def rest(self) -> None:
        """Wait until counts may be sent again."""
        wait_s = self._rest_until_s - self._clock.monotonic_s()
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    async def changed(self, definition: Definition, counts: Counts) -> None:
        """Send the counts of the offerings that are watched and have others than before."""
        began_s = self._clock.monotonic_s()
        watched = {name for offerings in self._watchers for name in offerings}
        frames = {
            name: frame
            for name in watched & definition.offerings.keys()
            if (frame := _counts(definition, counts, name)) != self._sent.get(name)
        }
        self._sent = {name: frame for name, frame in self._sent.items() if name in watched} | frames
        await self._send(frames)
        ended_s = self._clock.monotonic_s()
        self._rest_until_s = max(began_s + PERIOD_S, ended_s + (ended_s - began_s) / SHARE_MAX)

    async def _send(self, frames: dict[str, bytes]) -> None:
        """Send each watcher those of the frames that are about its offerings."""
        sends = 0
        for offerings, watchers in list(self._watchers.items()):
            joined = b"".join(frames[name] for name in offerings if name in frames)
            if not joined:
                continue
            for watcher in list(watchers):
                watcher.send(joined)
                sends += 1
                if sends % SENDS_PER_TURN == 0:
                    await asyncio.sleep(0)


def _counts(definition: Definition, counts: Counts, name: str) -> bytes:
    waiting = counts.waiting(name)
    pools = {
        pool.pool: PoolCounts(pool.capacity, counts.taken(name, pool.pool), waiting)
        for pool in definition.offerings[name].document.pools
    }
    entered: int | UnsetType = UNSET
    if policies.collects_until(definition.offerings[name].document):
        entered = counts.entered(name)
    return messages.frame(messages.Counts(definition.campaign, name, pools, entered))


def _opened(campaign: str, offering: str, at: str) -> bytes:
    return messages.frame(messages.Opened(campaign, offering, at))
