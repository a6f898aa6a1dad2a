"""`codes`: issue, list and revoke invitation codes."""

import sys
from datetime import datetime
from typing import Final

from engine.commands import apply
from engine.config import Settings
from engine.domain import faults, relative_time, shapes
from engine.domain.faults import Fault
from engine.domain.instants import iso
from engine.domain.invitation import Terms
from engine.invitations import Listed
from engine.runtime import Runtime, open_runtime

PAGE_CODES: Final = 1_000


async def issue(settings: Settings, campaign: str, offering: str, asked: dict[str, object]) -> int:
    """Issue codes and print a line for each, the code and its id: 0, or 1 when they are refused.

    `asked` has the fields of domain/invitation.Terms; `expires` may be a distance from now.
    """
    now = datetime.now().astimezone()
    raw = {
        field: relative_time.instant(value, now) if field == "expires" and isinstance(value, str) else value
        for field, value in asked.items()
        if value is not None
    }
    terms = shapes.convert(Terms, raw)
    if isinstance(terms, list):
        return _refused(terms)
    async with open_runtime(settings) as runtime:
        issued = await runtime.invitations.issue(campaign, offering, terms, apply.actor(), apply.CHANNEL)
    if isinstance(issued, str):
        return _refused(issued)
    if issued.faults:
        return _refused(issued.faults)
    for secret in issued.secrets:
        print(f"{secret.code}  {secret.id}")
    return 0


async def listing(settings: Settings, campaign: str, offering: str) -> int:
    """Print a line for each code of an offering, in the order of issue: 0, or 1 when it is refused."""
    async with open_runtime(settings) as runtime:
        return await _print_all(runtime, campaign, offering)


async def _print_all(runtime: Runtime, campaign: str, offering: str) -> int:
    after = 0
    while True:
        page = await runtime.invitations.page(campaign, offering, PAGE_CODES, after)
        if isinstance(page, str):
            return _refused(page)
        for each in page:
            print(_line(each))
        if len(page) < PAGE_CODES:
            return 0
        after += len(page)


async def revoke(settings: Settings, campaign: str, offering: str, code: str) -> int:
    """Revoke a code by its id, and print it as `listing` does: 0, or 1 when it is refused."""
    async with open_runtime(settings) as runtime:
        revoked = await runtime.invitations.revoke(campaign, offering, code, apply.actor(), apply.CHANNEL)
    if isinstance(revoked, str):
        return _refused(revoked)
    print(_line(revoked))
    return 0


def _line(listed: Listed) -> str:
    entry = listed.entry
    words = [listed.id, entry.pool, f"{entry.used}/{entry.uses}"]
    if entry.member:
        words.append(f"member {entry.member}")
    if entry.expires_at:
        words.append(f"expires {iso(entry.expires_at)}")
    if entry.revoked:
        words.append("revoked")
    return "  ".join(words)


def _refused(why: str | list[Fault]) -> int:
    if isinstance(why, str):
        print(f"seatrush: refused: {why}", file=sys.stderr)
    else:
        for fault in why:
            print(f"seatrush: {fault.path}: {faults.text(fault, apply.language())}", file=sys.stderr)
    return 1
