"""`audit`: compare Redis with the ledger, on a deployment that runs or on one at rest."""

from collections.abc import Sequence
from typing import Any

import msgspec

from engine import audit
from engine.audit import Audit, Result
from engine.commands import attachment
from engine.commands.supervisor import Failed
from engine.config import Settings


async def run(settings: Settings, campaigns: Sequence[str], *, wait_s: float, as_json: bool) -> int:
    """Print what was found of the campaigns, all when none is named; 0 when all agree, 1 when one does not.

    Raises supervisor.Failed for a campaign that nobody knows and where there is no deployment.
    """
    async with attachment.attached(settings) as runtime:
        known = await audit.known(runtime.server, runtime.ledger)
        for name in campaigns:
            if name not in known:
                raise Failed(f"campaign {name}: neither the ledger nor Redis knows it")
        results = [
            await Audit(runtime.server, runtime.ledger, runtime.clock, name, wait_s).run()
            for name in dict.fromkeys(campaigns or known)
        ]
    agree = not any(result.differences for result in results)
    if as_json:
        print(msgspec.json.encode({"agree": agree, "campaigns": [_plain(each) for each in results]}).decode())
    else:
        for result in results:
            _print(result)
    return 0 if agree else 1


def _plain(result: Result) -> dict[str, Any]:
    return {
        "campaign": result.campaign,
        "agree": not result.differences,
        "seq": result.seq,
        "recorded_seq": result.recorded_seq,
        "enrollments": result.enrollments,
        "differences": result.differences,
        "notes": result.notes,
    }


def _print(result: Result) -> None:
    for difference in result.differences:
        print(f"{' '.join(filter(None, (result.campaign, difference.subject)))}: {difference.what}")
    if not result.differences:
        print(
            f"{result.campaign}: agrees, {result.enrollments} enrollments, "
            f"seq {result.seq}, recorded {result.recorded_seq}"
        )
    for note in result.notes:
        print(f"{result.campaign}: note: {note}")
