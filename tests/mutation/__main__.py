"""The mutation score: `python -m tests.mutation`, see docs/testing.md.

A mutant is a small change of the source. One that no test notices shows a line whose meaning no test holds.
"""

import argparse
import hashlib
import itertools
import json
import math
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct, convert

from tests.mutation import lua_mutants, python_mutants, trial
from tests.mutation.mutant import Mutant
from tests.mutation.trial import Seen, Trial

ROOT: Final = Path(__file__).parents[2]
EQUIVALENT: Final = Path(__file__).with_name("equivalent.toml")
SCORE_MIN: Final = 0.9
COPIED: Final = (
    "engine",
    "api",
    "tests",
    "loadtests",
    "docs",
    "scripts",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
)
PYTHON_TESTS: Final = (
    "tests/domain",
    "tests/test_ladder.py",
    "tests/test_replay.py",
    "tests/test_tables.py",
    "tests/test_why.py",
    "tests/api/test_outcomes.py",
    "tests/api/test_why.py",
)
LUA_TESTS: Final = (
    "tests/live/test_assign.py",
    "tests/live/test_changes.py",
    "tests/live/test_codes.py",
    "tests/live/test_counts.py",
    "tests/live/test_gate.py",
    "tests/live/test_merges.py",
    "tests/live/test_publish.py",
    "tests/live/test_shared_guards.py",
    "tests/live/test_sign_up.py",
    "tests/test_drawing.py",
    "tests/test_drawing_meanwhile.py",
    "tests/test_grace.py",
    "tests/test_ladder.py",
    "tests/test_polls.py",
    "tests/test_model.py",
    "tests/test_model_plays.py",
)
MEMORY: Final = Path("/dev/shm")
"""Where a mutant costs no disk its fsync."""
KEPT: Final = ROOT / "build" / "mutation"
KILLED: Final = KEPT / "killed"
TESTS_S: Final = 20
"""Of CPU: how much of the tests that reach a mutant is run. What needs more counts as survived."""
OBSERVED_S: Final = 900
"""How long the tests may take in which is seen what each reaches."""

Verdict = Literal["killed", "timeout", "survived"]


class Equivalent(Struct, frozen=True, forbid_unknown_fields=True):
    """A mutant that no test can notice."""

    path: str
    line: str
    becomes: str
    reason: str


def main() -> None:
    """Print a table of the files, then each mutant that survived; the status is 1 when the score is below 90 %."""
    asked = _arguments()
    # So that a run that is ended leaves nothing behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sources = {str(path.relative_to(ROOT)): path.read_bytes() for path in _files(asked.only)}
    mutants = [mutant for path, source in sources.items() for mutant in find(path, source)]
    if asked.guards:
        mutants = [mutant for mutant in mutants if mutant.is_guard]
    random.Random(asked.seed).shuffle(mutants)
    chosen = mutants[: asked.mutants]
    equivalents = read_equivalents()
    judged = [mutant for mutant in chosen if is_equivalent(mutant, sources, equivalents) is None]
    with tempfile.TemporaryDirectory(
        prefix="mutation-", dir=MEMORY if MEMORY.is_dir() else None
    ) as directory:
        court = Court(Path(directory).resolve(), sources, asked.jobs, _killed_before() if asked.again else {})
        verdicts = court.judge(judged, time.monotonic() + 60 * asked.minutes)
    report(mutants, chosen, verdicts, sources, set(chosen) - set(judged))
    sys.exit(1 if _score(verdicts) < SCORE_MIN else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/mutate", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the order in which mutants are tried (1)")
    parser.add_argument("--mutants", type=int, help="try as many, a sample (all)")
    parser.add_argument(
        "--only", nargs="+", metavar="PATH", help="files or folders (engine/domain engine/lua)"
    )
    parser.add_argument("--guards", action="store_true", help="only those that drop a guard of a script")
    parser.add_argument("--again", action="store_true", help="only what no earlier run saw killed")
    parser.add_argument("--minutes", type=float, default=60, help="begin no trial after that (60)")
    parser.add_argument("--jobs", type=int, default=2, help="trials at once (2)")
    return parser.parse_args()


