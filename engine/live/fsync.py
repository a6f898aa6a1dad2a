"""How long a write waits for Redis's disk: a probe, since Redis itself does not say it for `appendfsync always`.

The waits last seen lie in the probe's own key, so that every process of a deployment can tell them.
"""

import statistics
import time
from collections import deque
from typing import Any, Final

from engine.live import keys
from engine.live.server import Server

PINGS: Final = 3
WAITS_KEPT: Final = 12
KEPT_MS: Final = 60_000
"""What nobody has measured for so long is not shown any more."""


class FsyncProbe:
    """Times one tiny write against the fastest of the PINGs around it; in a cluster, on the node that has its key."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._pings_s: deque[float] = deque(maxlen=PINGS * WAITS_KEPT)
        self._waits_s: deque[float] = deque(maxlen=WAITS_KEPT)

    async def measure(self) -> float:
        """How long a write waits for the disk now, in seconds. Raises NothingRan.

        On a busy server a PING, too, waits for the fsync of the writes that came with it. So the way there and back
        is the fastest PING of the last minute, not the one just before.
        """
        took_s = await self._server.ask(keys.FSYNC, self._write)
        wait_s = max(0.0, took_s - min(self._pings_s))
        self._waits_s.append(wait_s)
        return wait_s

    async def _write(self, client: Any) -> float:
        """Note what was measured before, and return how long that took."""
        async with client.client() as connection:
            for _ in range(PINGS):
                self._pings_s.append(await _seconds(connection.ping()))
            waits = " ".join(f"{seconds:.6f}" for seconds in self._waits_s)
            return await _seconds(connection.set(keys.FSYNC, waits, px=KEPT_MS))

    async def median(self) -> float | None:
        """The median of the waits that were measured last, by whichever process; None when there are none.

        Raises NothingRan.
        """
        kept = await self._server.ask(keys.FSYNC, lambda client: client.get(keys.FSYNC))
        return statistics.median(map(float, kept.split())) if kept else None


async def _seconds(answer: Any) -> float:
    began = time.perf_counter()
    await answer
    return time.perf_counter() - began
