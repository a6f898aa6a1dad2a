"""`codes`: issued, listed and revoked on a running system, from its sample campaign."""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from tests.commands.running import ROOT, Served, run, serve

SAMPLE: Final = ROOT / "docs" / "samples" / "invitations.yaml"
OFFERING: Final = ("invitations", "skills-final")
SIGN_UP: Final = "/v1/campaigns/invitations/offerings/skills-final/enrollments"


def sign_up(served: Served, member: str, code: str) -> tuple[int, str]:
    """The status, and the pool or the reason."""
    token = run("token", "--data", str(served.data), "--sub", member).stdout.strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps({"code": code, "pool": "guests"}).encode()
    request = urllib.request.Request(served.url + SIGN_UP, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)["pool"]
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)["reason"]


def test_from_issue_to_revocation(data_directory: Path) -> None:
    with serve(data_directory, "--apply", str(SAMPLE)) as served:
        data = ("--data", str(data_directory))
        issued = run("codes", "issue", *OFFERING, "guests", "--codes", "2", "--expires", "+7d", *data)
        assert (issued.returncode, issued.stderr) == (0, "")
        (code, name), (other, _) = (line.split() for line in issued.stdout.splitlines())
        assert sign_up(served, "m-1", code) == (201, "guests")
        assert sign_up(served, "m-2", code) == (403, "code_used_up")
        bound = run("codes", "issue", *OFFERING, "guests", "--uses", "3", "--member", "m-3", *data)
        assert sign_up(served, "m-2", bound.stdout.split()[0]) == (403, "code_unknown")

        listed = run("codes", "list", *OFFERING, *data)
        assert listed.returncode == 0
        first, second, third = listed.stdout.splitlines()
        assert re.fullmatch(rf"{name}  guests  1/1  expires \S+Z", first)
        assert third.endswith("  guests  0/3  member m-3")
        assert code not in listed.stdout
        revoked = run("codes", "revoke", *OFFERING, second.split()[0], *data)
        assert (revoked.returncode, revoked.stdout) == (0, f"{second}  revoked\n")
        assert sign_up(served, "m-2", other) == (403, "code_revoked")

        audit = run("audit", *data, "invitations")
        assert audit.returncode == 0, audit.stdout
        assert served.stop() == 0


def test_what_is_refused(data_directory: Path) -> None:
    with serve(data_directory, "--apply", str(SAMPLE)):
        data = ("--data", str(data_directory))

        def refused(*arguments: str, language: str = "en_GB.UTF-8") -> tuple[int, str]:
            ran = run("codes", *arguments, *data, LC_ALL=language)
            assert ran.stdout == ""
            return ran.returncode, ran.stderr

        assert refused("issue", *OFFERING, "open") == (
            1,
            "seatrush: /pool: The offering has no pool of this name that invitation codes open.\n",
        )
        assert refused("issue", *OFFERING, "guests", "--expires=-1d", language="zh_CN.UTF-8") == (
            1,
            "seatrush: /expires: 必须是将来的时刻。\n",
        )
        assert refused("issue", *OFFERING, "guests", "--uses", "0", "--codes", "1001") == (
            1,
            "seatrush: /codes: Must be at most 1000.\nseatrush: /uses: Must be at least 1.\n",
        )
        assert refused("issue", "invitations", "nothing", "guests") == (1, "seatrush: refused: not_found\n")
        assert refused("revoke", *OFFERING, "0" * 32) == (1, "seatrush: refused: not_found\n")
        assert refused("list", "nothing", "soap") == (1, "seatrush: refused: not_ready\n")
        usage, said = refused("revoke", *OFFERING, "#skills-final")
        assert (usage, said.splitlines()[-1]) == (
            2,
            "seatrush codes revoke: error: argument ID: 32 hex digits are expected",
        )
