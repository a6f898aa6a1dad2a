"""A deployment under test: `seatrush serve` in processes of its own, on a data directory."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from loadtests.bench import machine

ROOT: Final = Path(__file__).parents[1]
STOP_TIMEOUT_S: Final = 60
KILL_TIMEOUT_S: Final = 10


class Deployment:
    """A deployment that answers at `url`."""

    def __init__(
        self, data: Path, *arguments: str, root: Path | str = ROOT, program: str = "engine", **settings: str
    ) -> None:
        """Start it and wait until it is ready; `settings` are environment variables. Raises RuntimeError.

        `program` is the Python module that takes `serve`, of the code below `root`.
        """
        self.data = data
        environment = {name: text for name, text in os.environ.items() if not name.startswith("SEATRUSH_")}
        self.log = data.parent / "serve.log"
        with self.log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", program, "serve", "--port", "0", "--data", str(data), *arguments],
                cwd=root,
                env=environment | settings,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self._process.stdout is not None
        with self._process.stdout as output:
            said = output.readline().strip()
        if not said.startswith("ready on "):
            self._process.wait()
            raise RuntimeError(f"it did not start: {self.log.read_text()[-500:]}")
        self.url = said.removeprefix("ready on ")
        self.host = urlsplit(self.url).hostname or ""
        self.port = urlsplit(self.url).port or 0
        secret = settings.get("SEATRUSH_TOKEN_SECRET")
        self.secret = secret.encode() if secret else (data / "token.key").read_bytes()

    def processes(self) -> dict[int, str]:
        """Each process below the supervisor, with its kind: api, work, redis, or the rewrite of its log."""
        names = {"child api": "api", "child work": "work", "aof-rewrite": "rewrite"}
        return {
            pid: next((kind for name, kind in names.items() if name in command), "redis")
            for pid, command in machine.processes_below(self._process.pid).items()
        }

    def renew(self) -> None:
        """Ask for a rolling restart."""
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """End it in order and return the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP_TIMEOUT_S)

    def kill(self) -> None:
        """Kill every process of it at once, as a power cut would end them, and wait until all are gone."""
        with ExitStack() as stack:
            ends = {}
            for pid in [self._process.pid, *self.processes()]:
                # A file of the process, since another may get its number.
                with suppress(ProcessLookupError):
                    ends[os.pidfd_open(pid)] = pid
            for end in ends:
                stack.callback(os.close, end)
                # The others go with the first by themselves.
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(end, signal.SIGKILL)
            self._process.wait()
            for end, pid in ends.items():
                if not select.select([end], [], [], KILL_TIMEOUT_S)[0]:
                    raise RuntimeError(f"process {pid} outlives its deployment")

    def close(self) -> None:
        """Leave nothing behind, whatever happened before."""
        if self._process.poll() is None:
            self.stop()


@contextmanager
def deployed(*documents: Mapping[str, object], **settings: str) -> Iterator[Deployment]:
    """A deployment with campaigns, in a temporary directory that goes with it."""
    # A short path: Redis's socket lies in it.
    directory = Path(tempfile.mkdtemp(prefix="seatrush-"))
    try:
        paths = [directory / f"campaign-{number}.json" for number in range(len(documents))]
        for path, document in zip(paths, documents, strict=True):
            path.write_text(json.dumps(document))
        apply = [argument for path in paths for argument in ("--apply", str(path))]
        deployment = Deployment(directory / "data", *apply, **settings)
        try:
            yield deployment
        finally:
            deployment.close()
    finally:
        shutil.rmtree(directory)


def embedded_ledger(data: Path) -> str:
    """The URL of the ledger that lies in a data directory."""
    return f"sqlite:///{data}/ledger.db"


def audit(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `seatrush audit` on a data directory, or on what the arguments name."""
    return subprocess.run(
        [sys.executable, "-m", "engine", "audit", "--data", str(data), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        port: int = candidate.getsockname()[1]
        return port
