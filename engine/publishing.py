"""Publishing: a campaign document becomes the definition in force.

The ledger knows a campaign before Redis does, and notes that its state was made before the first sign-up can be
taken: the script makes the state with its gate shut, and the gate opens last. A crash between any two steps is
mended by publishing again, and a state that was lost is never made a second time.
"""

import secrets
from typing import Final

import msgspec
from msgspec import Struct

from engine.clock import Clock
from engine.domain import campaign as documents
from engine.domain import definition, document, lottery, outcome, policies
from engine.domain.faults import Fault
from engine.ledger.protocol import Ledger
from engine.live.catalog import Catalog
from engine.live.decisions import Decisions
from engine.live.server import NothingRan, Server

_QUEUED_UNDER_POLICY: Final = -1
_DRAW_IS_OVER: Final = -2
"""What engine/lua/publish.lua says in the place of a seat number."""

_refusals = msgspec.msgpack.Decoder(list[tuple[str, str, int]])


class Published(Struct, frozen=True):
    """A document is in force."""

    version: int
    created: bool
    """Whether it is the campaign's first."""
    changed: bool
    """False when the same document was in force before."""


class Publisher:
    """Publishes documents that `domain.document` has found valid."""

    def __init__(
        self, server: Server, ledger: Ledger, catalog: Catalog, decisions: Decisions, clock: Clock
    ) -> None:
        self._server = server
        self._ledger = ledger
        self._catalog = catalog
        self._decisions = decisions
        self._clock = clock

    async def publish(
        self, campaign: documents.Campaign, actor: str, channel: str, expected_version: int | None = None
    ) -> Published | list[Fault] | str:
        """Put a document in force.

        Returns the faults when live seats forbid it, or the code of a refusal: `precondition_failed` when
        `expected_version` (0: none) is not in force, `not_ready` when the campaign's state is not in Redis.
        Raises NothingRan, Unknown, or ledger.protocol.Unavailable.
        """
        name = campaign.campaign
        registration = await self._ledger.register(name, campaign.unit, actor, channel, self._clock.now_ms())
        arguments = [
            "update" if registration.created else "create",
            str(registration.epoch),
            "" if expected_version is None else str(expected_version),
            document.canonical(campaign),
            definition.pack_rules(campaign),
            definition.pack_offerings(campaign),
            definition.pack_timers(campaign),
            actor,
            channel,
            _new_lottery(campaign),
        ]
        reply = await self._server.call("publish", name, arguments)
        while reply[0].decode() == outcome.BEHIND:
            await self._decisions.advance(name)
            reply = await self._server.call("publish", name, arguments)
        status: str = reply[0].decode()
        if status == "invalid":
            return [_fault(campaign, *refusal) for refusal in _refusals.decode(reply[1])]
        if status != "changed":
            return status
        if not registration.created:
            await self._ledger.mark_created(name)
        await self._server.call(
            "gate", name, [str(registration.epoch), str(registration.recorded_seq), "new", "open"]
        )
        try:
            await self._decisions.advance(name)
        except NothingRan:
            return "not_ready"
        await self._catalog.announce(name, reply[1])
        await self._catalog.load(name)
        return Published(version=reply[1], created=bool(reply[2]), changed=bool(reply[3]))


def _new_lottery(campaign: documents.Campaign) -> bytes:
    """What the campaign's draws would rest on, if it has nothing yet; b"" where nothing is drawn."""
    if not any(map(policies.collects_until, campaign.offerings)):
        return b""
    return msgspec.msgpack.encode(lottery.make(secrets.token_bytes(lottery.SEED_BYTES)))


def _fault(campaign: documents.Campaign, offering: str, pool: str, seat: int) -> Fault:
    """What live seats forbid, as a fault of the document."""
    for index, each in enumerate(campaign.offerings):
        if each.offering == offering:
            if seat == _QUEUED_UNDER_POLICY:
                return Fault(f"/offerings/{index}/policy", "has_queued", {"name": offering})
            if seat == _DRAW_IS_OVER:
                field = "closes" if each.policy.name == "ballot" else "opens"
                return Fault(f"/offerings/{index}/{field}", "draw_is_over")
            for number, candidate in enumerate(each.pools):
                if candidate.pool == pool:
                    path = f"/offerings/{index}/pools/{number}/capacity"
                    return Fault(path, "below_live_seats", {"seat": seat})
            return Fault(f"/offerings/{index}/pools", "has_live_enrollments", {"name": pool})
    return Fault("/offerings", "has_live_enrollments", {"name": offering})
