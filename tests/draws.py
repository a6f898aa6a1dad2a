"""Ballots for tests: entries, the close, the draw, and what must agree after it."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec

from engine.audit import Audit
from engine.domain.draw import Draw
from engine.drawing import Drawing
from engine.live.decisions import Decision
from engine.workers.recorder import Recorder
from tests.stand import CAMPAIGN, Stand, at, campaign, offering

CLOSES = at(days=1)


def ballot(name: str = "soap", *, capacity: int = 2, **changed: Any) -> dict[str, Any]:
    """A ballot that takes entries now."""
    pools = [{"pool": "open", "capacity": capacity}]
    return offering(name, **{"policy": {"name": "ballot"}, "pools": pools, "closes": CLOSES} | changed)


async def enter(stand: Stand, member: str, name: str = "soap", wish: int = 0, key: str = "") -> Decision:
    decision = await stand.sign_up(member, name, key=key, wish=wish)
    assert decision.outcome == "entered", decision
    return decision


async def close(stand: Stand, *offerings: dict[str, Any], **changed: Any) -> None:
    """Publish the same campaign with sign-up closed a moment ago."""
    now = at(seconds=-0.001)
    closed = [each | {"closes": now} for each in offerings]
    await stand.publish(campaign(*closed, **changed))


async def drawn(stand: Stand, number: int = 1) -> Draw:
    """Hold the next draw, and return what is published."""
    assert await stand.runtime.drawing.draw_if_due(CAMPAIGN)
    file = await stand.runtime.drawing.read(CAMPAIGN, number)
    assert file is not None
    return msgspec.json.decode(file, type=Draw)


async def record(stand: Stand) -> None:
    """Bring all events into the ledger."""
    opened = stand.runtime
    await Recorder(opened.server, opened.streams, opened.ledger, opened.clock, 100_000).close()


async def agrees(stand: Stand) -> None:
    """The audit finds nothing."""
    await record(stand)
    opened = stand.runtime
    result = await Audit(opened.server, opened.ledger, opened.clock, CAMPAIGN, 5).run()
    assert (result.differences, result.notes) == ([], [])


async def statuses(stand: Stand, *entries: Decision) -> list[str]:
    found = [await stand.decisions.find(CAMPAIGN, entry.enrollment) for entry in entries]
    return [each.record.status if each.record else each.outcome for each in found]


Hook: TypeAlias = Callable[[str, tuple[Any, ...]], Awaitable[None]]


class Hooked:
    """Decisions of which something follows each call of a verb."""

    def __init__(self, decisions: Any, hook: Hook) -> None:
        self._decisions = decisions
        self._hook = hook

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decisions, name)

    async def command(self, verb: str, campaign: str, *args: Any) -> Any:
        """As Decisions.command."""
        answer = await self._decisions.command(verb, campaign, *args)
        await self._hook(verb, args)
        return answer


def drawing(stand: Stand, hook: Hook) -> Drawing:
    """Draws, with a hook."""
    opened = stand.runtime
    decisions: Any = Hooked(opened.decisions, hook)
    return Drawing(opened.server, opened.ledger, decisions, opened.clock, lambda: 1_000_000)
