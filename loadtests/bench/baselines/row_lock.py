"""FastAPI and PostgreSQL: SELECT … FOR UPDATE of the offering's row, then the change, in one transaction.

Fair because it is asyncpg with its prepared statements and without an ORM, over a Unix socket; uvicorn on uvloop and
httptools without an access log; the pool is as large as helps (the row admits one transaction at a time, more
connections only wait in the server instead of in the process); the row that is locked is narrow, and free space in
its page keeps its updates cheap; and no token is verified. `--commit off` gives up durability, as fsync=off would:
a commit returns before its log is on disk.

    python -m loadtests.bench.baselines.row_lock --database URL --commit on|off
"""

import argparse
import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
import uvicorn
import uvloop
from fastapi import FastAPI, Header, HTTPException

from loadtests.bench.baselines import program

CONNECTIONS = 4
SCHEMA = f"""
    CREATE TABLE IF NOT EXISTS offerings (
        offering text PRIMARY KEY, capacity int NOT NULL, taken int NOT NULL DEFAULT 0
    ) WITH (fillfactor = 10);
    CREATE TABLE IF NOT EXISTS enrollments (
        enrollment text PRIMARY KEY, offering text NOT NULL REFERENCES offerings, key text NOT NULL,
        seat int NOT NULL, decided_at timestamptz NOT NULL DEFAULT now(), UNIQUE (offering, seat)
    );
    INSERT INTO offerings VALUES ('seats', {program.CAPACITY}) ON CONFLICT DO NOTHING;
"""


def make_app(database: str, commit: str) -> FastAPI:
    """The one route."""
    pool: asyncpg.Pool[Any]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        nonlocal pool
        pool = await asyncpg.create_pool(
            database,
            min_size=CONNECTIONS,
            max_size=CONNECTIONS,
            server_settings={"synchronous_commit": commit},
        )
        async with pool:
            await pool.execute(SCHEMA)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post(program.PATH, status_code=201)
    async def sign_up(
        campaign: str, offering: str, body: dict[str, str], idempotency_key: Annotated[str, Header()]
    ) -> dict[str, object]:
        name = secrets.token_urlsafe(12)
        async with pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "SELECT capacity, taken FROM offerings WHERE offering = $1 FOR UPDATE", offering
            )
            if row is None:
                raise HTTPException(404, "not_found")
            if row["taken"] >= row["capacity"]:
                raise HTTPException(409, "sold_out")
            seat: int = row["taken"] + 1
            await connection.execute("UPDATE offerings SET taken = $2 WHERE offering = $1", offering, seat)
            await connection.execute(
                "INSERT INTO enrollments (enrollment, offering, key, seat) VALUES ($1, $2, $3, $4)",
                *(name, offering, idempotency_key, seat),
            )
        return program.enrollment(campaign, offering, name, seat)

    return app


class Announcing(uvicorn.Server):
    """Says that it is ready once it is."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets is not None
        program.say_ready(sockets[0].getsockname()[1])


async def main(database: str, commit: str) -> None:
    """Serve until the parent is gone."""
    config = uvicorn.Config(
        make_app(database, commit), http="httptools", ws="none", access_log=False, log_level="warning"
    )
    server = Announcing(config)

    async def stop_with_parent() -> None:
        await program.parent_gone()
        server.should_exit = True

    stopping = asyncio.create_task(stop_with_parent())
    await server.serve([socket.create_server((program.HOST, 0), backlog=program.BACKLOG)])
    stopping.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True)
    parser.add_argument("--commit", choices=("on", "off"), required=True)
    parsed = parser.parse_args()
    uvloop.run(main(parsed.database, parsed.commit))
