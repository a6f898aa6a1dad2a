"""Serving: the api on a socket, from the opened runtime to the last answer."""

import asyncio
import fcntl
import logging
import socket
import sys
import termios
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from api import answers, open_files, openapi, rate_limits, routes, tokens
from api.auth import Authenticator
from api.call import Api, Description
from api.endpoint import Endpoint
from api.jwks import Jwks
from api.live.hub import Hub
from api.shown import Showcase
from engine import receipts
from engine.config import BACKLOG
from engine.failures import fit_to_log
from engine.live.catalog import REFRESH_S
from engine.live.server import NothingRan
from engine.receipts import Receipts
from engine.runtime import Runtime

logger = logging.getLogger(__name__)

http_logger = logging.getLogger(f"{__name__}.http")

KEEPALIVE_S: Final = 75.0
SHUTDOWN_S: Final = 30.0
STALLED_S: Final = 30.0
"""How long a client may take nothing of what waits for it; then it is dropped, so that it holds no memory."""
DRAIN_S: Final = 5.0
"""How long a process that another takes over from waits for the next request of a connection."""

ACCEPTED_PER_TURN: Final = 32
"""Connections taken from the backlog in one turn of the loop.

libuv takes one (libuv/libuv#3696): behind 14,000 requests a second that is 400 connections a second, and members who
connect at the opening would wait for seconds. Each listener takes one, so that there are several on the one socket.
"""

Drain = Callable[[], Coroutine[Any, Any, None]]


class BoundedServer(web.Server):
    """aiohttp's server itself, with at most `connections_max` connections; one more is closed at once.

    An Application would put a router of regular expressions and a mutable response on top of it, which cost more than
    the decision.
    """

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], connections_max: int
    ) -> None:
        super().__init__(
            handler,
            access_log=None,
            logger=http_logger,
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE_S,
        )
        self._connections_max = connections_max
        self._transports: dict[RequestHandler, asyncio.Transport] = {}
        self._unsent: dict[asyncio.Transport, int] = {}
        self.empty = asyncio.Event()
        self.empty.set()

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count it."""
        super().connection_made(handler, transport)
        self._transports[handler] = transport
        self.empty.clear()
        if len(self._transports) > self._connections_max:
            transport.abort()

    def drop_stalled(self) -> None:
        """Drop whoever has taken nothing since the last call; a closed connection, too, waits for its last bytes."""
        before, self._unsent = self._unsent, {}
        for transport in self._transports.values():
            if not transport.get_write_buffer_size():
                continue
            unsent = _unsent_bytes(transport)
            if before.get(transport) == unsent:
                transport.abort()
            else:
                self._unsent[transport] = unsent

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Count it out."""
        self._transports.pop(handler, None)
        if not self._transports:
            self.empty.set()
        super().connection_lost(handler, exc)


@asynccontextmanager
async def serving(runtime: Runtime, sock: socket.socket) -> AsyncIterator[Drain]:
    """Answer requests on a bound socket; at the end stop taking, and answer what is in flight.

    Yields what drains it before that end, for when another process has the same socket: it takes no new connections,
    tells each client to go with its next answer, and returns when all are gone or have been silent for DRAIN_S.
    """
    settings = runtime.settings
    secret = tokens.load_secret(settings.data, settings.token_secret)
    jwks = Jwks(settings.jwks_url) if settings.jwks_url else None
    authenticator = Authenticator(time.time, tokens.Hs256(secret), jwks)
    signed = Receipts(runtime.ledger, receipts.load(settings.data, settings.receipt_key))
    hub, limits = Hub(runtime), rate_limits.configured(runtime)
    api = Api(runtime, authenticator, _description(), Showcase(), hub, limits, signed, asyncio.Lock())
    endpoint = Endpoint(api)
    server = BoundedServer(endpoint.handle, open_files.room_for(settings.connections_max))
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_S)
    await runtime.load_definitions()
    await runner.setup()
    hub.start()
    if jwks:
        jwks.start()
    stopping = asyncio.Event()
    refreshing = asyncio.create_task(_refresh_until(stopping, runtime))
    dropping = asyncio.create_task(_drop_stalled_until(stopping, server))
    reporter = runtime.reporter()
    reporter.start()
    listening = (sock, *(sock.dup() for _ in range(ACCEPTED_PER_TURN - 1)))
    sites = [web.SockSite(runner, each, backlog=BACKLOG) for each in listening]

    async def drain() -> None:
        endpoint.draining = True
        # This closes no more than this process's descriptors of the socket.
        for site in sites:
            await site.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await server.empty.wait()

    try:
        for site in sites:
            await site.start()
        yield drain
    finally:
        stopping.set()
        endpoint.draining = True
        await hub.stop()
        await runner.cleanup()
        if jwks:
            await jwks.stop()
        await refreshing
        await dropping
        await reporter.stop()


def _unsent_bytes(transport: asyncio.Transport) -> int:
    """What a client has not acknowledged yet: a slow one may live on what the system has for a long while."""
    queued = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    return transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)


@cache
def _description() -> Description:
    document = msgspec.json.encode(openapi.build(routes.ROUTES))
    return Description(document, answers.etag_of(document))


def _without_the_request(record: logging.LogRecord) -> bool:
    """aiohttp quotes what it could not parse, perhaps a token, and names the address: what is left is the fault.

    What is no HTTP is the client's, and no line at all: anybody could fill a disk with them.
    """
    if record.exc_info and record.exc_info[1]:
        if isinstance(record.exc_info[1], HttpProcessingError):
            return False
        record.msg, record.args = f"a request failed: {fit_to_log(record.exc_info[1])}", ()
        record.exc_info = None
    return True


http_logger.addFilter(_without_the_request)


async def _is_over(stopping: asyncio.Event, wait_s: float) -> bool:
    """Wait so long, or until it is over."""
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            await stopping.wait()
    return stopping.is_set()


async def _drop_stalled_until(stopping: asyncio.Event, server: BoundedServer) -> None:
    while not await _is_over(stopping, STALLED_S):
        server.drop_stalled()


async def _refresh_until(stopping: asyncio.Event, runtime: Runtime) -> None:
    # To be cancelled would not do: before Python 3.12 asyncio.wait_for, with which redis-py sends, may swallow that.
    while not await _is_over(stopping, REFRESH_S):
        try:
            await runtime.catalog.refresh()
        except NothingRan as error:
            logger.warning("the definitions could not be read again: %s", error)