def _files(only: Sequence[str] | None) -> Iterator[Path]:
    for name in only or ("engine/domain", "engine/lua"):
        path = ROOT / name
        if path.is_file():
            yield path
        else:
            yield from sorted(each for each in path.rglob("*") if each.suffix in {".py", ".lua"})


def find(path: str, source: bytes) -> list[Mutant]:
    """The mutants of a file."""
    return python_mutants.find(path, source) if path.endswith(".py") else lua_mutants.find(path, source)


def read_equivalents() -> list[Equivalent]:
    """The mutants that no test can notice, each with why."""
    return convert(tomllib.loads(EQUIVALENT.read_text()).get("equivalent", []), list[Equivalent])


def is_equivalent(
    mutant: Mutant, sources: Mapping[str, bytes], equivalents: Sequence[Equivalent]
) -> Equivalent | None:
    """What the list says of a mutant, if anything."""
    known = {each.path for each in equivalents}
    if mutant.path not in known:
        return None
    line, becomes = mutant.show(sources[mutant.path])
    return next(
        (
            each
            for each in equivalents
            if (each.path, each.line, each.becomes) == (mutant.path, line, becomes)
        ),
        None,
    )


class Court:
    """Judges mutants, some at once, each in a copy of the checkout."""

    def __init__(
        self, directory: Path, sources: Mapping[str, bytes], jobs: int, killed: dict[str, Verdict]
    ) -> None:
        self._killed = killed
        self._sources = sources
        self._copies = [_copy(directory / str(number)) for number in range(jobs)]
        self._seen: dict[str, Seen] = {}
        self._reaching: dict[tuple[str, int], set[str]] = defaultdict(set)
        self._modules: set[str] = set()
        self._domain = {
            str(file.relative_to(ROOT)): file.read_text()
            for file in (ROOT / "engine" / "domain").rglob("*.py")
        }
        self._kills: Counter[tuple[str, str]] = Counter()
        for suffix, tests in ((".py", PYTHON_TESTS), (".lua", LUA_TESTS)):
            if any(path.endswith(suffix) for path in sources):
                self._observe(tests, lua=suffix == ".lua")
        trial.warm_up(sorted(self._modules))

    def _observe(self, tests: Sequence[str], *, lua: bool) -> None:
        """See what each test reaches; what is seen of a file of tests is kept for as long as it and the source stay."""
        kept = {name: KEPT / _digest(name, lua=lua) for name in _files_of(tests)}
        missing = [name for name, place in kept.items() if not place.exists()]
        if missing:
            copy = self._copies[0]
            scripts = _instrument(copy) if lua else {}
            status = trial.observe(copy, missing, OBSERVED_S, lua=lua).wait()
            for file, source in scripts.items():
                file.write_bytes(source)
            if status not in {0, 1}:
                sys.exit((copy / "trial.log").read_text())
            modules, lines = (copy / "modules").read_text(), (copy / "seen").read_text().splitlines()
            (copy / "seen").unlink()
            KEPT.mkdir(parents=True, exist_ok=True)
            for name in missing:
                of_file = [line for line in lines if json.loads(line)["test"].startswith(f"{name}::")]
                kept[name].write_text("\n".join([json.dumps(modules.split()), *of_file]))
        for place in kept.values():
            modules_used, *seen = place.read_text().splitlines()
            self._modules |= set(json.loads(modules_used))
            for line in seen:
                self._note(convert(json.loads(line), Seen))

    def _note(self, seen: Seen) -> None:
        self._seen[seen.test] = seen
        for path, numbers in seen.python.items():
            for number in numbers:
                self._reaching[path, number].add(seen.test)
        for hit in seen.lua:
            script, _, at = hit.rpartition(":")
            self._reaching[f"engine/lua/{script}.lua", int(at)].add(seen.test)

    def _tests_of(self, mutant: Mutant) -> list[str]:
        source, path = self._sources[mutant.path], mutant.path
        if path.endswith(".lua"):
            line = lua_mutants.reached_with(source, mutant.line)
            reaching = self._reaching[path, line] if line else self._of_file(path)
            return self._in_order(path, reaching)
        lines = python_mutants.reached_with(source, mutant.line)
        if not lines:
            return self._in_order(path, self._of_module(path))
        reaching = {test for line in lines for test in self._reaching[path, line]}
        # What is made once and kept is only seen to be reached by the test that came first.
        return self._in_order(path, reaching) + self._in_order(path, self._of_file(path) - reaching)

    def _within_bounds(self, tests: Sequence[str]) -> list[str]:
        sums = itertools.accumulate(self._seen[test].cpu_s for test in tests)
        return [test for test, cpu_s in zip(tests, sums, strict=True) if cpu_s <= TESTS_S] or list(tests[:1])

    def _in_order(self, path: str, tests: Iterable[str]) -> list[str]:
        return sorted(
            tests,
            key=lambda test: (
                -self._kills[path, test],
                not self._is_named_after(path, test),
                self._seen[test].cpu_s,
                test,
            ),
        )

    def _of_file(self, path: str) -> set[str]:
        return {test for (file, _), tests in self._reaching.items() if file == path for test in tests}

    def _of_module(self, path: str) -> set[str]:
        """The tests that are named after a module, and those of what it and the modules that import it do."""
        name = re.escape(Path(path).stem)
        imports = re.compile(rf"(from|import) engine\.domain[\w.]*(\.{name}\b| import .*\b{name}\b)")
        files = {each for each in self._domain if each == path or imports.search(self._domain[each])}
        found = {test for (file, _), tests in self._reaching.items() if file in files for test in tests}
        named = {test for test in self._seen if self._is_named_after(path, test)}
        return found | named or set(self._seen)

    def _is_named_after(self, path: str, test: str) -> bool:
        name = re.escape(Path(path).stem)
        return re.search(rf"/test_(\w+_)?{name}(s|_texts)?\.py::", test) is not None

    def judge(self, mutants: Sequence[Mutant], until: float) -> dict[Mutant, Verdict]:
        """What became of each mutant that was tried; none is begun after `until`."""
        verdicts: dict[Mutant, Verdict] = {}
        running: dict[Path, tuple[Mutant, Trial]] = {}
        waiting = iter(mutants)
        more = True
        while more or running:
            for copy in self._copies:
                if copy in running:
                    mutant, tried = running[copy]
                    status = tried.ended()
                    if status is None:
                        continue
                    del running[copy]
                    verdicts[mutant] = self._verdict(copy, mutant, status)
                    if verdicts[mutant] != "survived":
                        with KILLED.open("a") as file:
                            file.write(f"{_key(mutant, self._sources)} {verdicts[mutant]}\n")
                    _tell(mutant, verdicts[mutant], True, self._sources[mutant.path])
                    if len(verdicts) % 100 == 0:
                        print(f"{len(verdicts)} of {len(mutants)} tried", flush=True)
                while more and copy not in running:
                    following = next(waiting, None) if time.monotonic() < until else None
                    if following is None:
                        more = False
                    elif (key := _key(following, self._sources)) in self._killed:
                        verdicts[following] = self._killed[key]
                    elif tests := self._within_bounds(self._tests_of(following)):
                        running[copy] = following, self._try(copy, following, tests)
                    else:
                        verdicts[following] = "survived"
                        _tell(following, "survived", False, self._sources[following.path])
            time.sleep(0.01)
        return verdicts

    def _try(self, copy: Path, mutant: Mutant, tests: Sequence[str]) -> Trial:
        (copy / "failed").unlink(missing_ok=True)
        file = copy / mutant.path
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
            compiled.unlink()
        file.write_bytes(mutant.apply(self._sources[mutant.path]))
        cpu_s = 10 + 5 * sum(self._seen[test].cpu_s for test in tests)
        return trial.judge(copy, tests, wall_s=30 + 6 * cpu_s, cpu_s=math.ceil(cpu_s))

    def _verdict(self, copy: Path, mutant: Mutant, status: int) -> Verdict:
        (copy / mutant.path).write_bytes(self._sources[mutant.path])
        failed = copy / "failed"
        if status == 0:
            return "survived"
        if status < 0:
            return "timeout"
        by = failed.read_text() if failed.exists() else "not collected"
        self._kills[mutant.path, by] += 1
        return "killed"


