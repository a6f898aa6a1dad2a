"""The verb that makes a state anew: it gives up the state that was shut and no other; only its own epoch fills it."""

from typing import Any

import pytest

from engine.live import keys
from tests.stand import CAMPAIGN, Stand, campaign

META = keys.of(CAMPAIGN, "META")


async def restore(stand: Stand, *arguments: str) -> str:
    """Call the verb; its status."""
    (status, *_) = await stand.runtime.server.call("restore", CAMPAIGN, arguments)
    return str(status.decode())


async def everything(stand: Stand) -> dict[str, Any]:
    client = stand.administrator
    return {part: await client.dump(keys.of(CAMPAIGN, part)) for part in keys.PARTS}


async def set_gate(stand: Stand, gate: str) -> str:
    """Publish, sign one up, and set the gate; the epoch-seq of the state."""
    await stand.publish(campaign())
    await stand.sign_up("m1")
    await stand.administrator.hset(META, "gate", gate)
    state = await stand.runtime.streams.state(CAMPAIGN)
    assert state is not None
    return f"{state.epoch}-{state.seq}"


@pytest.mark.parametrize(
    ("gate", "epoch", "seen"),
    [
        ("open", "2", "1-3"),  # somebody has opened it again
        ("closed", "2", "1-2"),  # something was decided since
        ("closed", "2", ""),  # there was no state when it was looked at
        ("closed", "1", "1-3"),  # of the same epoch
        ("rebuilding", "1", "1-3"),
    ],
)
async def test_a_state_that_is_another_is_not_given_up(
    stand: Stand, gate: str, epoch: str, seen: str
) -> None:
    assert await set_gate(stand, gate) == "1-3"
    before = await everything(stand)
    assert await restore(stand, "begin", epoch, seen, "epoch", epoch, "seq", "3") == "not_ready"
    assert await everything(stand) == before


@pytest.mark.parametrize("gate", ["closed", "new", "rebuilding"])
async def test_a_state_that_was_shut_is_given_up_whole(stand: Stand, gate: str) -> None:
    seen = await set_gate(stand, gate)
    # Also one that another rebuild has begun in the tenth epoch is of an earlier one than the eleventh.
    await stand.administrator.hset(META, "epoch", 9)
    seen = f"9-{seen.partition('-')[2]}"
    assert await restore(stand, "begin", "10", seen, "epoch", "10", "seq", "3") == "decided"
    assert await stand.administrator.hgetall(META) == {
        b"epoch": b"10",
        b"seq": b"3",
        b"gate": b"rebuilding",
    }
    assert {part for part, dumped in (await everything(stand)).items() if dumped} == {"META"}


@pytest.mark.parametrize(
    ("gate", "epoch"),
    [("rebuilding", "2"), ("rebuilding", "10"), ("closed", "1"), ("open", "1"), ("new", "1")],
)
@pytest.mark.parametrize(
    "step", [("fill", "COUNTS", "waiting/soap", "1"), ("end", "", "promote/soap")], ids=["fill", "end"]
)
async def test_a_state_of_another_rebuild_is_left_alone(
    stand: Stand, gate: str, epoch: str, step: tuple[str, ...]
) -> None:
    await set_gate(stand, gate)
    before = await everything(stand)
    assert await restore(stand, step[0], epoch, *step[1:]) == "not_ready"
    assert await everything(stand) == before


async def test_pieces_fill_hashes_and_sorted_sets_and_the_end_shuts_the_gate(stand: Stand) -> None:
    client = stand.administrator
    assert await restore(stand, "begin", "2", "", "epoch", "2", "seq", "3") == "decided"
    many = [word for number in range(2_000) for word in (f"m{number}", "x")]
    assert await restore(stand, "fill", "2", "MEMBERS", *many) == "decided"
    for part in ("FREE", "WAITING", "QUEUES", "TIMERS"):
        assert await restore(stand, "fill", "2", part, "0", "soap") == "decided"
        assert await client.zrange(keys.of(CAMPAIGN, part), 0, -1) == [b"soap"]
    assert await client.hlen(keys.of(CAMPAIGN, "MEMBERS")) == 2_000
    assert await restore(stand, "end", "2", "", "promote/soap") == "decided"
    assert await client.hget(META, "gate") == b"closed"
    assert await client.zrange(keys.of(CAMPAIGN, "TIMERS"), 0, -1) == [b"soap", b"promote/soap"]
    assert await restore(stand, "end", "2", "") == "not_ready"
