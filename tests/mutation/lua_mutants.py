"""Mutants of a Lua script, by rule, from its words.

A condition is forced each way, which drops a guard or makes it refuse all; a comparison loses or gains its bound, or
is turned about; `and` and `or`, `+` and `-`, `min` and `max` are swapped; `not` is dropped; a number is one more, and
beside a comparison also one less; a truth value is the other; a statement with an effect is left out. Numbers that
name the places of a layout are left alone: both languages share them, and tests/test_tables.py compares them.
"""

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from tests.mutation.mutant import Mutant

_WORD: Final = re.compile(
    r"""(?P<skip>--[^\n]*|\#!lua[^\n]*|\s+)
    |(?P<text>'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>[0-9]+)
    |(?P<sign>==|~=|<=|>=|\.\.\.|\.\.|[-+*/%^\#<>=(){}\[\];:,.])""",
    re.VERBOSE,
)
SWAPPED: Final = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "~=",
    "~=": "==",
    "and": "or",
    "or": "and",
    "+": "-",
    "*": "/",
    "/": "*",
    "not": "",
    "true": "false",
    "false": "true",
    "min": "max",
    "max": "min",
}
COMPARISONS: Final = {"<", "<=", ">", ">=", "==", "~="}
OPENING: Final = {"(": ")", "{": "}", "[": "]"}
EFFECT: Final = re.compile(r"^ *(?:[\w.]+(?:\[[^=\n]*\]|\.\w+) = |[\w.]+\()")
"""How a line begins that is a call, or sets a field."""
STATEMENT: Final = re.compile(
    r"^ *(?:if |for |while |return\b|local (?!function)|[\w.]+(?:\[[^=\n]*\]|\.\w+)* = |[\w.]+\()"
)


