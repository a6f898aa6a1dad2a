"""How the deployment does."""

from typing import Literal

from msgspec import Struct

from api.views.values import Count, Seconds, Share
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
    backlog_share: Share
    """The part of the events that may wait for the ledger which do; at 1 sales have stopped."""
    dead_letters: Count


class BatchStatus(Struct, frozen=True):
    """The batches of a verb, over all processes of this machine since they started."""

    calls: Count
    """Calls of Redis."""
    entries: Count
    """Requests that they decided."""
    entries_mean: float


class RedisStatus(Struct, frozen=True):
    """How a node of Redis does."""

    memory_share: Share
    """The part of its maxmemory that it uses; where there is none, of the machine's memory."""
    aof_bytes: Count
    """The size of its append-only file."""
    persists: bool
    """Whether its last write, and its last rewrite, of that file succeeded."""
    up_s: Count


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
    redis: dict[str, RedisStatus]
    """The nodes that answer, by their address."""
    disk_free_bytes: Count | None
    """Bytes left where the embedded Redis or a SQLite ledger writes; null where neither does on this machine."""
    disk_free_min_bytes: Count
    """Below so many sales stop."""
    build: str
