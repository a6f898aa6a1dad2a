"""Continuity: when a log in Redis is the one that the ledger has recorded."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.continuity import Continuity, breach
from engine.ledger.protocol import Registration
from engine.live.position import Position
from engine.live.streams import Entry, State
from engine.workers.recorder import Recorder
from tests.stand import CAMPAIGN, Stand, campaign, offering, open_stand

FIELDS = {b"h": b"anna"}
OTHERS = {b"h": b"bert"}
LAST = Entry(b"1-7", FIELDS)
ANOTHER = Entry(b"1-7", OTHERS)


def position(
    entry: Entry | None = LAST, first: bytes | None = b"1-1", seq: int = 9, epoch: int = 1
) -> Position:
    return Position(State(epoch, seq, 1, "open"), entry, first)


@pytest.mark.parametrize(
    ("why", "found", "last", "epoch", "answered"),
    [
        ("", position(), LAST, 1, 9),
        ("", position(seq=7), LAST, 1, 7),
        ("", position(None, b"1-8"), LAST, 1, 0),
        ("", position(None, None, 7), LAST, 1, 0),
        ("", position(None, None, 7, 2), LAST, 2, 0),
        ("", position(None, b"2-8", 9, 2), LAST, 2, 0),
        ("", position(ANOTHER), None, 1, 0),
        ("at epoch 1 seq 6, the ledger at epoch 1 seq 7", position(seq=6), LAST, 1, 0),
        ("at epoch 1 seq 9, the ledger at epoch 2 seq 7", position(), LAST, 2, 0),
        ("at epoch 1 seq 6, the ledger at epoch 1 seq 7", position(seq=6), None, 1, 0),
        ("event 7 is another", position(ANOTHER), LAST, 1, 0),
        ("has no event 7, and has some before it", position(None, b"1-3"), LAST, 1, 0),
        ("at seq 9, this process has answered up to seq 10", position(), LAST, 1, 10),
    ],
)
def test_breach(why: str, found: Position, last: Entry | None, epoch: int, answered: int) -> None:
    told = breach(Registration(CAMPAIGN, "xicheng", epoch, True, 7), last, found, answered)
    assert why in told
    assert bool(why) == bool(told)


@pytest.fixture
async def stand(redis_url: str, data_directory: Path) -> AsyncIterator[Stand]:
    async with open_stand(redis_url, f"sqlite:///{data_directory}/ledger.db", data_directory) as opened:
        yield opened


def recorder(stand: Stand) -> Recorder:
    runtime = stand.runtime
    return Recorder(runtime.server, runtime.streams, runtime.ledger, runtime.clock, 1)


async def sold(stand: Stand) -> None:
    """A campaign with some events, all of them recorded."""
    await stand.publish(campaign(offering(pools=[{"pool": "open", "capacity": 9}])))
    await stand.sign_up("anna")
    await recorder(stand).close()


async def registered(stand: Stand) -> Registration:
    (registration,) = await stand.runtime.ledger.campaigns()
    return registration


async def test_a_campaign_that_is_closed_is_told_once(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    await sold(stand)
    continuity, ask = Continuity(stand.runtime.ledger), stand.runtime.server.command
    assert await continuity.holds(ask, await registered(stand))
    await stand.administrator.hset("seatrush:{autumn}:meta", "seq", 1)
    for _ in range(2):
        assert not await continuity.holds(ask, await registered(stand))
    assert len(caplog.records) == 1
    assert (await stand.sign_up("bert")).outcome == "not_ready"


async def test_after_a_rebuild_what_was_answered_before_does_not_count(stand: Stand) -> None:
    await sold(stand)
    ask, registration = stand.runtime.server.command, await registered(stand)
    answered = {CAMPAIGN: (1, registration.recorded_seq + 1)}
    continuity = Continuity(stand.runtime.ledger, answered)
    assert not await continuity.holds(ask, registration)
    client = stand.administrator
    await client.hset("seatrush:{autumn}:meta", mapping={"epoch": 2, "gate": "open"})
    await client.delete("seatrush:{autumn}:events")
    rebuilt = Registration(CAMPAIGN, "xicheng", 2, True, registration.recorded_seq)
    assert await continuity.holds(ask, rebuilt)
    answered[CAMPAIGN] = (2, registration.recorded_seq + 1)
    assert not await continuity.holds(ask, rebuilt)


async def test_a_campaign_that_is_lost_is_left_as_it_is(stand: Stand) -> None:
    await sold(stand)
    await stand.administrator.flushall()
    assert await Continuity(stand.runtime.ledger).holds(stand.runtime.server.command, await registered(stand))


async def test_a_new_epoch_goes_on_from_the_old_one(stand: Stand, data_directory: Path) -> None:
    await sold(stand)
    seq = (await registered(stand)).recorded_seq
    # As a rebuild leaves it: the next epoch, an empty stream, the same seq.
    with closing(sqlite3.connect(data_directory / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE campaigns SET epoch = 2")
    client = stand.administrator
    await client.hset("seatrush:{autumn}:meta", "epoch", 2)
    await client.delete("seatrush:{autumn}:events")
    by = recorder(stand)
    for number, member in enumerate(("bert", "carl"), start=1):
        assert (await stand.sign_up(member)).outcome == "confirmed"
        await by.run_once()
        assert (await registered(stand)).recorded_seq == seq + number
    assert [event.epoch for event in await stand.runtime.ledger.events(CAMPAIGN, seq - 1, 9)] == [1, 2, 2]
