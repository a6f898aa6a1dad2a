"""The ledger's SQL: `sql/<dialect>/queries.sql` and the numbered migrations beside it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

Dialect = Literal["sqlite", "postgres"]

_SQL = Path(__file__).parent / "sql"
_NAME = re.compile(r"^-- (\w+) --$", re.MULTILINE)


class Migration(Struct, frozen=True):
    """One step of the schema, from `NNNN_name.sql`."""

    number: int
    name: str
    script: str


def queries(dialect: Dialect) -> Mapping[str, str]:
    """Every statement of a dialect by its name."""
    _, *parts = _NAME.split((_SQL / dialect / "queries.sql").read_text("utf-8"))
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


def migrations(dialect: Dialect) -> list[Migration]:
    """Every migration of a dialect, in order."""
    return [
        Migration(int(path.stem.partition("_")[0]), path.stem, path.read_text("utf-8"))
        for path in sorted((_SQL / dialect).glob("[0-9]*.sql"))
    ]
