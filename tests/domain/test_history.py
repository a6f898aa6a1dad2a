"""Histories: every question as of any seq, against the state that the log leaves behind at that seq."""

from collections.abc import Sequence

import msgspec
import pytest

from engine.domain import history as history_module
from engine.domain.enrollment import LIVE, SEATED, Record
from engine.domain.events import SCHEMA, Event, EventType, Header
from engine.domain.history import NO_DRAW, Draw, History
from engine.ledger.protocol import DeadLetter
from tests.ledger.logs import POOLS, Log, ballot, rush


def folded(log: Log) -> History:
    history = History()
    for entry in log.entries:
        if isinstance(entry, Event):
            history.apply(entry)
    return history


def state(entries: Sequence[Event | DeadLetter], seq: int) -> dict[str, Record]:
    return {
        entry.header.enrollment: entry.record
        for entry in entries[:seq]
        if isinstance(entry, Event) and entry.record
    }


@pytest.mark.parametrize("log", [rush(400), rush(400, seed=2), ballot(60), ballot(60, seed=2)])
def test_as_of_every_seq(log: Log) -> None:
    history = folded(log)
    assert history.seq == log.seq
    for seq in range(1, log.seq + 1):
        records = state(log.entries, seq)
        for offering in {of for of, _ in POOLS}:
            here = [record for record in records.values() if record.offering == offering]
            waiting = sorted(record.order for record in here if record.status == "waitlisted")
            assert history.waiting(offering, seq) == len(waiting)
            assert history.entered(offering, seq) == sum(record.status == "entered" for record in here)
            assert history.sign_ups(offering, seq) == len(here)
        for offering, pool in POOLS:
            taken = [
                record
                for record in records.values()
                if (record.offering, record.pool) == (offering, pool) and record.status in SEATED
            ]
            assert history.taken(offering, pool, seq) == len(taken)
        for record in records.values():
            is_live = record.status in LIVE or record.status == "entered"
            assert history.live_status(record.seq, seq) == (record.status if is_live else None)


@pytest.mark.parametrize("log", [rush(400), ballot(60)])
def test_who_waits_ahead_as_the_log_grows(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "QUEUE_BLOCK", 4)
    history = History()
    for seq, entry in enumerate(log.entries, 1):
        assert isinstance(entry, Event)
        history.apply(entry)
        waiting: dict[str, list[int]] = {}
        for record in state(log.entries, seq).values():
            if record.status == "waitlisted":
                waiting.setdefault(record.offering, []).append(record.order)
        for offering, orders in waiting.items():
            assert [history.ahead(offering, order) for order in sorted(orders)] == list(range(len(orders)))


def test_the_last_seat_given_is_not_one_that_was_given_back() -> None:
    log = Log()
    log.published()
    first = log.enrolled("m1", seat=1)
    second = log.enrolled("m2", seat=2)
    left = log.cancelled("e-2")
    history = folded(log)
    assert [history.last_given("soap", "open", seq) for seq in range(1, 5)] == [
        0,
        first.seq,
        second.seq,
        second.seq,
    ]
    assert [history.taken("soap", "open", seq) for seq in (second.seq, left.seq)] == [2, 1]
    assert history.last_given("soap", "nowhere", 4) == history.taken("nowhere", "open", 4) == 0


def of_campaign(
    history: History, kind: EventType, offering: str, number: int, document: object = None
) -> None:
    """An event of the campaign itself."""
    header = Header(SCHEMA, kind, 1, "system", "engine", offering=offering, version=number)
    fields = {b"d": msgspec.json.encode(document)} if document else {}
    history.apply(Event("c", 1, history.seq + 1, header, None, fields))


def test_versions_and_draws() -> None:
    soap = {"offering": "soap", "opens": "2026-11-28T10:00:00+08:00", "closes": "2026-11-29T10:00:00+08:00"}
    graced = soap | {"policy": {"name": "first_come", "grace_s": 60}}
    history = History()
    of_campaign(history, "published", "", 1, {"offerings": [graced]})
    of_campaign(history, "draw_began", "soap", 1)
    of_campaign(history, "draw_ended", "soap", 1)
    # It would still collect, and then no more; later it may have another draw.
    of_campaign(history, "published", "", 2, {"offerings": [graced]})
    of_campaign(history, "published", "", 3, {"offerings": [soap]})
    of_campaign(history, "draw_began", "soap", 2)
    assert [history.version(seq) for seq in range(7)] == [0, 1, 1, 1, 2, 3, 3]
    assert [history.draw("soap", seq) for seq in range(7)] == [
        NO_DRAW,
        NO_DRAW,
        Draw(1),
        Draw(1, is_over=True),
        Draw(1, is_over=True),
        NO_DRAW,
        Draw(2),
    ]
    assert history.draw("paper", 6) == NO_DRAW
    assert [each.is_settling for each in (NO_DRAW, Draw(1), Draw(1, is_over=True))] == [False, True, False]


def test_a_dead_letter_changes_nothing() -> None:
    log = Log()
    log.published()
    log.enrolled("m1", seat=1)
    log.dead({b"x": b""}, "not an event")
    log.enrolled("m2", seat=2)
    history = folded(log)
    assert [history.taken("soap", "open", seq) for seq in range(1, 5)] == [0, 1, 1, 2]
    assert history.at(3) == history.at(2)
    assert history.changes(3) == []
    assert history.cause(3) == 3


def test_what_is_lost_between_is_made_up_for_by_the_next_record() -> None:
    """The promotion of e-3 is a dead letter; its cancellation says what it had become."""
    log = Log()
    log.published()
    log.enrolled("m1", seat=1)
    log.enrolled("m2")
    log.cancelled("e-2")
    log.dead({b"x": b""}, "not an event")
    log.cancelled("e-3")
    history = folded(log)
    assert (history.waiting("soap", 6), history.taken("soap", "open", 6)) == (0, 0)
    assert history.changes(3) == [3, 6]


def test_the_cause_of_a_run_of_promotions_is_what_was_right_before() -> None:
    log = Log()
    log.published()
    for number in range(3):
        log.enrolled(f"m{number}")
    log.published({("soap", "open"): 12}, version=2)
    for seat, enrollment in enumerate(("e-2", "e-3"), 1):
        log.changed("promoted", enrollment, "confirmed", "open", seat)
    history = folded(log)
    assert [history.cause(seq) for seq in (6, 7)] == [5, 5]
    assert history.given_since("soap", 4).ahead == 2


def test_nothing_is_known_of_what_is_to_come() -> None:
    history = History()
    assert (history.seq, history.version(0), history.changes(7)) == (0, 0, [])
    assert history.draw("soap", 0) == NO_DRAW
