"""From a batch of events to rows."""

import msgspec
import pytest

from engine.domain.enrollment import SEATED, Status
from engine.ledger.batch import reduce, unpack
from engine.ledger.protocol import Refused
from tests.ledger.logs import BEGINS, CAMPAIGN, Log


def test_a_sign_up() -> None:
    log = Log()
    event = log.enrolled("m-1", seat=7)
    changes = reduce(CAMPAIGN, 1, 0, log.entries)
    row = (CAMPAIGN, 1, "e-1", "soap", "m-1", "open", "confirmed", 7, 1, 0, BEGINS + 1, "", 0, 0)
    assert changes.last_seq == 1
    assert changes.put == [row]
    assert changes.freed() == []
    assert changes.taken() == [(CAMPAIGN, "soap", "open", 7, 1, 1)]
    assert [(*columns, unpack(fields)) for *columns, fields in changes.events] == [
        (CAMPAIGN, 1, 1, event.fields)
    ]
    assert (changes.pools, changes.definitions, changes.trail, changes.dead_letters) == (None, [], [], [])


def test_the_newest_version_of_each_enrollment_is_put() -> None:
    log = Log()
    log.enrolled("m-1", seat=1)
    log.enrolled("m-2")
    log.cancelled("e-1")
    log.changed("promoted", "e-2", "offered", "open", 1)
    log.changed("confirmed", "e-2", "confirmed", "open", 1)
    changes = reduce(CAMPAIGN, 1, 0, log.entries)
    assert [(row[2], row[6], row[8]) for row in changes.put] == [
        ("e-1", "cancelled", 2),
        ("e-2", "confirmed", 3),
    ]
    assert changes.freed() == [(CAMPAIGN, 1, 2), (CAMPAIGN, 2, 3)]
    assert changes.taken() == [(CAMPAIGN, "soap", "open", 1, 2, 3)]
    assert len(changes.events) == 5


@pytest.mark.parametrize("status", sorted(SEATED))
def test_statuses_that_hold_a_seat(status: Status) -> None:
    log = Log()
    log.enrolled("m-1", seat=1, status=status)
    assert len(reduce(CAMPAIGN, 1, 0, log.entries).taken()) == 1


def test_who_waits_holds_no_seat_and_keeps_the_queues() -> None:
    log = Log()
    log.enrolled("m-1")
    changes = reduce(CAMPAIGN, 1, 0, log.entries)
    assert changes.taken() == []
    assert changes.put[0][11] == "* own"


def test_pools_of_the_newest_document() -> None:
    log = Log()
    log.published({("soap", "open"): 5, ("soap", "own"): 1})
    log.published({("soap", "open"): 6}, version=2)
    changes = reduce(CAMPAIGN, 1, 0, log.entries)
    assert changes.pools == [(CAMPAIGN, "soap", "open", 6)]
    assert [row[1] for row in changes.definitions] == [1, 2]
    assert [row[-1] for row in changes.trail] == ["version 1", "version 2"]


def test_an_enrollment_goes_by_the_seq_of_its_sign_up() -> None:
    log = Log()
    log.enrolled("m-1")
    log.changed("enrolled", "e-1", "confirmed", "open", 1)
    with pytest.raises(Refused, match="enrolled at 2 of an enrollment that signed up at 1"):
        reduce(CAMPAIGN, 1, 0, log.entries)
    early = Log()
    early.records = {"e-1": msgspec.structs.replace(log.records["e-1"], seq=3)}
    early.cancelled("e-1")
    with pytest.raises(Refused, match="cancelled at 1 of an enrollment that signed up at 3"):
        reduce(CAMPAIGN, 1, 0, early.entries)


def test_an_entry_that_is_drawn() -> None:
    log = Log()
    log.published()
    log.entered("m-1", wish=2)
    log.entered("m-2")
    log.entered("m-3")
    log.draw_began()
    log.drawn("e-3", "confirmed", "open", 1)
    log.drawn("e-2", "waitlisted")
    log.drawn("e-4", "not_drawn")
    log.draw_ended()
    entries = reduce(CAMPAIGN, 1, 0, log.entries[:4])
    assert [row[6:9] + row[11:] for row in entries.put] == [
        ("entered", 0, 1, "* own", 2, 0),
        ("entered", 0, 1, "* own", 1, 0),
        ("entered", 0, 1, "* own", 1, 0),
    ]
    assert (entries.freed(), entries.taken()) == ([], [])
    changes = reduce(CAMPAIGN, 1, 4, log.entries[4:])
    assert [(row[1], *row[6:9], *row[11:]) for row in changes.put] == [
        (3, "confirmed", 1, 2, "", 1, 0),
        (2, "waitlisted", 0, 2, "* own", 2, 7),
        (4, "not_drawn", 0, 2, "", 1, 0),
    ]
    assert changes.taken() == [(CAMPAIGN, "soap", "open", 1, 3, 2)]
    assert len(changes.events) == 5
    assert (changes.pools, changes.definitions, changes.trail, changes.dead_letters) == (None, [], [], [])


def test_the_events_of_a_draw_itself_change_no_row() -> None:
    log = Log()
    log.draw_began()
    log.draw_ended()
    changes = reduce(CAMPAIGN, 1, 0, log.entries)
    assert (len(changes.events), changes.put, changes.trail) == (2, [], [])


def test_codes_are_in_the_trail_and_change_no_row() -> None:
    log = Log()
    log.codes_issued(["a" * 32])
    log.code_revoked("a" * 32)
    changes = reduce(CAMPAIGN, 1, 0, log.entries)
    assert (len(changes.events), changes.put) == (2, [])
    assert [row[3] for row in changes.trail] == ["codes_issued", "code_revoked"]


@pytest.mark.parametrize("codes", [{}, {b"c": b"\xc1"}, {b"c": msgspec.msgpack.encode((1, "", 0, [7]))}])
def test_codes_that_cannot_be_read_are_refused(codes: dict[bytes, bytes]) -> None:
    log = Log()
    event = log.codes_issued(["a" * 32])
    log.entries[0] = msgspec.structs.replace(event, fields={b"h": event.fields[b"h"]} | codes)
    with pytest.raises(Refused, match="codes_issued without its codes"):
        reduce(CAMPAIGN, 1, 0, log.entries)


def test_only_who_signed_up_before_is_drawn() -> None:
    log = Log()
    log.entered("m-1")
    log.records["e-1"] = msgspec.structs.replace(log.records["e-1"], seq=2)
    log.drawn("e-1", "waitlisted")
    with pytest.raises(Refused, match="drawn at 2 of an enrollment that signed up at 2"):
        reduce(CAMPAIGN, 1, 0, log.entries)
