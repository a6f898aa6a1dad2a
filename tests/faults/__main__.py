"""`scripts/faults`: every kind of fault with one seed after the other, until the minutes are over.

    scripts/faults [--seed S] [--minutes M] [--kind K]… [--seconds T] [--keep DIR]
    scripts/faults --soak N [--seed S]
    scripts/faults --list

Each trial has a deployment of its own, unless they are --together: real api and worker processes, Redis, a ledger.
Members sign up, confirm, decline, cancel and ask again, in a sale and in a ballot that is drawn meanwhile; after the
fault every answer is checked against the ledger's log, and Redis against the ledger. It ends with a table, and 1 when
a promise was broken.

A seed brings the same faults and the same choices again. It does not bring again which process comes first, so that a
failure that hangs on a moment may need some tries.
"""

import argparse
import secrets
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Final

import pytest
import uvloop

from tests.faults import soak, stand, trial
from tests.faults.kind import Kind
from tests.faults.kinds import KINDS
from tests.faults.stand import Stand
from tests.faults.trial import LOST, OVERSOLD, TWICE, Result, Trial

SECONDS: Final = 3.0
COLUMNS: Final = "{:22}{:>6}{:>10}{:>14}{:>11}{:>6}{:>7}{:>10}{:>7}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Try, print, and return 1 when a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="scripts/faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, help="the first seed; default: another each time")
    parser.add_argument("--minutes", type=float, default=0, help="default: one seed of each kind")
    parser.add_argument("--kind", action="append", choices=KINDS, help="default: all")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of load in each trial")
    parser.add_argument(
        "--together",
        type=int,
        default=1,
        metavar="N",
        help="seeds that share a deployment, one after another",
    )
    parser.add_argument("--keep", type=Path, help="where the files of a trial that failed are left")
    parser.add_argument("--soak", type=int, metavar="N", help="instead: so many attempts for a few seats")
    parser.add_argument("--list", action="store_true", help="the kinds, and what each promises")
    parsed = parser.parse_args(arguments)
    if parsed.list:
        for kind in KINDS.values():
            print(f"{kind.name:22}{kind.promise:7}{kind.__doc__}")
        return 0
    seed = secrets.randbelow(10**6) if parsed.seed is None else parsed.seed
    if parsed.soak is not None:
        return _soak(parsed.soak, seed)
    kept = parsed.keep or Path(tempfile.mkdtemp(prefix="seatrush-faults-"))
    kinds = [KINDS[name] for name in parsed.kind or KINDS]
    results = uvloop.run(
        _try_all(kinds, count(seed), 60 * parsed.minutes, parsed.seconds, parsed.together, kept)
    )
    _print_table(results)
    return int(any(result.violations for result in results))


async def _try_all(
    kinds: Sequence[Kind], seeds: Iterator[int], for_s: float, seconds: float, together: int, kept: Path
) -> list[Result]:
    """Some seeds of every kind at least, then the next, as long as there is time."""
    results: list[Result] = []
    ends_s = time.monotonic() + for_s
    while True:
        some = list(islice(seeds, together))
        for kind in kinds:
            try:
                async with stand.opened(kind.needs) as opened:
                    results += [await _try(opened, kind, seed, seconds, kept) for seed in some]
            except pytest.skip.Exception as absent:
                print(f"{kind.name}: SKIPPED: {absent}", flush=True)
        if time.monotonic() >= ends_s:
            return results


async def _try(opened: Stand, kind: Kind, seed: int, seconds: float, kept: Path) -> Result:
    tried = Trial(opened, kind, seed, seconds)
    result = await tried.run()
    print(result.in_words(), flush=True)
    if result.violations:
        directory = kept / f"{kind.name}-{seed}"
        trial.keep(opened, tried, result, directory)
        print(f"  its files are in {directory}; again:")
        print(f"  scripts/faults --kind {kind.name} --seed {seed} --seconds {seconds:g}", flush=True)
    return result


def _soak(attempts: int, seed: int) -> int:
    rounds = []
    for found in soak.run(attempts, seed):
        rounds.append(found)
        print(found.words, flush=True)
    made, breaks, oversold = (
        sum(getattr(each, name) for each in rounds) for name in ("attempts", "breaks", "oversold")
    )
    print(f"seed {seed}: {made:,} attempts in {len(rounds)} rounds, {breaks} faults, {oversold} oversold")
    return int(not all(each.holds for each in rounds))


def _print_table(results: Sequence[Result]) -> None:
    by_kind: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_kind[result.kind].append(result)
    print()
    print(
        COLUMNS.format(
            *("kind", "seeds", "requests", "acknowledged", "undecided", "lost", "twice", "oversold", "other")
        )
    )
    for name, tried in by_kind.items():
        lost, twice, oversold = (
            sum(each.count(rules) for each in tried) for rules in (LOST, TWICE, OVERSOLD)
        )
        print(
            COLUMNS.format(
                name,
                len(tried),
                sum(each.requests for each in tried),
                sum(each.acknowledged for each in tried),
                sum(each.undecided for each in tried),
                *(lost, twice, oversold),
                sum(len(each.violations) for each in tried) - lost - twice - oversold,
            )
        )
    measured: dict[str, list[float]] = defaultdict(list)
    for result in results:
        for name, value in result.measured.items():
            measured[f"{result.kind}: {name}"].append(value)
    for name, values in measured.items():
        values.sort()
        p99 = values[min(len(values) - 1, round(0.99 * len(values)))]
        print(
            f"{name}: median {median(values):.2f}, p99 {p99:.2f}, at most {values[-1]:.2f}, of {len(values)}"
        )


if __name__ == "__main__":
    sys.exit(main())
