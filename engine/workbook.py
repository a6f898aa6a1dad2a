"""Workbooks: the XML in one is counted before openpyxl reads it, which makes an object of each element that it meets.

A workbook of a few KB unpacks to millions of elements; nobody's table of results has so many.
"""

from typing import IO, Final
from xml.parsers import expat
from zipfile import ZipFile

from engine.domain.ladder import ROWS_MAX

COLUMNS_MAX: Final = 64
CELL_ELEMENTS_MAX: Final = ROWS_MAX * (COLUMNS_MAX + 11)
"""Enough for all rows with all columns, and a value in ten of them, which is what a table of results has at most."""
OTHER_ELEMENTS_MAX: Final = 100_000
"""Formats, names, other sheets' settings: of all parts together."""
NESTED_MAX: Final = 20_000
"""Of one row, or of one string: what is read as a whole. A spreadsheet has 16,384 columns."""
TAG_BYTES_MAX: Final = 1024 * 1024
ATTRIBUTES_FREE: Final = 16
"""As many come with an element; those beyond count as elements."""

_CHUNK_BYTES: Final = 64 * 1024
_OF_CELLS: Final = frozenset({"row", "c", "v", "f", "is", "t", "si", "r", "rPh", "phoneticPr"})
"""Rows, cells and strings, by their local names: cheap to read wherever they stand."""
_WHOLE: Final = frozenset({"row", "si"})


class _TooMuch(Exception):
    """A bound is passed."""


class _Count:
    """What was met so far, over all parts."""

    def __init__(self) -> None:
        self._of_cells = 0
        self._others = 0
        self._nested = 0

    def start(self, name: str, attributes: list[str]) -> None:
        """An element, with its attributes as names and values in turn."""
        weight = 1 + max(0, len(attributes) // 2 - ATTRIBUTES_FREE)
        if name.rpartition(":")[2] in _OF_CELLS:
            self._of_cells += weight
            self._nested += weight
        else:
            self._others += weight
        if (
            self._of_cells > CELL_ELEMENTS_MAX
            or self._others > OTHER_ELEMENTS_MAX
            or self._nested > NESTED_MAX
        ):
            raise _TooMuch

    def end(self, name: str) -> None:
        """The end of an element."""
        if name.rpartition(":")[2] in _WHOLE:
            self._nested = 0

    def begin_part(self) -> None:
        """Another part."""
        self._nested = 0


def is_within_bounds(archive: ZipFile) -> bool:
    """Whether a workbook may be read.

    Raises ValueError for a document type, in which entities could be declared, and whatever zipfile raises.
    """
    count = _Count()
    try:
        for part in archive.infolist():
            with archive.open(part) as unpacked:
                _scan(unpacked, count)
    except _TooMuch:
        return False
    return True


def _scan(part: IO[bytes], count: _Count) -> None:
    """Count the elements of a part, as far as it is XML: openpyxl reads no further."""
    count.begin_part()
    parser = expat.ParserCreate()
    parser.ordered_attributes = True
    parser.StartElementHandler = count.start
    parser.EndElementHandler = count.end
    parser.StartDoctypeDeclHandler = _refuse
    read = 0
    try:
        while chunk := part.read(_CHUNK_BYTES):
            read += len(chunk)
            parser.Parse(chunk)
            # A tag is held until it ends.
            if read - parser.CurrentByteIndex > TAG_BYTES_MAX:
                raise _TooMuch
        parser.Parse(b"", True)
    except expat.ExpatError:
        return


def _refuse(*_: object) -> None:
    raise ValueError("a workbook has no document type")
