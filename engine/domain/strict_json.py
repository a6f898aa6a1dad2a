"""JSON as RFC 8259 means it, and no more: what other readers might take in another way is refused.

The standard library's parser does the work; its hooks refuse what it would let through.
"""

import json
import math
import re
from typing import Any, Final

from engine.domain.faults import Fault, fault

DEPTH_MAX: Final = 64
DIGITS_MAX: Final = 20

_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def loads(data: bytes) -> object | Fault:
    """The value that `data` stands for, or a Fault if it is not JSON, not UTF-8, or nested too deep.

    A repeated key, NaN, an infinity, an integer of too many digits or a string with a lone surrogate is refused
    at its place: there the tree holds a Fault, which `shapes` reports with its path. No other value is one.
    """
    try:
        text = data.decode()
        tree: object = _decoder.decode(text)
    except UnicodeDecodeError:
        return fault("not_utf8")
    except json.JSONDecodeError as error:
        return fault("syntax", line=error.lineno, column=error.colno)
    except RecursionError:
        return _too_deep()
    if text.count("[") + text.count("{") > DEPTH_MAX or _SURROGATE_ESCAPE.search(text):
        return _look_through(tree)
    return tree


def _look_through(tree: object) -> object | Fault:
    """Level by level: refuse lone surrogates at their place, and the whole if it has more than DEPTH_MAX levels."""
    root = [tree]
    level: list[Any] = [root]
    for _ in range(DEPTH_MAX + 1):
        deeper: list[Any] = []
        for container in level:
            for key, value in container.items() if type(container) is dict else enumerate(container):
                if type(value) is str:
                    if _SURROGATE.search(value):
                        container[key] = fault("surrogate")
                elif type(value) is dict or type(value) is list:
                    deeper.append(value)
        if not deeper:
            return root[0]
        level = deeper
    return _too_deep()


def _too_deep() -> Fault:
    return fault("too_deep", depth_max=DEPTH_MAX)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen = set()
        for key, _ in pairs:
            if key in seen:
                made[key] = fault("duplicate_key")
            seen.add(key)
    return made


def integer(digits: str) -> int | Fault:
    """A decimal integer; long ones are refused, since reading them takes quadratic time."""
    return int(digits) if len(digits) <= DIGITS_MAX else fault("number_too_long")


def number(digits: str) -> float | Fault:
    """A decimal number; one that no double can hold is refused."""
    value = float(digits)
    return value if math.isfinite(value) else fault("not_finite")


_decoder = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=integer,
    parse_float=number,
    parse_constant=lambda name: fault("not_finite"),
)
