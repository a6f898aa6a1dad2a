"""Serving: the api on a socket, from the opened runtime to the last answer."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiohttp import web

from api import tokens
from api.app import make_app
from api.auth import Authenticator
from api.call import Api
from api.endpoint import fit_to_log
from api.jwks import Jwks
from engine.live.catalog import REFRESH_S
from engine.live.server import NothingRan
from engine.runtime import Runtime

logger = logging.getLogger(__name__)

http_logger = logging.getLogger(f"{__name__}.http")

KEEPALIVE_S: Final = 75.0
SHUTDOWN_S: Final = 30.0
BACKLOG: Final = 4096


class BoundedSite(web.SockSite):
    """A socket of which at most `connections_max` connections are open; one more is closed at once."""

    def __init__(self, runner: web.AppRunner, sock: socket.socket, connections_max: int) -> None:
        super().__init__(runner, sock, backlog=BACKLOG)
        self._connections_max = connections_max

    async def start(self) -> None:
        """Listen."""
        await web.BaseSite.start(self)
        server = self._runner.server
        assert server is not None

        def protocol() -> asyncio.BaseProtocol:
            return server() if len(server.connections) < self._connections_max else _Refusal()

        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(protocol, sock=self._sock, backlog=self._backlog)


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


@asynccontextmanager
async def serving(runtime: Runtime, sock: socket.socket) -> AsyncIterator[Api]:
    """Answer requests on a bound socket; at the end stop taking, and answer what is in flight."""
    settings = runtime.settings
    secret = tokens.load_secret(settings.data, settings.token_secret)
    jwks = Jwks(settings.jwks_url) if settings.jwks_url else None
    api = Api(runtime, Authenticator(time.time, tokens.Hs256(secret), jwks))
    runner = web.AppRunner(
        make_app(api),
        access_log=None,
        logger=http_logger,
        auto_decompress=False,
        keepalive_timeout=KEEPALIVE_S,
        shutdown_timeout=SHUTDOWN_S,
    )
    await runtime.load_definitions()
    await runner.setup()
    if jwks:
        jwks.start()
    stopping = asyncio.Event()
    refreshing = asyncio.create_task(_refresh_until(stopping, runtime))
    try:
        await BoundedSite(runner, sock, settings.connections_max).start()
        yield api
    finally:
        stopping.set()
        await runner.cleanup()
        if jwks:
            await jwks.stop()
        await refreshing


def _without_the_request(record: logging.LogRecord) -> bool:
    """aiohttp quotes what it could not parse, perhaps a token, and names the address: what is left is the fault."""
    if record.exc_info and record.exc_info[1]:
        record.msg, record.args = f"a request failed: {fit_to_log(record.exc_info[1])}", ()
        record.exc_info = None
    return True


http_logger.addFilter(_without_the_request)


async def _refresh_until(stopping: asyncio.Event, runtime: Runtime) -> None:
    # To be cancelled would not do: before Python 3.12 asyncio.wait_for, with which redis-py sends, may swallow that.
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(REFRESH_S):
                await stopping.wait()
        if stopping.is_set():
            return
        try:
            await runtime.catalog.refresh()
        except NothingRan as error:
            logger.warning("the definitions could not be read again: %s", error)
