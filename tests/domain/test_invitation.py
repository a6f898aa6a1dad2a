"""Invitation codes: how they are written, read and named."""

import hashlib
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain import invitation

NUMBERS = st.integers(0, 2**invitation.BITS - 1)


def test_the_alphabet_is_that_of_crockford() -> None:
    assert set("ILOU").isdisjoint(invitation.ALPHABET)
    assert list(invitation.ALPHABET) == sorted(set(invitation.ALPHABET))
    assert len(invitation.ALPHABET) == 32


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (0, "00000-00000-00000-00000"),
        (31, "00000-00000-00000-0000Z"),
        (32, "00000-00000-00000-00010"),
        (2**100 - 1, "ZZZZZ-ZZZZZ-ZZZZZ-ZZZZZ"),
    ],
)
def test_it_is_written_in_groups(number: int, code: str) -> None:
    assert invitation.write(number) == code


@given(NUMBERS, NUMBERS)
def test_every_number_has_a_code_of_its_own(one: int, other: int) -> None:
    assert re.fullmatch(invitation.PATTERN, invitation.write(one))
    assert (invitation.write(one) == invitation.write(other)) == (one == other)


@given(NUMBERS)
def test_however_it_is_written_its_id_is_the_same(number: int) -> None:
    code = invitation.write(number)
    spellings = [
        code,
        code.lower(),
        code.replace("-", ""),
        "-".join(code.replace("-", "")),
        code.replace("0", "o").replace("1", "I"),
        code.replace("0", "O").replace("1", "l"),
        code.replace("1", "i"),
    ]
    assert all(re.fullmatch(invitation.PATTERN, each) for each in spellings)
    assert {invitation.identify("autumn", each) for each in spellings} == {
        invitation.identify("autumn", code)
    }


def test_the_id_is_a_hash_of_campaign_and_code() -> None:
    expected = hashlib.sha256(b"autumn\n0123456789ABCDEFGHJK").hexdigest()[:32]
    assert invitation.identify("autumn", "01234-56789-abcde-fghjk") == expected
    assert re.fullmatch(invitation.ID_PATTERN, expected)
    assert invitation.identify("spring", "0123456789ABCDEFGHJK") != expected


@pytest.mark.parametrize(
    ("field", "least", "most"), [("codes", 1, 1_000), ("uses", 1, 1_000_000), ("member", "!", "~" * 64)]
)
def test_the_bounds_of_what_is_issued(field: str, least: object, most: object) -> None:
    for value in (least, most):
        assert getattr(msgspec.convert({"pool": "p", field: value}, invitation.Terms), field) == value


@pytest.mark.parametrize(
    ("field", "value"),
    [("codes", 0), ("codes", 1_001), ("uses", 0), ("uses", 1_000_001), ("member", ""), ("member", "~" * 65)],
)
def test_beyond_the_bounds_nothing_is_issued(field: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"pool": "p", field: value}, invitation.Terms)


def test_one_code_for_one_is_issued_unless_told_otherwise() -> None:
    assert invitation.Terms("p") == invitation.Terms("p", 1, 1, None, None)
    assert invitation.PER_OFFERING_MAX == 100_000
