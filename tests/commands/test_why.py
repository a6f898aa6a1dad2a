"""`why`: at an officer's desk, on a deployment that runs."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import pytest

from tests.commands.running import ROOT, Served, run, serve

SAMPLE: Final = ROOT / "docs" / "samples" / "workshops.yaml"


def sign_up(served: Served, member: str, offering: str) -> dict[str, Any]:
    made = run("token", "--data", str(served.data), "--sub", member, "--unit", "xicheng.finance")
    headers = {"Authorization": f"Bearer {made.stdout.strip()}", "Content-Type": "application/json"}
    url = f"{served.url}/v1/campaigns/workshops/offerings/{offering}/enrollments"
    request = urllib.request.Request(url, b"{}", headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as refused:
        found = json.load(refused)
    return found


@pytest.mark.parametrize(
    ("locale", "seat", "limit"),
    [
        ("en_US.UTF-8", "signed up by you, with seat 1 of the pool own", "overlap: As of seq"),
        ("zh_CN.UTF-8", "报名成功，得到名额池 own 的 1 号", "overlap: 截至序号"),
    ],
)
def test_an_enrollment_and_a_refusal(data_directory: Path, locale: str, seat: str, limit: str) -> None:
    with serve(data_directory, "--apply", str(SAMPLE)) as served:
        enrollment = sign_up(served, "m-1", "paper-cutting")["enrollment"]
        refused = sign_up(served, "m-1", "leather-wallet")
        assert refused["code"] == "overlap"
        options = ["--data", str(data_directory)]
        told = run("why", *options, "workshops", "--", enrollment, LC_ALL=locale)
        assert told.returncode == 0, told.stderr
        assert seat in told.stdout
        asked = ["--member", "m-1", "--unit", "xicheng.finance", "--as-of", str(refused["as_of_seq"])]
        told = run("why", *options, *asked, "workshops", "leather-wallet", LC_ALL=locale)
        assert told.returncode == 0, told.stderr
        assert told.stdout.startswith(limit)
        assert "paper-cutting" in told.stdout
        # What there is nothing to say of.
        for arguments in (["workshops", "x" * 16], ["nothing", "soap", "--member", "m-1"]):
            refused_by_name = run("why", *options, *arguments, LC_ALL=locale)
            assert refused_by_name.returncode == 2
            assert refused_by_name.stderr.splitlines()[-1].startswith("seatrush: ")
        assert served.stop() == 0


def test_a_seq_is_a_number(data_directory: Path) -> None:
    refused = run("why", "--data", str(data_directory), "c", "soap", "--member", "m", "--as-of", "0")
    assert (refused.returncode, "--as-of" in refused.stderr) == (2, True)
