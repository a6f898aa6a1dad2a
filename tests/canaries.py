"""Canaries for tests: words that are looked for in everything that Redis and the ledger have."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import asyncpg

SQLITE = "sqlite:///"


async def in_redis(client: Any, *words: str) -> set[str]:
    """The keys whose names or contents have one of the words, byte for byte as they lie in memory."""
    before = (await client.config_get("rdbcompression"))["rdbcompression"]
    await client.config_set("rdbcompression", "no")
    found = set()
    async for key in client.scan_iter():
        dumped = await client.dump(key)
        if _has(key + (dumped or b""), words):
            found.add(key.decode(errors="replace"))
    await client.config_set("rdbcompression", before)
    return found


async def in_append_only_files(client: Any, *words: str) -> set[str]:
    """The files of a server's append-only log that have one of the words."""
    config = await client.config_get("*dir*")
    directory = Path(config["dir"]) / config["appenddirname"]
    return in_files(directory, *words)


async def rewrite(client: Any) -> None:
    """Have a server write its append-only log anew."""
    await client.bgrewriteaof()
    while True:
        info = await client.info("persistence")
        if not (info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"]):
            return
        await asyncio.sleep(0.01)


def in_files(directory: Path, *words: str) -> set[str]:
    """The files below a directory that have one of the words."""
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {path.name for path in paths if _has(path.read_bytes(), words)}


async def in_ledger(url: str, *words: str) -> set[str]:
    """The tables of PostgreSQL, or the files of SQLite, that have one of the words."""
    if url.startswith(SQLITE):
        path = Path(unquote(url.removeprefix(SQLITE)))
        files = [each for each in path.parent.iterdir() if each.name.startswith(path.name)]
        return {each.name for each in files if _has(each.read_bytes(), words)}
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found = set()
        for (table,) in tables:
            rows = await connection.fetch(f'SELECT * FROM "{table}"')
            content = b"\n".join(
                value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row
            )
            if _has(content, words):
                found.add(table)
        return found
    finally:
        await connection.close()


def _has(content: bytes, words: tuple[str, ...]) -> bool:
    return any(word.encode() in content for word in words)
