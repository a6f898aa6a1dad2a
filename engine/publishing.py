"""Publishing: a campaign document becomes the definition in force.

The ledger knows a campaign before Redis does, and notes that its state was made before the first sign-up can be
taken: the script makes the state with its gate shut, and the gate opens last. A crash between any two steps is
mended by publishing again, and a state that was lost is never made a second time.
"""

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from engine.clock import Clock
from engine.domain import campaign as documents
from engine.domain import definition, document, lottery, policies, quotas
from engine.domain.definition import Definition, milliseconds
from engine.domain.faults import Fault
from engine.domain.policies import advancement
from engine.ledger.protocol import Ledger, PoolDue
from engine.live.catalog import Catalog
from engine.live.decisions import Decisions
from engine.live.server import NothingRan, Server

_QUEUED_UNDER_POLICY: Final = -1
_DRAW_IS_OVER: Final = -2
_LIVE_UNDER_POLICY: Final = -3
_QUEUED_BY_STAGES: Final = -4
"""What engine/lua/publish.lua says in the place of a seat number."""
COLLECTS_BY: Final = {"ballot": "closes", "poll": "policy/until"}
"""The field that says until when a policy collects entries, where that is not `opens`."""

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
        self,
        server: Server,
        ledger: Ledger,
        catalog: Catalog,
        decisions: Decisions,
        clock: Clock,
        backlog_entries_max: Callable[[], int],
    ) -> None:
        self._server = server
        self._ledger = ledger
        self._catalog = catalog
        self._decisions = decisions
        self._clock = clock
        self._backlog_entries_max = backlog_entries_max

    async def publish(
        self, campaign: documents.Campaign, actor: str, channel: str, expected_version: int | None = None
    ) -> Published | list[Fault] | str:
        """Put a document in force, its quotas made into pools.

        Returns the faults when a headcount is missing, or live seats or a round that is being carried out forbid it,
        or the code of a refusal:
        `precondition_failed` when `expected_version` (0: none) is not in force, `not_ready` when the campaign's state
        is not in Redis, or too many events wait for the ledger. Raises NothingRan, Unknown, or
        ledger.protocol.Unavailable.
        """
        sized = await self.with_pools(campaign)
        if isinstance(sized, list):
            return sized
        kept = _faults_of_rounds(campaign, await self._ledger.pools_due(campaign.campaign))
        if kept:
            return kept
        await self._forget_rounds(campaign)
        return await self._put_in_force(sized, actor, channel, expected_version)

    async def _forget_rounds(self, campaign: documents.Campaign) -> None:
        """An offering that the document in force does not have begins without results, whatever had its name."""
        in_force = await self._catalog.find(campaign.campaign)
        for offering in campaign.offerings if in_force else ():
            if in_force and offering.results and offering.offering not in in_force.offerings:
                await self._ledger.forget_round(campaign.campaign, offering.offering, self._clock.now_ms())

    async def recompute(self, in_force: Definition) -> Published | list[Fault] | str:
        """Publish a definition anew with pools by the newest headcounts, where these make a difference.

        Only pools of offerings that are not open are made anew, and only as long as that is so. Returns and raises as
        `publish` does; `precondition_failed` also when an offering has opened meanwhile.
        """
        opens = {
            offering.offering: milliseconds(offering.opens)
            for offering in in_force.document.offerings
            if offering.quotas and milliseconds(offering.opens) > self._clock.now_ms()
        }
        sized = await self.with_pools(in_force.document, opens)
        if isinstance(sized, list):
            return sized
        if sized == in_force.document:
            return Published(in_force.version, created=False, changed=False)
        return await self._put_in_force(sized, "system", "engine", in_force.version, min(opens.values()))

    async def with_pools(
        self, campaign: documents.Campaign, offerings: Collection[str] | None = None
    ) -> documents.Campaign | list[Fault]:
        """A document whose quotas, or those of some offerings, are made into pools; or why they cannot be.

        Raises ledger.protocol.Unavailable.
        """
        headcounts: dict[str, dict[str, int]] = {}
        asked: dict[tuple[str, ...], dict[str, int]] = {}
        for offering in campaign.offerings:
            name, given = offering.offering, offering.quotas
            if given is None or (offerings is not None and name not in offerings):
                continue
            until = milliseconds(quotas.counted_until(offering))
            key = (str(until), *given.units)
            if key not in asked:
                asked[key] = await self._ledger.headcounts_at(given.units, until)
            headcounts[name] = asked[key]
        if not headcounts:
            return campaign
        sized = quotas.resize(campaign, headcounts)
        if not isinstance(sized, list) and len(document.canonical(sized)) > document.MAX_BYTES:
            return [Fault("/offerings", "too_large_with_pools", {"bytes_max": document.MAX_BYTES})]
        return sized

    async def _put_in_force(
        self,
        campaign: documents.Campaign,
        actor: str,
        channel: str,
        expected_version: int | None,
        before_ms: int | None = None,
    ) -> Published | list[Fault] | str:
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
            "" if before_ms is None else str(before_ms),
            str(self._backlog_entries_max()),
        ]
        status, facts = await self._decisions.command("publish", name, *arguments)
        if status == "invalid":
            return [_fault(campaign, *refusal) for refusal in _refusals.decode(facts[0])]
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
        version, created, changed = facts
        await self._catalog.announce(name, version)
        await self._catalog.load(name)
        return Published(version=version, created=bool(created), changed=bool(changed))


