"""The gate of a campaign, on each line of Redis: who may move it, and how a campaign stands behind it."""

import pytest

from engine.live import keys
from tests.stand import CAMPAIGN, Stand, campaign, offering


async def move(
    stand: Stand, epoch: int, seq: int, wanted: str = "open", moved: str = "closed"
) -> tuple[str, str]:
    """What the verb answers, and how the gate is then."""
    server = stand.runtime.server
    status, *_ = await server.call("gate", CAMPAIGN, [str(epoch), str(seq), wanted, moved])
    gate = await server.client.hget(keys.of(CAMPAIGN, "META"), "gate")
    return status.decode(), (gate or b"").decode()


@pytest.mark.parametrize(
    ("epoch", "seq", "wanted", "expected"),
    [
        (1, 2, "open", ("decided", "closed")),
        (1, 0, "open", ("decided", "closed")),
        (1, 3, "open", ("not_ready", "open")),
        (2, 2, "open", ("not_ready", "open")),
        (0, 2, "open", ("not_ready", "open")),
        (1, 2, "new", ("decided", "open")),
    ],
)
async def test_moves_for_a_ledger_that_knows_no_more_than_redis(
    stand: Stand, epoch: int, seq: int, wanted: str, expected: tuple[str, str]
) -> None:
    await stand.publish(campaign(offering()))
    assert len(await stand.log()) == 2
    assert await move(stand, epoch, seq, wanted) == expected


async def test_there_is_none_where_there_is_no_campaign(stand: Stand) -> None:
    assert await move(stand, 1, 0) == ("not_ready", "")
    assert await stand.runtime.server.call("standing", CAMPAIGN, ["1", "0"]) == [b"not_ready"]


async def test_standing_counts_what_is_there_also_behind_a_shut_gate(stand: Stand) -> None:
    tea = offering("tea", pools=[{"pool": "open", "capacity": 1}], waitlist={"size_max": 9})
    await stand.publish(campaign(offering(), tea))
    for member in ("m1", "m2"):
        await stand.sign_up(member)
        await stand.sign_up(member, "tea")
    await move(stand, 1, 0)
    seq = len(await stand.log())
    assert seq == 7
    answer = await stand.runtime.server.call("standing", CAMPAIGN, ["1", str(seq)])
    assert answer == [b"decided", b"closed", b"1", 1, seq, 3, 1, seq, b"", 0, 0, 0, seq]
    pending = (await stand.runtime.server.call("standing", CAMPAIGN, ["1", str(seq - 1)]))[8]
    assert 0 <= int(float(pending)) < 60_000
