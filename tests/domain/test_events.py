"""Events as they come from a stream: every layout that is known, and a name for what is wrong with any other."""

from typing import Any

import msgspec
import pytest

from engine.domain import events
from engine.domain.events import SCHEMA, Header, Issue, Undecodable

pack = msgspec.msgpack.encode
SHORT = [SCHEMA, "opened", 7, "system", "engine"]
RECORD = ["soap", "m1", "open", "confirmed", 1, 3, 1, 0, 7, []]


def decoded(**fields: Any) -> events.Event:
    """An event of these fields, packed."""
    packed = {name.encode(): pack(value) for name, value in fields.items()}
    return events.decode("autumn", b"2-1041", packed)


def test_what_a_header_leaves_out_does_not_apply() -> None:
    header = decoded(h=SHORT).header
    assert header == Header(SCHEMA, "opened", 7, "system", "engine", "", "", "", 0, "", "", 0, 0, 0)


def test_an_event_has_its_place_and_its_fields() -> None:
    event = decoded(h=SHORT, r=RECORD)
    assert (event.campaign, event.epoch, event.seq, event.document) == ("autumn", 2, 1041, None)
    assert event.record is not None
    assert (event.record.offering, event.record.seat, event.record.seq) == ("soap", 1, 3)
    assert event.fields == {b"h": pack(SHORT), b"r": pack(RECORD)}
    assert events.decode("autumn", b"1-1", {b"h": pack(SHORT), b"d": b"{}"}).document == b"{}"


def test_what_is_told_of_codes() -> None:
    assert decoded(h=SHORT, c=[2, "m1", 9, ["a", "b"]]).issue == Issue(2, "m1", 9, ["a", "b"])
    assert decoded(h=SHORT, c=["a"]).revoked == "a"
    for wrong in (decoded(h=SHORT), decoded(h=SHORT, c=[2])):
        with pytest.raises(Undecodable):
            _ = wrong.issue
        with pytest.raises(Undecodable):
            _ = wrong.revoked


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "field b'h' is missing"),
        ({"h": [SCHEMA + 1, *SHORT[1:]]}, f"schema {SCHEMA + 1} is not known"),
        ({"h": [SCHEMA, "unheard", *SHORT[2:]]}, "Invalid enum value"),
        ({"h": SHORT, "r": ["soap"]}, "Expected `array`"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(Undecodable, match=expected):
        decoded(**fields)


@pytest.mark.parametrize("entry_id", [b"", b"1", b"1-", b"-1", b"a-1", b"1-b", b"1-2-3"])
def test_an_id_that_is_none_is_named(entry_id: bytes) -> None:
    with pytest.raises(Undecodable, match="not an event id"):
        events.parse_id(entry_id)
