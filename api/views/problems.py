"""Problem details: what every refusal is."""

from msgspec import UNSET, Struct, UnsetType

from api.views.values import Count, Moment


class ProblemError(Struct, frozen=True):
    """One bad path of a request: a JSON Pointer into the body, or the name of a header or parameter."""

    path: str
    code: str
    detail: str


class Problem(Struct, frozen=True):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[ProblemError] | UnsetType = UNSET
    """Of `invalid`: every bad path."""
    as_of_seq: Count | UnsetType = UNSET
    """Of a refusal by the engine: the last seq of the campaign when it was decided."""
    opens_at: Moment | UnsetType = UNSET
    """Of `not_open`."""
    offering: str | UnsetType = UNSET
    """Of `overlap`: the other offering."""
    per: str | UnsetType = UNSET
    """Of `limit_reached`: which limit, campaign or day."""
    reason: str | UnsetType = UNSET
    """Of `not_eligible`: why the invitation code opens nothing.

    `code_unknown` (also for a code of another offering, pool or member), `code_revoked`, `code_expired` or
    `code_used_up`.
    """
    request_id: str | UnsetType = UNSET
    """Of `internal`: what to quote."""
