"""What a seat and a refusal cost Redis, beside the least script that could keep a seat: one HSET and one XADD.

    scripts/bench redis [--line LINE]… [--batch N]… [--requests N] [--rounds N]

All are batches of the same size, two in flight, fsync always, in turns on one server. The least script keeps values
of the size that ours has: the record of an enrollment, and the two fields of its event. It decides nothing.
"""

import argparse
import asyncio
import json
import secrets
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from engine.live import keys
from loadtests.bench import direct, machine

SEAT_MAX: Final = 3.0
"""Of a seat in the least script."""

REFUSAL_MAX: Final = 1 / 3
"""Of a seat."""

REFUSALS: Final = 3
"""For each seat of a round, since one needs too little CPU for the clock of the operating system."""

LEAST: Final = """#!lua
for index = 1, #ARGV, 3 do
  redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 1])
  redis.call('XADD', KEYS[2], '*', 'h', ARGV[index + 2], 'r', ARGV[index + 1])
end
"""

SEAT, LEAST_SEAT, SOLD_OUT, SOLD_OUT_KEYLESS = "a seat", "least script", "sold_out", "sold_out, no key"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code says nothing about the figure. Raises RuntimeError for a wrong answer."""
    parser = argparse.ArgumentParser(prog="scripts/bench redis", description=__doc__)
    parser.add_argument("--line", action="append", choices=direct.LINES, help="default: both")
    parser.add_argument(
        "--batch", action="append", type=int, help="requests in a batch (default: 64 and 128)"
    )
    parser.add_argument("--requests", type=int, default=64_000, help="seats in one round")
    parser.add_argument("--rounds", type=int, default=5)
    parsed = parser.parse_args(arguments)
    reports = [
        asyncio.run(measure(line, batch, parsed.requests, parsed.rounds))
        for line in parsed.line or direct.LINES
        for batch in parsed.batch or (64, 128)
    ]
    print(json.dumps(reports, indent=2), file=sys.stderr)
    print("\n\n".join(_table(report) for report in reports))
    return 0


async def measure(line: str, batch: int, requests: int, rounds: int) -> dict[str, Any]:
    """Medians of the CPU in µs, and of the ratios of each round; the first round warms up and does not count."""
    async with direct.running(line) as server:
        await server.publish("open")
        await server.publish("full", capacity=0)
        refused = [direct.sign_ups(REFUSALS * requests, batch, keyed=keyed) for keyed in (True, False)]
        found = [await _round(server, batch, requests, refused) for _ in range(rounds + 1)]
    return {
        "machine": machine.describe(),
        "server": f"{line} {server.version}",
        "durability": "fsync",
        "fsync_ms": round(server.fsync_s * 1000, 3),
        "batch": batch,
        "requests": requests,
        "rounds": rounds,
        "cpu_us": {name: round(statistics.median(each[name] for each in found[1:]), 2) for name in found[0]},
        "ratios": {
            SEAT: _ratio(found, SEAT, LEAST_SEAT, SEAT_MAX),
            SOLD_OUT: _ratio(found, SOLD_OUT, SEAT, REFUSAL_MAX),
            SOLD_OUT_KEYLESS: _ratio(found, SOLD_OUT_KEYLESS, SEAT, REFUSAL_MAX),
        },
    }


async def _round(
    server: direct.Direct, batch: int, requests: int, refused: Sequence[Sequence[bytes]]
) -> dict[str, float]:
    """CPU µs of one of each."""
    asked = direct.sign_ups(requests, batch)
    used = {SEAT: await server.cpu_s(server.sign_up("open", each, "confirmed") for each in asked) / requests}
    event = await server.newest_event("open")
    least = _least(server, event, batch)
    used[LEAST_SEAT] = await server.cpu_s(least() for _ in asked) / requests
    for name, batches in zip((SOLD_OUT, SOLD_OUT_KEYLESS), refused, strict=True):
        refusals = (server.sign_up("full", each, "sold_out") for each in batches)
        used[name] = await server.cpu_s(refusals) / (REFUSALS * requests)
    for stream in (keys.of("open", "EVENTS"), "least:stream"):
        await server.client.xtrim(stream, maxlen=0, approximate=False)
    return {name: seconds * 1e6 for name, seconds in used.items()}


def _least(server: direct.Direct, event: dict[bytes, bytes], batch: int) -> Callable[[], Any]:
    """A call of the least script, for new enrollments with the values of an event."""
    script = server.client.register_script(LEAST)

    async def call() -> None:
        seats = ((secrets.token_urlsafe(12), event[b"r"], event[b"h"]) for _ in range(batch))
        await script(keys=["least:hash", "least:stream"], args=[value for seat in seats for value in seat])

    return call


def _ratio(found: Sequence[dict[str, float]], name: str, base: str, at_most: float) -> dict[str, Any]:
    each = [used[name] / used[base] for used in found[1:]]
    median = statistics.median(each)
    return {
        "of": base,
        "median": round(median, 3),
        "each": [round(ratio, 3) for ratio in each],
        "at_most": round(at_most, 3),
        "holds": median <= at_most,
    }


def _table(report: dict[str, Any]) -> str:
    lines = [f"{report['server']}, batches of {report['batch']}: CPU µs of Redis"]
    for name, used in report["cpu_us"].items():
        line = f"  {name:18}{used:7.2f}"
        if ratio := report["ratios"].get(name):
            verdict = "holds" if ratio["holds"] else "DOES NOT HOLD"
            line += (
                f"   {ratio['median']:.2f} of {ratio['of']} (median of {ratio['each']}), "
                f"at most {ratio['at_most']:.2f}: {verdict}"
            )
        lines.append(line)
    lines.append(f"  fsync always, an fsync takes {report['fsync_ms']} ms")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
