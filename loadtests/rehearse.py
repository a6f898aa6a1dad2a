"""Rehearse an opening, and say in plain words and as an exit code whether every invariant held.

Without --url it starts an embedded deployment of its own in a temporary directory. With --url it publishes a
campaign of its own name, of the unit `rehearsal`, on a deployment that runs. Flags that are not listed go to locust.

Exit codes: 0 all invariants held, 1 one did not, 2 the rehearsal could not be run or judged.
"""

import argparse
import os
import resource
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import aiohttp

from engine.commands import apply
from engine.ledger.protocol import Unavailable
from loadtests.deployment import ROOT
from loadtests.rehearsal import target, verdict
from loadtests.rehearsal.plan import Plan
from loadtests.rehearsal.target import Target, Unfit
from loadtests.rehearsal.verdict import NOT_JUDGED
from loadtests.rehearsal.words import say
from loadtests.rush import Unseen

SCENARIOS: Final = ROOT / "loadtests" / "scenarios"
RESULTS: Final = ROOT / "results"
MEMBERS: Final = {"rush": 1_000, "browse": 500, "churn": 200, "mixed": 500}
WORKSHOPS: Final = {"rush": 10, "browse": 10, "churn": 3, "mixed": 3}
RUN_TIME_S: Final = {"rush": 120, "browse": 30, "churn": 30, "mixed": 30}
CAMPAIGNS: Final = {"mixed": 6}
SPAWNED_A_SECOND: Final = 150
"""Members that come to the page in a second, before the opening."""
LOG_LINES_SHOWN: Final = 15


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and return the exit code."""
    parser = _parser()
    options, for_locust = parser.parse_known_args(arguments)
    try:
        if options.worker:
            _become_worker(options, for_locust)
        with target.target(options) as place:
            place.preflight()
            return _rehearse(options, for_locust, place)
    except (Unfit, Unavailable) as error:
        print(f"rehearse: {error}", file=sys.stderr)
        return NOT_JUDGED
    except KeyboardInterrupt:
        return NOT_JUDGED


def _rehearse(options: argparse.Namespace, for_locust: Sequence[str], place: Target) -> int:
    plan = _plan(options)
    directory: Path = (options.results or RESULTS / f"rehearsal-{plan.scenario}-{plan.run}").resolve()
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise Unfit(f"--results {directory}: {error.strerror}") from None
    report, log = directory / "report.html", directory / "locust.log"
    command = [*_locust(plan.scenario), *_users(plan), "--host", place.url, "--html", str(report),
               "--logfile", str(log), "--exchanges", str(directory), "--plan", plan.encode(),
               *_processes(options), *for_locust]  # fmt: skip
    command += ["--autostart", "--autoquit", "1"] if options.web else ["--headless", "--only-summary"]
    ended = subprocess.run(command, cwd=ROOT, env=_environment(place.secret))
    if ended.returncode:
        shown = log.read_text().splitlines()[-LOG_LINES_SHOWN:] if log.exists() else []
        print("\n".join([*shown, f"rehearse: locust ended with {ended.returncode}"]), file=sys.stderr)
        return NOT_JUDGED
    language = apply.language()
    try:
        found = verdict.judge(plan, place, directory, language)
    except (Unseen, TimeoutError, aiohttp.ClientError, ValueError) as error:
        raise Unfit(f"cannot be judged: {type(error).__name__} {error}") from error
    # What is said last is what counts: the report stands before it.
    words = [*found.words[:-1], say("report", language, path=report), found.words[-1]]
    (directory / "verdict.txt").write_text("\n".join([*words, ""]))
    print("\n".join(words), flush=True)
    return found.code


def _plan(options: argparse.Namespace) -> Plan:
    scenario = options.scenario
    members = options.members or MEMBERS[scenario]
    return Plan(
        scenario=scenario,
        run=f"{time.strftime('%m%d-%H%M%S')}-{secrets.token_hex(2)}",
        members=members,
        workshops=options.workshops or WORKSHOPS[scenario],
        seats=options.seats,
        waitlist=options.waitlist,
        campaigns=options.campaigns if scenario == "mixed" else 1,
        opens_in_s=options.opens_in or 5 + members / SPAWNED_A_SECOND,
        spread_s=options.spread,
        patience_s=options.patience,
        retries=options.retries,
        run_time_s=options.run_time or RUN_TIME_S[scenario],
        door=options.door,
        seed=options.seed,
    )


def _locust(scenario: str) -> list[str]:
    return [sys.executable, "-m", "locust", "-f", str(SCENARIOS / f"{scenario}.py")]


def _users(plan: Plan) -> list[str]:
    """All are there when two thirds of the time before the opening are over."""
    rate = max(1, plan.members / (plan.opens_in_s * 2 / 3))
    return ["--users", str(plan.members), "--spawn-rate", f"{rate:.1f}"]


def _processes(options: argparse.Namespace) -> list[str]:
    """Where the load processes are: in this one, on this machine, or elsewhere too."""
    if options.master:
        if not options.url:
            raise Unfit("--master needs --url: an embedded deployment is for this machine alone")
        return ["--master", "--expect-workers", str(options.expect_workers)]
    if options.processes == 1:
        return []
    # Nobody else's business: a port of this run, on this machine.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    return ["--processes", str(options.processes), "--master-bind-host", "127.0.0.1",
            "--master-bind-port", port, "--master-port", port]  # fmt: skip


def _become_worker(options: argparse.Namespace, for_locust: Sequence[str]) -> None:
    """Go on as a locust worker, which gets all but the secret from the master."""
    command = [*_locust(options.scenario), "--worker", "--master-host", options.master_host, *for_locust]
    if options.processes > 1:
        command += ["--processes", str(options.processes)]
    os.chdir(ROOT)
    os.execve(command[0], command, _environment(target.secret(options)))


def _environment(secret: bytes) -> Mapping[str, str]:
    """Of locust: the secret stands in no command line."""
    return os.environ | {"SEATRUSH_TOKEN_SECRET": os.fsdecode(secret), "PYTHONPATH": str(ROOT)}


def _raise_limit_of_files() -> None:
    """Each member has a connection of its own, and the deployment has the other end."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/rehearse", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenario", choices=tuple(MEMBERS))
    people = parser.add_argument_group("who comes, for what")
    add = people.add_argument
    add("--members", type=_number, help=f"members, each a locust user (default: {_by_scenario(MEMBERS)})")
    add("--workshops", type=_number, help=f"of each campaign (default: {_by_scenario(WORKSHOPS)})")
    add("--seats", type=_number, default=20, help="of each workshop (default: 20)")
    add(
        "--waitlist", type=_zero_or_more, default=20, help="places to wait behind each workshop (default: 20)"
    )
    add("--campaigns", type=_number, default=6, help="of `mixed` (default: 6)")
    add("--opens-in", type=_seconds, help="seconds to the opening; all members come before it "
        "(default: enough for that)")  # fmt: skip
    add("--spread", type=_seconds, default=2.0, help="seconds within which most click: one in ten up to so much "
        "too early, eight in ten within it, one in ten later, up to 21 times it (default: 2)")  # fmt: skip
    add("--patience", type=_seconds, default=60.0, help="seconds for which a member tries to get a definite "
        "answer (default: 60)")  # fmt: skip
    add("--retries", type=_zero_or_more, default=2, help="other workshops that a member of a rush tries "
        "when one is sold out (default: 2)")  # fmt: skip
    add("--door", choices=("http", "websocket"), default="http", help="(default: http)")
    add("--run-time", type=_seconds, help="seconds after the opening for which members go on; a rush ends with "
        f"its last member (default: {_by_scenario(RUN_TIME_S)})")  # fmt: skip
    add("--seed", type=int, default=secrets.randbelow(10**6), help="decides who does what (default: another)")
    where = parser.add_argument_group("a deployment that runs (default: an embedded one, for the rehearsal)")
    where.add_argument("--url", help="its address")
    where.add_argument("--data", type=Path, help="its data directory, on this machine")
    where.add_argument("--redis", help="its Redis, or SEATRUSH_REDIS_URL")
    where.add_argument("--database", help="its ledger, or SEATRUSH_DATABASE_URL")
    where.add_argument("--secret-file", type=Path, help="its token secret, or SEATRUSH_TOKEN_SECRET")
    where.add_argument("--api-processes", type=_number, default=1, help="of the embedded one (default: 1)")
    load = parser.add_argument_group("load processes")
    load.add_argument("--processes", type=_number, default=1, help="on this machine (default: 1)")
    load.add_argument("--master", action="store_true", help="lead workers on other machines; needs --url")
    load.add_argument(
        "--expect-workers", type=_number, default=1, help="that --master waits for (default: 1)"
    )
    load.add_argument("--worker", action="store_true", help="work for a master")
    load.add_argument("--master-host", default="127.0.0.1", help="of --worker")
    load.add_argument("--web", action="store_true", help="show locust's page while it runs, on port 8089")
    load.add_argument("--results", type=Path, help="a new folder for the report (default: below results/)")
    return parser


def _by_scenario(defaults: Mapping[str, float]) -> str:
    return ", ".join(f"{scenario} {value}" for scenario, value in defaults.items())


def _number(text: str) -> int:
    return _at_least(text, 1)


def _zero_or_more(text: str) -> int:
    return _at_least(text, 0)


def _at_least(text: str, least: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) >= least):
        raise argparse.ArgumentTypeError(f"a whole number from {least} on is expected")
    return int(text)


def _seconds(text: str) -> float:
    """Seconds, as a number or as locust writes it: 90, 1.5, 90s, 2m."""
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    try:
        seconds = float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        seconds = 0
    if not 0 < seconds < 86_400:
        raise argparse.ArgumentTypeError("seconds are expected, such as 90, 1.5 or 2m")
    return seconds


if __name__ == "__main__":
    _raise_limit_of_files()
    sys.exit(main())
