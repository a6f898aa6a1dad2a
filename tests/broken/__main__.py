"""The engine with check and take in two calls: `python -m tests.broken REDIS_URL DATA`, for the negative control.

Everything else is as in production: the api, tokens, group commit. Nothing records, so the log stays in its stream.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop

from api.serving import serving
from engine import config, runtime
from engine.commands import apply, supervisor
from engine.live import keys, scripts
from engine.live.server import Server
from loadtests.rush import SAMPLE

HERE = Path(__file__).parent
CHECK, TAKE = (scripts.compose(name, (HERE / f"{name}.lua").read_text()) for name in ("check", "take"))


class TwoCalls(Server):
    """A server on which sign-ups are decided by one call and carried out by the next."""

    async def call(self, verb: str, campaign: str, args: Any = ()) -> list[Any]:
        """As Server.call."""
        if verb != "sign_up":
            return await super().call(verb, campaign, args)
        found = await self._run(CHECK, campaign, args[0])
        return await self._run(TAKE, campaign, args[0], found[1])

    async def _run(self, script: scripts.Script, campaign: str, *args: Any) -> list[Any]:
        return await self._evaluate(
            script, (script.digest, len(keys.PARTS), *keys.campaign_keys(campaign), *args)
        )


async def main(redis_url: str, data: str) -> None:
    """Serve the sample campaign until SIGTERM."""
    settings = config.from_environment(
        {}, {"redis_url": redis_url, "data": data, "database_url": f"sqlite:///{data}/ledger.db"}
    )
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    sock = supervisor.bind("127.0.0.1", 0)
    vars(runtime)["Server"] = TwoCalls
    async with runtime.open_runtime(settings) as opened:
        await opened.ledger.migrate()
        await apply.publish(opened, [SAMPLE], sys.stderr)
        async with serving(opened, sock):
            print(f"ready on http://127.0.0.1:{sock.getsockname()[1]}", flush=True)
            await stopping.wait()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
