"""What every baseline has as a program: it serves on a free port, says so, and ends with whoever started it."""

import asyncio
import sys

from aiohttp import web

HOST = "127.0.0.1"
PATH = "/v1/campaigns/{campaign}/offerings/{offering}/enrollments"
"""Where sign-ups go, the same as the engine's."""

CAPACITY = 10_000_000
BACKLOG = 1024


def say_ready(port: int) -> None:
    """Tell the parent, in the words of `seatrush serve`."""
    print(f"ready on http://{HOST}:{port}", flush=True)


async def parent_gone() -> None:
    """Return when standard input ends: the parent has closed it, or is no more."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    await reader.read()


async def serve(app: web.Application) -> None:
    """Serve an application of aiohttp without an access log until the parent is gone."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0, backlog=BACKLOG).start()
    say_ready(runner.addresses[0][1])
    await parent_gone()
    await runner.cleanup()


def enrollment(campaign: str, offering: str, name: str, seat: int) -> dict[str, object]:
    """A document of the fields and the size of the engine's answer to a sign-up."""
    return {
        "enrollment": name,
        "campaign": campaign,
        "offering": offering,
        "member": "m-0123456789abcd",
        "pool": "open",
        "status": "confirmed",
        "seats": [seat],
        "seq": seat + 1,
        "version": 1,
        "position": None,
        "expires_at": None,
        "decided_at": "2026-11-28T02:00:00.123Z",
    }
