"""`forget`: erase a member from every campaign, on a deployment that runs or on one at rest."""

import re
from typing import Final

from engine.commands import apply, attachment
from engine.commands.supervisor import Failed
from engine.config import Settings
from engine.domain import chain
from engine.forgetting import Forgotten, Stopped
from engine.runtime import Runtime

_MEMBER: Final = re.compile(r"[!-~]{1,64}")


async def run(settings: Settings, member: str, *, dry_run: bool, wait_s: float) -> int:
    """Forget and print what was done, without the member's id: 0, or 1 when it could not be done everywhere.

    Raises supervisor.Failed for what is no member's id and where there is no deployment.
    """
    if not _MEMBER.fullmatch(member) or chain.is_forgotten(member):
        raise Failed("MEMBER: 1 to 64 visible ASCII characters are expected, not a stand-in")
    async with attachment.attached(settings) as runtime:
        names = [registration.campaign for registration in await runtime.ledger.campaigns()]
        if dry_run:
            found = [await runtime.forgetter.look(name, member) for name in (*names, "")]
            _print(found, "would be ")
            return 0
        done, failed = [], 0
        for name in (*names, ""):
            try:
                done.append(
                    await runtime.forgetter.forget(name, member, apply.actor(), apply.CHANNEL, wait_s)
                )
            except Stopped as reason:
                failed = 1
                print(f"{name}: not forgotten: {reason}; run it again")
        _print(done, "")
        await _scrub(runtime)
    return failed


def _print(found: list[Forgotten], would: str) -> None:
    for each in found:
        if not each.is_nothing:
            print(
                f"{each.campaign or 'no campaign'}: {each.enrollments} enrollments {would}forgotten, "
                f"{each.cancelled} of them {would}cancelled; {each.events} events, {each.shares} draws, "
                f"{each.results} results, {each.acts} acts"
            )
    if all(each.is_nothing for each in found):
        print("nothing is known of this member")


async def _scrub(runtime: Runtime) -> None:
    for note in await runtime.forgetter.scrub():
        print(f"note: {note}")
