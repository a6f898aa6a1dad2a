"""Bare aiohttp: JSON in, JSON out, and nothing decided. The ceiling of HTTP in one process.

Fair because it does what aiohttp's documentation shows, on uvloop, and less than any service would: it verifies no
token, checks no body, keeps nothing, and has no access log. A definition is answered from ready bytes. With --calm
the garbage collector is set as in the engine's processes, which nothing obliges a service to do.

    python -m loadtests.bench.baselines.bare --definition FILE [--calm]
"""

import argparse
import gc
from itertools import count
from pathlib import Path

import uvloop
from aiohttp import web

from engine.commands.child import COLLECT_AFTER_OBJECTS
from loadtests.bench.baselines import program


def make_app(definition: bytes) -> web.Application:
    """The two routes that are compared."""
    seats = count(1)

    async def sign_up(request: web.Request) -> web.Response:
        await request.json()
        where = request.match_info
        document = program.enrollment(where["campaign"], where["offering"], "k3J9xQ2mPz7TfLw0", next(seats))
        return web.json_response(document, status=201)

    async def show(request: web.Request) -> web.Response:
        return web.Response(body=definition, content_type="application/json")

    app = web.Application()
    app.router.add_post(program.PATH, sign_up)
    app.router.add_get("/v1/campaigns/{campaign}", show)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--definition", type=Path, required=True)
    parser.add_argument("--calm", action="store_true")
    parsed = parser.parse_args()
    if parsed.calm:
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER_OBJECTS)
    uvloop.run(program.serve(make_app(parsed.definition.read_bytes())))
