"""Backpressure: with too many events waiting for the ledger, what gives out is refused, what gives back goes on."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from engine.backlog import Backlog
from engine.clock import SystemClock
from engine.disk import Disk
from engine.invitations import Listed
from engine.live.decisions import Decision
from engine.live.server import NothingRan
from engine.publishing import Published
from tests.draws import ballot, close, enter
from tests.stand import CAMPAIGN, Stand, campaign, offering

POOLS: Final = [{"pool": "open", "capacity": 9}, {"pool": "guests", "capacity": 9, "codes": True}]
WAITLIST: Final = {"size_max": 9}


def fill(stand: Stand) -> None:
    stand.runtime.backlog._entries_max = 1


async def test_sales_stop_at_the_limit_and_go_on_below_it(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=POOLS)))
    stand.runtime.backlog._entries_max = 4
    asked = [await stand.sign_up(f"m{number}") for number in range(4)]
    assert [each.outcome for each in asked] == ["confirmed", "confirmed", "not_ready", "not_ready"]
    before = await stand.log()
    await stand.runtime.streams.note_recorded(CAMPAIGN, 1, 2, 0)
    assert [(await stand.sign_up(f"m{number}")).outcome for number in (2, 3, 4)] == [
        *("confirmed", "confirmed", "not_ready")
    ]
    assert len(await stand.log()) == len(before) + 2


async def test_no_more_waits_than_the_stream_has(stand: Stand) -> None:
    """A recorder of the version before trims it and tells nothing."""
    await stand.publish(campaign(offering(pools=POOLS)))
    stand.runtime.backlog._entries_max = 2
    assert (await stand.sign_up("m1")).outcome == "not_ready"
    await stand.administrator.xtrim(f"seatrush:{{{CAMPAIGN}}}:events", maxlen=1, approximate=False)
    assert (await stand.sign_up("m1")).outcome == "confirmed"


async def test_redis_is_told_and_trimmed_while_its_memory_is_full(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=POOLS)))
    client = stand.administrator
    await client.config_set("maxmemory", 1)
    try:
        assert (await stand.sign_up("m1")).outcome == "not_ready"
        await stand.runtime.streams.note_recorded(CAMPAIGN, 1, 2, 2)
        state = await stand.runtime.streams.state(CAMPAIGN)
    finally:
        await client.config_set("maxmemory", 0)
    assert state is not None
    assert state.recorded_seq == 2


@pytest.mark.parametrize(
    ("epoch", "recorded_seq"),
    [(2, 1), (1, 99)],
    ids=["of another epoch", "beyond what was decided"],
)
async def test_redis_is_not_told_what_cannot_be(stand: Stand, epoch: int, recorded_seq: int) -> None:
    await stand.publish(campaign(offering(pools=POOLS)))
    await stand.runtime.streams.note_recorded(CAMPAIGN, epoch, recorded_seq, 99)
    state = await stand.runtime.streams.state(CAMPAIGN)
    assert state is not None
    assert (state.recorded_seq, len(await stand.log())) == (0, state.seq)


async def test_what_redis_was_told_never_goes_back(stand: Stand) -> None:
    await stand.publish(campaign(offering(pools=POOLS)))
    for recorded_seq in (2, 1):
        await stand.runtime.streams.note_recorded(CAMPAIGN, 1, recorded_seq, 0)
    state = await stand.runtime.streams.state(CAMPAIGN)
    assert state is not None
    assert state.recorded_seq == 2


async def test_nothing_is_told_of_a_campaign_that_is_lost(stand: Stand) -> None:
    await stand.runtime.streams.note_recorded(CAMPAIGN, 1, 5, 0)
    assert await stand.runtime.streams.state(CAMPAIGN) is None
    assert await stand.administrator.dbsize() == 0


Ask = Callable[[Stand], Awaitable[Any]]
GIVING: Final[dict[str, Ask]] = {
    "sign up": lambda stand: stand.sign_up("m9"),
    "issue codes": lambda stand: stand.try_issue("guests"),
    "publish": lambda stand: stand.try_publish(campaign(offering(pools=POOLS), offering("tea"))),
}


@pytest.mark.parametrize("name", GIVING)
async def test_what_gives_out_is_refused_and_writes_nothing(stand: Stand, name: str) -> None:
    await stand.publish(campaign(offering(pools=POOLS)))
    fill(stand)
    before = await stand.log()
    answer = await GIVING[name](stand)
    assert (answer.outcome if isinstance(answer, Decision) else answer) == "not_ready"
    assert await stand.log() == before


async def test_what_gives_back_goes_on(stand: Stand) -> None:
    held = offering(hold_ttl_s=600, waitlist=WAITLIST, pools=[*POOLS[1:], {"pool": "open", "capacity": 3}])
    await stand.publish(campaign(held))
    [code] = await stand.issue("guests")
    places = [(await stand.sign_up(f"m{number}")).enrollment for number in range(4)]
    fill(stand)
    assert (await stand.confirm(places[0], "m0")).outcome == "changed"
    assert (await stand.decline(places[1], "m1")).outcome == "changed"
    assert (await stand.cancel(places[2], "m2")).outcome == "changed"
    assert isinstance(await stand.revoke(code), Listed)
    assert [told for told in await stand.told() if told[0] == "promoted"] == [("promoted", "confirmed")]


async def test_a_first_publication_has_nothing_that_waits(stand: Stand) -> None:
    fill(stand)
    assert isinstance(await stand.try_publish(campaign()), Published)


async def test_no_draw_begins(stand: Stand) -> None:
    await stand.publish(campaign(ballot()))
    await enter(stand, "m1")
    await close(stand, ballot())
    fill(stand)
    before = await stand.log()
    with pytest.raises(NothingRan):
        await stand.runtime.drawing.draw_if_due(CAMPAIGN)
    assert await stand.log() == before
    stand.runtime.backlog._entries_max = 1_000
    assert await stand.runtime.drawing.draw_if_due(CAMPAIGN)


async def test_a_short_disk_stops_what_gives_out_and_nothing_else(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stand.publish(campaign(offering(pools=POOLS)))
    place = (await stand.sign_up("m1")).enrollment
    monkeypatch.setattr(stand.runtime.backlog.disk, "is_short", lambda: True)
    for ask in GIVING.values():
        answer = await ask(stand)
        assert (answer.outcome if isinstance(answer, Decision) else answer) == "not_ready"
    assert (await stand.cancel(place, "m1")).outcome == "changed"
    monkeypatch.setattr(stand.runtime.backlog.disk, "is_short", lambda: False)
    assert (await stand.sign_up("m1")).outcome == "confirmed"


def test_share_of_the_limit() -> None:
    backlog = Backlog(1_000, Disk([], 1, SystemClock()))
    assert [backlog.share(pending) for pending in (0, 500, 1_000)] == [0.0, 0.5, 1.0]
