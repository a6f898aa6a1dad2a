"""`scripts/bench [FIGURE] [OPTIONS]`: every figure of the README, measured on this machine."""

import sys
from collections.abc import Callable, Sequence
from typing import Final

from loadtests import crash, rush
from loadtests.bench import (
    cluster,
    compare,
    drawing,
    durability,
    growth,
    idle,
    lag,
    ledger,
    overload,
    rebuild,
    redis_cpu,
    rush_100k,
    scale,
    stall,
    start,
    tokens,
    waiting_page,
    why,
)

FIGURES: Final[dict[str, tuple[str, Callable[[Sequence[str]], int]]]] = {
    "compare": ("the engine beside its baselines, each with and without durability", compare.main),
    "scale": ("what a sign-up costs as seats, campaigns and api processes grow", scale.main),
    "redis": ("what a seat and a refusal cost Redis, beside the least script", redis_cpu.main),
    "growth": ("what a sign-up costs Redis as seats and campaigns grow; bytes a seat", growth.main),
    "durability": ("seats a second with fsync, with a replica, and with neither", durability.main),
    "recorder": ("seats a second into the ledger", ledger.main),
    "lag": ("how far the ledger is behind in a rush", lag.main),
    "rebuild": ("a million enrollments back into an empty Redis, audited", rebuild.main),
    "rush": ("a checked rush of 5,000 members", rush.main),
    "crash": ("kill -9 in the middle of a rush, checked", crash.main),
    "waiting-page": ("15,000 WebSockets wait for the opening, checked", waiting_page.main),
    "overload": ("10,000 impatient connections at once, checked", overload.main),
    "idle": ("sign-ups beside 10,000 connections that idle or trickle, checked", idle.main),
    "rush-100k": ("100,000 members for 200 seats, checked", rush_100k.main),
    "stall": ("Redis stalled for 5 s under full load, checked", stall.main),
    "draw": ("a draw of 100,000 entries, and what others meet meanwhile, checked", drawing.main),
    "why": ("what it costs to explain refusals", why.main),
    "cluster": ("a checked rush on a Redis Cluster whose slots move", cluster.main),
    "tokens": ("what verifying a token costs", tokens.main),
    "start": ("from scripts/run to ready, and to the end", start.main),
}


def main(arguments: Sequence[str]) -> int:
    """Measure one figure, or all of them; 1 when a check failed."""
    if not arguments:
        failed = 0
        for name, (text, figure) in FIGURES.items():
            print(f"\n{name}: {text}\n", flush=True)
            failed |= figure([])
        return failed
    name, *options = arguments
    if name not in FIGURES:
        print("usage: scripts/bench [FIGURE] [OPTIONS]; without FIGURE all are measured\n")
        for each, (text, _) in FIGURES.items():
            print(f"  {each:14}{text}")
        return 0 if name in ("-h", "--help") else 2
    return FIGURES[name][1](options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
