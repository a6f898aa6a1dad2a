"""Key files: secrets of a deployment in its data directory, made when they are missing."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def read(path: Path, make: Callable[[], str]) -> bytes:
    """What a key file holds. One that is missing is made, for its owner alone, of what `make` returns.

    Processes that start at once end with the same key. Raises OSError.
    """
    if not path.exists():
        _write(path, make())
    return path.read_bytes()


def _write(path: Path, key: str) -> None:
    """Put a new key at `path` unless there is one. A link appears whole or not at all, and never replaces."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # O_EXCL, mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(key)
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()
