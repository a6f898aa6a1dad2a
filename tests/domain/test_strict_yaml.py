"""Strict YAML: the same trees as JSON gives, by either of PyYAML's parsers; never an exception."""

import itertools
import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.domain import strict_yaml
from engine.domain.faults import Fault
from engine.domain.strict_json import DEPTH_MAX

PARSERS = {"libyaml": yaml.CSafeLoader, "python": yaml.SafeLoader}


@pytest.fixture(autouse=True, params=PARSERS)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_yaml, "_LOADER", PARSERS[request.param])


each_parser = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=50)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda some: st.lists(some) | st.dictionaries(texts, some), max_leaves=30
)


@each_parser
@given(values)
def test_reads_json(value: object) -> None:
    assert strict_yaml.loads(json.dumps(value, ensure_ascii=False).encode()) == value


@each_parser
@given(values)
def test_reads_what_yaml_writes_of_text(value: object) -> None:
    # YAML 1.1 takes 1e5 for text and writes it without quotes; for JSON it is a number.
    assume(not re.fullmatch(r"-?[0-9]+[eE][+-]?[0-9]+", str(value)))
    written = yaml.safe_dump(str(value), allow_unicode=True)
    assert strict_yaml.loads(written.encode()) == str(value)


@each_parser
@given(st.binary() | st.text(alphabet="{}[]\"',:#&*!|>%@?-+ab1.0_x \n\t\\U").map(str.encode))
def test_never_raises(data: bytes) -> None:
    strict_yaml.loads(data)


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("yes", True),
        ("Off", False),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("12", 12),
        ("-3", -3),
        ("116.378", 116.378),
        ("1e3", 1000.0),
        ("'12'", "12"),
        ('"yes"', "yes"),
        ("2026-12-31", "2026-12-31"),
        ("2026-12-05T14:00:00+08:00", "2026-12-05T14:00:00+08:00"),
        ("+10m", "+10m"),
        ("-1d", "-1d"),
        ("=", "="),
        ("剪纸 🍁", "剪纸 🍁"),
        ("010", Fault("", "number_form")),
        ("0x1F", Fault("", "number_form")),
        ("+5", Fault("", "number_form")),
        ("1_000", Fault("", "number_form")),
        ("12:30", Fault("", "number_form")),
        ("0b1", Fault("", "number_form")),
        (".5", Fault("", "number_form")),
        (".nan", Fault("", "number_form")),
        ("-.inf", Fault("", "number_form")),
        ("1e999", Fault("", "not_finite")),
        ("9" * 5_000, Fault("", "number_too_long")),
        ("1:" + "10:" * 5_000 + "10", Fault("", "number_form")),
        ("a, b", "a, b"),
        ("{bad: 1, bad: 2}", {"bad": Fault("", "duplicate_key")}),
        ("{1: a, yes: b}", {"1": "a", "yes": "b"}),
        ("{<<: {a: 1}}", {"<<": {"a": 1}}),
    ],
)
def test_a_value(scalar: str, value: object) -> None:
    assert strict_yaml.loads(f"key:\n - {scalar}\n".encode()) == {"key": [value]}


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("a: 1\nb: [\n", Fault("", "syntax", {"line": 3, "column": 1})),
        ("a: 1\n b: 2\n", Fault("", "syntax", {"line": 2, "column": 3})),
        ("a: 1\nb: \0\n", Fault("", "syntax", {"line": 2, "column": 4})),
        ("a: &x 1\n", Fault("", "yaml_alias", {"line": 1, "column": 4})),
        ("a: 1\nb: *x\n", Fault("", "yaml_alias", {"line": 2, "column": 4})),
        ("&x a: 1\n", Fault("", "yaml_alias", {"line": 1, "column": 1})),
        ("a: !!python/name:os.system\n", Fault("", "yaml_tag", {"line": 1, "column": 4})),
        ("a: !!str 12\n", Fault("", "yaml_tag", {"line": 1, "column": 4})),
        ("!!str a: 12\n", Fault("", "yaml_tag", {"line": 1, "column": 1})),
        ("a: ! 12\n", Fault("", "yaml_tag", {"line": 1, "column": 4})),
        ("? [a]\n: b\n", Fault("", "yaml_key", {"line": 1, "column": 3})),
        ("a: 1\n---\nb: 2\n", Fault("", "yaml_documents", {"line": 2, "column": 1})),
        ("[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1), Fault("", "too_deep", {"depth_max": DEPTH_MAX})),
        ("[" * 100_000, Fault("", "too_deep", {"depth_max": DEPTH_MAX})),
    ],
)
def test_refuses_the_whole(text: str, refusal: Fault) -> None:
    assert strict_yaml.loads(text.encode()) == refusal


def test_an_escape_beyond_unicode_is_a_syntax_error() -> None:
    refusal = strict_yaml.loads(b'a: 1\nb: "\\U00110000"\n')
    assert isinstance(refusal, Fault)
    assert (refusal.code, refusal.parameters["line"]) == ("syntax", 2)


def test_other_encodings_are_refused() -> None:
    assert strict_yaml.loads("a: 剪".encode("gb18030")) == Fault("", "not_utf8")


def test_as_deep_as_allowed() -> None:
    assert not isinstance(strict_yaml.loads(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX), Fault)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null"])
def test_an_empty_stream_is_null(text: str) -> None:
    assert strict_yaml.loads(text.encode()) is None


def test_a_thousand_laughs_stay_small() -> None:
    lines = [
        "a: &a [lol]",
        *(f"{b}: &{b} [{', '.join(['*' + a] * 9)}]" for a, b in itertools.pairwise("abcdefghi")),
    ]
    refusal = strict_yaml.loads("\n".join(lines).encode())
    assert isinstance(refusal, Fault)
    assert refusal.code == "yaml_alias"
