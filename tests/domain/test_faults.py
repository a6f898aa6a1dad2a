"""Faults: every code can be said in both languages, and nothing of the input is quoted but names of fields."""

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine
from engine.domain import campaign, faults
from engine.domain.faults import FAULTS_MAX, TEXTS, Fault, Found

SOURCES = sorted(Path(engine.__file__).parent.rglob("*.py"))
MAKERS = {"fault", "Fault", "add", "_wrong", "_at"}


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def codes_made() -> Iterator[str]:
    """The codes that stand in the calls that make faults."""
    for source in SOURCES:
        tree = ast.parse(source.read_text("utf-8"))
        if "faults" not in {name.rpartition(".")[2] for name in imported(tree)}:
            continue
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in MAKERS:
                for argument in call.args:
                    choices = (
                        (argument.body, argument.orelse) if isinstance(argument, ast.IfExp) else (argument,)
                    )
                    for choice in choices:
                        if (
                            isinstance(choice, ast.Constant)
                            and isinstance(choice.value, str)
                            and choice.value
                        ):
                            yield choice.value


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("code", TEXTS)
def test_every_code_has_both_languages(code: str) -> None:
    zh, en = TEXTS[code]
    assert zh.endswith("。")
    assert en.endswith(".")
    assert en.isascii()
    assert placeholders(zh) == placeholders(en)


def test_the_table_and_the_code_agree() -> None:
    of_patterns = {
        meta.extra["fault"]
        for kind in (campaign.Id, campaign.Unit)
        for meta in kind.__metadata__
    }  # fmt: skip
    assert {*codes_made(), *of_patterns, "pattern", "more_faults"} == set(TEXTS)


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
