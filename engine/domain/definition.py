"""A definition: a published campaign document, compiled for deciding.

Python keeps what depends on the person (which pools a member is eligible for); Redis gets the rest, one packed
entry for each offering, so that a script can apply every guard by itself.
"""

import hashlib
import heapq
from collections.abc import Callable, Iterator
from datetime import datetime

import msgspec
from msgspec import Struct

from engine.domain import campaign as documents
from engine.domain import eligibility, policies
from engine.domain.lottery import Lottery
from engine.domain.person import Person
from engine.domain.policies import advancement, poll, second_class


class OfferingDefinition(Struct, frozen=True):
    """What the request path needs of one offering."""

    document: documents.Offering
    pools: frozenset[str]
    mask: Callable[[Person], str]
    """For each pool in order, from which stage on the person may take it by attributes: see `eligibility`."""


class Definition(Struct, frozen=True):
    """A campaign at one version."""

    document: documents.Campaign
    version: int
    offerings: dict[str, OfferingDefinition]
    lottery: Lottery | None = None
    """What the campaign's draws rest on, where it has any."""
    epoch: int = 1
    """Of the state that it was read from: in another one the same version may be another document."""

    @property
    def campaign(self) -> str:
        """The campaign's id."""
        return self.document.campaign

    @property
    def unit(self) -> str:
        """The unit whose campaign it is."""
        return self.document.unit


class PackedPool(Struct, frozen=True, omit_defaults=True):
    """A pool as the scripts read it."""

    pool: str
    capacity: int
    open: bool
    """Whether everyone is eligible."""
    releases: int
    """UTC milliseconds; 0 for never."""
    codes: bool = False
    """Whether an invitation code opens it."""
    merges: list[int] = []
    """When each stage begins, UTC milliseconds; left out where there is none."""
    around: str = ""
    """A digest of the stages' units, by which those who wait were put into queues; "" where there are no stages."""


class PackedOffering(Struct, frozen=True, omit_defaults=True):
    """An offering as the scripts read it (a msgpack map without defaults); times are UTC milliseconds."""

    kind: documents.Kind
    policy: str
    opens: int
    closes: int
    cancel_until: int
    ends: int
    """Nobody is promoted after it: the end of the last session, or with advancement `cancel_until`."""
    days: list[int]
    """The local days of the sessions, as proleptic ordinals."""
    hold_ttl_ms: int
    waiting_max: int
    promotion: str
    offer_ttl_ms: int
    pools: list[PackedPool]
    overlaps: list[str]
    """The offerings with a session at the same time; empty where overlaps are allowed."""
    collects: int = 0
    """Until when sign-ups are collected for a draw."""
    intents_open: int = 0
    """From when on sign-ups are collected, where that is before `opens`."""
    threshold: int = 0
    """Of a poll: the votes with which it opens."""
    by_votes: bool = False
    """Whether the draw goes by the order of the votes."""
    kept_ms: int = 0
    """How long seats are kept: of a poll for each who voted, of a second class for those who wait."""
    of: str = ""
    """Of a second class: the offering for which its members wait."""
    second: str = ""
    """The second class of this offering."""
    second_waiting: int = 0
    """How many must wait for it to open."""


class Timer(Struct, frozen=True, array_like=True):
    """A moment at which time itself brings something about."""

    at: int
    name: str
    """`opens/<offering>`, `demand/<offering>`, `closes/<offering>`, `releases/<offering>/<pool>` or
    `merges/<offering>/<pool>/<stage>`; the scripts add others.
    """


def milliseconds(instant: datetime) -> int:
    """An aware datetime as UTC milliseconds since 1970, exactly."""
    return int(instant.timestamp()) * 1000 + instant.microsecond // 1000


def compile_definition(
    document: documents.Campaign, version: int, lottery: Lottery | None = None, epoch: int = 1
) -> Definition:
    """Prepare a validated document for deciding."""
    return Definition(
        lottery=lottery,
        epoch=epoch,
        document=document,
        version=version,
        offerings={
            offering.offering: OfferingDefinition(
                document=offering,
                pools=frozenset(pool.pool for pool in offering.pools),
                mask=eligibility.compile_mask(offering),
            )
            for offering in document.offerings
        },
    )


