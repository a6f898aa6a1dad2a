"""The list of personal data in docs/privacy.md is whole: each table with its columns, each key."""

import re
import sqlite3
from pathlib import Path

from engine.ledger.sqlite import SqliteLedger
from engine.live import keys

PAGE = (Path(__file__).parent.parent / "docs" / "privacy.md").read_text()
ROWS = re.findall(r"^\| `([^`]+)` \|(.*)\|$", PAGE, re.MULTILINE)


async def test_every_column_of_every_table_is_listed(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    await ledger.open()
    await ledger.migrate()
    await ledger.close()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        columns = {
            table: {row[1] for row in connection.execute(f"PRAGMA table_info({table})")} for table in tables
        }
    connection.close()
    listed = {table: set(re.findall(r"`(\w+)`", rest)) for table, rest in ROWS if table in columns}
    assert listed == columns


def test_every_key_is_listed() -> None:
    names = [name for name, _ in ROWS]
    others = [keys.DIRECTORY, keys.FSYNC, keys.lease("…", "…")]
    assert [name for name in names if name.isupper()] == list(keys.PARTS)
    assert [name for name in names if ":" in name] == others


def test_where_members_are_is_where_they_are_forgotten() -> None:
    """What the page says to be a member's is what the queries that forget change."""
    sql = (Path(__file__).parent.parent / "engine/ledger/sql/sqlite/queries.sql").read_text()
    changed = dict(re.findall(r"^UPDATE (\w+) SET (member|actor) = stand_in", sql, re.MULTILINE))
    changed |= dict(re.findall(r"^UPDATE (events|dead_letters) SET (fields)", sql, re.MULTILINE))
    said = dict[str, str]()
    for table, rest in ROWS:
        first = re.search(r"`(\w+)`", rest.split("|")[-1])
        if first and "|" in rest:
            said[table] = first[1]
    assert said == changed
