"""Every key name in Redis. All keys of a campaign share its hash tag, so one shard decides all of its rules."""

from functools import lru_cache
from typing import Final

PREFIX: Final = "seatrush"

PARTS: Final = (
    # hash: epoch, seq, recorded, version, gate, rules, document; of draws: lottery, draw_at, draws, drawing, settled;
    # where answers wait for replicas, mark: how often they did
    "META",
    "OFFERINGS",  # hash: offering -> msgpack map (domain.definition.PackedOffering)
    "COUNTS",  # hash: taken/<offering>/<pool>, mark/…, and waiting/<offering>, entered/…, draw/…, met/… -> integer
    "FREE",  # sorted set by name: <offering>/<pool>/<seat>, the free numbers below the mark
    "ENROLLMENTS",  # hash: enrollment -> msgpack array (domain.enrollment.Record)
    "MEMBERS",  # hash: member -> msgpack array (live.members.Entry of each live one); kept when there is none left
    "REQUESTS",  # hash: <member> <idempotency key> -> msgpack array, the first answer, once its enrollment has changed
    "WAITING",  # sorted set by name: <offering>/<order>/<enrollment>, every waiting one, for positions
    "QUEUES",  # sorted set by name: <offering>/<queue>/<order>/<enrollment>, whom a free seat may go to
    "TIMERS",  # sorted set: opens/…, closes/…, releases/…, merges/…, expires/<enrollment>, promote/<offering>, by when
    "EVENTS",  # stream: the campaign's log, ids <epoch>-<seq>
    "CODES",  # hash: code id -> msgpack array (live.codes.Entry); #<offering> -> number; #<offering>/<n> -> code id
)
"""The keys of a campaign, in the order in which every script gets them."""

CAMPAIGNS_REMEMBERED: Final = 1_000

DIRECTORY: Final = f"{PREFIX}:directory"
"""Hash: campaign -> version of its newest definition, so that every process hears of a publication."""

FSYNC: Final = f"{PREFIX}:fsync"
"""String: how long the probe's last writes waited for the disk, in seconds, with blanks between."""


def of(campaign: str, part: str) -> str:
    """One key of a campaign, such as `seatrush:{autumn-2026}:meta`."""
    return f"{PREFIX}:{{{campaign}}}:{part.lower()}"


@lru_cache(maxsize=CAMPAIGNS_REMEMBERED)
def campaign_keys(campaign: str) -> tuple[str, ...]:
    """All keys of a campaign, in the order of PARTS."""
    return tuple(of(campaign, part) for part in PARTS)


def mark(key: str) -> str:
    """META of the campaign of a key: its field `mark` is counted up so that replicas have something to acknowledge."""
    return f"{key[: key.index('}') + 1]}:meta"


def lease(campaign: str, worker: str) -> str:
    """Who works on a campaign at the moment; it spreads the work, safety does not rest on it."""
    return f"{PREFIX}:{{{campaign}}}:lease:{worker}"
