"""An enrollment: one member's claim on one offering, in one state."""

from typing import Final, Literal

from msgspec import Struct

Status = Literal["confirmed", "held", "waitlisted", "offered", "entered", "cancelled", "lapsed", "not_drawn"]

SEATED: Final = frozenset({"confirmed", "held", "offered"})
"""The statuses that hold a seat."""

LIVE: Final = SEATED | {"waitlisted"}
"""The statuses that count for limits and overlaps, and of which a member has at most one per offering."""


NOT_OVER: Final = LIVE | {"entered"}
"""The statuses in which an invitation code stays used."""


class Record(Struct, frozen=True, array_like=True, gc=False):
    """The state of an enrollment as the Lua scripts keep it; `engine/lua/includes/records.lua` has the same order.

    Times are UTC milliseconds since 1970; 0 and "" stand for none.
    """

    offering: str
    member: str
    pool: str
    """The pool of its seat (after it left: of its last one); "" while it waits."""
    status: Status
    seat: int
    """1..capacity within the pool; 0 without a seat."""
    seq: int
    """The number of its sign-up within the campaign; never changes."""
    version: int
    """1 at sign-up, one more with each change."""
    expires_at: int
    """When a hold or an offer is over; 0 without one."""
    decided_at: int
    """When `seq` was decided; never changes."""
    queues: list[str]
    """The queues in which it waits: "*" for any pool that is open to all, and the restricted pools it may take.

    `own@2` is for seats of the pool `own` from its second stage on.
    Of an entry in a draw: those in which it would wait.
    """
    wish: int = 0
    """Of an entry in a draw: its rank among the member's wishes, from 1; never changes. 0 outside of draws."""
    turn: int = 0
    """Of one that waits since a draw: the seq of the draw's event about it, by which it waits. Else 0: by `seq`."""
    code: str = ""
    """The id of the invitation code that it came in by; never changes. It is in the ledger's log, not in its rows."""

    @property
    def order(self) -> int:
        """Its place among those who wait: the lesser comes first."""
        return self.turn or self.seq
