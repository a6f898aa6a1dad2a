"""Epochs: a rebuild takes the next one, of two one does, and recorders of the one before are fenced off."""

import asyncio

import msgspec
import pytest

from engine.ledger.protocol import Fenced, Ledger
from tests.ledger.logs import CAMPAIGN, rush
from tests.ledger.test_conformance import record, register


async def where(ledger: Ledger) -> tuple[int, int]:
    """Epoch and seq."""
    (registration,) = await ledger.campaigns()
    return registration.epoch, registration.recorded_seq


async def test_the_next_epoch_fences_recorders_off(ledger: Ledger) -> None:
    log = rush(40)
    await register(ledger)
    await record(ledger, log)
    for elsewhere in [("unheard-of", 1, 40), (CAMPAIGN, 2, 40), (CAMPAIGN, 1, 39), (CAMPAIGN, 1, 41)]:
        assert not await ledger.begin_epoch(*elsewhere, "ops", 7)
    assert await where(ledger) == (1, 40)
    assert await ledger.begin_epoch(CAMPAIGN, 1, 40, "ops", 7)
    assert await where(ledger) == (2, 40)
    (line, *_) = await ledger.trail(CAMPAIGN, 1)
    assert (line.at, line.actor, line.action, line.detail) == (7, "ops", "rebuilt", "epoch 2 after event 40")
    late = log.enrolled("m-late", seat=9)
    with pytest.raises(Fenced):
        await ledger.record(CAMPAIGN, 1, 40, [late])
    await ledger.record(CAMPAIGN, 2, 40, [msgspec.structs.replace(late, epoch=2)])
    kept = await ledger.events(CAMPAIGN, 39, 10)
    assert [(event.epoch, event.seq) for event in kept] == [(1, 40), (2, 41)]


async def test_of_two_one_takes_it(ledger: Ledger, other: Ledger) -> None:
    await register(ledger)
    for epoch in range(1, 31):
        taken = await asyncio.gather(
            *(each.begin_epoch(CAMPAIGN, epoch, 0, "ops", 7) for each in (ledger, other))
        )
        assert sorted(taken) == [False, True]
        assert await where(ledger) == (epoch + 1, 0)


async def test_a_batch_is_before_it_or_not_at_all(ledger: Ledger, other: Ledger) -> None:
    """Whichever is first, nothing is recorded behind the seq that the new epoch begins with."""
    log = rush(120)
    await register(ledger)
    epoch = seq = 0
    while seq < 100:
        epoch, seq = await where(ledger)
        batch = [msgspec.structs.replace(event, epoch=epoch) for event in log.entries[seq : seq + 5]]
        failure, taken = await asyncio.gather(
            ledger.record(CAMPAIGN, epoch, seq, batch),
            other.begin_epoch(CAMPAIGN, epoch, seq, "ops", 7),
            return_exceptions=True,
        )
        assert (failure is None) != (taken is True), (failure, taken)
        assert await where(ledger) == ((epoch + 1, seq) if taken else (epoch, seq + 5))
        if taken:
            await ledger.record(
                CAMPAIGN, epoch + 1, seq, [msgspec.structs.replace(each, epoch=epoch + 1) for each in batch]
            )
