"""How the deployment does."""

from typing import Literal

from msgspec import Struct

from api.views.values import Count, Seconds
from engine.config import Durability

State = Literal["open", "closed", "rebuilding", "lost", "unknown"]


class CampaignStatus(Struct, frozen=True):
    """How a campaign does, for ops."""

    campaign: str
    ready: bool
    """False for a campaign whose state in Redis is closed, lost, or out of reach: then its numbers are 0."""
    state: State
    """`lost` when Redis does not have it, `unknown` when it is out of reach."""
    remedy: str | None
    """The command that brings a campaign back which is lost or closed."""
    version: Count
    seq: Count
    decisions: dict[str, int]
    """By outcome, over all processes of this machine since they started."""
    taken: Count
    waiting: Count
    stream_entries: Count
    pending_entries: Count
    """Events that are not in the ledger yet."""
    lag_s: Seconds | None
    """The age of the oldest of them, 0 for none; null when it is not known."""
    dead_letters: Count


class BatchStatus(Struct, frozen=True):
    """The batches of a verb, over all processes of this machine since they started."""

    calls: Count
    """Calls of Redis."""
    entries: Count
    """Requests that they decided."""
    entries_mean: float


class OpsStatus(Struct, frozen=True):
    """How the deployment does, for ops."""

    campaigns: list[CampaignStatus]
    queue_entries: Count
    """Requests that wait to be sent to Redis, over all processes of this machine."""
    batches: dict[str, BatchStatus]
    """By verb."""
    fsync_s: Seconds | None
    """How long a write waits for Redis's disk, the median of the last minute; null unless durability is fsync."""
    durability: Durability
    replicas: Count | None
    """How many replicas follow Redis now, in a cluster the fewest of any master; null unless durability is replica."""
    ledger_ready: bool
    """False while the ledger does not answer: what is said of it is then what it said last."""
    build: str
