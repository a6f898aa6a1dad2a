"""A report of a comparison: medians and ratios of its rounds, and each bound with whether it holds."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from loadtests.bench import plot
from loadtests.bench.sample import REWRITE, Sample

Figure = Literal["per_second", "p99_ms", "api_us", "all_us"]

FIGURES: Final[Mapping[Figure, Callable[[Sample], float]]] = {
    "per_second": lambda sample: sample.per_second,
    "p99_ms": lambda sample: sample.p99_ms,
    "api_us": lambda sample: sample.cpu_us["api"],
    "all_us": lambda sample: sample.all_us,
}


class Row(Struct, frozen=True):
    """All rounds of one load on one party; `durability` is fsync, memory, or empty where nothing is kept."""

    label: str
    durability: str
    samples: list[Sample]

    @property
    def name(self) -> str:
        """The label with the durability."""
        return f"{self.label} ({self.durability})" if self.durability else self.label


class Bound(Struct, frozen=True):
    """What a figure of one row may be, as a multiple of another row's: at least, or at most, the limit."""

    text: str
    row: str
    beside: str
    figure: Figure
    side: Literal["at least", "at most"]
    limit: float


class Verdict(Struct, frozen=True):
    """A bound with the median of its rounds' ratios."""

    bound: Bound
    ratio: float
    ratios: list[float]
    holds: bool


class Report(Struct, frozen=True):
    """Everything that was measured in one run."""

    title: str
    machine: dict[str, str]
    fsync_ms: float
    parameters: dict[str, int]
    rows: dict[str, Row]
    verdicts: list[Verdict]
    notes: list[str]

    @property
    def holds(self) -> bool:
        """Whether every bound holds."""
        return all(verdict.holds for verdict in self.verdicts)


def median(samples: Sequence[Sample]) -> Sample:
    """The median of each figure by itself."""
    kinds = sorted({kind for sample in samples for kind in sample.cpu_us})
    return Sample(
        statistics.median(sample.per_second for sample in samples),
        statistics.median(sample.p50_ms for sample in samples),
        statistics.median(sample.p99_ms for sample in samples),
        {kind: statistics.median(sample.cpu_us.get(kind, 0) for sample in samples) for kind in kinds},
    )


def judge(bounds: Sequence[Bound], rows: Mapping[str, Row]) -> list[Verdict]:
    """Each bound whose two rows were measured. A ratio is taken within a round, so that both had the same moment."""
    return [
        _judge(bound, rows[bound.row], rows[bound.beside])
        for bound in bounds
        if bound.row in rows and bound.beside in rows
    ]


def ratios(figure: Figure, ours: Row, theirs: Row) -> list[float]:
    """A figure of one row beside another's, round by round."""
    value = FIGURES[figure]
    pairs = [(value(our), value(their)) for our, their in zip(ours.samples, theirs.samples, strict=True)]
    # In a short round the CPU may be less than the clock can tell.
    return [our / their if their else math.inf for our, their in pairs]


def _judge(bound: Bound, ours: Row, theirs: Row) -> Verdict:
    found = ratios(bound.figure, ours, theirs)
    ratio = statistics.median(found)
    holds = ratio >= bound.limit if bound.side == "at least" else ratio <= bound.limit
    return Verdict(bound, ratio, found, holds)


def text(report: Report) -> str:
    """The report for a terminal."""
    machine = ", ".join(f"{name} {version}" for name, version in report.machine.items() if name != "cpu")
    parameters = ", ".join(f"{value:,} {name}" for name, value in report.parameters.items())
    return "\n".join(
        [
            report.title,
            f"{report.machine['cpu']}; {machine}",
            f"an fsync takes {report.fsync_ms:.2f} ms; {parameters}; medians, CPU in µs a request",
            "",
            *_table(report.rows),
            "",
            *map(_line, report.verdicts),
            "",
            *report.notes,
        ]
    )


def _table(rows: Mapping[str, Row]) -> list[str]:
    medians = {name: median(row.samples) for name, row in rows.items()}
    kinds = ["api", "redis", "work", "postgres"]
    kinds = [kind for kind in kinds if any(kind in each.cpu_us for each in medians.values())]
    rewritten = any(each.cpu_us.get(REWRITE, 0) for each in medians.values())
    columns = [*kinds, "all", *([REWRITE] if rewritten else [])]
    lines = [
        f"{'':46}{'keeps':8}{'a second':>10}{'p50 ms':>9}{'p99 ms':>9}" + "".join(f"{c:>10}" for c in columns)
    ]
    for name, row in rows.items():
        seen = medians[name]
        used = {**seen.cpu_us, **({"all": seen.all_us} if seen.cpu_us else {})}
        cells = "".join(f"{used[column]:>10.1f}" if column in used else f"{'':10}" for column in columns)
        lines.append(
            f"{row.label:46}{row.durability or '-':8}{seen.per_second:>10,.0f}"
            f"{seen.p50_ms:>9.1f}{seen.p99_ms:>9.1f}{cells}"
        )
    return lines


def _line(verdict: Verdict) -> str:
    bound = verdict.bound
    sign = "≥" if bound.side == "at least" else "≤"
    said = "holds" if verdict.holds else "DOES NOT HOLD"
    rounds = " ".join(f"{ratio:.2f}" for ratio in verdict.ratios)
    return f"{said:14}{verdict.ratio:>6.2f} {sign} {bound.limit:<5g}{bound.text}   (rounds: {rounds})"


def save(report: Report, directory: Path, name: str) -> list[Path]:
    """Write the report as JSON and its rows as SVG, under a new name for each run, and return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    stem = f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    written = directory / f"{stem}.json"
    written.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    drawn = directory / f"{stem}.svg"
    labels = [row.name for row in report.rows.values()]
    medians = [median(row.samples) for row in report.rows.values()]
    plot.draw(drawn, report.title, labels, medians)
    return [written, drawn]
