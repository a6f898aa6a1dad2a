"""aiohttp with one EVALSHA for each request, through redis-py: the naive way to let Redis decide.

Fair because the script is the least that does not oversell (a capacity check, one HSET, one XADD); the client is
asyncio with hiredis on uvloop, over the same kind of socket as the engine's; the pool has a connection for each request
that can be under way, opened on demand and kept, so that no request waits for one and Redis shares an fsync among all
that arrive in one turn of its loop; and no token is verified.

    python -m loadtests.bench.baselines.evalsha --redis URL
"""

import argparse
import json
import secrets
import time

import redis.asyncio
import uvloop
from aiohttp import web

from loadtests.bench.baselines import program

CONNECTIONS = 256
SCRIPT = """
    if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[1]) then
        return 0
    end
    redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
    redis.call('XADD', KEYS[2], '*', 'enrollment', ARGV[2], 'record', ARGV[3])
    return redis.call('HLEN', KEYS[1])
"""


async def main(url: str) -> None:
    """Serve until the parent is gone."""
    pool = redis.asyncio.ConnectionPool.from_url(url, max_connections=CONNECTIONS)
    client = redis.asyncio.Redis.from_pool(pool)
    sha = await client.script_load(SCRIPT)

    async def sign_up(request: web.Request) -> web.Response:
        await request.json()
        campaign, offering = request.match_info["campaign"], request.match_info["offering"]
        name = secrets.token_urlsafe(12)
        record = json.dumps({"key": request.headers["Idempotency-Key"], "at": time.time()})
        keys = (f"{{{campaign}}}/{offering}/enrollments", f"{{{campaign}}}/events")
        seat = await client.evalsha(sha, 2, *keys, program.CAPACITY, name, record)
        if not seat:
            return web.json_response({"code": "sold_out"}, status=409)
        return web.json_response(program.enrollment(campaign, offering, name, seat), status=201)

    app = web.Application()
    app.router.add_post(program.PATH, sign_up)
    await program.serve(app)
    await client.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--redis", required=True)
    uvloop.run(main(parser.parse_args().redis))
