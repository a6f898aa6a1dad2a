"""The lines of a roll and their digests."""

import hashlib

import msgspec
import pytest

from engine.domain import chain, events
from engine.domain.chain import Entry, Link
from engine.domain.events import Event
from tests.ledger.logs import BEGINS, CAMPAIGN, Log


def read(line: bytes) -> Entry:
    return msgspec.json.decode(line, type=Entry)


def test_a_pseudonym_is_of_one_campaign() -> None:
    known = hashlib.sha256(b"autumn-2026\nm-1001").hexdigest()[:32]
    assert chain.pseudonym("autumn-2026", "m-1001") == known
    assert chain.pseudonym("autumn-2027", "m-1001") != known
    assert chain.pseudonym("autumn-2026", "m-1002") != known


def test_what_stands_for_a_forgotten_member_is_in_the_roll_as_before() -> None:
    known = chain.pseudonym(CAMPAIGN, "m-1001")
    assert chain.pseudonym(CAMPAIGN, f"~{known}") == known


@pytest.mark.parametrize("member", ["", "~", "~m-1001", "~" + "A" * 32, "~" + "a" * 31, "~" + "a" * 33])
def test_other_ids_that_begin_with_a_tilde_are_ids(member: str) -> None:
    assert (
        chain.pseudonym(CAMPAIGN, member) == hashlib.sha256(f"{CAMPAIGN}\n{member}".encode()).hexdigest()[:32]
    )


def test_the_line_of_an_enrollment() -> None:
    log = Log()
    log.published()
    event = log.enrolled("m-1001", "soap", "open", 7)
    assert chain.line(event) == (
        b'{"seq":2,"type":"enrolled","at":%d,"sign_up":2,"member":"%s","offering":"soap","pool":"open","seat":7,'
        b'"status":"confirmed"}' % (BEGINS + 2, chain.pseudonym(CAMPAIGN, "m-1001").encode())
    )
    assert read(chain.line(log.cancelled("e-2"))) == Entry(
        3, "cancelled", BEGINS + 3, 2, chain.pseudonym(CAMPAIGN, "m-1001"), "soap", "open", 0, "cancelled"
    )


def test_the_lines_of_a_campaigns_own_events() -> None:
    log = Log()
    published = log.published({("soap", "open"): 2, ("soap", "own"): 1})
    assert read(chain.line(published)) == Entry(
        1,
        "published",
        BEGINS + 1,
        version=1,
        capacities={"soap": {"open": 2, "own": 1}},
        digest=hashlib.sha256(published.fields[b"d"]).hexdigest(),
    )
    assert chain.line(log.opened()) == b'{"seq":2,"type":"opened","at":%d,"offering":"soap"}' % (BEGINS + 2)
    issued = read(chain.line(log.codes_issued(["0" * 32, "1" * 32])))
    assert (issued.offering, issued.pool, issued.codes) == ("soap", "own", 2)
    assert read(chain.line(log.code_revoked("0" * 32))).codes == 0


def test_no_line_tells_who_or_how_to_find_it() -> None:
    log = Log()
    log.published()
    log.enrolled("m-1001", "soap", "open", 1, actor="f-1")
    log.codes_issued(["c" * 32])
    log.code_revoked("c" * 32)
    told = b"\n".join(chain.line(entry) for entry in log.entries if isinstance(entry, Event))
    for secret in (b"m-1001", b"f-1", b"o-1", b"e-2", b"key-2", b"c" * 32):
        assert secret not in told


def test_a_line_without_its_document_or_codes_is_refused() -> None:
    log = Log()
    for event, field in ((log.published(), b"d"), (log.codes_issued([]), b"c")):
        broken = msgspec.structs.replace(event, fields={**event.fields, field: b"\xc1"})
        with pytest.raises(events.Undecodable):
            chain.line(broken)


def test_every_link_is_made_of_the_one_before() -> None:
    first = hashlib.sha256(b'{"format":"seatrush-roll-1","campaign":"autumn-2026"}').hexdigest()
    assert chain.begin("autumn-2026") == Link(0, first)
    second = hashlib.sha256(first.encode() + b"one").hexdigest()
    third = hashlib.sha256(second.encode() + b"two").hexdigest()
    assert chain.extend(Link(0, first), [b"one"], 1) == Link(1, second)
    assert chain.extend(Link(0, first), [b"one", b"two"], 2) == Link(2, third)
    assert chain.extend(Link(1, second), [b"two"], 2) == Link(2, third)
    assert chain.extend(Link(1, second), [], 5) == Link(5, second)


def test_a_dead_letter_has_a_line() -> None:
    assert chain.dead_line(9, b"raw") == b'{"seq":9,"type":"dead_letter","digest":"%s"}' % (
        hashlib.sha256(b"raw").hexdigest().encode()
    )
