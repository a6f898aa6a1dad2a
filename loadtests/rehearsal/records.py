"""The record of a rehearsal: every exchange of every load process, in files of length-prefixed chunks.

A chunk names the machine whose clock timed it, since CLOCK_MONOTONIC of two machines cannot be compared.
"""

import platform
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from loadtests.exchange import Exchange

CHUNK_EXCHANGES_MAX: Final = 500
SUFFIX: Final = ".exchanges"
_LENGTH_BYTES: Final = 4
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Chunk(Struct, frozen=True, array_like=True):
    """Some exchanges of one process."""

    machine: str
    exchanges: list[Exchange]


def this_machine() -> str:
    """What all processes share that have a monotonic clock in common."""
    if _BOOT_ID.exists():
        return _BOOT_ID.read_text().strip()
    return f"{platform.node()}-{uuid.getnode():x}"


class Recorder:
    """Gathers the exchanges of one process, and hands them on in chunks as bytes."""

    def __init__(self, hand_on: Callable[[bytes], None]) -> None:
        self._hand_on = hand_on
        self._machine = this_machine()
        self._exchanges: list[Exchange] = []

    def add(self, exchange: Exchange) -> None:
        """Note an exchange."""
        self._exchanges.append(exchange)
        if len(self._exchanges) >= CHUNK_EXCHANGES_MAX:
            self.flush()

    def flush(self) -> None:
        """Hand on what is left."""
        exchanges, self._exchanges = self._exchanges, []
        if exchanges:
            self._hand_on(msgspec.msgpack.encode(Chunk(self._machine, exchanges)))


def append(path: Path, chunk: bytes) -> None:
    """Add a chunk to a file."""
    with path.open("ab") as file:
        file.write(len(chunk).to_bytes(_LENGTH_BYTES) + chunk)


def read(directory: Path) -> Iterator[Chunk]:
    """Every chunk of every file of a directory. Raises ValueError for a file that ends within one."""
    decoder = msgspec.msgpack.Decoder(Chunk)
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        with path.open("rb") as file:
            while head := file.read(_LENGTH_BYTES):
                length = int.from_bytes(head)
                chunk = file.read(length)
                if len(chunk) < length:
                    raise ValueError(f"{path.name} ends within a chunk")
                yield decoder.decode(chunk)
