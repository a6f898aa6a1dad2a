"""Faults: every code can be said in both languages, and nothing of the input is quoted but names of fields."""

import ast
import string
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import engine
from engine.domain import campaign, faults, invitation
from engine.domain.faults import FAULTS_MAX, TEXTS, Fault, Found

ROOT = Path(engine.__file__).parents[1]
SOURCES = sorted(path for house in ("engine", "api") for path in (ROOT / house).rglob("*.py"))
CODE_AT = {"fault": 0, "Fault": 1, "add": 1, "_wrong": 1, "_at": 1}
"""The calls that make faults, and which argument is the code."""


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def codes_made(source: str) -> Iterator[str]:
    """The codes that stand in a module that makes faults."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        at = CODE_AT.get(ast.unparse(call.func).rpartition(".")[2], len(call.args))
        for argument in call.args[at : at + 1]:
            for choice in (argument.body, argument.orelse) if isinstance(argument, ast.IfExp) else [argument]:
                if isinstance(choice, ast.Constant) and isinstance(choice.value, str):
                    yield choice.value


@pytest.mark.parametrize("code", TEXTS)
def test_every_code_has_both_languages(code: str) -> None:
    zh, en = TEXTS[code]
    assert zh.endswith("。")
    assert en.endswith(".")
    assert en.isascii()
    assert placeholders(zh) == placeholders(en)


def test_the_table_and_the_code_agree() -> None:
    sources = [source for path in SOURCES if "domain.faults" in (source := path.read_text("utf-8"))]
    made = {code for source in sources for code in codes_made(source)}
    of_patterns = {get_args(kind)[1].extra["fault"] for kind in (campaign.Id, campaign.Unit, invitation.Code)}
    assert made | of_patterns | {"pattern", "more_faults"} == set(TEXTS)


def test_a_sentence_in_each_language() -> None:
    fault = Fault("/offerings/0/pools/1/capacity", "too_large", {"max": 10_000_000})
    assert faults.text(fault, "en") == "Must be at most 10000000."
    assert faults.text(fault, "zh") == "不得大于 10000000。"


def test_a_pointer_escapes_and_shortens_names() -> None:
    assert faults.pointer(None) == ""
    assert faults.pointer(((((None, "a/b"), 3), "~"), "")) == "/a~1b/3/~0/"
    assert faults.pointer((None, "x" * 70)) == "/" + "x" * 64
    assert faults.pointer((None, "a\0\n\u202e\ud800剪")) == "/a\ufffd\ufffd\ufffd\ufffd剪"


def test_names_with_braces_are_no_placeholders() -> None:
    fault = Fault("/{min}", "unknown_field", {"field": "{min}"})
    assert faults.text(fault, "en") == 'There is no field named "{min}".'


def test_beyond_the_bound_faults_are_counted() -> None:
    found = Found()
    for index in range(FAULTS_MAX):
        found.add((None, index), "missing")
    assert [fault.code for fault in found.faults()] == ["missing"] * FAULTS_MAX
    found.add(None, "missing")
    found.add(None, "missing")
    *listed, last = found.faults()
    assert len(listed) == FAULTS_MAX
    assert last == Fault("", "more_faults", {"more": 2})
