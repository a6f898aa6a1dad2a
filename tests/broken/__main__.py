"""The engine with check and take in two calls: `python -m tests.broken REDIS_URL DATA`, for the negative control.

All else is as in production: every guard, the api, tokens, group commit. Nothing records, so the log stays in its
stream.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop
from msgspec.msgpack import decode, encode

from api.serving import serving
from engine import config, runtime
from engine.commands import apply, sockets
from engine.live import keys, scripts
from engine.live.decisions import Decision
from engine.live.server import Server
from loadtests.rush import SAMPLE

HERE: Final = Path(__file__).parent
SIGN_UP: Final = (scripts.FILES / "sign_up.lua").read_text()


def replaced(name: str, first: str, after: str) -> scripts.Script:
    """The script that decides sign-ups, with `<name>.lua` in the place of what stands from `first` to `after`."""
    before, found, rest = SIGN_UP.partition(first)
    _, followed, rest = rest.partition(after)
    assert all((found, followed)), f"sign_up.lua has changed: {name}.lua finds no place in it"
    return scripts.compose(name, before + (HERE / f"{name}.lua").read_text() + after + rest)


CHECK: Final = replaced("check", "  return enrol(offering, request, may_take, pool, opened)\n", "end\n")
TAKE: Final = replaced("take", "local function decide(request)\n", "if gate ~= 'open'")


class TwoCalls(Server):
    """A server on which sign-ups are checked by one call and carried out by the next."""

    async def call(self, verb: str, campaign: str, args: Any = ()) -> list[Any]:
        """As Server.call."""
        if verb != "sign_up":
            return await super().call(verb, campaign, args)
        requests: list[Any] = decode(args[0])
        status, packed = await self._run(CHECK, campaign, *args)
        answers = decode(packed, type=list[msgspec.Raw])
        found = {index: decode(answer, type=Decision) for index, answer in enumerate(answers)}
        free = [index for index, answer in found.items() if answer.outcome == "free"]
        if free:
            taking = encode([[*requests[index], found[index].fact] for index in free])
            _, taken = await self._run(TAKE, campaign, taking, *args[1:])
            for index, answer in zip(free, decode(taken, type=list[msgspec.Raw]), strict=True):
                answers[index] = answer
        return [status, encode(answers)]

    async def _run(self, script: scripts.Script, campaign: str, *args: Any) -> list[Any]:
        return await self.evaluate(
            script, (script.digest, len(keys.PARTS), *keys.campaign_keys(campaign), *args)
        )


async def main(redis_url: str, data: str) -> None:
    """Serve the sample campaign until SIGTERM."""
    settings = config.from_environment(
        {}, {"redis_url": redis_url, "data": data, "database_url": f"sqlite:///{data}/ledger.db"}
    )
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    [sock] = sockets.listen("127.0.0.1", 0, 1)
    vars(runtime)["Server"] = TwoCalls
    async with runtime.open_runtime(settings) as opened:
        await opened.ledger.migrate()
        await apply.publish(opened, [SAMPLE], sys.stderr)
        async with serving(opened, sock):
            print(f"ready on http://127.0.0.1:{sock.getsockname()[1]}", flush=True)
            await stopping.wait()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
