"""A sign-up that was refused, as it is recorded; and what its member might take at that moment."""

import math
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from engine.domain import campaign as documents
from engine.domain import definition, eligibility
from engine.domain.definition import PackedOffering, PackedPool
from engine.domain.enrollment import Status
from engine.domain.history import History
from engine.domain.person import Person

_offerings = msgspec.msgpack.Decoder(list[tuple[str, PackedOffering]])


class Terms(Struct, frozen=True):
    """A version of a campaign document, as the guards read it."""

    version: int
    document: documents.Campaign
    offerings: dict[str, PackedOffering]
    places: dict[str, int]
    """Where each offering stands in the document."""
    masks: dict[str, Callable[[Person], str]]
    """As in `definition.OfferingDefinition`, by offering."""


class Mine(Struct, frozen=True):
    """One of the member's own enrollments that was live."""

    enrollment: str
    offering: str
    status: Status
    seq: int


class Asked(Struct, frozen=True):
    """A sign-up that was refused: what is recorded as of `seq`, and who asks."""

    history: History
    terms: Terms
    seq: int
    person: Person
    mine: Sequence[Mine]
    """Live as of `seq`, in the order of sign-up."""
    offering: str
    wanted: str = ""
    """The one pool that was asked for, or ""."""
    opened: str = ""
    """The pool that an invitation code opened, or ""."""
    later: int = 0
    """A moment between the seq and the next one, at which the question is asked; 0 for the time of the seq."""

    @property
    def now(self) -> int:
        """UTC milliseconds."""
        return self.later or self.history.at(self.seq)


def terms(document: documents.Campaign, version: int) -> Terms:
    """Prepare a version of a document; a large one takes tens of milliseconds."""
    names = [offering.offering for offering in document.offerings]
    packed = dict(_offerings.decode(definition.pack_offerings(document)))
    return Terms(
        version,
        document,
        packed,
        {name: place for place, name in enumerate(names)},
        {offering.offering: eligibility.compile_mask(offering) for offering in document.offerings},
    )


def opens_to(asked: Asked, offering: PackedOffering) -> float:
    """When a second class opens to the member: first to those who wait for the other; infinite where nobody knows."""
    met = asked.history.met(asked.offering, asked.seq)
    if not met:
        return math.inf
    waits = any(each.offering == offering.of for each in asked.mine)
    return met if waits else met + offering.kept_ms


def takes_from(offering: PackedOffering) -> int:
    """From when on sign-ups or intents are taken, UTC milliseconds."""
    return offering.intents_open or offering.opens


def pools_for(asked: Asked, name: str, wanted: str = "") -> list[PackedPool]:
    """The pools whose seats the member may have, in the document's order."""
    admitted = admitted_to(asked, name)
    return [
        pool
        for pool in asked.terms.offerings[name].pools
        if wanted in ("", pool.pool)
        and (
            pool.pool in admitted
            or pool.pool == asked.opened
            or (admitted and (pool.open or 0 < pool.releases <= asked.now))
        )
    ]


def admitted_to(asked: Asked, name: str) -> set[str]:
    """The pools that are for the member by attributes, of the stages that have begun."""
    return {pool for pool, since in stages_for(asked, name).items() if since <= asked.now}


def stages_for(asked: Asked, name: str) -> dict[str, int]:
    """From when on a pool is for the member by attributes, UTC milliseconds; those that never are are left out."""
    mask = asked.terms.masks[name](asked.person)
    return {
        pool.pool: 0 if stage == "1" else pool.merges[int(stage) - 2]
        for pool, stage in zip(asked.terms.offerings[name].pools, mask, strict=True)
        if stage != eligibility.NEVER
    }


def free_seats(asked: Asked, name: str, pool: PackedPool) -> int:
    """The seats of a pool that were free."""
    return max(0, pool.capacity - asked.history.taken(name, pool.pool, asked.seq))
