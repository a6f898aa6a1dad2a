"""A plot of a comparison: for each row its throughput, and the CPU of a request by kind of process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from loadtests.bench.sample import Sample

COLOURS: Final = {"api": "#4477aa", "redis": "#cc6677", "work": "#ddaa33", "postgres": "#228833"}
ROW_INCHES: Final = 0.35


def draw(path: Path, title: str, labels: Sequence[str], samples: Sequence[Sample]) -> None:
    """Write the plot, in the format that the path's ending names."""
    # Without pyplot there is no display and no global state.
    figure = Figure(figsize=(13, 1.5 + ROW_INCHES * len(labels)), layout="constrained")
    figure.suptitle(title)
    throughput, cpu = figure.subplots(1, 2, sharey=True)
    throughput.barh(labels, [sample.per_second for sample in samples], color="#888888")
    for row, sample in enumerate(samples):
        throughput.text(
            sample.per_second, row, f" {sample.per_second:,.0f}, p99 {sample.p99_ms:.0f} ms", va="center"
        )
    throughput.set_xlabel("answers a second")
    throughput.margins(x=0.45)
    left = [0.0] * len(labels)
    for kind, colour in COLOURS.items():
        used = [sample.cpu_us.get(kind, 0) for sample in samples]
        if any(used):
            cpu.barh(labels, used, left=left, color=colour, label=kind)
            left = [start + width for start, width in zip(left, used, strict=True)]
    cpu.set_xlabel("CPU, µs a request")
    cpu.legend(loc="upper right")
    cpu.invert_yaxis()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
