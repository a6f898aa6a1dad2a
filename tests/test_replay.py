"""Replay: one fold for all who ask, which goes on where the last one ended, and is bounded."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from engine import replay
from engine.clock import SystemClock
from engine.domain.events import Event
from engine.ledger.connect import connect
from engine.ledger.protocol import Ledger, Unavailable
from engine.replay import PAGE_EVENTS, Replay, TooLong
from tests.ledger.logs import BEGINS, Log, rush


class Counting:
    """A ledger whose pages are counted; it may be away."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.pages: list[tuple[str, int]] = []
        self.is_away = False

    async def events(self, campaign: str, after_seq: int, limit: int) -> list[Event]:
        self.pages.append((campaign, after_seq))
        if self.is_away:
            raise Unavailable("away")
        return await self._ledger.events(campaign, after_seq, limit)


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Ledger]:
    opened = connect(database_url)
    await opened.open()
    await opened.migrate()
    yield opened
    await opened.close()


async def record(ledger: Ledger, log: Log, after: int = 0) -> None:
    await ledger.register(log.campaign, "u", "o", "http", BEGINS)
    await ledger.record(log.campaign, 1, after, log.entries[after:])


def replayed(ledger: Ledger, events_max: int = 10_000) -> tuple[Replay, Counting]:
    counting = Counting(ledger)
    return Replay(counting, SystemClock(), events_max), counting  # type: ignore[arg-type]


async def test_those_who_ask_at_once_share_a_fold(ledger: Ledger) -> None:
    log = rush(3 * PAGE_EVENTS)
    await record(ledger, log)
    folds, counting = replayed(ledger)
    found = await asyncio.gather(*(folds.fold(log.campaign) for _ in range(50)))
    assert {id(history) for history in found} == {id(folds.known(log.campaign))}
    assert found[0].seq == log.seq
    assert [after for _, after in counting.pages] == [0, 250, 500, 750]


async def test_a_fold_goes_on_where_the_last_one_ended(ledger: Ledger) -> None:
    log = rush(100)
    await record(ledger, log)
    folds, counting = replayed(ledger)
    history = await folds.fold(log.campaign)
    log.cancelled(log.enrolled("m-new").header.enrollment)
    await record(ledger, log, 100)
    assert await folds.fold(log.campaign) is history
    assert (history.seq, counting.pages) == (102, [(log.campaign, 0), (log.campaign, 100)])


async def test_who_goes_away_does_not_end_it(ledger: Ledger) -> None:
    log = rush(3 * PAGE_EVENTS)
    await record(ledger, log)
    folds, counting = replayed(ledger)
    hasty, patient = (asyncio.ensure_future(folds.fold(log.campaign)) for _ in range(2))
    await asyncio.sleep(0)
    hasty.cancel()
    assert (await patient).seq == log.seq
    assert len(counting.pages) == 4


async def test_a_ledger_that_is_away(ledger: Ledger) -> None:
    log = rush(10)
    await record(ledger, log)
    folds, counting = replayed(ledger)
    counting.is_away = True
    with pytest.raises(Unavailable):
        await folds.fold(log.campaign)
    counting.is_away = False
    assert (await folds.fold(log.campaign)).seq == 10


async def test_a_log_that_is_too_long_is_given_up_once(ledger: Ledger) -> None:
    log = rush(300)
    await record(ledger, log)
    folds, counting = replayed(ledger, events_max=200)
    for _ in range(2):
        with pytest.raises(TooLong):
            await folds.fold(log.campaign)
    assert len(counting.pages) == 1
    assert folds.known(log.campaign) is None


async def test_the_least_recently_asked_for_is_forgotten_first(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "KEPT_EVENTS_MAX", 150)
    logs = []
    for name in ("a", "b", "c"):
        log = Log(name)
        log.published()
        for number in range(99):
            log.enrolled(f"m-{number}")
        await record(ledger, log)
        logs.append(log)
    folds, _ = replayed(ledger)
    for name in ("a", "b", "a", "c"):
        assert (await folds.fold(name)).seq == 100
    # At most the bound, and one more that is being folded.
    assert [name for name in ("a", "b", "c") if folds.known(name)] == ["a", "c"]
