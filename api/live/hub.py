"""The hub: every connection of this process, told what the feed brings."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from api import views
from api.live import messages
from api.live.room import Room, Watcher
from engine.domain import events
from engine.live.feed import Feed
from engine.live.server import NothingRan, Unknown
from engine.live.streams import Entry
from engine.runtime import Runtime

logger = logging.getLogger(__name__)

RETRY_S: Final = 0.5
GOING_AWAY: Final = 1001


class Client(Watcher, Protocol):
    """A connection, as far as the hub has to do with it."""

    async def close(self, code: int) -> None:
        """Say goodbye, after the answer to what is being decided."""


class _Kind(Struct, frozen=True, array_like=True):
    """As much of an event's header as is read of each."""

    schema: int
    type: str


_kind = msgspec.msgpack.Decoder(_Kind)


class Hub:
    """Knows who is connected, and who watches what; a member's own changes find all of its connections."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._feed = Feed(runtime.streams, runtime.catalog.names, self._told)
        self.is_stopping = False
        self._connections: set[Client] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._of_member: dict[str, set[Client]] = {}
        self._rooms: dict[str, Room] = {}
        self._counting: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._telling: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin; nothing is read while nobody is connected."""
        self._feed.start()

    async def stop(self) -> None:
        """Close every connection once its message is answered: clients connect to another process, or later."""
        self.is_stopping = True
        await asyncio.gather(*(each.close(GOING_AWAY) for each in list(self._connections)))
        await self._nobody.wait()
        await self._feed.stop()
        running = [*self._counting.values(), *self._telling]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    @property
    def connections(self) -> int:
        """How many are connected."""
        return len(self._connections)

    def add(self, connection: Client) -> None:
        """A connection has begun; nobody knows whose it is."""
        self._connections.add(connection)
        self._nobody.clear()

    def remove(self, connection: Client) -> None:
        """A connection is over."""
        self._connections.discard(connection)
        if not self._connections:
            self._nobody.set()
            self._feed.rest()

    def enter(self, connection: Client, member: str) -> None:
        """A connection is a member's from now on."""
        self._of_member.setdefault(member, set()).add(connection)

    def leave(self, connection: Client, member: str) -> None:
        """A connection is not this member's any more."""
        others = self._of_member.get(member, set())
        others.discard(connection)
        if not others:
            self._of_member.pop(member, None)

    async def follow(self, campaign: str) -> None:
        """Be told of what happens in a campaign from now on. Raises NothingRan."""
        await self._feed.follow(campaign)

    def room(self, campaign: str) -> Room:
        """The room of a campaign, made when it is the first time."""
        room = self._rooms.get(campaign)
        if room is None:
            room = self._rooms[campaign] = Room(self._runtime.clock)
        return room

    def leave_room(self, connection: Client, campaign: str, offerings: tuple[str, ...]) -> None:
        """Watch a campaign no more; a room that is empty is gone."""
        room = self._rooms.get(campaign)
        if room is not None:
            room.leave(connection, offerings)
            if room.is_empty:
                del self._rooms[campaign]

    def _told(self, campaign: str, entries: Sequence[Entry]) -> None:
        """Events of a campaign, in order."""
        opened: list[tuple[str, int]] = []
        published = False
        for entry in entries:
            # Most are sign-ups, whose members have their answer: no more is read of them.
            kind = _kind.decode(entry.fields[b"h"]).type
            if kind == "enrolled":
                continue
            if kind == "published":
                published = True
            else:
                self._tell(events.decode(campaign, entry.id, entry.fields), opened)
        _, seq = events.parse_id(entries[-1].id)
        self._runtime.decisions.hear(campaign, seq)
        room = self._rooms.get(campaign)
        if room is not None and opened:
            self._begin(room.opened(campaign, opened))
        if published:
            self._begin(self._reload(campaign))
        if room is not None:
            self._count(campaign)

    def _tell(self, event: events.Event, opened: list[tuple[str, int]]) -> None:
        header, record = event.header, event.record
        if header.type == "opened":
            opened.append((header.offering, header.at))
        if record is not None and record.member in self._of_member:
            seen = views.enrollment(event.campaign, header.enrollment, record, header.position)
            frame = messages.frame(messages.Changed(seen))
            for connection in list(self._of_member[record.member]):
                connection.send(frame)

    async def _reload(self, campaign: str) -> None:
        try:
            await self._runtime.catalog.load(campaign)
        except NothingRan as error:
            logger.warning("a new definition could not be read: %s", error)

    def _begin(self, telling: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(telling)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def _count(self, campaign: str) -> None:
        """Send new counts as soon as it is time; what happens until then is in them."""
        if campaign in self._counting:
            self._again.add(campaign)
        else:
            self._counting[campaign] = asyncio.create_task(self._send_counts(campaign))

    async def _send_counts(self, campaign: str) -> None:
        try:
            while (room := self._rooms.get(campaign)) is not None:
                await room.rest()
                self._again.discard(campaign)
                try:
                    counts = await self._runtime.counts.read(campaign)
                except (NothingRan, Unknown) as error:
                    logger.warning("counts could not be read: %s", error)
                    self._again.add(campaign)
                    await asyncio.sleep(RETRY_S)
                    continue
                definition = self._runtime.catalog.get(campaign)
                if counts is not None and definition is not None:
                    await room.changed(definition, counts)
                if campaign not in self._again:
                    break
        finally:
            self._again.discard(campaign)
            del self._counting[campaign]
