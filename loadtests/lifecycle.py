"""The life of an enrollment: which change may follow which state, by whom, and when a hold or an offer is over.

Written from the contract, as the rest of the oracle: an offer or hold past its time is over whether or not a worker
has come by, so no decision may come between its end and its lapse in the log.
"""

import heapq
from collections.abc import Iterator, Mapping
from typing import Final

from engine.domain.campaign import Campaign, Offering
from engine.domain.definition import milliseconds
from engine.domain.enrollment import LIVE, SEATED, Record, Status
from engine.domain.events import Event, EventType
from loadtests.exchange import Violation

FROM: Final[Mapping[EventType, frozenset[str]]] = {
    "promoted": frozenset({"waitlisted"}),
    "confirmed": frozenset({"held", "offered"}),
    "declined": frozenset({"held", "offered"}),
    "cancelled": LIVE,
    "lapsed": frozenset({"held", "offered"}),
}
"""The states that each change may come from."""

ASKED_FOR: Final = frozenset({"enrolled", "confirmed", "declined", "cancelled"})
"""Changes that someone asked for; all others are brought about by time, or by one of these."""

_REFUSED: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    ("confirm", "too_late"): frozenset({"lapsed"}),
    ("confirm", "wrong_state"): frozenset({"waitlisted", "cancelled"}),
    ("decline", "too_late"): frozenset({"lapsed"}),
    ("decline", "wrong_state"): frozenset({"waitlisted", "confirmed"}),
    ("cancel", "wrong_state"): frozenset({"lapsed"}),
}
"""The states in which a change is refused, by kind of request and code."""


class Lifecycle:
    """Looks at every event of a log, in order, with the record as it was before."""

    def __init__(self, campaign: Campaign) -> None:
        self._offerings = {offering.offering: offering for offering in campaign.offerings}
        self._expires: dict[str, int] = {}
        """When each hold and offer is over."""
        self._due: list[tuple[int, str]] = []
        """A heap of the same; entries that are no longer so are dropped when they come up."""
        self._opened: set[str] = set()
        self._closed: set[str] = set()

    def apply(self, event: Event, before: Record | None) -> Iterator[Violation]:
        """What speaks against an event."""
        if event.record is None:
            yield from self._window(event)
        elif event.record.offering in self._offerings:
            yield from self._expiry(event, event.record, before)
            yield from self._change(event, event.record, before)

    def unfounded(self, code: str, offering: str) -> str:
        """What speaks against a refusal because of the window, as of now; "" for nothing."""
        if code == "not_open" and offering in self._opened:
            return f"{offering} is open"
        if code == "closed" and offering not in self._closed:
            return f"{offering} is not closed"
        return ""

    def _window(self, event: Event) -> Iterator[Violation]:
        name, at = event.header.offering, event.header.at
        for kind, begun in (("opened", self._opened), ("closed", self._closed)):
            if event.header.type != kind or name not in self._offerings:
                continue
            offering = self._offerings[name]
            if at < milliseconds(offering.opens if kind == "opened" else offering.closes) or name in begun:
                yield Violation("window", f"{name} is {kind} at seq {event.seq}, out of its time")
            begun.add(name)

    def _expiry(self, event: Event, record: Record, before: Record | None) -> Iterator[Violation]:
        enrollment, kind, at, seq = event.header.enrollment, event.header.type, event.header.at, event.seq
        earliest = self._earliest()
        over = before.expires_at if before else 0
        if kind in ASKED_FOR and earliest <= at:
            yield Violation(
                "expiry", f"something is decided at seq {seq}, and a hold or offer is over since {earliest}"
            )
        if kind == "lapsed" and (at < over or earliest < over):
            what = "before its time" if at < over else "before one that is over earlier"
            yield Violation("expiry", f"{enrollment} lapses at seq {seq} {what}")
        self._expires.pop(enrollment, None)
        if record.status in LIVE and record.expires_at:
            self._expires[enrollment] = record.expires_at
            heapq.heappush(self._due, (record.expires_at, enrollment))

    def _earliest(self) -> int:
        """When the first hold or offer is over."""
        while self._due and self._expires.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else 2**63

    def _change(self, event: Event, record: Record, before: Record | None) -> Iterator[Violation]:
        header, seq = event.header, event.seq
        name, kind, offering = header.enrollment, header.type, self._offerings[record.offering]
        if before and before.status not in FROM.get(kind, ()):
            yield Violation("state", f"{name} is {kind} at seq {seq}, and was {before.status}")
        allowed = _statuses(kind, offering)
        if record.status not in allowed or (record.seat > 0) != (record.status in SEATED):
            yield Violation(
                "state", f"{name} is {kind} at seq {seq}, and then {record.status}, seat {record.seat}"
            )
        ttl_s = {"held": offering.hold_ttl_s, "offered": offering.waitlist.offer_ttl_s}.get(record.status)
        if record.expires_at != (0 if ttl_s is None else header.at + 1000 * ttl_s):
            yield Violation("expiry", f"{name} is {record.status} at seq {seq} until {record.expires_at}")
        if kind == "confirmed" and before and (before.pool, before.seat) != (record.pool, record.seat):
            yield Violation("seat", f"{name} is confirmed at seq {seq} in another seat")
        actor = {
            "promoted": "system",
            "lapsed": "system",
            "confirmed": record.member,
            "declined": record.member,
        }
        if header.actor != actor.get(kind, header.actor):
            yield Violation("actor", f"{name} is {kind} at seq {seq} by {header.actor}")
        if kind == "enrolled" and not milliseconds(offering.opens) <= header.at < milliseconds(
            offering.closes
        ):
            yield Violation(
                "window", f"{name} is enrolled at seq {seq}, outside of the window of {record.offering}"
            )


def refused(kind: str, code: str, status: str) -> bool:
    """Whether a change of an enrollment in this state is refused with this code."""
    return status in _REFUSED.get((kind, code), ())


def _statuses(kind: EventType, offering: Offering) -> tuple[Status, ...]:
    """What an enrollment may be after a change."""
    match kind:
        case "enrolled":
            return ("held" if offering.hold_ttl_s else "confirmed", "waitlisted")
        case "promoted":
            return ("offered" if offering.waitlist.promotion == "offer" else "confirmed",)
        case "confirmed":
            return ("confirmed",)
        case "lapsed":
            return ("lapsed",)
        case _:
            return ("cancelled",)
