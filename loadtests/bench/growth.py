"""Whether a sign-up costs Redis the same however many seats are held and campaigns there are, and what a seat needs.

    scripts/bench growth [--line LINE]… [--seats N] [--campaigns N] [--requests N] [--rounds N]

Batches of 64, two in flight, fsync always. Both servers of a comparison run at once and take turns; CPU is the
server's total. The AOF is not rewritten meanwhile; one rewrite at the end is reported apart.
"""

import argparse
import asyncio
import json
import statistics
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import cycle
from typing import Any, Final

from loadtests.bench import direct, machine

BATCH: Final = 64
GROWTH_MAX: Final = 1.10
SEAT_BYTES_MAX: Final = 450
FEW_SEATS: Final = 1_000
FEW_REQUESTS: Final = 4_000
"""Sign-ups that a campaign of few seats is asked for before the next one takes its place."""

FILL_REQUESTS: Final = 25_600
"""Sign-ups between two trims while seats are filled."""

POLL_S: Final = 0.1


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code says nothing about the figure. Raises RuntimeError for a wrong answer."""
    parser = argparse.ArgumentParser(prog="scripts/bench growth", description=__doc__)
    parser.add_argument("--line", action="append", choices=direct.LINES, help="default: both")
    parser.add_argument("--seats", type=int, default=1_000_000, help="seats held, beside 1,000")
    parser.add_argument("--campaigns", type=int, default=200, help="campaigns, beside one")
    parser.add_argument("--requests", type=int, default=51_200, help="sign-ups in one round")
    parser.add_argument("--rounds", type=int, default=5)
    parsed = parser.parse_args(arguments)
    reports = []
    for line in parsed.line or direct.LINES:
        report = asyncio.run(measure(line, parsed.seats, parsed.campaigns, parsed.requests, parsed.rounds))
        reports.append(report)
        print(_table(report) + "\n", flush=True)
    print(json.dumps(reports, indent=2), file=sys.stderr)
    return 0


async def measure(line: str, seats: int, campaigns: int, requests: int, rounds: int) -> dict[str, Any]:
    """Ratios of the CPU of each round, the memory of a seat in bytes, and the CPU seconds of one AOF rewrite."""
    async with AsyncExitStack() as stack:
        few, many = [await stack.enter_async_context(direct.running(line)) for _ in range(2)]
        await many.publish("large")
        memory = await _fill(many, "large", seats)
        by_seats = [
            (await _with_few_seats(few, turn, requests), await _in_turn(many, ["large"], requests))
            for turn in range(rounds + 1)
        ]
        events = await many.trim("large")
        rewrite = await _rewrite(many)
    async with AsyncExitStack() as stack:
        one, several = [await stack.enter_async_context(direct.running(line)) for _ in range(2)]
        await one.publish("only")
        names = [f"campaign-{number}" for number in range(campaigns)]
        for name in names:
            await several.publish(name)
        by_campaigns = [
            (await _in_turn(one, ["only"], requests), await _in_turn(several, names, requests))
            for _ in range(rounds + 1)
        ]
    return {
        "machine": machine.describe(),
        "server": f"{line} {one.version}",
        "durability": "fsync",
        "fsync_ms": round(one.fsync_s * 1000, 3),
        "batch": BATCH,
        "requests": requests,
        "rounds": rounds,
        "seats": {"from": FEW_SEATS, "to": seats, **_growth(by_seats, requests)},
        "campaigns": {"from": 1, "to": campaigns, **_growth(by_campaigns, requests)},
        "bytes_a_seat": round(memory, 1),
        "events_kept": events,
        "rewrite": rewrite,
    }


async def _fill(server: direct.Direct, name: str, seats: int) -> float:
    """Give seats, the stream trimmed as the recorder does; returns the bytes that each needs."""
    before = (await server.client.info("memory"))["used_memory"]
    for first in range(0, seats, FILL_REQUESTS):
        await _in_turn(server, [name], min(FILL_REQUESTS, seats - first))
    return float((await server.client.info("memory"))["used_memory"] - before) / seats


async def _with_few_seats(server: direct.Direct, turn: int, requests: int) -> float:
    """CPU seconds of sign-ups for new campaigns that hold 1,000 seats each."""
    used = 0.0
    for number, first in enumerate(range(0, requests, FEW_REQUESTS)):
        name = f"small-{turn}-{number}"
        await server.publish(name)
        await _in_turn(server, [name], FEW_SEATS)
        used += await _in_turn(server, [name], min(FEW_REQUESTS, requests - first))
    return used


async def _in_turn(server: direct.Direct, names: Sequence[str], requests: int) -> float:
    """CPU seconds of sign-ups, the batches going to one campaign after the other; trimming comes after."""
    pairs = zip(cycle(names), direct.sign_ups(requests, BATCH), strict=False)
    used = await server.cpu_s(server.sign_up(name, batch, "confirmed") for name, batch in pairs)
    for name in names:
        await server.trim(name)
    return used


async def _rewrite(server: direct.Direct) -> dict[str, float]:
    """What one rewrite of the AOF takes, in CPU seconds of the server and of the child that it starts."""
    before = machine.cpu_s([server.pid]), machine.ended_children_cpu_s(server.pid)
    await server.client.bgrewriteaof()
    while True:
        state = await server.client.info("persistence")
        if not state["aof_rewrite_in_progress"] and not state["aof_rewrite_scheduled"]:
            break
        await asyncio.sleep(POLL_S)
    after = machine.cpu_s([server.pid]), machine.ended_children_cpu_s(server.pid)
    return {
        "server_cpu_s": round(after[0] - before[0], 2),
        "child_cpu_s": round(after[1] - before[1], 2),
        "file_mb": round(state["aof_base_size"] / 1e6, 1),
    }


def _growth(found: Sequence[tuple[float, float]], requests: int) -> dict[str, Any]:
    """The first round warms up and does not count."""
    each = [much / little for little, much in found[1:]]
    return {
        "cpu_us": [
            round(statistics.median(pair[side] for pair in found[1:]) / requests * 1e6, 2) for side in (0, 1)
        ],
        "ratio": round(statistics.median(each), 3),
        "each": [round(ratio, 3) for ratio in each],
    }


def _table(report: dict[str, Any]) -> str:
    lines = [f"{report['server']}, batches of {BATCH}: CPU µs of Redis a sign-up"]
    for name in ("seats", "campaigns"):
        grown = report[name]
        span = f"{grown['from']:,} to {grown['to']:,} {name}"
        lines.append(
            f"  {span:30}{grown['cpu_us'][0]:7.2f}{grown['cpu_us'][1]:7.2f}   × {grown['ratio']} "
            f"(median of {grown['each']}), at most {GROWTH_MAX}: {_verdict(grown['ratio'] <= GROWTH_MAX)}"
        )
    rewrite, memory = report["rewrite"], report["bytes_a_seat"]
    lines.append(
        f"  {memory:.0f} bytes a seat, {report['events_kept']:,} events in the stream; "
        f"at most {SEAT_BYTES_MAX}: {_verdict(memory <= SEAT_BYTES_MAX)}"
    )
    lines.append(
        f"  one rewrite of the AOF: {rewrite['server_cpu_s']} s of the server, {rewrite['child_cpu_s']} s of its "
        f"child, for {rewrite['file_mb']} MB"
    )
    lines.append(f"  fsync always, an fsync takes {report['fsync_ms']} ms")
    return "\n".join(lines)


def _verdict(holds: bool) -> str:
    return "holds" if holds else "DOES NOT HOLD"


if __name__ == "__main__":
    sys.exit(main())
