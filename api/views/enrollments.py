"""Enrollments as their members see them."""

from msgspec import UNSET, Struct, UnsetType

from api.views.values import Count, Moment
from engine.domain.enrollment import Record, Status
from engine.domain.instants import iso


class Enrollment(Struct, frozen=True):
    """One member's claim on one offering. `seq` is its sign-up's and never changes; `version` counts its changes."""

    enrollment: str
    campaign: str
    offering: str
    member: str
    pool: str | None
    status: Status
    seats: list[int]
    seq: int
    version: int
    position: int | None
    expires_at: Moment | None
    decided_at: Moment
    wish: Count | UnsetType = UNSET
    """Of an entry in a draw: its rank among the member's wishes, 1 first."""


class EnrollmentList(Struct, frozen=True):
    """A page of enrollments; `next` is the cursor of the page after it."""

    enrollments: list[Enrollment]
    next: str | None


def enrollment(campaign: str, enrollment_id: str, record: Record, position: int) -> Enrollment:
    """A record as its member sees it."""
    return Enrollment(
        enrollment=enrollment_id,
        campaign=campaign,
        offering=record.offering,
        member=record.member,
        pool=record.pool or None,
        status=record.status,
        seats=[record.seat] if record.seat else [],
        seq=record.seq,
        version=record.version,
        position=position or None,
        expires_at=iso(record.expires_at) if record.expires_at else None,
        decided_at=iso(record.decided_at),
        wish=record.wish or UNSET,
    )
