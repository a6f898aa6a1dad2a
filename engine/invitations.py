"""Invitations: codes that open a pool to their holders are issued, listed and revoked.

A code is told once, to whoever has it issued. Redis, the log and the ledger know its id alone.
"""

import re
import secrets
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from engine.domain import invitation, outcome
from engine.domain.definition import milliseconds
from engine.domain.events import Issue
from engine.domain.faults import Fault
from engine.domain.invitation import Terms
from engine.live import codes
from engine.live.codes import Entry
from engine.live.decisions import Decisions
from engine.live.server import Server

_encode = msgspec.msgpack.Encoder().encode

_FAULTS: Final = {
    "pool": Fault("/pool", "takes_no_codes"),
    "expires": Fault("/expires", "not_to_come"),
    "codes": Fault("/codes", "too_many_codes", {"max": invitation.PER_OFFERING_MAX}),
}
"""By what engine/lua/issue.lua says."""


class Secret(Struct, frozen=True):
    """A code that was issued just now, as it is handed out."""

    code: str
    id: str


class Issued(Struct, frozen=True):
    """What became of codes that were to be issued: the codes, or what is wrong."""

    secrets: list[Secret] = []
    faults: list[Fault] = []


class Listed(Struct, frozen=True):
    """A code as everybody but its holder knows it."""

    id: str
    entry: Entry


class Invitations:
    """The invitation codes of all campaigns. Every method raises NothingRan or Unknown.

    Refusals are the codes of the outcome table: `not_found`, or `not_ready` when the campaign's state is closed or
    not in Redis.
    """

    def __init__(self, server: Server, decisions: Decisions, backlog_entries_max: Callable[[], int]) -> None:
        self._server = server
        self._decisions = decisions
        self._backlog_entries_max = backlog_entries_max

    async def issue(
        self, campaign: str, offering: str, terms: Terms, actor: str, channel: str
    ) -> Issued | str:
        """Issue codes: they are returned here and can never be read again."""
        made = [_secret(campaign) for _ in range(terms.codes)]
        expires_at = milliseconds(terms.expires) if terms.expires else 0
        issued = Issue(terms.uses, terms.member or "", expires_at, [each.id for each in made])
        status, facts = await self._decisions.command(
            *("issue", campaign, offering, terms.pool, _encode(issued)),
            *(invitation.PER_OFFERING_MAX, actor, channel, self._backlog_entries_max()),
        )
        if status == "invalid":
            return Issued(faults=[_FAULTS[facts[0].decode()]])
        if status != outcome.DECIDED:
            return status
        self._decisions.hear(campaign, facts[0])
        return Issued(made)

    async def revoke(self, campaign: str, offering: str, code: str, actor: str, channel: str) -> Listed | str:
        """Revoke a code by its id; enrollments that came in by it stay. Again, it changes nothing."""
        if not re.fullmatch(invitation.ID_PATTERN, code):
            return "not_found"
        status, facts = await self._decisions.command("revoke", campaign, offering, code, actor, channel)
        if status != outcome.DECIDED:
            return status
        self._decisions.hear(campaign, facts[0])
        return _listed(code, facts[1])

    async def page(self, campaign: str, offering: str, limit: int, after: int = 0) -> list[Listed] | str:
        """Up to `limit` codes of an offering after the first `after` of them, in the order of issue."""
        status, facts = await self._decisions.command("codes", campaign, offering, after, limit)
        if status != outcome.DECIDED:
            return status
        [found] = facts
        return [_listed(name.decode(), packed) for name, packed in zip(found[::2], found[1::2], strict=True)]


def _secret(campaign: str) -> Secret:
    code = invitation.write(secrets.randbits(invitation.BITS))
    return Secret(code, invitation.identify(campaign, code))


def _listed(name: str, packed: bytes) -> Listed:
    entry = codes.decode(packed)
    assert entry, "the scripts write entries"
    return Listed(name, entry)
