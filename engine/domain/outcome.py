"""The outcome table: every named answer of the engine, with its HTTP status.

Lua scripts, the api and the documents take the names from here; a test proves that they agree.
"""

from typing import Final

from msgspec import Struct


class Outcome(Struct, frozen=True):
    """One row of the table. `retry_after` says whether the answer carries Retry-After."""

    code: str
    status: int
    retry_after: bool = False


def _table(*rows: Outcome) -> dict[str, Outcome]:
    return {row.code: row for row in rows}


SUCCESSES: Final = _table(
    Outcome("confirmed", 201),
    Outcome("held", 202),
    Outcome("waitlisted", 202),
    Outcome("entered", 202),
    Outcome("already_in", 200),
    Outcome("changed", 200),  # cancelled, confirmed, declined; and again
)

REFUSALS: Final = _table(
    Outcome("unauthenticated", 401),
    Outcome("forbidden", 403),
    Outcome("invalid", 422),
    Outcome("not_found", 404),
    Outcome("not_ready", 503, retry_after=True),
    Outcome("key_reused", 422),
    Outcome("closed", 410),
    Outcome("not_open", 409, retry_after=True),
    Outcome("not_eligible", 403),
    Outcome("limit_reached", 409),
    Outcome("overlap", 409),
    Outcome("sold_out", 409),
    Outcome("too_late", 409),
    Outcome("wrong_state", 409),
    Outcome("rate_limited", 429, retry_after=True),
    Outcome("overloaded", 503, retry_after=True),
    Outcome("unknown", 503, retry_after=True),
    Outcome("too_large", 413),
    Outcome("timeout", 408),
    Outcome("method_not_allowed", 405),
    Outcome("unsupported_media_type", 415),
    Outcome("precondition_failed", 412),
    Outcome("internal", 500),
)

OUTCOMES: Final = SUCCESSES | REFUSALS

# Between the scripts and their callers only; a client never sees these.
DECIDED: Final = "decided"
"""The batch was decided: one answer for each request follows."""
BEHIND: Final = "behind"
"""More is due by the clock than one call may do: advance the campaign, then ask again. Nothing was decided."""
STALE: Final = "stale"
"""The request was made with another version of the definition: load it and ask once more."""

INTERNAL: Final = (DECIDED, BEHIND, STALE)
