"""Gates: whether each campaign decides, read at a glance."""

import asyncio
from collections.abc import Sequence
from typing import Final

from engine.live import keys
from engine.live.server import NothingRan, Server

LOOKED_AT_ONCE: Final = 64

LOST: Final = "lost"
"""Of a campaign whose state is not in Redis; else what META says: new, open, closed, rebuilding."""


async def read(server: Server, campaigns: Sequence[str]) -> dict[str, str]:
    """The gate of each campaign, by name; one whose shard does not answer is left out.

    Raises NothingRan when none answers.
    """
    found: dict[str, str] = {}
    failures: list[NothingRan] = []
    for first in range(0, len(campaigns), LOOKED_AT_ONCE):
        names = campaigns[first : first + LOOKED_AT_ONCE]
        answers = await asyncio.gather(*(_gate(server, name) for name in names))
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, NothingRan):
                failures.append(answer)
            else:
                found[name] = answer
    if failures and not found:
        raise failures[0]
    return found


async def _gate(server: Server, campaign: str) -> str | NothingRan:
    """A failure is returned: other campaigns may be on other shards."""
    meta = keys.of(campaign, "META")
    try:
        gate = await server.command(meta, "HGET", meta, "gate")
    except NothingRan as error:
        return error
    return LOST if gate is None else gate.decode()
