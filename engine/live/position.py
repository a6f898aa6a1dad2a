"""Where a campaign's log stands on one server: what tells whether it goes on from what was recorded."""

from msgspec import Struct

from engine.live import keys, scripts
from engine.live.server import Ask
from engine.live.streams import Entry, State, entry_of


class Position(Struct, frozen=True):
    """A campaign's state, and its stream around an id."""

    state: State
    entry: Entry | None
    """The entry with the id."""
    first: bytes | None
    """The id of the first entry in the stream, None while it has none."""


async def read(ask: Ask, campaign: str, entry_id: bytes) -> Position | None:
    """Read it, or None for a campaign without a state."""
    meta, stream = keys.of(campaign, "META"), keys.of(campaign, "EVENTS")
    epoch, seq, version, gate = await ask(meta, "HMGET", meta, "epoch", "seq", "version", "gate")
    if None in (epoch, seq, version, gate):
        return None
    found = await ask(stream, "XRANGE", stream, entry_id, entry_id)
    first = await ask(stream, "XRANGE", stream, "-", "+", "COUNT", 1)
    state = State(int(epoch), int(seq), int(version), gate.decode())
    return Position(state, entry_of(found), first[0][0] if first else None)


async def close(ask: Ask, campaign: str, epoch: int) -> None:
    """Close the campaign's gate, if it is open."""
    gate, names = scripts.load("gate"), keys.campaign_keys(campaign)
    await ask(names[0], "EVAL", gate.source, len(names), *names, str(epoch), "0", "open", "closed")
