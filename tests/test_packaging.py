"""What is installed: pins with hashes and without addresses, and a wheel with all that is not Python."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
LOCKS: Final = ("requirements.lock", "requirements-dev.lock", "requirements-load.lock")


def pins(lock: str) -> dict[str, str]:
    """The version of each package in a lock file."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", (ROOT / lock).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_is_hashed_and_names_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    pin, digest = r"[a-z0-9-]+==\S+( ; .+)? \\\n", r"    --hash=sha256:[0-9a-f]{64}"
    assert re.fullmatch(rf"(#.*\n)+({pin}({digest} \\\n)*{digest}\n)+", text)
    assert "://" not in text
    assert "@" not in text


def test_locks_agree() -> None:
    run = pins("requirements.lock")
    assert run["setuptools"] in (ROOT / "pyproject.toml").read_text()
    for lock in ("requirements-dev.lock", "requirements-load.lock"):
        assert run.items() <= pins(lock).items()


def test_wheel_has_all_that_is_not_python(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    for package in ("engine", "api"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('dist'))"
    built = subprocess.run([sys.executable, "-c", build], cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(tmp_path / "dist" / built.stdout.split()[-1]) as wheel:
        packed = {name for name in wheel.namelist() if not name.startswith("seatrush-")}
    kept = {
        str(path.relative_to(ROOT)) for package in ("engine", "api") for path in (ROOT / package).rglob("*.*")
    }
    assert {name for name in kept if "__pycache__" not in name} == packed
