"""The campaign document: what an organizer publishes, as typed structs.

The structs hold the shape and the bounds of single values; rules that look at more than one value are in
`document.py`. The same structs give the JSON Schema of the OpenAPI document.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

ID_MAX = 64
ID_PATTERN = "^[a-z0-9][a-z0-9-]{0,63}$"
UNIT_PATTERN = r"^[a-z0-9][a-z0-9-]{0,63}(\.[a-z0-9][a-z0-9-]{0,63}){0,9}$"

OFFERINGS_MAX = 1_000
POOLS_MAX = 64
MERGES_MAX = 8
QUOTA_UNITS_MAX = POOLS_MAX
SESSIONS_MAX = 400
CAPACITY_MAX = 10_000_000
WAITING_MAX = 1_000_000
LIMITS_MAX = 16
WISHES_MAX = 1_000
PERCENT_MAX = 10_000
ADVANCING_MAX = 10_000
TIES_MAX = 8
MEDALS_MAX = 1_000
RETENTION_DAYS_MAX = 36_500
SECONDS_MAX = 31 * 24 * 3600

# `extra` names the fault for a pattern, see `shapes`.
Id = Annotated[
    str,
    Meta(
        pattern=ID_PATTERN,
        description="lower-case letters, digits and hyphens, 1 to 64",
        extra={"fault": "not_an_id"},
    ),
]
Unit = Annotated[
    str,
    Meta(
        pattern=UNIT_PATTERN,
        description="a dotted path of at most ten segments",
        extra={"fault": "not_a_unit"},
    ),
]
Text = Annotated[str, Meta(min_length=1, max_length=400)]
Label = Annotated[str, Meta(min_length=1, max_length=64)]
Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339, with its offset from UTC")]
Seconds = Annotated[int, Meta(ge=0, le=SECONDS_MAX)]
Wish = Annotated[int, Meta(ge=1, le=WISHES_MAX)]
Better = Literal["highest", "lowest"]
Kind = Literal["workshop", "course", "station", "pack", "competition", "room", "event"]


class Document(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every part of a campaign document: unknown fields are refused by name."""


class Title(Document, frozen=True):
    """A title in the two languages of every client."""

    zh: Text
    en: Text


class Limit(Document, frozen=True):
    """At most `max` live enrollments of one member, counted per campaign or per local day of the sessions.

    With `kinds` only offerings of these kinds count, and only sign-ups for them are refused.
    """

    max: Annotated[int, Meta(ge=1, le=1_000)]
    per: Literal["campaign", "day"]
    kinds: Annotated[list[Kind], Meta(min_length=1, max_length=7)] | None = None


class Rules(Document, frozen=True):
    """Rules that hold over all offerings of a campaign. `votes_max` is how many votes a member has in its polls."""

    limits: Annotated[list[Limit], Meta(max_length=LIMITS_MAX)] = []
    overlaps_allowed: bool = True
    votes_max: Annotated[int, Meta(ge=1, le=OFFERINGS_MAX)] | None = None


class Place(Document, frozen=True):
    """Where an offering takes place; coordinates in degrees, WGS-84."""

    address: Text
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None


class Session(Document, frozen=True):
    """One meeting of an offering, from `starts` until before `ends`."""

    starts: Instant
    ends: Instant


class Eligible(Document, frozen=True):
    """Who may take a seat of a pool: each list that is given must match one entry of the member's token."""

    units: Annotated[list[Unit], Meta(min_length=1, max_length=1_000)] | None = None
    industries: Annotated[list[Label], Meta(min_length=1, max_length=100)] | None = None
    tags: Annotated[list[Label], Meta(min_length=1, max_length=100)] | None = None


class Merge(Document, frozen=True):
    """A stage of a pool: from `at` on it is also for members of these units, where its other lists match."""

    at: Instant
    units: Annotated[list[Unit], Meta(min_length=1, max_length=1_000)]


class Pool(Document, frozen=True):
    """A part of an offering's seats, kept for those who are eligible.

    It opens to more units in stages, by `merges`, and from `releases` on to all who are eligible for any pool.

    With `codes` an invitation code opens it too: without `eligible` it is then for the holders of codes alone.
    """

    pool: Id
    capacity: Annotated[int, Meta(ge=0, le=CAPACITY_MAX)]
    eligible: Eligible | None = None
    releases: Instant | None = None
    codes: bool = False
    merges: Annotated[list[Merge], Meta(max_length=MERGES_MAX)] = []


class Quotas(Document, frozen=True):
    """Seats shared among units by their headcounts, one pool a unit: docs/quotas.md has the rule.

    Every unit that has anybody gets at least `floor`, as far as the seats go. At each of `merges` a unit's pool opens
    to one more of the units above it. Headcounts that are reported after `recomputed`, by default a minute before the
    offering opens, change nothing.
    """

    seats: Annotated[int, Meta(ge=1, le=CAPACITY_MAX)]
    units: Annotated[list[Unit], Meta(min_length=1, max_length=QUOTA_UNITS_MAX)]
    floor: Annotated[int, Meta(ge=0, le=CAPACITY_MAX)] = 0
    merges: Annotated[list[Instant], Meta(max_length=MERGES_MAX)] = []
    recomputed: Instant | None = None


