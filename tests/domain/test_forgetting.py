"""Forgetting: what of an event is rewritten, and that its line stays."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain import chain, events, forgetting
from engine.domain.events import Header, Issue
from engine.domain.forgetting import Owned

CAMPAIGN = "autumn"
pack = msgspec.msgpack.encode
STAND_IN = chain.stand_in(CAMPAIGN, "mia")


def enrolled(member: str = "mia", actor: str = "mia", key: str = "k1", *more: object) -> dict[bytes, bytes]:
    header = (1, "enrolled", 5, actor, "http", "e1", key, "", 0)
    record = ("soap", member, "open", "confirmed", 1, 7, 1, 0, 5, [], *more)
    return {b"h": pack(header), b"r": pack(record)}


def issued(member: str, actor: str = "olga") -> dict[bytes, bytes]:
    header = Header(1, "codes_issued", 5, actor, "http", offering="soap", pool="open")
    return {b"h": pack(header), b"c": pack(Issue(1, member, 0, ["c1", "c2"]))}


def decoded(fields: dict[bytes, bytes]) -> events.Event:
    return events.decode(CAMPAIGN, b"1-7", fields)


@pytest.mark.parametrize(
    ("fields", "member", "changed"),
    [
        (enrolled(), "mia", ("mia", "mia", "")),
        (enrolled(), None, ("mia", "mia", "")),
        (enrolled(actor="olga"), "mia", ("mia", "olga", "")),
        # Who acted for another is an office: forgotten by name alone.
        (enrolled(actor="olga"), None, ("mia", "olga", "")),
        (enrolled(actor="olga"), "olga", ("-mia", "olga", "k1")),
        (enrolled("miau", "miau", "mia"), "mia", None),
        (enrolled(STAND_IN, STAND_IN, ""), "mia", None),
        (enrolled(STAND_IN, "olga", ""), None, None),
    ],
)
def test_what_is_rewritten(
    fields: dict[bytes, bytes], member: str | None, changed: tuple[str, str, str] | None
) -> None:
    rewritten = forgetting.rewrite(CAMPAIGN, fields, member)
    if changed is None:
        assert rewritten is None
        return
    assert rewritten is not None
    event = decoded(rewritten)
    assert event.record is not None
    owner, actor, key = changed
    kept = owner.startswith("-")
    assert event.record.member == (owner[1:] if kept else chain.stand_in(CAMPAIGN, owner))
    forgotten_actor = actor == member or (member is None and actor == owner)
    assert event.header.actor == (chain.stand_in(CAMPAIGN, actor) if forgotten_actor else actor)
    assert event.header.key == key
    assert chain.line(event) == chain.line(decoded(fields))
    assert forgetting.rewrite(CAMPAIGN, rewritten, member) is None


def test_codes_that_are_bound() -> None:
    rewritten = forgetting.rewrite(CAMPAIGN, issued("mia"), "mia")
    assert rewritten is not None
    assert decoded(rewritten).issue == Issue(1, STAND_IN, 0, ["c1", "c2"])
    assert forgetting.rewrite(CAMPAIGN, issued("mia"), None) == rewritten
    assert forgetting.rewrite(CAMPAIGN, issued(""), None) is None
    by = forgetting.rewrite(CAMPAIGN, issued("", actor="mia"), "mia")
    assert by is not None
    assert decoded(by).header.actor == STAND_IN


def test_a_record_keeps_the_form_that_the_scripts_gave_it() -> None:
    """A field that is not there means another thing to them than one that is empty."""
    for more in ((), (2,), (0, 0, "code")):
        rewritten = forgetting.rewrite(CAMPAIGN, enrolled("mia", "mia", "", *more), "mia")
        assert rewritten is not None
        assert len(msgspec.msgpack.decode(rewritten[b"r"])) == 10 + len(more)


@pytest.mark.parametrize("fields", [{}, {b"h": b"\xc1"}, {b"h": pack([1])}, {b"h": pack({}), b"r": pack(5)}])
def test_what_cannot_be_read(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(events.Undecodable):
        forgetting.rewrite(CAMPAIGN, fields, "mia")


def test_what_is_a_members() -> None:
    page = [decoded(each) for each in (enrolled(), enrolled("bob", "mia", "k9"), issued("mia"), issued(""))]
    owned = dict[str, Owned]()
    forgetting.gather("mia", page, owned)
    assert owned == {"mia": Owned({"e1": None}, {"k1": None}, {"c1": None, "c2": None})}
    forgetting.gather(None, page, everybody := dict[str, Owned]())
    assert list(everybody) == ["mia", "bob"]
    assert everybody["bob"] == Owned({"e1": None}, {"k9": None})


@given(st.binary(max_size=200))
def test_the_line_of_what_is_erased_stays(raw: bytes) -> None:
    erased = chain.erase(raw)
    assert chain.dead_line(7, erased) == chain.dead_line(7, raw)
    assert chain.erase(erased) == erased
    (digest,) = msgspec.msgpack.decode(erased, type=dict[bytes, bytes]).values()
    assert len(digest) == 64
    assert raw not in erased or len(raw) < 8


def test_stand_ins() -> None:
    assert chain.is_forgotten(STAND_IN)
    assert not any(map(chain.is_forgotten, ("mia", "~mia", STAND_IN + "0", STAND_IN[1:], "")))
    assert chain.stand_in(CAMPAIGN, STAND_IN) == STAND_IN
    assert chain.pseudonym(CAMPAIGN, STAND_IN) == chain.pseudonym(CAMPAIGN, "mia")
    assert chain.stand_in("winter", "mia") != STAND_IN
