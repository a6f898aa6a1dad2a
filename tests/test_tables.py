"""Files that people bring: CSV as spreadsheets write it, workbooks, and files made to break whoever reads them."""

import datetime
import io
import zipfile
from typing import Any

import openpyxl
import pytest

from engine import tables
from engine import workbook as bounds
from engine.domain.faults import Fault, fault
from engine.domain.ladder import ROWS_MAX, Row


def cells(rows: list[Row] | Fault) -> list[list[str | Fault]]:
    assert isinstance(rows, list), rows
    return [list(row.cells) for row in rows]


def workbook(*rows: list[Any], **changed: Any) -> bytes:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    for row in rows:
        sheet.append(row)
    for name, value in changed.items():
        sheet[name] = value
    book.create_sheet("another").append(["not", "read"])
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def repacked(data: bytes, **changed: bytes) -> bytes:
    """A workbook with the content of some parts replaced, by the end of their names."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            name = part.filename.rpartition("/")[2].removesuffix(".xml")
            new.writestr(part.filename, changed.get(name, old.read(part)))
    return written.getvalue()


# CSV


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_as_spreadsheets_write_it(encoding: str, end: str) -> None:
    text = end.join(["member,用时", '"m1","1,5"', "", 'm2,"say ""so"""', ""])
    assert cells(tables.read_csv(text.encode(encoding))) == [
        ["member", "用时"],
        ["m1", "1,5"],
        [],
        ["m2", 'say "so"'],
    ]


@pytest.mark.parametrize(
    ("data", "refused"),
    [
        (b"a\xff\xff", fault("not_utf8")),
        (b'a\nb,"c', fault("not_csv", line=2)),
        (b'"a"b', fault("not_csv", line=1)),
        (b"a\n" * (ROWS_MAX + 2), fault("too_many", max=ROWS_MAX)),
        (b'"' + b"x" * 200_000 + b'"', fault("not_csv", line=1)),
    ],
)
def test_csv_that_cannot_be_read(data: bytes, refused: Fault) -> None:
    assert tables.read_csv(data) == refused


def test_a_row_has_an_end() -> None:
    (row,) = cells(tables.read_csv(b"," * 1_000_000))
    assert len(row) == bounds.COLUMNS_MAX + 1


# Workbooks


def test_a_workbook_reads_as_csv_would() -> None:
    day = datetime.datetime(2026, 12, 5, 14, 30)  # noqa: DTZ001  as a spreadsheet has it
    data = workbook(
        ["member", "score"],
        ["m1", 98],
        [1001, 0.1 + 0.2],
        [None, None],
        [True, day],
        ["=1+1", 1e20],
        [0.00005, -1e-7],
        C9="far",
    )
    found = cells(tables.read(tables.XLSX, data))
    assert found == [
        ["member", "score"],
        ["m1", "98"],
        ["1001", "0.3"],
        [],
        ["True", "2026-12-05T14:30:00"],
        [fault("formula"), "100000000000000000000"],
        ["0.00005", "-0.0000001"],
        [],
        ["", "", "far"],
    ]


def test_a_stray_cell_far_out() -> None:
    found = cells(tables.read_xlsx(workbook(["a"], XFD1="x", A1000="y")))
    assert found == [["a"], *[[]] * 998, ["y"]]
    assert tables.read_xlsx(workbook(["a"], A1048576="x")) == fault("too_many", max=ROWS_MAX)


SHEET = b"""<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1">
<c r="A1" t="inlineStr"><is><t>%s</t></is></c></row></sheetData></worksheet>"""
SHEETS = SHEET[: SHEET.index(b"<row")] + b"%s</sheetData></worksheet>"
LAUGHS = (
    b"""<?xml version="1.0"?><!DOCTYPE s [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>"""
)


def test_a_sheet_by_hand() -> None:
    assert cells(tables.read_xlsx(repacked(workbook(["b"]), sheet1=SHEET % b"a"))) == [["a"]]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"member,score",
        workbook(["a"])[:-30],
        repacked(workbook(["a"]), workbook=b"<x/>"),
        repacked(workbook(["a"]), sheet1=b"<worksheet"),
        repacked(workbook(["a"]), sheet1=LAUGHS + SHEET % b"&b;"),
        repacked(workbook(["a"]), sheet1=b" " * (tables.UNPACKED_BYTES_MAX + 1)),
    ],
    ids=["empty", "short", "csv", "cut", "another", "broken", "entities", "bomb"],
)
def test_workbooks_that_are_made_to_break(data: bytes) -> None:
    assert len(data) < tables.BYTES_MAX
    assert tables.read_xlsx(data) == fault("not_a_workbook")


def test_a_sheet_of_whole_rows() -> None:
    row = b"<row>" + b"<c><v>1</v></c>" * 10 + b'<c s="0"/>' * (bounds.COLUMNS_MAX - 10) + b"</row>"
    found = cells(tables.read_xlsx(repacked(workbook(["a"]), sheet1=SHEETS % (row * 1_000))))
    assert found == [["1"] * 10] * 1_000


@pytest.mark.parametrize(
    "parts",
    [
        {"styles": b"<x>" + b"<font/>" * bounds.OTHER_ELEMENTS_MAX + b"</x>"},
        {"theme1": b"<x>" + b"<a/>" * 50_000 + b"</x>", "app": b"<x>" + b"<a/>" * 50_000 + b"</x>"},
        {"styles": b"<x>" + b"<row/>" * bounds.CELL_ELEMENTS_MAX + b"</x>"},
        {"sheet1": SHEETS % (b"<row>" + b"<c/>" * bounds.NESTED_MAX + b"</row>")},
        {"sheet1": SHEETS % ((b"<row>" + b"<c/>" * 64 + b"</row>") * (bounds.CELL_ELEMENTS_MAX // 64))},
        {"sheet1": SHEETS % (b"<row>" + b"<x:c/>" * bounds.NESTED_MAX + b"</row>")},
        {"styles": b"<x " + b" ".join(b'a%d=""' % each for each in range(150_000)) + b"/>"},
        {"styles": b"<x " + b" ".join(b'a%d=""' % each for each in range(105_000)) + b"/>"},
    ],
    ids=["formats", "together", "rows", "one-row", "cells", "prefixed", "long-tag", "attributes"],
)
def test_workbooks_of_too_many_elements(parts: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    data = repacked(workbook(["a"]), **parts)
    assert len(data) < 1_000_000
    # Nothing is read of them.
    monkeypatch.setattr(openpyxl, "load_workbook", None)
    assert tables.read_xlsx(data) == fault("too_much_in_it")


def test_what_a_bomb_does_not_say_is_not_unpacked() -> None:
    """A part that claims to be small ends where it says."""
    data = bytearray(repacked(workbook(["a"]), sheet1=b" " * (tables.UNPACKED_BYTES_MAX + 1)))
    size = (tables.UNPACKED_BYTES_MAX + 1).to_bytes(4, "little")
    assert data.count(size) == 2
    assert tables.read_xlsx(bytes(data.replace(size, (1000).to_bytes(4, "little")))) == fault(
        "not_a_workbook"
    )