class Waitlist(Document, frozen=True):
    """The queue behind full pools.

    `auto` confirms the first of it, `offer` gives it `offer_ttl_s` seconds to accept.
    """

    size_max: Annotated[int, Meta(ge=0, le=WAITING_MAX)] = 0
    promotion: Literal["auto", "offer"] = "auto"
    offer_ttl_s: Annotated[int, Meta(ge=1, le=SECONDS_MAX)] = 1800


class PolicyChoice(Document, frozen=True):
    """How seats are given; `name` is one of the registry in `policies/`, which says what else belongs to it.

    `grace_s`: of `first_come`, the seconds from `opens` on in which all who ask are equal, and are drawn at their end.
    `intents_open`: from then on one may ask beforehand, and counts as one who asked in the first second.

    `threshold`, `until`: of `poll`, the votes with which the offering opens, and the deadline for them. `seats_by`:
    whether those who voted come in the order of their votes or of a draw. `kept_s`: the seconds for which a seat is
    kept for each of them to confirm; without it they have it outright.

    `of`, `waiting`, `kept_s`: of `second_class`, the members who must wait for the offering `of` before this one opens,
    and the seconds for which it then is for them alone.

    `from`: of `advancement`, the round before, of which the `best` of each pool are enrolled by the engine, and the
    next `substitutes` of each wait.
    """

    name: Label = "first_come"
    grace_s: Annotated[int, Meta(ge=1, le=SECONDS_MAX)] | None = None
    intents_open: Instant | None = None
    threshold: Annotated[int, Meta(ge=1, le=WAITING_MAX)] | None = None
    until: Instant | None = None
    seats_by: Literal["votes", "draw"] | None = None
    kept_s: Annotated[int, Meta(ge=1, le=SECONDS_MAX)] | None = None
    of: Id | None = None
    waiting: Annotated[int, Meta(ge=1, le=WAITING_MAX)] | None = None
    from_: Id | None = field(name="from", default=None)
    best: Annotated[int, Meta(ge=1, le=ADVANCING_MAX)] | None = None
    substitutes: Annotated[int, Meta(ge=0, le=ADVANCING_MAX)] | None = None


class Tie(Document, frozen=True):
    """A column of the results that decides between equal scores."""

    column: Label
    order: Better = "highest"


class ResultsRule(Document, frozen=True):
    """How an offering's results rank: by score, then by each column of `ties`, then by lot (docs/ladder.md)."""

    order: Better = "highest"
    ties: Annotated[list[Tie], Meta(max_length=TIES_MAX)] = []


class Medals(Document, frozen=True):
    """How many medals are nominated, from the first place on."""

    gold: Annotated[int, Meta(ge=0, le=MEDALS_MAX)] = 0
    silver: Annotated[int, Meta(ge=0, le=MEDALS_MAX)] = 0
    bronze: Annotated[int, Meta(ge=0, le=MEDALS_MAX)] = 0


class Offering(Document, frozen=True):
    """Something with seats that opens at a time. Pools are tried in their order.

    Either `pools` are given, or `quotas`, from which the pools are made.
    """

    offering: Id
    kind: Kind
    title: Title
    sessions: Annotated[list[Session], Meta(min_length=1, max_length=SESSIONS_MAX)]
    opens: Instant
    closes: Instant
    pools: Annotated[Sequence[Pool], Meta(min_length=1, max_length=POOLS_MAX)] = []
    quotas: Quotas | None = None
    place: Place | None = None
    cancel_until: Instant | None = None
    policy: PolicyChoice = PolicyChoice()
    waitlist: Waitlist = Waitlist()
    hold_ttl_s: Seconds = 0
    party_max: Annotated[int, Meta(ge=1)] = 1
    results: ResultsRule | None = None
    medals: Medals | None = None


class Weights(Document, frozen=True):
    """How earlier draws of the same unit change the odds in this one, in percent of a member who was in none.

    A member has 100, and `loss` more for each draw that gave nothing, and `win` less for each that gave a seat; never
    less than `min` and never more than `max`.
    """

    loss: Annotated[int, Meta(ge=0, le=PERCENT_MAX)] = 0
    win: Annotated[int, Meta(ge=0, le=PERCENT_MAX)] = 0
    min: Annotated[int, Meta(ge=1, le=100)] = 25
    max: Annotated[int, Meta(ge=100, le=PERCENT_MAX)] = 400


class Campaign(Document, frozen=True):
    """A set of offerings that share rules: the boundary inside which every rule is atomic.

    `retention_days` after the end of its last session everybody in it is forgotten; without it, nobody by itself
    (docs/privacy.md).
    """

    campaign: Id
    title: Title
    unit: Unit
    offerings: Annotated[Sequence[Offering], Meta(min_length=1, max_length=OFFERINGS_MAX)]
    rules: Rules = Rules()
    weights: Weights | None = None
    lead: Text | None = None
    pilots: Annotated[list[Unit], Meta(max_length=1_000)] | None = None
    responsible: Text | None = None
    requirements: Text | None = None
    due: date | None = None
    retention_days: Annotated[int, Meta(ge=1, le=RETENTION_DAYS_MAX)] | None = None
