"""One process of a deployment: `python -m engine.commands.child api|work`, started by the supervisor.

It reads the same settings from the environment, answers on a socket that it inherits, says into a pipe when it is
ready, and ends with its parent, however that dies.
"""

import argparse
import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import uvloop

from api.serving import Drain, serving
from api.tokens import TokenSecretError
from engine import config, metrics
from engine.commands.supervisor import DRAIN, READY
from engine.config import Settings
from engine.ledger.protocol import Unavailable
from engine.live.server import NothingRan
from engine.receipts import ReceiptKeyError
from engine.runtime import Runtime, open_runtime

PR_SET_PDEATHSIG: Final = 1
COLLECT_AFTER_OBJECTS: Final = 20_000
logger = logging.getLogger(__name__)

LOG_FORMAT: Final = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"


def main() -> int:
    """Run until SIGTERM, or until it is drained after DRAIN."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("api", "work"))
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--ready", type=int, required=True, help="the pipe to say so")
    parser.add_argument("--socket", type=int, help="the listening socket of an api")
    parser.add_argument(
        "--after-death", action="store_true", help="it takes the place of a process that died"
    )
    arguments = parser.parse_args()
    end_with_parent(arguments.parent)
    logging.basicConfig(format=LOG_FORMAT, level=logging.INFO, stream=sys.stderr)
    # Also from 0 on, so that the first one is an increase.
    metrics.RESTARTS.labels(arguments.role).inc(arguments.after_death)
    settings = config.from_environment(os.environ, {})
    sock = None if arguments.socket is None else socket.socket(fileno=arguments.socket)
    try:
        uvloop.run(_run(settings, sock, arguments.ready))
    except (NothingRan, Unavailable, TokenSecretError, ReceiptKeyError) as error:
        logger.error("%s", error)
        return 1
    return 0


def end_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent dies; where it cannot, SIGTERM has to reach it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(1)


async def _run(settings: Settings, sock: socket.socket | None, ready: int) -> None:
    stopping, draining = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(DRAIN, draining.set)
    async with open_runtime(settings) as runtime:
        part: AbstractAsyncContextManager[Drain | None]
        part = working(runtime) if sock is None else serving(runtime, sock)
        async with part as drain:
            _calm_the_collector()
            os.write(ready, READY)
            os.close(ready)
            await _first(stopping.wait(), _drained(draining, drain))


async def _drained(asked: asyncio.Event, drain: Drain | None) -> None:
    await asked.wait()
    if drain is not None:
        await drain()


async def _first(*waiting: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of several to end, and cancel the others."""
    tasks = [asyncio.create_task(each) for each in waiting]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def _calm_the_collector() -> None:
    """Look less often for cycles, and never at what was made at start, which stays for the life of the process.

    A request makes hundreds of objects that reference counting frees; at the default threshold of 700 the collector
    looks through the young ones several times for each request in flight, and finds next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)


@asynccontextmanager
async def working(runtime: Runtime) -> AsyncIterator[None]:
    """Run the workers; at the end each finishes its round, and the recorder what is in the streams."""
    workers = runtime.workers()
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        await asyncio.gather(*(worker.stop() for worker in workers))


if __name__ == "__main__":
    sys.exit(main())
