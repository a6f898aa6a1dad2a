"""A deployment that grows: a small run of every row."""

from pathlib import Path

import msgspec
import pytest

from loadtests.bench import scale


def test_small_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--seats", "1500", "--campaigns", "3", "--requests", "300", "--rounds", "1"]
    exit_code = scale.main([*options, "--results", str(tmp_path)])
    printed = capsys.readouterr().out
    assert exit_code == int("DOES NOT HOLD" in printed)
    read = msgspec.json.decode(next(tmp_path.glob("*.json")).read_bytes())
    assert read["rows"].keys() == {"few", "seats", "among", "spread", "processes"}
    for row in read["rows"].values():
        assert row["label"] in printed
        (taken,) = row["samples"]
        assert taken["per_second"] > 0
        assert taken["cpu_us"].keys() == {"api", "redis", "rewrite", "work"}
    assert len(read["verdicts"]) == len(scale.BOUNDS)
