"""Rolls: as the page says, right when they are, and each way of tampering named."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from engine.domain import chain, receipt, roll
from engine.domain.chain import Entry, Link
from engine.domain.events import Event
from engine.domain.receipt import Head, Receipt
from engine.receipts import Signer, is_signed
from tests.ledger import logs
from tests.ledger.logs import CAMPAIGN, Log, ballot

PAGE: Final = (Path(__file__).parents[2] / "docs" / "roll.md").read_text()
SIGNER: Final = Signer(bytes(range(32)))


def rush(length: int) -> Log:
    """One in which every sign-up is of another member: made-up logs do not look at who is in already."""
    log = logs.rush(length)
    for index, event in enumerate(log.entries):
        if isinstance(event, Event) and event.record is not None:
            record = msgspec.structs.replace(event.record, member=f"m-{event.record.seq}")
            log.entries[index] = msgspec.structs.replace(event, record=record)
            log.records[event.header.enrollment] = record
    return log


def written(log: Log) -> list[bytes]:
    """The roll of a log, by line."""
    lines = [chain.line(entry) for entry in log.entries if isinstance(entry, Event)]
    return [chain.heading(log.campaign), *lines, head_line(log.campaign, linked(log))]


def linked(log: Log, seq: int | None = None) -> Link:
    lines = [chain.line(entry) for entry in log.entries[:seq] if isinstance(entry, Event)]
    return chain.extend(chain.begin(log.campaign), lines, len(lines))


def head(log: Log, seq: int | None = None) -> Head:
    return SIGNER.sign(receipt.head(log.campaign, linked(log, seq), SIGNER.key))


def head_line(campaign: str, link: Link) -> bytes:
    return msgspec.json.encode(SIGNER.sign(receipt.head(campaign, link, SIGNER.key)))


def receipt_of(log: Log, name: str, seq: int | None = None) -> Receipt:
    return SIGNER.sign(receipt.receipt(log.campaign, log.records[name], linked(log, seq), SIGNER.key))


def rewritten(lines: Sequence[bytes]) -> list[bytes]:
    """Lines with a head that they lead to, as somebody who controls the server would make it."""
    last = re.match(rb'{"seq":(\d+)[,}]', lines[-2])
    seq = int(last[1]) if last else len(lines) - 2
    link = chain.extend(chain.begin(CAMPAIGN), lines[1:-1], seq)
    return [*lines[:-1], head_line(CAMPAIGN, link)]


def codes(lines: Sequence[bytes], *arguments: Any) -> list[str]:
    return [mismatch.code for mismatch in roll.verify(lines, *arguments).mismatches]


# The page


def _blocks() -> tuple[list[str], dict[str, Any]]:
    plain, quoted = re.findall(r"^```(?:json)?\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return plain.splitlines(), json.loads(quoted)


def test_the_page_as_it_says_it() -> None:
    """By the page's own words, with nothing of the engine."""
    lines, own = _blocks()
    digests = re.findall(r"^\| (?:heading|\d+) \| `([0-9a-f]{64})` \|$", PAGE, re.MULTILINE)
    digest = ""
    for line, told in zip(lines[:-1], digests, strict=True):
        digest = hashlib.sha256(f"{digest}{line}".encode()).hexdigest()
        assert digest == told
    last = json.loads(lines[-1])
    assert (last["seq"], last["digest"]) == (len(lines) - 2, digest)
    for member, pseudonym in re.findall(r"^\| `(m-\d+)` \| `([0-9a-f]{32})` \|$", PAGE, re.MULTILINE):
        assert hashlib.sha256(f"autumn-2026\n{member}".encode()).hexdigest()[:32] == pseudonym
        assert any(pseudonym in line for line in lines)
    for document in (last, own):
        text = json.dumps(document | {"signature": ""}, separators=(",", ":"))
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(document["key"]))
        key.verify(bytes.fromhex(document["signature"]), text.encode())
        assert document["key"] in PAGE.split("## The chain")[0]
    seat = json.loads(lines[6])
    assert [seat[name] for name in ("sign_up", "member", "offering", "pool", "seat", "status")] == [
        *(own[name] for name in ("seq", "member", "offering", "pool", "seat")),
        "confirmed",
    ]
    assert own["chain"] == {"seq": 6, "digest": digest}


def test_the_page_has_every_field_and_the_example_is_what_the_engine_makes() -> None:
    table = PAGE.split("## The lines")[1].split("## Signatures")[0]
    named = [
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"\w+", row)
    ]
    assert named == list(Entry.__struct_fields__)
    lines, own = _blocks()
    verdict = roll.verify([line.encode() for line in lines], (), [msgspec.convert(own, Receipt)])
    assert (verdict.mismatches, verdict.receipts) == ([], [True])
    assert (verdict.seq, verdict.seats, verdict.confirmed) == (6, 1, 1)


# A roll that is right


