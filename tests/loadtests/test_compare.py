"""The comparison: a small run of every party, and what a report says of bounds that hold and that do not."""

from pathlib import Path

import msgspec
import pytest

from loadtests.bench import compare, report, sample
from loadtests.bench.party import Party
from loadtests.bench.report import Bound, Report, Row
from loadtests.bench.sample import Sample
from loadtests.http_load import Load
from tests import postgres

ROWS = {
    *(
        "a",
        "a-calm",
        "a-get",
        "a-get-sale",
        "b-fsync",
        "b-memory",
        "d",
        "d-sold-out",
        "d-get",
        "d-304",
        "d-get-sale",
    ),
    *("d-memory", "e", "e-auth", "e-memory"),
}


def test_small_run_of_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exit_code = compare.main(["--requests", "400", "--rounds", "2", "--results", str(tmp_path)])
    printed = capsys.readouterr().out
    drawn, written = sorted(tmp_path.iterdir(), key=lambda path: path.suffix, reverse=True)
    assert drawn.read_text().startswith("<?xml")
    read = msgspec.json.decode(written.read_bytes())
    with_postgres = {"c-fsync", "c-memory"} if postgres.find_programs() else set()
    assert read["rows"].keys() == ROWS | with_postgres
    for name, row in read["rows"].items():
        assert len(row["samples"]) == 2
        for taken in row["samples"]:
            assert taken["per_second"] > 0
            assert 0 < taken["p50_ms"] <= taken["p99_ms"]
            assert taken["cpu_us"].keys() == kinds(name)
    assert len(read["verdicts"]) == len(compare.BOUNDS)
    assert read["fsync_ms"] > 0
    assert {"cpu", "python", "aiohttp", "fastapi"} <= read["machine"].keys()
    assert exit_code == int("DOES NOT HOLD" in printed)
    for row in read["rows"].values():
        assert row["label"] in printed


def kinds(row: str) -> set[str]:
    """The kinds of processes whose CPU a row has."""
    if row.endswith("-sale"):
        return set()
    baselines = {"a": {"api"}, "b": {"api", "redis", "rewrite"}, "c": {"api", "postgres"}}
    return baselines.get(row[0], {"api", "redis", "rewrite", "work"})


def samples(*per_second: float, **cpu_us: float) -> list[Sample]:
    return [Sample(rate, 1.0, 2.0, cpu_us) for rate in per_second]


def throughput(limit: float) -> Bound:
    return Bound("ours beside theirs", "ours", "theirs", "per_second", "at least", limit)


def test_ratio_is_taken_within_each_round() -> None:
    """The machine was slower in some rounds, for both: the ratio of the medians would be 2."""
    rows = {
        "ours": Row("ours", "fsync", samples(90, 200, 18)),
        "theirs": Row("theirs", "", samples(100, 400, 20)),
    }
    (verdict,) = report.judge([throughput(0.85)], rows)
    assert verdict.ratios == [0.9, 0.5, 0.9]
    assert verdict.ratio == 0.9
    assert verdict.holds


@pytest.mark.parametrize(
    ("side", "limit", "holds"),
    [("at least", 0.8, True), ("at least", 0.81, False), ("at most", 0.8, True), ("at most", 0.79, False)],
)
def test_bound_that_does_not_hold_is_said_so(side: str, limit: float, holds: bool) -> None:
    bound = msgspec.convert({**msgspec.to_builtins(throughput(limit)), "side": side}, Bound)
    rows = {"ours": Row("ours", "fsync", samples(80)), "theirs": Row("theirs", "", samples(100))}
    verdicts = report.judge([bound], rows)
    whole = Report("title", {"cpu": "2"}, 1.0, {"rounds": 1}, rows, verdicts, [])
    assert whole.holds == holds
    (line,) = (line for line in report.text(whole).splitlines() if bound.text in line)
    assert line.startswith("holds " if holds else "DOES NOT HOLD ")
    assert "0.80" in line


def test_bound_of_a_row_that_was_not_measured_is_not_judged() -> None:
    assert report.judge([throughput(1)], {"ours": Row("ours", "", samples(1))}) == []


def test_cpu_below_the_clock_does_not_hold_a_bound() -> None:
    bound = Bound("CPU", "ours", "theirs", "api_us", "at most", 1.2)
    rows = {"ours": Row("ours", "", samples(1, api=50)), "theirs": Row("theirs", "", samples(1, api=0))}
    (verdict,) = report.judge([bound], rows)
    assert not verdict.holds


def test_median_of_each_figure_by_itself() -> None:
    median = report.median(
        [Sample(1, 9, 9, {"api": 5}), Sample(2, 8, 20, {"api": 4}), Sample(3, 7, 10, {"api": 6})]
    )
    assert median == Sample(2, 8, 10, {"api": 5})


def test_all_processes_count_but_not_the_rewrite_of_the_log() -> None:
    (taken,) = samples(1, api=50, redis=20, work=30, rewrite=500)
    assert taken.all_us == 100


def test_sample_of_wrong_answers_is_refused() -> None:
    nobody = Party("", 0, dict)
    with pytest.raises(RuntimeError, match=r"answered \{503: 1, 201: 1\}, expected \{201: 2\}"):
        sample.take(lambda cpu: Load(1.0, {503: 1, 201: 1}, [0.1, 0.2]), nobody, {201: 2})
