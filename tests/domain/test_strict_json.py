"""Strict JSON: what any reader would take in the same way, and nothing else; never an exception."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain import strict_json
from engine.domain.faults import Fault
from engine.domain.strict_json import DEPTH_MAX

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda some: st.lists(some) | st.dictionaries(st.text(), some), max_leaves=30
)


@settings(deadline=None)
@given(values, st.booleans())
def test_reads_what_json_can_write(value: object, ascii_only: bool) -> None:
    assert strict_json.loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@settings(deadline=None)
@given(st.binary() | st.text(alphabet='{}[]",:\\u1dD8eE+-.0NaInfty tru\n').map(str.encode))
def test_never_raises(data: bytes) -> None:
    strict_json.loads(data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "syntax"),
        (b"{", "syntax"),
        (b"{'a': 1}", "syntax"),
        (b'{"a": 1,}', "syntax"),
        (b'{"a": 1} {}', "syntax"),
        (b"[01]", "syntax"),
        (b'"\n"', "syntax"),
        (b'"\\x"', "syntax"),
        (b"\xef\xbb\xbf{}", "syntax"),
        (b'"\xff"', "not_utf8"),
        (b'"\xed\xa0\x80"', "not_utf8"),
        ("{}".encode("utf-16"), "not_utf8"),
        (b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), "too_deep"),
        (b'{"a":' * (DEPTH_MAX + 1) + b"1" + b"}" * (DEPTH_MAX + 1), "too_deep"),
        (b"[" * 500_000 + b"]" * 500_000, "too_deep"),
        (b"[" * 500_000, "too_deep"),
        (b"NaN", "not_finite"),
        (b'"\\ud800"', "surrogate"),
    ],
)
def test_refuses_the_whole(data: bytes, code: str) -> None:
    refusal = strict_json.loads(data)
    assert isinstance(refusal, Fault)
    assert refusal.code == code


def test_a_syntax_error_has_its_place() -> None:
    assert strict_json.loads(b'{\n  "a": tru\n}') == Fault("", "syntax", {"line": 2, "column": 8})


def test_as_deep_as_allowed() -> None:
    assert not isinstance(strict_json.loads(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX), Fault)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"NaN", "not_finite"),
        (b"Infinity", "not_finite"),
        (b"-Infinity", "not_finite"),
        (b"1e999", "not_finite"),
        (b"-1.5e999", "not_finite"),
        (b"9" * 21, "number_too_long"),
        (b"9" * 10_000, "number_too_long"),
        (b'"\\ud800"', "surrogate"),
        (b'"a\\uDFFFb"', "surrogate"),
        (b'"\\udc00\\ud800"', "surrogate"),
        (b'1, "bad": 2', "duplicate_key"),
        (b'1, "bad": 2, "bad": 1', "duplicate_key"),
        (b'1, "b\\u0061d": 1', "duplicate_key"),
    ],
)
def test_refuses_a_value_at_its_place(value: bytes, code: str) -> None:
    tree: Any = strict_json.loads(b'{"list": [1, {"good": 1, "bad": ' + value + b"}]}")
    assert tree == {"list": [1, {"good": 1, "bad": Fault("", code)}]}


def test_pairs_of_surrogates_and_escaped_backslashes_are_text() -> None:
    assert strict_json.loads(rb'["\ud83c\udf41", "\\ud800", "\u00e9"]') == ["🍁", "\\ud800", "é"]
