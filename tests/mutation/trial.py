"""Trials: pytest in a process of its own, forked from this one, on a copy of the checkout.

This process has loaded what the tests import of other people's, and nothing of ours, so that a trial meets the source
as it lies in its copy.
"""

import importlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
from msgspec import Struct

LOADED_EARLIER: Final = "ignore::pytest.PytestAssertRewriteWarning"
OURS: Final = {"engine", "api", "loadtests", "tests"}
DATA_MAX: Final = 4 << 30
"""Bytes of memory, for a mutant that never stops to gather."""


class Seen(Struct, frozen=True):
    """What a test reached while it passed, and how long it took."""

    test: str
    cpu_s: float
    python: dict[str, list[int]]
    """The lines of each file of `engine/domain`."""
    lua: list[str]
    """`<file>:<line>`, file without its ending."""


class Trial:
    """A running trial."""

    def __init__(self, directory: Path, run: Callable[[], int], wall_s: float, cpu_s: int) -> None:
        self.directory = directory
        self._deadline = time.monotonic() + wall_s
        self._pid = os.fork()
        if not self._pid:
            status = 70
            try:
                os.setsid()
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                _enter(directory, cpu_s)
                status = run()
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)

    def ended(self) -> int | None:
        """pytest's exit status, -1 when the trial took too long, None while it runs."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        late = not pid and time.monotonic() > self._deadline
        if pid or late:
            with suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
        if late:
            os.waitpid(self._pid, 0)
        if not pid and not late:
            return None
        return os.WEXITSTATUS(status) if pid and os.WIFEXITED(status) else -1

    def wait(self) -> int:
        """As `ended`, when it has."""
        while (status := self.ended()) is None:
            time.sleep(0.02)
        return status


def _enter(directory: Path, cpu_s: int) -> None:
    os.chdir(directory)
    temporary = directory / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    tempfile.tempdir = str(temporary)
    os.environ["TMPDIR"] = str(temporary)
    with Path("trial.log").open("w") as log, Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_MAX, DATA_MAX))
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]
    sys.path[:] = [
        str(directory),
        *(entry for entry in sys.path if Path(entry or ".").resolve() != directory),
    ]
    importlib.invalidate_caches()
    hypothesis.settings.register_profile(
        "mutation",
        database=None,
        deadline=None,
        derandomize=True,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("mutation")


def _pytest(paths: Sequence[str], plugin: object, *options: str) -> int:
    return int(
        pytest.main(
            ["-q", "--no-header", "-p", "no:cacheprovider", "-W", LOADED_EARLIER, *options, *paths],
            plugins=[plugin],
        )
    )


def judge(directory: Path, tests: Sequence[str], wall_s: float, cpu_s: int) -> Trial:
    """Run tests in their order until one fails, which `directory/failed` then names."""
    paths = list(dict.fromkeys(test.partition("::")[0] for test in tests))

    def run() -> int:
        sys.dont_write_bytecode = True
        return _pytest(paths, _Judge(tests), "-x")

    return Trial(directory, run, wall_s, cpu_s)


class _Judge:
    def __init__(self, tests: Sequence[str]) -> None:
        self._place = {test: place for place, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the tests that were asked for, in their order."""
        items[:] = sorted(
            (item for item in items if item.nodeid in self._place), key=lambda item: self._place[item.nodeid]
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Name the test that fails."""
        if report.failed:
            Path("failed").write_text(report.nodeid)


def observe(directory: Path, paths: Sequence[str], wall_s: float, *, lua: bool) -> Trial:
    """Run all tests of `paths`, and leave in `directory/seen` what each reached, a line of JSON each."""

    def run() -> int:
        return _pytest(paths, _Observer(directory, lua=lua))

    return Trial(directory, run, wall_s, cpu_s=3600)


class _Observer:
    def __init__(self, directory: Path, *, lua: bool) -> None:
        self._domain = f"{directory}/engine/domain/"
        self._root = f"{directory}/"
        self._server_log = directory / "server.log"
        self._server_log.touch()
        self._lines: set[tuple[str, int]] = set()
        self._lua = lua
        self._skipped: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Redis of one line is enough to see what scripts do."""
        items[:] = [item for item in items if not _needs_other_line(item)]
        (Path("modules")).write_text("\n".join(sorted(sys.modules)))
        if self._lua:
            self._log_hits()

    def _log_hits(self) -> None:
        servers: Any = importlib.import_module("tests.redis_servers")
        serving = servers.serving
        log = self._server_log
        servers.serving = lambda command, url: serving([*command, "--logfile", str(log)], url)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Follow one test."""
        self._lines.clear()
        before, began = self._server_log.stat().st_size, time.process_time()
        if not self._lua:
            threading.settrace(self._trace)
            sys.settrace(self._trace)
        yield
        sys.settrace(None)
        if item.nodeid in self._skipped:
            return
        python: dict[str, list[int]] = {}
        for path, line in sorted(self._lines):
            python.setdefault(path.removeprefix(self._root), []).append(line)
        with self._server_log.open("rb") as log:
            log.seek(before)
            hits = sorted({line.rpartition(b"hit ")[2].decode().strip() for line in log if b" hit " in line})
        seen = Seen(item.nodeid, time.process_time() - began, python, hits)
        with Path("seen").open("a") as file:
            file.write(json.dumps({name: getattr(seen, name) for name in Seen.__struct_fields__}) + "\n")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that was skipped, or fails, judges nothing."""
        if not report.passed:
            self._skipped.add(report.nodeid)

    def _trace(self, frame: Any, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(self._domain):
            return None
        self._lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._trace


def _needs_other_line(item: pytest.Item) -> bool:
    parameters = (
        item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    )
    chosen = [parameters.get(name) for name in ("redis_url", "stores")]
    return chosen[0] == "redis" or (isinstance(chosen[1], tuple) and chosen[1][0] == "redis")


def warm_up(modules: Sequence[str]) -> None:
    """Import what the tests imported of other people's."""
    for name in modules:
        if name.partition(".")[0] not in OURS and not name.startswith(("_", "pip", "__")):
            with suppress(Exception):
                importlib.import_module(name)
