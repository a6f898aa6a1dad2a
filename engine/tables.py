"""Tables that people bring: CSV and XLSX files as rows of text, within bounds and with nothing evaluated.

CSV is RFC 4180 with commas, in UTF-8 with or without its mark, or in GB18030, as spreadsheets write it in China. Of a
workbook the first sheet is read.
"""

import csv
import datetime
import io
import zipfile
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import openpyxl

from engine import workbook
from engine.domain.faults import Fault, fault
from engine.domain.ladder import ROWS_MAX, Row
from engine.workbook import COLUMNS_MAX

CSV: Final = "text/csv"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SUFFIXES: Final[Mapping[str, str]] = {".csv": CSV, ".xlsx": XLSX}
"""The media type of a file by the end of its name."""

BYTES_MAX: Final = 4 * 1024 * 1024
UNPACKED_BYTES_MAX: Final = 32 * 1024 * 1024
PARTS_MAX: Final = 1_000
_FORMULA: Final = fault("formula")
_TOO_MANY: Final = fault("too_many", max=ROWS_MAX)


def read(media_type: str, data: bytes) -> list[Row] | Fault:
    """The rows of a file of one of the media types above, up to BYTES_MAX; or why it cannot be read."""
    return read_csv(data) if media_type == CSV else read_xlsx(data)


def read_csv(data: bytes) -> list[Row] | Fault:
    """The rows of a CSV file."""
    try:
        text = _decode(data)
    except UnicodeDecodeError:
        return fault("not_utf8")
    rows: list[Row] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for number, cells in enumerate(reader, start=1):
            if number > ROWS_MAX + 1:
                return _TOO_MANY
            rows.append(Row(number, cells[: COLUMNS_MAX + 1]))
    except csv.Error:
        return fault("not_csv", line=reader.line_num)
    return rows


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("gb18030")


def read_xlsx(data: bytes) -> list[Row] | Fault:
    """The rows of the first sheet of a workbook. What it says it unpacks to is all that is ever unpacked of it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            if len(parts) > PARTS_MAX or sum(part.file_size for part in parts) > UNPACKED_BYTES_MAX:
                return fault("not_a_workbook")
            if not workbook.is_within_bounds(archive):
                return fault("too_much_in_it")
        # Without read_only it would hold a cell for each that a forged sheet claims to have.
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, keep_links=False)
        try:
            return _rows(book)
        finally:
            book.close()
    except Exception:
        # It raises whatever it trips over in a file that is broken, or made to break it.
        return fault("not_a_workbook")


def _rows(book: Any) -> list[Row] | Fault:
    rows: list[Row] = []
    # Rows that are left out of the file come as empty ones.
    for number, cells in enumerate(book.worksheets[0].iter_rows(max_col=COLUMNS_MAX + 1), start=1):
        if number > ROWS_MAX + 1:
            return _TOO_MANY
        texts = list(_texts(cells))
        while texts and not texts[-1]:
            texts.pop()
        rows.append(Row(number, texts))
    return rows


def _texts(cells: Any) -> Iterator[str | Fault]:
    """Each cell as it would be in a CSV file. A number has as many digits as a spreadsheet shows."""
    for cell in cells:
        value = cell.value
        if value is None:
            yield ""
        elif cell.data_type == "f":
            yield _FORMULA
        elif isinstance(value, bool | str):
            yield str(value)
        elif isinstance(value, int | float):
            # A spreadsheet's own notation for what is small or large is none that a score may have.
            yield format(Decimal(format(value, ".15g")), "f")
        else:
            yield value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value)