def overlaps(document: documents.Campaign) -> list[list[str]]:
    """For each offering, in order, the names of those with a session at the same time.

    A sweep over all sessions in order of start; the offerings in session are one integer used as a bit set, so
    that the cost stays near-linear however many sessions meet.
    """
    sessions = sorted(
        (milliseconds(session.starts), milliseconds(session.ends), index)
        for index, offering in enumerate(document.offerings)
        for session in offering.sessions
    )
    met = [0] * len(document.offerings)
    running: list[tuple[int, int]] = []
    in_session = [0] * len(document.offerings)
    active = 0
    for starts, ends, index in sessions:
        while running and running[0][0] <= starts:
            _, over = heapq.heappop(running)
            in_session[over] -= 1
            if not in_session[over]:
                active &= ~(1 << over)
        met[index] |= active
        active |= 1 << index
        in_session[index] += 1
        heapq.heappush(running, (ends, index))
    for index in range(len(met)):
        for other in _bits(met[index]):
            met[other] |= 1 << index
    names = [offering.offering for offering in document.offerings]
    return [[names[other] for other in _bits(mask & ~(1 << index))] for index, mask in enumerate(met)]


def _bits(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def pack_offerings(document: documents.Campaign) -> bytes:
    """What the scripts need of the offerings: a msgpack array of {name, PackedOffering}."""
    crossing = [[]] * len(document.offerings) if document.rules.overlaps_allowed else overlaps(document)
    seconds = {
        offering.policy.of: offering
        for offering in document.offerings
        if offering.policy.name == second_class.POLICY.name
    }
    return msgspec.msgpack.encode(
        [
            (offering.offering, _packed(offering, others, seconds.get(offering.offering)))
            for offering, others in zip(document.offerings, crossing, strict=True)
        ]
    )


def _packed(
    offering: documents.Offering, others: list[str], second: documents.Offering | None
) -> PackedOffering:
    choice = offering.policy
    cancel_until = offering.cancel_until or min(session.starts for session in offering.sessions)
    return PackedOffering(
        kind=offering.kind,
        policy=choice.name,
        opens=milliseconds(offering.opens),
        closes=milliseconds(offering.closes),
        cancel_until=milliseconds(cancel_until),
        ends=(
            milliseconds(cancel_until)
            if offering.policy.name == advancement.POLICY.name
            else max(milliseconds(session.ends) for session in offering.sessions)
        ),
        days=sorted({session.starts.toordinal() for session in offering.sessions}),
        hold_ttl_ms=offering.hold_ttl_s * 1000,
        waiting_max=offering.waitlist.size_max,
        promotion=offering.waitlist.promotion,
        offer_ttl_ms=offering.waitlist.offer_ttl_s * 1000,
        pools=[
            PackedPool(
                pool=pool.pool,
                capacity=pool.capacity,
                open=eligibility.is_open(pool),
                releases=milliseconds(pool.releases) if pool.releases else 0,
                codes=pool.codes,
                merges=[milliseconds(merge.at) for merge in pool.merges],
                around=_around(pool),
            )
            for pool in offering.pools
        ],
        overlaps=others,
        collects=milliseconds(collects) if (collects := policies.collects_until(offering)) else 0,
        intents_open=milliseconds(choice.intents_open) if choice.intents_open else 0,
        threshold=choice.threshold or 0,
        by_votes=choice.name == poll.POLICY.name and choice.seats_by != "draw",
        kept_ms=(choice.kept_s or 0) * 1000,
        of=choice.of or "",
        second=second.offering if second else "",
        second_waiting=second.policy.waiting or 0 if second else 0,
    )


def _around(pool: documents.Pool) -> str:
    if not pool.merges:
        return ""
    units = msgspec.json.encode([merge.units for merge in pool.merges])
    return hashlib.blake2b(units, digest_size=8).hexdigest()


def pack_rules(document: documents.Campaign) -> bytes:
    """The limits as the scripts read them: {votes_max, limits of {max, per, kinds}}; kinds are empty for all.

    votes_max is left out where there is none.
    """
    rules = document.rules
    limits = [{"max": limit.max, "per": limit.per, "kinds": limit.kinds or []} for limit in rules.limits]
    return msgspec.msgpack.encode(
        {"limits": limits} | ({"votes_max": rules.votes_max} if rules.votes_max else {})
    )


def pack_timers(document: documents.Campaign) -> bytes:
    """Every moment of the document at which something happens by itself: a msgpack array of Timer."""
    found = []
    for offering in document.offerings:
        # A second class opens by demand, from that moment on.
        kind = "demand" if offering.policy.name == second_class.POLICY.name else "opens"
        found.append(Timer(milliseconds(offering.opens), f"{kind}/{offering.offering}"))
        found.append(Timer(milliseconds(offering.closes), f"closes/{offering.offering}"))
        found += [
            Timer(milliseconds(pool.releases), f"releases/{offering.offering}/{pool.pool}")
            for pool in offering.pools
            if pool.releases
        ]
        found += [
            Timer(milliseconds(merge.at), f"merges/{offering.offering}/{pool.pool}/{stage}")
            for pool in offering.pools
            for stage, merge in enumerate(pool.merges, 1)
        ]
    return msgspec.msgpack.encode(found)