@pytest.mark.parametrize("log", [rush(1_000), ballot(60)], ids=["rush", "ballot"])
def test_a_roll_leads_to_its_head_and_tells_the_seats(log: Log) -> None:
    verdict = roll.verify(written(log), [head(log, 0), head(log, 300 % log.seq), head(log)])
    assert (verdict.mismatches, verdict.more, verdict.head) == ([], 0, head(log))
    assert (verdict.seq, verdict.digest) == (log.seq, linked(log).digest)
    assert verdict.seats == verdict.confirmed == sum(log.seats().values())


def test_receipts_of_all_seats_are_in_the_roll_also_those_left_since() -> None:
    log = rush(1_000)
    middle = rush(980)
    confirmed = [name for name, record in middle.records.items() if record.status == "confirmed"]
    held = [receipt_of(middle, name) for name in confirmed]
    verdict = roll.verify(written(log), (), held)
    assert verdict.mismatches == []
    left = [log.records[name].status != "confirmed" for name in confirmed]
    assert verdict.receipts == [not each for each in left]
    assert any(left)
    assert not all(left)


def test_forgotten_members_change_nothing() -> None:
    log = rush(200)
    before = written(log)
    for index, event in enumerate(log.entries):
        if isinstance(event, Event) and event.record is not None:
            kept = f"~{chain.pseudonym(CAMPAIGN, event.record.member)}"
            record = msgspec.structs.replace(event.record, member=kept)
            log.entries[index] = msgspec.structs.replace(event, record=record)
    assert written(log) == before


# Tampering


LOG: Final = rush(120)
LINES: Final = tuple(written(LOG))
SEATED: Final = next(
    index for index, line in enumerate(LINES) if b'"seat":' in line and index > 60
)  # fmt: skip


def _changed(line: bytes, **fields: Any) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(msgspec.json.decode(line, type=Entry), **fields))


def _swap(lines: list[bytes]) -> None:
    lines[70], lines[71] = lines[71], lines[70]


def _add(lines: list[bytes]) -> None:
    lines.insert(-1, _changed(lines[SEATED], seq=LOG.seq + 1, seat=9))


def _remove(lines: list[bytes]) -> None:
    del lines[70]


def _truncate(lines: list[bytes]) -> None:
    del lines[-6:-1]


def _move(lines: list[bytes]) -> None:
    lines[SEATED] = _changed(lines[SEATED], seat=19)


def _another_member(lines: list[bytes]) -> None:
    lines[SEATED] = _changed(lines[SEATED], member="0" * 32)


def _retitle(lines: list[bytes]) -> None:
    lines[0] = chain.heading("another")


TAMPERINGS: Final = [_swap, _add, _remove, _truncate, _move, _another_member]


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_tampering_does_not_lead_to_the_head(tamper: Callable[[list[bytes]], None]) -> None:
    lines = list(LINES)
    assert codes(lines) == []
    tamper(lines)
    assert "head" in codes(lines)


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_tampering_by_who_makes_a_new_chain_is_seen_by_who_noted_a_head(
    tamper: Callable[[list[bytes]], None],
) -> None:
    lines = list(LINES)
    tamper(lines)
    lines = rewritten(lines)
    assert "head" not in codes(lines)
    if tamper is _add:
        # What comes later is no matter to it; the next one will be.
        assert "head_before" not in codes(lines, [head(LOG)])
        return
    assert {"head_before", "head_beyond"} & set(codes(lines, [head(LOG)]))
    assert {"receipt_before", "receipt_beyond"} & set(codes(lines, (), [_any_receipt()]))


def _any_receipt() -> Receipt:
    return receipt_of(LOG, next(name for name, each in LOG.records.items() if each.status == "confirmed"))


THOUSAND: Final = tuple(written(rush(1_000)))


@given(st.data())
def test_any_byte_of_a_thousand_lines_counts(data: st.DataObject) -> None:
    lines = list(THOUSAND)
    number = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[number]) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != lines[number][place]))
    lines[number] = lines[number][:place] + bytes([other]) + lines[number][place + 1 :]
    try:
        verdict = roll.verify(lines)
    except roll.NotARoll:
        assert number == 0
        return
    signed = verdict.head is not None and is_signed(verdict.head)
    assert verdict.mismatches or not signed


def test_a_chain_is_of_its_campaign() -> None:
    lines = list(LINES)
    _retitle(lines)
    assert codes(lines) == ["unreadable", "cut_off"]
    other = Log("another")
    other.published()
    assert codes(LINES, [head(other)]) == ["head_of_another"]
    other.enrolled("m-1", "soap", "open", 1)
    assert codes(LINES, (), [receipt_of(other, "e-2")]) == ["receipt_of_another"]


@pytest.mark.parametrize("kept", range(1, len(LINES)))
def test_a_file_that_is_cut_off_is_not_whole(kept: int) -> None:
    assert codes(LINES[:kept]) == ["cut_off"]


def test_nothing_may_follow_the_head() -> None:
    assert codes([*LINES, LINES[-1]]) == ["after_head"]
    assert codes([*LINES, b""]) == ["after_head"]