class Word(Struct, frozen=True):
    """A word or sign of a script, by its place in bytes."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """Behind its last byte."""
        return self.start + len(self.text.encode())


def words(source: bytes) -> list[Word]:
    """All but comments and blanks. Raises ValueError at what is no Lua of ours."""
    found, at, start, text = [], 0, 0, source.decode()
    while at < len(text):
        match = _WORD.match(text, at)
        if not match:
            raise ValueError(f"no word of Lua: {text[at : at + 20]!r}")
        if match.lastgroup != "skip":
            found.append(Word(match.lastgroup or "", match[0], start))
        start += len(match[0].encode())
        at = match.end()
    return found


def find(path: str, source: bytes) -> list[Mutant]:
    """The mutants of a file, in the order of its lines."""
    listed = words(source)
    changes = {*_conditions(source, listed), *_signs(source, listed), *_effects(source, listed)}
    return [
        Mutant(path, start, end, after, source.count(b"\n", 0, start) + 1, is_guard)
        for start, end, after, is_guard in sorted(changes)
    ]


Change = tuple[int, int, str, bool]


def _conditions(source: bytes, listed: list[Word]) -> Iterator[Change]:
    for index, word in enumerate(listed):
        if word.kind != "name" or word.text not in {"if", "elseif", "while"}:
            continue
        ends = next(other for other in range(index, len(listed)) if listed[other].text in {"then", "do"})
        start, end = listed[index + 1].start, listed[ends - 1].end
        condition = source[start:end].decode()
        returns = _returns_first(listed, ends + 1)
        yield start, end, f"({condition}) and false", returns
        if word.text != "while":
            yield start, end, f"({condition}) or true", False


def _returns_first(listed: list[Word], index: int) -> bool:
    """Whether a block returns, perhaps after it has written what time brought about."""
    following = [word.text for word in listed[index : index + 4]]
    return following[:1] == ["return"] or following == ["commit", "(", ")", "return"]


def _signs(source: bytes, listed: list[Word]) -> Iterator[Change]:
    for index, word in enumerate(listed):
        before, after = (listed[index - 1] if index else None), listed[index + 1 : index + 2]
        beside = {before.text if before else "", *(each.text for each in after)}
        if word.kind == "number":
            if before and not _is_layout(source, listed, index):
                yield word.start, word.end, str(int(word.text) + 1), False
                if beside & COMPARISONS:
                    yield word.start, word.end, f"({int(word.text) - 1})", False
        elif word.text == "-" and before and (before.kind in {"name", "number"} or before.text in ")]"):
            yield word.start, word.end, "+", False
        elif word.kind in {"name", "sign"} and word.text in SWAPPED:
            if word.text in {"min", "max"} and (before is None or listed[index - 2].text != "math"):
                continue
            yield word.start, word.end, SWAPPED[word.text], False


def _is_layout(source: bytes, listed: list[Word], index: int) -> bool:
    """Whether a number is the place of a named field."""
    line = source[source.rfind(b"\n", 0, listed[index].start) + 1 :].split(b"\n", 1)[0].decode()
    named = listed[index - 1].text == "=" and listed[index - 2].text.isupper()
    return (
        named
        or re.fullmatch(r"[0-9, ]+", line) is not None
        or re.match(r"local [A-Z_, ]+ = ", line) is not None
    )


def _effects(source: bytes, listed: list[Word]) -> Iterator[Change]:
    ends = {word.start: index for index, word in enumerate(listed)}
    at = 0
    for line in source.splitlines(keepends=True):
        start = at + len(line) - len(line.lstrip())
        at += len(line)
        if start in ends and EFFECT.match(line.decode()):
            end = _statement_end(listed, ends[start])
            if end is not None:
                yield start, end, "do end", False


def _statement_end(listed: list[Word], index: int) -> int | None:
    """Behind the last word of a call or assignment that begins at a word; None where that defines a function."""
    depth, begun = 0, False
    for number in range(index, len(listed)):
        word = listed[number]
        if word.text == "function":
            return None
        if word.text in OPENING:
            depth += 1
        elif word.text in OPENING.values():
            depth -= 1
            if depth < 0:
                return None
        following = listed[number + 1] if number + 1 < len(listed) else None
        begun = begun or word.text in {"=", "("}
        if begun and depth == 0 and (following is None or _begins_anew(word, following)):
            return word.end
    return None


def _begins_anew(word: Word, following: Word) -> bool:
    """Whether a statement ends between two words: after a value comes something that continues none."""
    values = {"name", "number", "text"}
    ends_value = (word.kind in values and word.text not in {"and", "or", "not"}) or word.text in {
        ")",
        "]",
        "}",
    }
    return ends_value and following.kind == "name" and following.text not in {"and", "or"}


def instrument(name: str, source: bytes) -> bytes:
    """A script that logs, for each line at which a statement begins, `hit <name>:<line>`, once in a call."""
    text, begins = source.decode(), {source.count(b"\n", 0, word.start) + 1 for word in words(source)}
    lines, depth = text.split("\n"), 0
    for number, line in enumerate(lines, start=1):
        if number in begins and depth == 0 and STATEMENT.match(line):
            indent = line[: len(line) - len(line.lstrip())]
            lines[number - 1] = f"{indent}hit('{name}:{number}') {line.lstrip()}"
        bare = re.sub(r"--.*|'(?:\\.|[^'\\])*'", "", line)
        depth += sum(bare.count(each) for each in "({") - sum(bare.count(each) for each in ")}")
        if re.match(r" *if |  *elseif ", bare) and "then" not in bare:
            depth += 1
        elif depth and re.search(r"\bthen\b", bare) and not re.match(r" *(if|elseif) ", bare):
            depth -= 1
    return "\n".join(lines).encode()


HIT: Final = b"""local hits = {}
local function hit(place)
  if not hits[place] then
    hits[place] = true
    redis.log(redis.LOG_WARNING, 'hit ' .. place)
  end
end
"""


def reached_with(source: bytes, line: int) -> int:
    """The line of the statement whose being reached tells that this line may be; 0 for none, reached by each call."""
    lines = source.decode().split("\n")
    indent = len(lines[line - 1]) - len(lines[line - 1].lstrip())
    instrumented = instrument("", source).decode().split("\n")
    for number in range(line, 0, -1):
        text = instrumented[number - 1]
        if text.strip() and len(text) - len(text.lstrip()) <= indent:
            if text.lstrip().startswith("hit("):
                return number
            if re.match(r" *(local )?function |end\b", text):
                return 0
    return 0
