"""Campaigns, offerings and pools with their live counts."""

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from api.views.values import Count, Moment, fields_of
from engine.domain import campaign as documents
from engine.domain import policies
from engine.domain.definition import Definition
from engine.domain.policies import poll, second_class
from engine.live.counts import Counts

OPENED_BY_DEMAND: Final = frozenset({poll.POLICY.name, second_class.POLICY.name})
"""The policies of offerings that open when enough members ask."""


class PoolView(documents.Pool, frozen=True, kw_only=True):
    """A pool with the number of its seats that are confirmed, held or offered."""

    taken: Count


class DrawView(Struct, frozen=True):
    """What the campaign's draws rest on, public before the first entry; docs/draws.md says how."""

    commitment: str
    """To the seeds of all draws, each of which is told after its draw."""


class OfferingView(documents.Offering, frozen=True, kw_only=True):
    """An offering with the number of members who wait."""

    pools: Sequence[PoolView]
    waiting: Count
    entered: Count | UnsetType = UNSET
    """Of an offering with a draw: the entries that have no result yet."""
    draw: Count | UnsetType = UNSET
    """The number of its draw, 0 before it has begun."""
    met_at: Moment | UnsetType | None = UNSET
    """When as many had voted, or waited, as a poll or a second class needs; null before."""


class CampaignView(documents.Campaign, frozen=True, kw_only=True):
    """A definition in force, with the counts as they were after `seq`."""

    offerings: Sequence[OfferingView]
    version: Count
    seq: Count
    draw: DrawView | UnsetType = UNSET
    """Of a campaign with draws."""


class CampaignList(Struct, frozen=True):
    """A page of campaigns; `next` is the cursor of the page after it."""

    campaigns: list[CampaignView]
    next: str | None


class Publication(Struct, frozen=True):
    """A document is in force; `changed` is false when the same one was before."""

    campaign: str
    version: Count
    changed: bool


def offering(document: documents.Offering, counts: Counts) -> OfferingView:
    """An offering with its counts."""
    fields = fields_of(document)
    fields["pools"] = [
        PoolView(**fields_of(pool), taken=counts.taken(document.offering, pool.pool))
        for pool in document.pools
    ]
    fields["waiting"] = counts.waiting(document.offering)
    if policies.collects_until(document):
        fields |= {"entered": counts.entered(document.offering), "draw": counts.draw(document.offering)}
    if document.policy.name in OPENED_BY_DEMAND:
        fields["met_at"] = counts.met_at(document.offering)
    return OfferingView(**fields)


def campaign(definition: Definition, counts: Counts) -> CampaignView:
    """A definition with its counts."""
    fields = fields_of(definition.document)
    fields["offerings"] = [offering(each, counts) for each in definition.document.offerings]
    lottery = definition.lottery
    draw = DrawView(lottery.commitment) if lottery else UNSET
    return CampaignView(**fields, version=definition.version, seq=counts.seq, draw=draw)
