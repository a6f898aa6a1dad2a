"""Invitation codes as those who manage an offering see them."""

from collections.abc import Sequence

from msgspec import Struct

from api.views.values import Count, Moment
from engine.domain.definition import milliseconds
from engine.domain.instants import iso
from engine.domain.invitation import Terms
from engine.invitations import Listed, Secret


class Code(Struct, frozen=True):
    """An invitation code, as everybody but its holder knows it."""

    id: str
    pool: str
    uses: Count
    """How many enrollments it is good for at a time."""
    used: Count
    """How many enrollments that are not over came in by it."""
    member: str | None
    """Whose it is; null for whoever has it."""
    expires: Moment | None
    revoked: bool


class CodeList(Struct, frozen=True):
    """A page of invitation codes in the order of issue; `next` is the cursor of the page after it."""

    codes: list[Code]
    next: str | None


class IssuedCode(Struct, frozen=True):
    """An invitation code as it is handed out, and the id by which it is listed and revoked."""

    code: str
    id: str


class IssuedCodes(Struct, frozen=True):
    """Invitation codes that were issued just now, all alike. They are not kept: this is the only time to read them."""

    codes: list[IssuedCode]
    pool: str
    uses: Count
    member: str | None
    expires: Moment | None


def code(listed: Listed) -> Code:
    """An invitation code as those who manage it see it."""
    entry = listed.entry
    return Code(
        id=listed.id,
        pool=entry.pool,
        uses=entry.uses,
        used=entry.used,
        member=entry.member or None,
        expires=iso(entry.expires_at) if entry.expires_at else None,
        revoked=bool(entry.revoked),
    )


def issued_codes(terms: Terms, secrets: Sequence[Secret]) -> IssuedCodes:
    """Codes as they are handed out."""
    return IssuedCodes(
        codes=[IssuedCode(secret.code, secret.id) for secret in secrets],
        pool=terms.pool,
        uses=terms.uses,
        member=terms.member,
        expires=iso(milliseconds(terms.expires)) if terms.expires else None,
    )
