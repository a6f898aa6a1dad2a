"""`roll`, `verify-roll` and `verify-receipt`: what they say of files, in either language, and their exit codes."""

import asyncio
import json
import re
import string
import subprocess
from pathlib import Path
from typing import Final

import msgspec
import pytest

from engine import __main__, receipts
from engine.commands import verify_roll
from engine.domain import receipt, roll
from engine.domain.chain import Link
from engine.ledger.connect import connect
from tests.commands.running import ROOT, run
from tests.ledger.logs import CAMPAIGN, Log

PAGE: Final = (ROOT / "docs" / "roll.md").read_text()
MADE: Final = re.compile(r'(?:Mismatch|_differs)\(\s*"(\w+)"')
ENGLISH: Final = {"LC_ALL": "C.UTF-8"}
ROLL, OWN = re.findall(r"^```(?:json)?\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
KEY: Final = json.loads(OWN)["key"]


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The files of docs/roll.md, by the names that the page gives them."""
    lines = ROLL.splitlines()
    texts = {"roll.ndjson": ROLL, "receipt.json": OWN, "head.json": lines[-1]}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    return {name: str(tmp_path / name) for name in texts}


def verify(command: str, *arguments: str) -> int:
    return __main__.main([f"verify-{command}", *arguments])


def test_the_commands_of_the_page_as_printed(files: dict[str, str], tmp_path: Path) -> None:
    of_roll, of_receipt = (
        [files.get(argument, argument) for argument in command.split()]
        for command in re.findall(r"^    seatrush (verify-.*)$", PAGE, re.MULTILINE)
    )
    # What is wrong with a deployment is no matter, and nothing is left behind.
    nowhere = {"SEATRUSH_PROT": "1", "SEATRUSH_DATA": str(tmp_path / "data")}
    shown = run(*of_roll, **nowhere, **ENGLISH)
    digest = json.loads(ROLL.splitlines()[-1])["digest"]
    assert shown.stdout == (
        f"{files['roll.ndjson']}: The roll of autumn-2026 matches: 6 events, 1 seats held (1 confirmed), "
        f"digest {digest}.\n"
        f"{files['receipt.json']}: Its seat is in the roll, and still held at the end of it.\n"
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    shown = run(*of_receipt, **nowhere, **ENGLISH)
    assert "seat 1 of autumn-2026/paper-cutting/own, sign-up 4" in shown.stdout
    assert (shown.returncode, shown.stderr) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == files.keys()


def test_the_shell_of_the_page(files: dict[str, str], tmp_path: Path) -> None:
    steps = "\n".join(re.findall(r"^    (digest=.*)$", PAGE, re.MULTILINE))
    shown = subprocess.run(
        ["sh", "-c", f"{steps}\necho $digest"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert f"| 1 | `{shown.stdout.strip()}` |" in PAGE


def test_without_a_key_it_says_what_to_compare(
    files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify("roll", files["roll.ndjson"]) == 0
    assert verify("receipt", files["receipt.json"]) == 0
    assert capsys.readouterr().out.count(f"It is signed with the key {KEY}: compare it") == 2


def test_it_speaks_chinese_where_the_user_does(
    files: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert verify("roll", files["roll.ndjson"], "--key", KEY.upper(), "--receipt", files["receipt.json"]) == 0
    assert "批次 autumn-2026 的公示册核对一致" in capsys.readouterr().out
    assert verify("receipt", files["receipt.json"], "--key", "0" * 64) == 1
    assert capsys.readouterr().out == f"{files['receipt.json']}: 签名公钥 {KEY} 与您给出的不同。\n"
    Path(files["receipt.json"]).write_text("{}")
    assert verify("receipt", files["receipt.json"]) == 2
    assert "缺少此字段" in capsys.readouterr().err


def test_each_mismatch_is_named(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    path, own = files["roll.ndjson"], files["receipt.json"]
    forged = ROLL.replace(
        '"seat":1,"status":"confirmed"}\n{"seq":4', '"seat":2,"status":"confirmed"}\n{"seq":4'
    )
    assert forged != ROLL
    Path(path).write_text(forged)
    Path(own).write_text(OWN.replace('"seat":1', '"seat":2'))
    other = "0" * 64
    assert verify("roll", path, "--key", other, "--head", files["head.json"], "--receipt", own) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: At event 3 seat 2 of paper-cutting/own is above the capacity.",
        f"{path}: The lines do not lead to the head, at event 6: something was added, left out or changed.",
        f"{path}: Up to event 6 it is not what it was when that head was noted down.",
        f"{path}: Up to event 6 it is not what it was when the receipt was made.",
        f"{path}: The key {KEY} is not the one that you gave.",
        f"{files['head.json']}: The key {KEY} is not the one that you gave.",
        f"{own}: The signature is not that of its key.",
        f"{own}: The key {KEY} is not the one that you gave.",
    ]


@pytest.mark.parametrize("missing", [1, 200])
def test_a_file_that_was_not_sent_to_its_end(
    missing: int, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(files["roll.ndjson"]).write_text(ROLL[:-missing])
    assert verify("roll", files["roll.ndjson"]) == 1
    assert "has no head: it is cut off" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "{}\n", OWN, "x" * 1_000_000])
def test_what_is_no_roll(text: str, files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    Path(files["roll.ndjson"]).write_text(text)
    assert verify("roll", files["roll.ndjson"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"seatrush: {files['roll.ndjson']}: This is no roll of the format seatrush-roll-1.\n"


def test_what_is_no_head_and_no_receipt(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    path, head, own = files["roll.ndjson"], files["head.json"], files["receipt.json"]
    assert verify("roll", path, "--head", own) == 2
    assert "This is no head of the format seatrush-head-1." in capsys.readouterr().err
    assert verify("roll", path, "--receipt", head) == 2
    assert verify("receipt", head) == 2
    assert capsys.readouterr().err.count("This is no receipt of the format seatrush-receipt-1.") == 2
    for arguments in (["roll", f"{path}x"], ["roll", path, "--head", f"{path}x"], ["receipt", "."]):
        assert verify(*arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("seatrush: ")


def test_a_key_is_64_hex_digits(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    for command, name in (("roll", "roll.ndjson"), ("receipt", "receipt.json")):
        with pytest.raises(SystemExit, match="2"):
            verify(command, files[name], "--key", KEY[:-1])
        assert "--key: 64 hex digits are expected" in capsys.readouterr().err


def test_every_mismatch_can_be_said_in_both_languages() -> None:
    made = {
        code
        for module in (roll, verify_roll)
        for code in MADE.findall(Path(module.__file__ or "").read_text())
    }
    made |= {f"{what}_{how}" for what in ("head", "receipt") for how in ("of_another", "beyond", "before")}
    said = {"matches", "compare", "signed", "seat_held", "seat_left", "dead_letters"}
    assert set(verify_roll.TEXTS) == made | said | {"no_roll", "no_head", "no_receipt"}
    for zh, en in verify_roll.TEXTS.values():
        assert (zh[-1], en[-1], en.isascii()) == ("。", ".", True)
        names = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (zh, en)]
        assert names[0] == names[1]


# The roll from the ledger


def fill(data: Path, log: Log) -> None:
    async def work() -> None:
        ledger = connect(f"sqlite:///{data}/ledger.db")
        await ledger.open()
        await ledger.migrate()
        await ledger.register(log.campaign, "xicheng", "o-1", "http", 1)
        await ledger.record(log.campaign, 1, 0, log.entries)
        await ledger.close()

    asyncio.run(work())


def test_a_roll_from_the_ledger_is_one_that_matches(tmp_path: Path) -> None:
    log = _sold("m-1")
    fill(tmp_path, log)
    options = ["--data", str(tmp_path)]
    shown = run("roll", *options, CAMPAIGN)
    assert (shown.returncode, shown.stderr) == (0, "")
    file = tmp_path / "roll.ndjson"
    file.write_text(shown.stdout)
    key = receipts.load(tmp_path, None)
    own = key.sign(receipt.receipt(CAMPAIGN, log.records["e-3"], _head_link(shown.stdout), key.key))
    (tmp_path / "own.json").write_bytes(msgspec.json.encode(own))
    shown = run(
        "verify-roll", str(file), "--key", key.key, "--receipt", str(tmp_path / "own.json"), **ENGLISH
    )
    assert "12 events, 9 seats held (9 confirmed)" in shown.stdout
    assert "still held" in shown.stdout
    assert shown.returncode == 0
    # Another deployment's key is another's.
    shown = run("roll", *options, CAMPAIGN, SEATRUSH_RECEIPT_KEY="00" * 32)
    file.write_text(shown.stdout)
    assert run("verify-roll", str(file), "--key", key.key).returncode == 1


def _sold(first: str) -> Log:
    """Ten seats, of which the first one's is given back."""
    log = Log()
    log.published()
    for number, member in enumerate((first, *(f"m-{number}" for number in range(2, 11))), 1):
        log.enrolled(member, "soap", "open", number)
    log.cancelled("e-2")
    return log


def test_who_puts_another_into_the_ledger_is_seen_by_who_noted_a_head(tmp_path: Path) -> None:
    """With a chain that fits, and signed by the server, which signs what its ledger has."""
    rolls = {}
    for name, first in (("honest", "m-1"), ("forged", "m-cousin")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "receipt.key").write_text("ab" * 32)
        fill(tmp_path / name, _sold(first))
        rolls[name] = tmp_path / f"{name}.ndjson"
        rolls[name].write_text(run("roll", "--data", str(tmp_path / name), CAMPAIGN).stdout)
    noted = tmp_path / "head.json"
    noted.write_text(rolls["honest"].read_text().splitlines()[-1])
    key = ["--key", receipts.Signer(bytes.fromhex("ab" * 32)).key]
    assert verify("roll", str(rolls["forged"]), *key) == 0
    assert verify("roll", str(rolls["honest"]), *key, "--head", str(noted)) == 0
    assert verify("roll", str(rolls["forged"]), *key, "--head", str(noted)) == 1


def _head_link(text: str) -> Link:
    head = json.loads(text.splitlines()[-1])
    return Link(head["seq"], head["digest"])


def test_where_there_is_nothing_to_print(tmp_path: Path) -> None:
    shown = run("roll", "--data", str(tmp_path / "data"), CAMPAIGN)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "no ledger is here" in shown.stderr
    assert list(tmp_path.iterdir()) == []
    fill(tmp_path, _published())
    shown = run("roll", "--data", str(tmp_path), "another")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr == "seatrush: campaign another: the ledger has recorded nothing of it\n"
    assert not (tmp_path / "receipt.key").exists()
    (tmp_path / "receipt.key").write_text("short")
    shown = run("roll", "--data", str(tmp_path), CAMPAIGN)
    assert (shown.returncode, "receipt.key is not 64 hex digits" in shown.stderr) == (2, True)


def _published() -> Log:
    log = Log()
    log.published()
    return log
