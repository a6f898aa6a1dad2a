"""Mutants: what the rules make of a line, and that every one is a change that its language can read."""

import ast
from pathlib import Path
from typing import Final

import pytest

from tests.mutation import __main__ as score
from tests.mutation import lua_mutants, python_mutants
from tests.mutation.mutant import Mutant

SOURCES: Final = sorted(
    path for folder in ("engine/domain", "engine/lua") for path in (score.ROOT / folder).rglob("*.*")
    if path.suffix in {".py", ".lua"}
)  # fmt: skip


def becomes(found: list[Mutant], source: bytes) -> list[str]:
    """The source with each mutant in it."""
    return [mutant.apply(source).decode() for mutant in found]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x = a < b", ["x = a <= b"]),
        ("x = a == 7", ["x = a != 7", "x = a == 8"]),
        ("x = a not in b", ["x = a in b"]),
        ("x = a and b", ["x = a or b"]),
        ("x = not a", ["x = (a)"]),
        ("x = -a", ["x = (a)"]),
        ("x = a + b", ["x = a - b"]),
        ("x += a", ["pass", "x -= a"]),
        ("x = True", ["x = False"]),
        ("x = 'code'", ["x = 'codeXX'"]),
        ("x = 'a sentence'", []),
        ("x = '候补'", []),
        ("x = min(a)", ["x = max(a)"]),
        ("x = a if b else c", ["x = a if ((b) and False) else c", "x = a if ((b) or True) else c"]),
        ("x[a] = b", ["pass"]),
        ("f(a)", ["pass"]),
        ("f(a, strict=True)", ["pass"]),
        ("assert a < b", []),
        ("x: Literal['a'] = b", []),
        ("x: Annotated[int, Meta(ge=1)]", ["x: Annotated[int, Meta(ge=2)]"]),
    ],
)
def test_what_the_rules_make_of_python(line: str, expected: list[str]) -> None:
    source = line.encode()
    assert becomes(python_mutants.find("x.py", source), source) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("local a = b < 7", ["local a = b <= 7", "local a = b < (6)", "local a = b < 8"]),
        ("local a = b and not c", ["local a = b or not c", "local a = b and  c"]),
        ("local a = b - c + d", ["local a = b + c + d", "local a = b - c - d"]),
        ("local a = {B = 1}", []),
        ("local a = math.min(b)", ["local a = math.max(b)"]),
        ("a.b = c -- 1 < 2", ["do end -- 1 < 2"]),
        ("commit() f()", ["do end f()"]),
        (
            "if a then return end",
            ["if (a) and false then return end", "if (a) or true then return end"],
        ),
        ("while a do b() end", ["while (a) and false do b() end"]),
        ("local a = '1 < 2'", []),
    ],
)
def test_what_the_rules_make_of_lua(line: str, expected: list[str]) -> None:
    source = line.encode()
    assert becomes(lua_mutants.find("x.lua", source), source) == expected


def test_a_guard_is_a_condition_to_return() -> None:
    source = b"if a then return end if b then commit() return end if c then d() end"
    guards = [mutant for mutant in lua_mutants.find("x.lua", source) if mutant.is_guard]
    assert [mutant.after for mutant in guards] == ["(a) and false", "(b) and false"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(score.ROOT)))
def test_every_mutant_is_another_program(path: Path) -> None:
    source = path.read_bytes()
    found = score.find(str(path.relative_to(score.ROOT)), source)
    changed = {mutant.apply(source) for mutant in found}
    assert len(changed) == len(found)
    assert source not in changed
    for each in sorted(changed)[::25]:
        assert ast.parse(each) if path.suffix == ".py" else lua_mutants.words(each)


def test_every_equivalent_mutant_is_still_made() -> None:
    for known in score.read_equivalents():
        source = (score.ROOT / known.path).read_bytes()
        shown = {mutant.show(source) for mutant in score.find(known.path, source)}
        assert (known.line, known.becomes) in shown, known
        assert known.reason