@pytest.mark.parametrize(
    "first", [b"", b"{}", b"[]", LINES[1], b'{"format":"seatrush-roll-2","campaign":"c"}', LINES[0] + b" "]
)
def test_what_does_not_begin_as_a_roll_is_none(first: bytes) -> None:
    with pytest.raises(roll.NotARoll):
        roll.verify([first, *LINES[1:]])
    with pytest.raises(roll.NotARoll):
        roll.verify([])


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"seq": 2,"type":"opened"}',
        b'{"type":"opened","seq":2}',
        b'{"seq":2,"type":"opened","seat":0}',
        b'{"seq":2,"type":"opened","offering":"a","offering":"a"}',
        b'{"seq":2,"type":"opened","name":"m-1001"}',
        b'{"seq":2,"type":"made_up"}',
        b'{"seq":2,"type":"enrolled","member":"m-1001"}',
        b'{"seq":-2,"type":"opened"}',
        b'{"seq":1e400,"type":"opened"}',
    ],
)
def test_a_line_that_is_not_as_the_engine_writes_it_is_named(line: bytes) -> None:
    lines = rewritten([LINES[0], LINES[1], line, b""])
    assert codes(lines) == ["unreadable"]


# What the lines say


def told(change: Callable[[Log], object]) -> list[tuple[str, Any]]:
    """What is found in the roll of a log whose maker has all the keys, by code and place."""
    log = Log()
    log.published({("soap", "open"): 2, ("soap", "own"): 1})
    log.enrolled("m-1", "soap", "open", 1)
    log.enrolled("m-2", "soap", "open", 2)
    change(log)
    return [(each.code, each.facts["seq"]) for each in roll.verify(written(log)).mismatches]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda log: None, []),
        (lambda log: log.enrolled("m-3", "soap", "own", 1), []),
        (lambda log: log.enrolled("m-3", "soap"), []),
        (lambda log: log.enrolled("m-3", "soap", "open", 1), [("seat_twice", 4)]),
        (lambda log: log.enrolled("m-3", "soap", "open", 3), [("above_capacity", 4)]),
        (lambda log: log.enrolled("m-3", "soap", "made-up", 1), [("above_capacity", 4)]),
        (lambda log: log.enrolled("m-1", "soap", "own", 1), [("member_twice", 4)]),
        (lambda log: log.enrolled("m-1", "clay"), []),
        (lambda log: log.published({("soap", "open"): 1}), [("above_capacity", 4)]),
        (lambda log: log.changed("confirmed", "e-2", "confirmed", "open", 0), [("seat_and_status", 4)]),
        (lambda log: log.changed("cancelled", "e-2", "cancelled", "open", 1), [("seat_and_status", 4)]),
        (lambda log: (log.cancelled("e-2"), log.enrolled("m-3", "soap", "open", 1)), []),
        (lambda log: (log.cancelled("e-2"), log.enrolled("m-1", "soap", "open", 1)), []),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_named(
    change: Callable[[Log], object], found: list[tuple[str, Any]]
) -> None:
    assert told(change) == found


def test_an_enrollment_begins_with_its_sign_up_and_stays_what_it_is() -> None:
    log = Log()
    log.published()
    signed_up = log.enrolled("m-1", "soap", "open", 1)
    cancelled = log.cancelled("e-2")
    good = [chain.line(signed_up), chain.line(cancelled)]
    for lines, code in (
        ([_changed(good[1], seq=2)], "unknown_sign_up"),
        ([good[0], _changed(good[0], seq=3)], "unknown_sign_up"),
        ([_changed(good[0], sign_up=1)], "unknown_sign_up"),
        ([good[0], _changed(good[1], member="0" * 32)], "another_sign_up"),
        ([good[0], _changed(good[1], offering="clay")], "another_sign_up"),
    ):
        assert codes(rewritten([*written(log)[:2], *lines, b""])) == [code]


def test_dead_letters_are_counted() -> None:
    lines = rewritten([LINES[0], LINES[1], chain.dead_line(2, b"raw"), b""])
    verdict = roll.verify(lines)
    assert (verdict.mismatches, verdict.dead_letters) == ([], 1)


def test_a_receipt_that_tells_another_seat_is_not_in_the_roll() -> None:
    own = _any_receipt()
    assert codes(LINES, (), [own]) == []
    for change in (
        {"seat": own.seat + 1},
        {"pool": "made-up"},
        {"member": "0" * 32},
        {"seq": LOG.seq},
        {"decided_at": "2026-01-01T00:00:00.000Z"},
        {"chain": receipt.Bound(0, linked(LOG, 0).digest)},
    ):
        assert codes(LINES, (), [msgspec.structs.replace(own, **change)]) == ["receipt_seat"]


def test_no_more_than_a_hundred_are_named() -> None:
    lines = written(rush(400))
    del lines[1]
    verdict = roll.verify(lines)
    assert len(verdict.mismatches) == roll.MISMATCHES_MAX
    assert verdict.more > 0
