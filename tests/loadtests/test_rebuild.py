"""The benchmark of a rebuild: what it records is what the scripts would have written, or the audit would tell."""

import pytest

from loadtests.bench import rebuild


def test_small_run(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code = rebuild.main(["--enrollments", "300", "--ledger", "sqlite"])
    printed = capsys.readouterr().out
    assert exit_code == 0
    assert "rebuilt and open: 300 enrollments, seq 331, epoch 2" in printed
    assert "rebuild of 300 enrollments from sqlite" in printed
