"""Make or renew an environment: `_setup.py ROOT LOCK VENV`, with the stamp to leave behind on standard input.

Runs on the system's Python, with nothing but the standard library. Two at once take turns.
"""

import fcntl
import shutil
import subprocess
import sys
import venv
from pathlib import Path


def main() -> None:
    """Install what the lock file pins, and the project itself; a stamp is left only when all of it succeeded."""
    root, lock, environment = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    wanted = sys.stdin.buffer.read()
    stamp = environment / f"{lock}.installed"
    with Path(__file__).open() as turnstile:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_bytes() == wanted and _works(environment):
            return
        print(f"setting up {environment} from {lock}", file=sys.stderr)
        if not _works(environment):
            shutil.rmtree(environment, ignore_errors=True)
            venv.create(environment, with_pip=True, symlinks=True)
        stamp.unlink(missing_ok=True)
        _pip(environment, "--require-hashes", "--requirement", str(root / lock))
        _pip(environment, "--no-deps", "--no-build-isolation", "--editable", str(root))
        stamp.write_bytes(wanted)


def _works(environment: Path) -> bool:
    check = "import pip, sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return (
            subprocess.run(
                [environment / "bin" / "python", "-c", check], stderr=subprocess.DEVNULL
            ).returncode
            == 0
        )
    except OSError:
        return False


def _pip(environment: Path, *arguments: str) -> None:
    python = str(environment / "bin" / "python")
    pip = [python, "-m", "pip", "--quiet", "--quiet", "--disable-pip-version-check", "install", "--no-input"]
    if subprocess.run([*pip, *arguments], stdin=subprocess.DEVNULL).returncode:
        sys.exit(1)


main()
