"""Progress: how far a campaign has come by its own events: the document in force, the moments that passed, its draws.

What the members' events add to it (seats, queues, who is in) is none of its business.
"""

from typing import Final

import msgspec

from engine.domain import campaign as documents
from engine.domain import definition
from engine.domain.definition import PackedOffering, Timer
from engine.domain.events import Event

_document = msgspec.json.Decoder(documents.Campaign)
_offerings = msgspec.msgpack.Decoder(list[tuple[str, PackedOffering]])
_timers = msgspec.msgpack.Decoder(list[Timer])

_MOMENTS: Final = {"opened": "opens", "closed": "closes", "released": "releases", "merged": "merges"}
"""The timer that an event says has passed."""


class Progress:
    """A campaign up to the last event that was added; `apply` takes its log in order."""

    def __init__(self) -> None:
        self.version = 0
        """Of the document in force, 0 before the first."""
        self.document: documents.Campaign | None = None
        self.canonical = b""
        """The document as it was published."""
        self.lottery = b""
        """What the campaign's draws rest on, packed; empty without any."""
        self.offerings: dict[str, PackedOffering] = {}
        self.moments: dict[str, int] = {}
        """The document's timers that have not passed, by name (definition.Timer); UTC milliseconds."""
        self.drawn: dict[str, int] = {}
        """The number of the draw that an offering was or is in."""
        self.met: dict[str, int] = {}
        """When as many had voted, or waited, as an offering needs; UTC milliseconds."""
        self.draws = 0
        """How many have begun."""
        self.drawing = 0
        """The number of the one that is being settled, 0 for none."""
        self.settled = 0
        """The results of the newest that are settled."""

    def apply(self, event: Event) -> None:
        """Add the next event. Raises msgspec.DecodeError for a document that cannot be read."""
        header = event.header
        match header.type:
            case "published":
                self._publish(event)
            case "drawn":
                self.settled += 1
            case "draw_began":
                self._begin_draw(header.offering, header.version)
            case "draw_ended":
                self.drawing = 0
            case "threshold_met":
                self.met[header.offering] = header.at
            case "opened" | "closed" | "released" | "merged":
                stage = str(header.stage) if header.stage else ""
                name = "/".join(filter(None, (_MOMENTS[header.type], header.offering, header.pool, stage)))
                self.moments.pop(name, None)
                offering = self.offerings.get(header.offering)
                if header.type == "opened" and offering is not None and offering.of:
                    self.met[header.offering] = header.at

    def draw_at(self) -> int | None:
        """When the next draw is due, UTC milliseconds; None when there is none to come."""
        moments = [self._draws_at(name) for name in self.offerings]
        return min((at for at in moments if at is not None), default=None)

    def _draws_at(self, name: str) -> int | None:
        offering = self.offerings[name]
        if not offering.collects or self.drawn.get(name):
            return None
        return self.met.get(name) or offering.collects

    def _by_votes(self, name: str) -> bool:
        """Whether it is a draw by itself: see engine/lua/draw.lua."""
        offering = self.offerings[name]
        return offering.by_votes or bool(offering.threshold and not self.met.get(name))

    def _begin_draw(self, first: str, number: int) -> None:
        # The log may end within the events of one call: whatever is in this draw has begun with the first.
        if number == self.drawing:
            return
        together = [first]
        if first in self.offerings and not self._by_votes(first):
            at = self._draws_at(first)
            together += [
                name
                for name in self.offerings
                if self._draws_at(name) == at is not None and not self._by_votes(name)
            ]
        self.drawn |= dict.fromkeys(together, number)
        self.draws, self.drawing, self.settled = number, number, 0

    def _publish(self, event: Event) -> None:
        before, at = self.offerings, event.header.at
        passed = {name for each, offering in before.items() for name in _passed(each, offering, at)}
        self.canonical = event.document or b""
        self.document = _document.decode(self.canonical)
        self.version = event.header.version
        self.lottery = self.lottery or event.fields.get(b"s", b"")
        self.offerings = dict(_offerings.decode(definition.pack_offerings(self.document)))
        timers = _timers.decode(definition.pack_timers(self.document))
        self.moments = {timer.name: timer.at for timer in timers if timer.at > at or timer.name not in passed}
        for name, offering in before.items():
            successor = self.offerings.get(name)
            if successor is None:
                self.drawn.pop(name, None)
            if successor is None or successor.policy != offering.policy:
                self.met.pop(name, None)


def _passed(name: str, offering: PackedOffering, now: int) -> list[str]:
    """The timers of an offering that have passed: their windows do not begin again."""
    moments = {
        f"opens/{name}": offering.opens,
        f"demand/{name}": offering.opens,
        f"closes/{name}": offering.closes,
    }
    for pool in offering.pools:
        if pool.releases:
            moments[f"releases/{name}/{pool.pool}"] = pool.releases
        for stage, at in enumerate(pool.merges, 1):
            moments[f"merges/{name}/{pool.pool}/{stage}"] = at
    return [moment for moment, at in moments.items() if at <= now]
