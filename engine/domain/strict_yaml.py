"""YAML as far as it means what JSON means: no aliases, no tags, no second document, no surprising numbers.

The tree is built from the parser's events. Plain scalars are read as YAML 1.1 does: null, booleans and decimal
numbers; times and dates stay strings; a number in another of its forms (octal, base 60, …) is refused.
"""

import re
from typing import Any, Final

import yaml
from yaml import events

from engine.domain import strict_json
from engine.domain.faults import Fault, fault

_LOADER: Final[Any] = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_UNPRINTABLE: Final = yaml.reader.Reader.NON_PRINTABLE
_RESOLVERS: Final = yaml.SafeLoader.yaml_implicit_resolvers
_NUMBER_TAGS: Final = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS: Final = {
    spelling: value
    for words, value in (("yes true on", True), ("no false off", False), ("null", None))
    for word in words.split()
    for spelling in (word, word.capitalize(), word.upper())
} | {"": None, "~": None}


class _Refused(Exception):
    """The stream does not stand for one tree of plain values."""

    def __init__(self, refusal: Fault) -> None:
        self.refusal = refusal


def loads(data: bytes) -> object | Fault:
    """The value that `data` stands for, or a Fault if it cannot be read.

    As in `strict_json.loads`, a value that is refused at its place (a repeated key, a number out of bounds or in
    another form) is a Fault in the tree.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return fault("not_utf8")
    if unprintable := _UNPRINTABLE.search(text):
        before = text[: unprintable.start()]
        return fault("syntax", line=before.count("\n") + 1, column=len(before) - before.rfind("\n"))
    loader = _LOADER(text)
    try:
        return _document(loader)
    except _Refused as error:
        return error.refusal
    except yaml.MarkedYAMLError as error:
        return _at(error.problem_mark, "syntax")
    except ValueError:  # PyYAML's own parser, at an escape for what is no character.
        return _at(loader.get_mark(), "syntax")


def _at(mark: Any, code: str) -> Fault:
    return fault(code, line=mark.line + 1, column=mark.column + 1)


def _document(loader: Any) -> object:
    """The one document of the stream; none at all is null."""
    loader.get_event()  # The stream starts.
    if isinstance(loader.get_event(), events.StreamEndEvent):
        return None
    tree = _value(loader, loader.get_event(), 0)
    loader.get_event()  # The document ends.
    after = loader.get_event()
    if not isinstance(after, events.StreamEndEvent):
        raise _Refused(_at(after.start_mark, "yaml_documents"))
    return tree


def _check_is_plain(event: Any) -> None:
    if event.anchor is not None:
        raise _Refused(_at(event.start_mark, "yaml_alias"))
    if event.tag is not None:
        raise _Refused(_at(event.start_mark, "yaml_tag"))


def _value(loader: Any, event: Any, depth: int) -> object:
    _check_is_plain(event)
    if isinstance(event, events.ScalarEvent):
        return _unquoted(event.value) if event.implicit[0] else event.value
    if depth == strict_json.DEPTH_MAX:
        raise _Refused(fault("too_deep", depth_max=strict_json.DEPTH_MAX))
    if isinstance(event, events.SequenceStartEvent):
        return _sequence(loader, depth)
    return _mapping(loader, depth)


def _sequence(loader: Any, depth: int) -> list[object]:
    made = []
    while not isinstance(event := loader.get_event(), events.SequenceEndEvent):
        made.append(_value(loader, event, depth + 1))
    return made


def _mapping(loader: Any, depth: int) -> dict[str, object]:
    made: dict[str, object] = {}
    while not isinstance(event := loader.get_event(), events.MappingEndEvent):
        if not isinstance(event, events.ScalarEvent):
            raise _Refused(_at(event.start_mark, "yaml_key"))
        _check_is_plain(event)
        value = _value(loader, loader.get_event(), depth + 1)
        made[event.value] = fault("duplicate_key") if event.value in made else value
    return made


def _unquoted(scalar: str) -> object | Fault:
    """What a scalar without quotes stands for."""
    if scalar in _WORDS:
        return _WORDS[scalar]
    if number := _NUMBER.fullmatch(scalar):
        return strict_json.integer(scalar) if number.lastindex is None else strict_json.number(scalar)
    for tag, form in _RESOLVERS.get(scalar[0], ()):
        if tag in _NUMBER_TAGS and form.match(scalar):
            return fault("number_form")
    return scalar