def _new_lottery(campaign: documents.Campaign) -> bytes:
    """What the campaign's draws would rest on, if it has nothing yet; b"" where nothing is drawn."""
    if not any(map(policies.collects_until, campaign.offerings)):
        return b""
    return msgspec.msgpack.encode(lottery.make(secrets.token_bytes(lottery.SEED_BYTES)))


def _faults_of_rounds(campaign: documents.Campaign, due: Sequence[PoolDue]) -> list[Fault]:
    """What is taken away of the rounds that members come from and go on to, while these are being enrolled."""
    places = {offering.offering: index for index, offering in enumerate(campaign.offerings)}
    found = dict[str, Fault]()
    for each in due:
        path = _lacks(campaign, places, each)
        if path:
            found.setdefault(path, Fault(path, "has_advancing", {"name": each.source}))
    return list(found.values())


def _lacks(campaign: documents.Campaign, places: Mapping[str, int], due: PoolDue) -> str:
    if due.source not in places or due.offering not in places:
        return "/offerings"
    index = places[due.offering]
    offering = campaign.offerings[index]
    if offering.policy.name != advancement.POLICY.name:
        return f"/offerings/{index}/policy"
    if all(pool.pool != due.pool for pool in offering.pools):
        return f"/offerings/{index}/pools"
    return ""


def _fault(campaign: documents.Campaign, offering: str, pool: str, seat: int) -> Fault:
    """What live seats forbid, as a fault of the document."""
    for index, each in enumerate(campaign.offerings):
        if each.offering == offering:
            if seat == _QUEUED_UNDER_POLICY:
                return Fault(f"/offerings/{index}/policy", "has_queued", {"name": offering})
            if seat == _LIVE_UNDER_POLICY:
                return Fault(f"/offerings/{index}/policy", "has_members", {"name": offering})
            if seat == _DRAW_IS_OVER:
                field = COLLECTS_BY.get(each.policy.name, "opens")
                return Fault(f"/offerings/{index}/{field}", "draw_is_over")
            for number, candidate in enumerate(each.pools):
                if candidate.pool == pool and seat == _QUEUED_BY_STAGES:
                    path = f"/offerings/{index}/pools/{number}/merges"
                    return Fault(path, "has_queued_by_stages", {"name": offering})
                if candidate.pool == pool:
                    path = f"/offerings/{index}/pools/{number}/capacity"
                    return Fault(path, "below_live_seats", {"seat": seat})
            return Fault(f"/offerings/{index}/pools", "has_live_enrollments", {"name": pool})
    return Fault("/offerings", "has_live_enrollments", {"name": offering})
