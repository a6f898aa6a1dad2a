"""Ballast: a file that takes all that is left of a file system."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BLOCK = bytes(4096)


@contextmanager
def ballast(directory: Path) -> Iterator[None]:
    """Fill the file system of a directory to the last block, until the end of the block."""
    path = directory / "ballast"
    try:
        with path.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                os.write(file.fileno(), BLOCK)
        yield
    finally:
        path.unlink()
