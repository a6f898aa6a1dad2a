"""`headcounts`: a table is read whole or not at all, and every bad row is named."""

from pathlib import Path

import pytest

from engine.commands import headcounts
from engine.domain.faults import Fault
from tests.commands.running import run, serve

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


@pytest.mark.parametrize(
    "table",
    [
        "unit,headcount\nd.a,3800\nd.b,0\n",
        "\ufeffunit,headcount\r\nd.a,3800\r\nd.b,0\r\n",
        "headcount,unit\n3800,d.a\n0,d.b",
        'unit, headcount\n"d.a", 3800\n\n,\nd.b ,0\n',
    ],
)
def test_reads(table: str) -> None:
    assert headcounts.parse(table.encode()) == {"d.a": 3800, "d.b": 0}


@pytest.mark.parametrize(
    ("table", "faults"),
    [
        (b"", [("/1", "not_the_columns")]),
        (b"\xff\xfe", [("", "not_utf8")]),
        (b"unit,headcount\n", [("", "too_few")]),
        (b"d.a,3800\n", [("/1", "not_the_columns")]),
        (b"unit,headcount,unit\nd.a,1,d.b\n", [("/1", "not_the_columns")]),
        (b'unit,headcount\nd.a,1\n"d.b,2\n', [("", "syntax")]),
        (b"unit,headcount\n" + b"d,1\n" * 10_001, [("", "too_many")]),
        (
            "unit,headcount\nd.a,10\nd.b,-1\nD,7\nd.c\n\nd.a,11\nd.d,1.5\nd.e,\nd.f,10000001\nd.g,１\n".encode(),
            [
                ("/3/headcount", "not_an_integer"),
                ("/4/unit", "not_a_unit"),
                ("/5", "not_the_columns"),
                ("/7/unit", "duplicate"),
                ("/8/headcount", "not_an_integer"),
                ("/9/headcount", "not_an_integer"),
                ("/10/headcount", "too_large"),
                ("/11/headcount", "not_an_integer"),
            ],
        ),
        (b'unit,headcount\n"d\n.a",1\nD,1\n', [("/2/unit", "not_a_unit"), ("/4/unit", "not_a_unit")]),
    ],
)
def test_refuses(table: bytes, faults: list[tuple[str, str]]) -> None:
    found = headcounts.parse(table)
    assert isinstance(found, list)
    assert [(each.path, each.code) for each in found] == faults
    assert all(isinstance(each, Fault) for each in found)


def test_a_table_that_is_too_large() -> None:
    found = headcounts.parse(b"unit,headcount\n" + b"\n" * headcounts.BYTES_MAX)
    assert isinstance(found, list)
    assert found[0].code == "document_too_large"


def test_headcounts_then_apply(data_directory: Path, tmp_path: Path) -> None:
    table, sample = tmp_path / "h.csv", str(SAMPLES / "summer-packs.yaml")
    with serve(data_directory) as served:
        data = str(data_directory)
        before = run("apply", "--data", data, sample, LC_ALL="C.UTF-8")
        assert before.returncode == 1
        assert 'No headcount of "xicheng.sanitation.' in before.stderr
        dry = run("apply", "--data", data, "--dry-run", sample, LC_ALL="C.UTF-8")
        assert (dry.returncode, dry.stderr) == (1, before.stderr)
        table.write_text("unit,headcount\nxicheng,7\nnowhere,-1\n")
        bad = run("headcounts", "--data", data, str(table), LC_ALL="C.UTF-8")
        assert (bad.returncode, bad.stdout) == (1, "")
        assert bad.stderr == f"{table}: /3/headcount: Must be an integer.\n"
        good = str(SAMPLES / "headcounts.csv")
        rows = len(Path(good).read_text().splitlines()) - 1
        assert (
            run("headcounts", "--data", data, good).stdout == f"{good}: {rows} headcounts, {rows} changed\n"
        )
        assert run("headcounts", "--data", data, good).stdout == f"{good}: {rows} headcounts, 0 changed\n"
        assert run("apply", "--data", data, "--dry-run", sample).stdout == "summer-packs: new\n"
        assert run("apply", "--data", data, sample).stdout == "summer-packs: published, version 1\n"
        assert served.stop() == 0


def test_serve_reports_before_it_publishes(data_directory: Path) -> None:
    given = ["--apply", str(SAMPLES / "summer-packs.yaml"), "--headcounts", str(SAMPLES / "headcounts.csv")]
    with serve(data_directory, *given) as served:
        assert served.stop() == 0
