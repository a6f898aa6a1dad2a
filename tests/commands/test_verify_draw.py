"""`verify-draw`: what it says of a file, in either language, and its exit codes."""

import json
import re
import string
from pathlib import Path
from typing import Any, Final

import pytest

from engine import __main__
from engine.commands import verify_draw
from engine.domain import draw
from tests.commands.running import ROOT, run

PAGE: Final = (ROOT / "docs" / "draws.md").read_text()
MADE: Final = re.compile(r'Mismatch\(\s*"(\w+)"')


@pytest.fixture
def raw() -> Any:
    """The example of docs/draws.md."""
    (block,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return json.loads(block)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


def write(directory: Path, raw: object) -> str:
    path = directory / "draw.json"
    path.write_text(raw if isinstance(raw, str) else json.dumps(raw))
    return str(path)


def verify(*arguments: str) -> int:
    return __main__.main(["verify-draw", *arguments])


def test_the_command_of_the_page_as_printed(raw: Any, tmp_path: Path) -> None:
    (command,) = re.findall(r"^    seatrush (verify-draw .*)$", PAGE, re.MULTILINE)
    path = write(tmp_path, raw)
    arguments = [path if argument == "draw.json" else argument for argument in command.split()]
    # What is wrong with a deployment is no matter, and nothing is left behind.
    shown = run(*arguments, SEATRUSH_PROT="1", SEATRUSH_DATA=str(tmp_path / "data"), LC_ALL="C.UTF-8")
    assert shown.stdout == f"{path}: Draw 1 of autumn-2026 matches: 3 entries, 5 results.\n"
    assert (shown.returncode, shown.stderr) == (0, "")
    assert [each.name for each in tmp_path.iterdir()] == ["draw.json"]


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        verify("--help")
    assert capsys.readouterr().out.startswith("usage: seatrush verify-draw")


def test_without_a_commitment_it_says_what_to_compare(
    raw: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(write(tmp_path, raw)) == 0
    assert raw["commitment"] in capsys.readouterr().out


def test_it_speaks_chinese_where_the_user_does(
    raw: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    path = write(tmp_path, raw)
    assert verify(path, "--commitment", raw["commitment"].upper()) == 0
    assert (
        capsys.readouterr().out == f"{path}: 批次 autumn-2026 的第 1 次抽签核对一致：3 人登记，5 项结果。\n"
    )
    raw["entries_digest"] = "0" * 64
    assert verify(write(tmp_path, raw)) == 1
    assert capsys.readouterr().out == f"{path}: 登记名单的摘要不符。\n"
    del raw["seed"]
    assert verify(write(tmp_path, raw)) == 2
    assert capsys.readouterr().err.endswith(f"{path}: /seed: 缺少此字段。\n")


def test_each_mismatch_is_named(raw: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw["commitment"] = "1" * 64
    raw["results"].reverse()
    path = write(tmp_path, raw)
    assert verify(path, "--commitment", "0" * 64) == 1
    given, *_, due = raw["results"]
    found, expected = f"{given['member']} paper-cutting not_drawn", f"{due['member']} soap confirmed open"
    sentence = f'Of the results 4 are not what the draw gives, first number 1: "{found}" for "{expected}".'
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: The commitment is not the one that you gave.",
        f"{path}: The commitment is not the one that follows from the seed.",
        f"{path}: {sentence}",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "/: Syntax error at line 1, column 1."),
        ("[]", "/: Must be an object."),
        ('{"format": "seatrush-draw-2"}', "/format: Must be one of: seatrush-draw-1."),
        ('{"seed": "00", "seed": "11"}', "/seed: This field is given more than once."),
        ('{"seed": "00"}', "/seed: Must match ^[0-9a-f]{64}$."),
    ],
)
def test_what_is_no_draw_is_said_with_all_its_faults(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, text)
    assert verify(path) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    first, *faults = shown.err.splitlines()
    assert first == f"seatrush: {path}: This is no draw of the format seatrush-draw-1."
    assert f"{path}: {said}" in faults


@pytest.mark.parametrize("name", ["missing.json", ".", "draw.json/draw.json"])
def test_what_cannot_be_read_is_one_line(
    name: str, raw: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, raw)
    assert verify(str(tmp_path / name)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"seatrush: {tmp_path}")


def test_a_commitment_is_64_hex_digits(raw: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        verify(write(tmp_path, raw), "--commitment", raw["commitment"][:-1])
    assert "--commitment: 64 hex digits are expected" in capsys.readouterr().err


def test_every_mismatch_can_be_said_in_both_languages() -> None:
    made = {
        code
        for module in (draw, verify_draw)
        for code in MADE.findall(Path(module.__file__ or "").read_text())
    }
    assert set(verify_draw.TEXTS) == made | {"matches", "compare", "no_draw"}
    for zh, en in verify_draw.TEXTS.values():
        assert (zh[-1], en[-1], en.isascii()) == ("。", ".", True)
        names = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (zh, en)]
        assert names[0] == names[1]
