"""The command line: `seatrush`, also `python -m engine`."""

import argparse
import asyncio
import logging
import os
import re
import sys
from pathlib import Path
from typing import Final

from api.tokens import ClaimsError, TokenSecretError
from engine import __version__, config, lock
from engine.commands import (
    apply,
    audit,
    codes,
    forget,
    headcounts,
    rebuild,
    roll,
    rounds,
    serve,
    supervisor,
    token,
    verify_draw,
    verify_roll,
    why,
)
from engine.config import SETTINGS, Settings
from engine.domain import invitation
from engine.domain.person import Person
from engine.ledger import protocol
from engine.live.embedded import StartFailed
from engine.live.server import NothingRan, Unknown
from engine.receipts import ReceiptKeyError

USAGE_ERROR: Final = 2

_STORAGE: Final = ("data", "redis_url", "database_url", "durability")
_LISTENING: Final = ("host", "port", "processes", "jwks_url", "connections_max")
_EXPECTED: Final = (
    config.ConfigError,
    lock.Unavailable,
    supervisor.Failed,
    StartFailed,
    NothingRan,
    Unknown,
    protocol.Unavailable,
    TokenSecretError,
    ReceiptKeyError,
    ClaimsError,
    FileNotFoundError,
    IsADirectoryError,
    PermissionError,
)
"""What an operator can mend: said in one line, without a trace."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 refused or different, 2 it could not be run."""
    parsed = _parser().parse_args(arguments)
    logging.basicConfig(
        format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s",
        level=logging.INFO,
        stream=sys.stderr,
    )
    given = {name: getattr(parsed, name) for name in SETTINGS if getattr(parsed, name, None) is not None}
    try:
        if parsed.command.startswith("verify-"):
            return _verify(parsed)
        settings = config.from_environment(os.environ, given)
        return _run(parsed, settings, _environment(given))
    except _EXPECTED as error:
        print(f"seatrush: {_message(error)}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return 130


def _verify(parsed: argparse.Namespace) -> int:
    """What needs files alone, whatever is wrong with the settings of a deployment."""
    match parsed.command:
        case "verify-draw":
            return verify_draw.run(parsed.file, parsed.commitment)
        case "verify-roll":
            return verify_roll.run(parsed.file, parsed.key, parsed.head, parsed.receipt)
        case _:
            return verify_roll.run_receipt(parsed.file, parsed.key)


def _run(parsed: argparse.Namespace, settings: Settings, environment: dict[str, str]) -> int:
    match parsed.command:
        case "serve":
            return asyncio.run(serve.run("serve", settings, environment, parsed.apply, parsed.headcounts))
        case "api" | "work":
            return asyncio.run(serve.run(parsed.command, settings, environment))
        case "apply":
            return asyncio.run(apply.run(settings, parsed.files, dry_run=parsed.dry_run))
        case "codes":
            return _codes(parsed, settings)
        case "headcounts":
            return asyncio.run(headcounts.run(settings, parsed.file))
        case "roll":
            return asyncio.run(roll.run(settings, parsed.campaign))
        case "audit" | "rebuild" | "forget":
            return _upkeep(parsed, settings)
        case "results" | "advance" | "nominations":
            return _rounds(parsed, settings)
        case "token":
            return token.run(
                settings, parsed.sub, parsed.unit, parsed.industry, parsed.tag, parsed.role, parsed.ttl
            )
        case "why":
            return _why(parsed, settings)
        case "migrate":
            applied = asyncio.run(serve.migrate(settings))
            print("\n".join(f"applied {name}" for name in applied) or "up to date")
            return 0
    raise AssertionError(parsed.command)


def _why(parsed: argparse.Namespace, settings: Settings) -> int:
    campaign, subject = parsed.campaign, parsed.subject
    if parsed.member is None:
        return asyncio.run(why.enrollment(settings, campaign, subject))
    person = Person(parsed.member, parsed.unit, parsed.industry, tuple(parsed.tag))
    asked = (parsed.pool, parsed.as_of, parsed.refused_as)
    return asyncio.run(why.refusal(settings, campaign, subject, person, *asked))


def _upkeep(parsed: argparse.Namespace, settings: Settings) -> int:
    match parsed.command:
        case "audit":
            return asyncio.run(audit.run(settings, parsed.campaigns, wait_s=parsed.wait, as_json=parsed.json))
        case "rebuild":
            return asyncio.run(rebuild.run(settings, parsed.campaigns))
        case _:
            forgetting = forget.run(settings, parsed.member, dry_run=parsed.dry_run, wait_s=parsed.wait)
            return asyncio.run(forgetting)


def _rounds(parsed: argparse.Namespace, settings: Settings) -> int:
    offering = (parsed.campaign, parsed.offering)
    match parsed.command:
        case "results":
            imported = rounds.import_results(settings, *offering, parsed.file, dry_run=parsed.dry_run)
            return asyncio.run(imported)
        case "advance":
            return asyncio.run(rounds.advance(settings, *offering))
        case _:
            return asyncio.run(rounds.nominations(settings, *offering))


def _codes(parsed: argparse.Namespace, settings: Settings) -> int:
    match parsed.what:
        case "issue":
            asked = {name: getattr(parsed, name) for name in ("pool", "codes", "uses", "member", "expires")}
            return asyncio.run(codes.issue(settings, parsed.campaign, parsed.offering, asked))
        case "list":
            return asyncio.run(codes.listing(settings, parsed.campaign, parsed.offering))
        case _:
            return asyncio.run(codes.revoke(settings, parsed.campaign, parsed.offering, parsed.code))


def _environment(given: dict[str, str]) -> dict[str, str]:
    """The environment of processes, in which options are variables."""
    return dict(os.environ) | {config.variable(name): text for name, text in given.items()}


def _message(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="seatrush",
        description="An enrollment engine for seats that are gone in seconds.",
        epilog="Each option is also an environment variable, SEATRUSH_*; see `seatrush COMMAND --help`. "
        "Exit codes: 0 done, 1 refused or different, 2 the command could not be run.",
    )
    parser.add_argument("--version", action="version", version=f"seatrush {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    _add_serve(commands)
    _add(commands, "api", "the api alone, for more machines", _STORAGE + _LISTENING)
    _add(commands, "work", "the workers alone, for more machines", (*_STORAGE, "host", "metrics_port"))

    command = _add(commands, "apply", "publish campaign documents", _STORAGE)
    command.add_argument("files", metavar="FILE", type=Path, nargs="+", help="YAML, or JSON when named .json")
    command.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")

    _add_codes(commands)
    command = _add(commands, "headcounts", "report how many people units have, for quotas", _STORAGE)
    command.add_argument("file", metavar="FILE", type=Path, help="CSV with the columns unit and headcount")

    _add_rounds(commands)

    _add_token(commands)

    command = _add(
        commands, "audit", "compare Redis with the ledger; exit 1 with each difference named", _STORAGE
    )
    command.add_argument("campaigns", metavar="CAMPAIGN", nargs="*", help="all when none is given")
    command.add_argument(
        "--wait", metavar="S", type=_seconds, default=30, help="seconds to wait for the stream to drain"
    )
    command.add_argument("--json", action="store_true", help="print the findings as JSON")

    text = "restore the state of campaigns in Redis from the ledger; exit 1 when one is not open after it"
    command = _add(commands, "rebuild", text, _STORAGE)
    command.add_argument("campaigns", metavar="CAMPAIGN", nargs="+")

    text = "erase a member from every campaign; what is not over yet is cancelled"
    command = _add(commands, "forget", text, _STORAGE)
    command.add_argument("member", metavar="MEMBER", help="write -- ahead of an id that begins with a hyphen")
    command.add_argument("--dry-run", action="store_true", help="say what there is, and change nothing")
    command.add_argument(
        "--wait", metavar="S", type=_seconds, default=30, help="seconds to wait for what others are doing"
    )

    _add_why(commands)

    _add_proofs(commands)

    _add(commands, "migrate", "bring the ledger's schema up to date", ("data", "database_url"))
    return parser


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _add(commands, "serve", "api and workers in one command, with an embedded Redis and SQLite "
                   "unless URLs name others", _STORAGE + _LISTENING)  # fmt: skip
    command.add_argument(
        "--apply",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="publish this document at start, if its campaign is not there yet; repeatable",
    )
    command.add_argument(
        "--headcounts",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="report these headcounts at start, of units that have none yet; repeatable",
    )


def _add_codes(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    kinds = _add(commands, "codes", "issue, list and revoke invitation codes", ()).add_subparsers(
        dest="what", required=True, metavar="WHAT"
    )
    command = _add(kinds, "issue", "issue codes and print each with its id, for the only time", _STORAGE)
    _add_offering(command)
    command.add_argument("pool", metavar="POOL")
    command.add_argument("--codes", metavar="N", type=_number, help="how many (default: 1)")
    command.add_argument(
        "--uses", metavar="N", type=_number, help="enrollments that each is good for at a time (default: 1)"
    )
    command.add_argument("--member", metavar="ID", help="whose they are (default: whoever has one)")
    command.add_argument("--expires", metavar="T", help="an instant, or a distance from now such as +7d")
    _add_offering(_add(kinds, "list", "print the codes of an offering, by id", _STORAGE))
    command = _add(kinds, "revoke", "revoke a code; enrollments that came in by it stay", _STORAGE)
    _add_offering(command)
    command.add_argument("code", metavar="ID", type=_code_id, help="the code's id, as listed")


def _add_rounds(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _add(
        commands, "results", "import the results of a round; exit 1 with each bad row named", _STORAGE
    )
    _add_offering(command)
    command.add_argument("file", metavar="FILE", type=Path, help="CSV, or a workbook when named .xlsx")
    command.add_argument("--dry-run", action="store_true", help="print the ranking, and keep nothing")
    _add_offering(_add(commands, "advance", "decide who goes on from a round to the next", _STORAGE))
    _add_offering(_add(commands, "nominations", "print who is nominated for medals, as CSV", _STORAGE))


def _add_token(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _add(commands, "token", "print a token signed with the deployment's secret", ("data",))
    command.add_argument("--sub", required=True, help="opaque member id, 1 to 64 visible ASCII characters")
    command.add_argument("--unit", default="", help="dotted path, such as xicheng.finance")
    command.add_argument("--industry", default="")
    command.add_argument("--tag", action="append", default=[], help="repeatable")
    command.add_argument(
        "--role", action="append", default=[], choices=("member", "officer", "organizer", "ops"),
        help="repeatable; member when none is given",
    )  # fmt: skip
    command.add_argument(
        "--ttl", metavar="S", type=_seconds, default=token.TTL_S_DEFAULT, help="seconds it is valid"
    )


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    settings: tuple[str, ...],
) -> argparse.ArgumentParser:
    """A command with the options of some settings, kept as text: config.py reads them."""
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    for setting in settings:
        field = config.default(setting)
        shown = "" if field is None else f" (default: {field})"
        command.add_argument(
            config.flag(setting), dest=setting, metavar=setting.upper().rpartition("_")[2],
            help=f"{SETTINGS[setting].doc}{shown} [{config.variable(setting)}]",
        )  # fmt: skip
    return command


def _add_why(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _add(
        commands,
        "why",
        "explain an enrollment, or with --member the refusal of a sign-up, from the ledger's log",
        _STORAGE,
    )
    command.add_argument("campaign", metavar="CAMPAIGN")
    command.add_argument(
        "subject",
        metavar="ENROLLMENT|OFFERING",
        help="an offering with --member; write -- ahead of what begins with a hyphen",
    )
    command.add_argument("--member", metavar="ID", help="whose sign-up was refused")
    command.add_argument(
        "--unit", default="", help="the member's; like industry and tags what eligibility looks at"
    )
    command.add_argument("--industry", default="")
    command.add_argument("--tag", action="append", default=[], help="repeatable")
    command.add_argument("--pool", default="", help="the one pool that was asked for")
    command.add_argument("--refused-as", metavar="CODE", default="", help="code of the refusal")
    command.add_argument(
        "--as-of",
        metavar="SEQ",
        type=_seq,
        help="as_of_seq of the refusal; the newest recorded when not given",
    )


def _add_proofs(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _add(
        commands,
        "verify-draw",
        "check a published draw by its file alone; exit 1 with each mismatch named",
        (),
    )
    command.add_argument("file", metavar="FILE", type=Path, help="the JSON file that was published")
    command.add_argument(
        "--commitment", metavar="HEX", type=_sha256, help="the commitment that was public before the draw"
    )
    command = _add(
        commands, "roll", "print the roll of a campaign from the ledger, signed", ("data", "database_url")
    )
    command.add_argument("campaign", metavar="CAMPAIGN")
    command = _add(
        commands,
        "verify-roll",
        "check a published roll by its file alone; exit 1 with each mismatch named",
        (),
    )
    command.add_argument("file", metavar="FILE", type=Path, help="the file that was published")
    _add_key(command)
    command.add_argument(
        "--head",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="a head that was noted down earlier; repeatable",
    )
    command.add_argument(
        "--receipt",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="a receipt whose seat must be in the roll; repeatable",
    )
    command = _add(commands, "verify-receipt", "check the signature of a receipt by its file alone", ())
    command.add_argument("file", metavar="FILE", type=Path, help="the JSON file that was handed out")
    _add_key(command)


def _add_key(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--key", metavar="HEX", type=_sha256, help="the public key, as known from elsewhere than the file"
    )


def _add_offering(command: argparse.ArgumentParser) -> None:
    command.add_argument("campaign", metavar="CAMPAIGN")
    command.add_argument("offering", metavar="OFFERING")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError("a whole number is expected")
    return int(text)


def _code_id(text: str) -> str:
    if not re.fullmatch(invitation.ID_PATTERN, text):
        raise argparse.ArgumentTypeError("32 hex digits are expected")
    return text


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 10**9):
        raise argparse.ArgumentTypeError("a whole number of seconds is expected")
    return int(text)


def _seq(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 2**53):
        raise argparse.ArgumentTypeError("a positive whole number is expected")
    return int(text)


def _sha256(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text.lower()):
        raise argparse.ArgumentTypeError("64 hex digits are expected")
    return text.lower()


if __name__ == "__main__":
    sys.exit(main())