def _key(mutant: Mutant, sources: Mapping[str, bytes]) -> str:
    changed = f"{mutant.path} {mutant.start} {mutant.end} {mutant.after}".encode()
    return hashlib.sha256(changed + sources[mutant.path]).hexdigest()[:24]


def _killed_before() -> dict[str, Verdict]:
    lines = KILLED.read_text().splitlines() if KILLED.exists() else []
    return {key: convert(verdict, Verdict) for key, verdict in map(str.split, lines)}


def _files_of(tests: Sequence[str]) -> list[str]:
    found = [
        path
        for name in tests
        for path in ([ROOT / name] if name.endswith(".py") else (ROOT / name).glob("test_*.py"))
    ]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def _digest(test: str, *, lua: bool) -> str:
    """Of a file of tests, and of all it may reach but other tests and this program."""
    digest = hashlib.sha256(f"{test} {lua}".encode() + (ROOT / test).read_bytes())
    for path in sorted(each for folder in ("engine", "tests") for each in (ROOT / folder).rglob("*.*")):
        if (
            path.suffix in {".py", ".lua", ".sql"}
            and "mutation" not in path.parts
            and not path.name.startswith("test_")
        ):
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:24]


def _instrument(copy: Path) -> dict[Path, bytes]:
    """Have the scripts of a copy log what they reach; as they were before."""
    folder, before = copy / "engine" / "lua", {}
    for file in sorted(folder.rglob("*.lua")):
        before[file] = file.read_bytes()
        name = str(file.relative_to(folder).with_suffix(""))
        head = lua_mutants.HIT if name == "includes/state" else b""
        file.write_bytes(head + lua_mutants.instrument(name, before[file]))
    return before


