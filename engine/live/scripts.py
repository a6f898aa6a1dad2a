"""Lua scripts: composed from their files, called by digest, loaded again when a server has not got them."""

import hashlib
import re
from functools import cache
from importlib import resources
from typing import Final

from msgspec import Struct

from engine.domain import events, outcome
from engine.live import keys

FILES: Final = resources.files("engine") / "lua"

_INCLUDE: Final = re.compile(r"^-- @include (.+)$", re.MULTILINE)


class Script(Struct, frozen=True):
    """A composed script and its SHA-1, by which Redis knows it."""

    name: str
    source: str
    digest: str


def _prelude() -> str:
    """The names that the files share with Python: outcomes, keys, and the layout's version."""
    codes = [*outcome.OUTCOMES, *outcome.INTERNAL]
    outcomes = ", ".join(f"{code.upper()} = '{code}'" for code in codes)
    parts = ", ".join(f"{part} = KEYS[{number}]" for number, part in enumerate(keys.PARTS, start=1))
    return f"local Outcome = {{{outcomes}}}\nlocal Key = {{{parts}}}\nlocal SCHEMA = {events.SCHEMA}\n"


def compose(name: str, source: str) -> Script:
    """Put the prelude and the includes between a file's header and its body."""
    header, *after = _INCLUDE.split(source, maxsplit=1)
    if len(after) != 2:
        raise ValueError(f"{name}.lua names no includes")
    includes, body = after
    parts = [(FILES / "includes" / f"{include}.lua").read_text() for include in includes.split()]
    composed = "\n".join([header.rstrip(), _prelude(), *parts, body])
    return Script(name, composed, hashlib.sha1(composed.encode(), usedforsecurity=False).hexdigest())


@cache
def load(name: str) -> Script:
    """The script of `engine/lua/<name>.lua`."""
    return compose(name, (FILES / f"{name}.lua").read_text())


def names() -> list[str]:
    """Every verb, in alphabetical order."""
    return sorted(entry.name.removesuffix(".lua") for entry in FILES.iterdir() if entry.name.endswith(".lua"))