def _copy(directory: Path) -> Path:
    directory.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, directory / name)
        else:
            shutil.copy(source, directory)
    return directory


def _tell(mutant: Mutant, verdict: Verdict, reached: bool, source: bytes) -> None:
    if verdict != "killed":
        line, becomes = mutant.show(source)
        how = verdict if reached else f"{verdict}, reached by no test"
        guard = ", a guard" if mutant.is_guard else ""
        print(f"{mutant.path}:{mutant.line} {how}{guard}\n  - {line}\n  + {becomes}", flush=True)


def _score(verdicts: Mapping[Mutant, Verdict]) -> float:
    return 1 - sum(verdict == "survived" for verdict in verdicts.values()) / max(1, len(verdicts))


def _interval(score: float, tried: int) -> tuple[float, float]:
    """Where the score of all mutants lies with 95 % confidence, of a sample; Wilson (1927)."""
    z = 1.96
    middle = (score + z * z / (2 * tried)) / (1 + z * z / tried)
    half = z / (1 + z * z / tried) * math.sqrt(score * (1 - score) / tried + z * z / (4 * tried * tried))
    return middle - half, middle + half


def report(
    mutants: Sequence[Mutant],
    chosen: Sequence[Mutant],
    verdicts: Mapping[Mutant, Verdict],
    sources: Mapping[str, bytes],
    equivalent: set[Mutant],
) -> None:
    """Print the table."""
    print(
        f"\n{'':<42}{'mutants':>8}{'tried':>7}{'killed':>8}{'timeout':>8}{'survived':>9}{'equivalent':>11}{'score':>8}"
    )
    guards = {mutant for mutant in mutants if mutant.is_guard}
    rows = [(path, {mutant for mutant in mutants if mutant.path == path}) for path in sources]
    rows += [
        ("engine/domain", {mutant for mutant in mutants if mutant.path.endswith(".py")}),
        ("engine/lua", {mutant for mutant in mutants if mutant.path.endswith(".lua")}),
        ("engine/lua, guards dropped", guards),
    ]
    for name, group in rows:
        counted = Counter(verdict for mutant, verdict in verdicts.items() if mutant in group)
        tried = counted.total()
        if not group:
            continue
        score = 1 - counted["survived"] / tried if tried else math.nan
        interval = ""
        if tried and tried < len(group - equivalent):
            low, high = _interval(score, tried)
            interval = f"  ({low:.1%} to {high:.1%})"
        print(
            f"{name:<42}{len(group):>8}{tried:>7}{counted['killed']:>8}{counted['timeout']:>8}"
            f"{counted['survived']:>9}{len(group & equivalent):>11}{score:>8.1%}{interval}"
        )


if __name__ == "__main__":
    os.nice(10)
    main()
