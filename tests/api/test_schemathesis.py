"""Whatever the live server is asked, by whomever: no 5xx, and no answer outside of the document that it serves."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import pytest

from engine.domain.campaign import Campaign
from engine.domain.person import Person, Role
from tests import stand
from tests.api import live_server
from tests.api.schemathesis_hooks import UNIT

HERE: Final = Path(__file__).parent
CONFIGURATION: Final = (HERE / "schemathesis.toml").read_text(encoding="utf-8")
TIMEOUT_S: Final = 120

PUBLIC: Final = {
    "GET /docs",
    "GET /healthz",
    "GET /metrics",
    "GET /readyz",
    "GET /v1/campaigns",
    "GET /v1/campaigns/{campaign}",
    "GET /v1/campaigns/{campaign}/offerings/{offering}",
    "GET /v1/campaigns/{campaign}/roll",
    "GET /v1/campaigns/{campaign}/roll/head",
    "GET /v1/receipt-key",
}
PUBLISH: Final = "PUT /v1/campaigns/{campaign}"
"""Half of all that there is to ask, for the size of its documents."""
_ENROLLMENT: Final = "/v1/campaigns/{campaign}/enrollments/{enrollment}"
OF_STAFF: Final = {
    "GET /v1/campaigns/{campaign}/offerings/{offering}/results",
    "GET /v1/campaigns/{campaign}/offerings/{offering}/roster",
    "POST /v1/campaigns/{campaign}/offerings/{offering}/codes",
    "GET /v1/campaigns/{campaign}/offerings/{offering}/codes",
    "DELETE /v1/campaigns/{campaign}/offerings/{offering}/codes/{code}",
}
REACHED: Final[dict[Role, set[str]]] = {
    "member": {
        "POST /v1/campaigns/{campaign}/offerings/{offering}/enrollments",
        f"GET {_ENROLLMENT}",
        f"DELETE {_ENROLLMENT}",
        f"POST {_ENROLLMENT}/confirm",
        f"POST {_ENROLLMENT}/decline",
        f"GET {_ENROLLMENT}/why",
        f"GET {_ENROLLMENT}/receipt",
        "GET /v1/campaigns/{campaign}/offerings/{offering}/why",
        "GET /v1/campaigns/{campaign}/me",
        "GET /v1/me/enrollments",
    },
    "officer": OF_STAFF,
    "organizer": {PUBLISH, *OF_STAFF, "PUT /v1/headcounts", "GET /v1/headcounts"},
    "ops": {"GET /v1/ops/status"},
}
"""What succeeds for a role besides PUBLIC; if it were not reached, a run would show little."""


def campaign() -> Campaign:
    """The campaign of the document's examples, with an offering for each way in which a sign-up can end."""
    seats = {"pool": "open", "capacity": 100_000}
    return stand.campaign(
        stand.offering(
            "paper-cutting",
            pools=[seats, {"pool": "own", "capacity": 9, "codes": True}],
            kind="competition",
            results={},
            medals={"gold": 1},
        ),
        stand.offering("held", pools=[seats], hold_ttl_s=600),
        stand.offering("offered", waitlist={"size_max": 100_000, "promotion": "offer"}),
        stand.offering("waited-for", waitlist={"size_max": 100_000}),
        stand.offering("full", pools=[{"pool": "open", "capacity": 0}]),
        stand.offering("for-others", pools=[seats | {"eligible": {"tags": ["nobody"]}}]),
        stand.offering("later", opens=stand.at(hours=1)),
        stand.offering("over", opens=stand.at(hours=-2), closes=stand.at(hours=-1)),
        name="autumn-2026",
        unit=UNIT,
    )


def run(
    url: str, directory: Path, authorization: str, environment: Mapping[str, str], *options: str
) -> set[str]:
    """Let schemathesis loose on a server; returns the operations that succeeded. Fails with all that it has found."""
    configuration = directory / "schemathesis.toml"
    hooks = f"hooks = {json.dumps(str(HERE / 'schemathesis_hooks.py'))}\n"
    configuration.write_text(hooks + CONFIGURATION + authorization, encoding="utf-8")
    report = directory / "report.ndjson"
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration)]
    command += ["run", f"{url}/openapi.json", "--report-ndjson-path", str(report), *options]
    ran = subprocess.run(
        command,
        cwd=directory,
        env=os.environ | environment | {"PYTHONPATH": str(live_server.ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return succeeded(report)


def succeeded(report: Path) -> set[str]:
    """The operations of a report that were done at least once."""
    found = set()
    with report.open("rb") as lines:
        for line in lines:
            recorder = msgspec.json.decode(line).get("ScenarioFinished", {}).get("recorder", {})
            for name, interaction in recorder.get("interactions", {}).items():
                case, response = recorder["cases"][name]["value"], interaction["response"]
                if response is not None and 200 <= response["status_code"] < 300:
                    found.add(f"{case['method']} {case['path']}")
    return found


def test_nobody(tmp_path: Path) -> None:
    with live_server.serving([campaign()]) as server:
        done = run(server.url, tmp_path, "", {}, "--phases=examples,coverage,fuzzing")
    assert done == PUBLIC


@pytest.mark.parametrize("role", ["officer", "organizer", "ops"])
def test_staff(role: Role, tmp_path: Path) -> None:
    authorization = '[auth.openapi.bearer]\nbearer = "${TOKEN}"\n'
    asked_by_others = [f"--exclude-name={name}" for name in sorted((PUBLIC | {PUBLISH}) - REACHED[role])]
    with live_server.serving([campaign()]) as server:
        token = server.token(Person("staff", unit=UNIT, roles=frozenset({role})))
        done = run(server.url, tmp_path, authorization, {"TOKEN": token}, *asked_by_others)
    assert done == REACHED[role]


def test_members(tmp_path: Path) -> None:
    """Two of them, so that one can also be seen not to reach what is the other's."""
    names = ["m-1", "m-2"]
    with live_server.serving([campaign()]) as server:
        identities = [
            {
                "name": name,
                "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {server.token(Person(name))}"}],
            }
            for name in names
        ]
        users = tmp_path / "users.json"
        users.write_text(json.dumps({"auth": identities}), encoding="utf-8")
        authorization = f"[auth.wfc]\npath = {json.dumps(str(users))}\npeers = {json.dumps(names)}\n"
        done = run(server.url, tmp_path, authorization, {})
    # Whether what needs an enrollment of one's own in a certain state is reached depends on the time there is.
    assert done <= PUBLIC | REACHED["member"]
    assert done >= PUBLIC | REACHED["member"] - {f"POST {_ENROLLMENT}/confirm", f"POST {_ENROLLMENT}/decline"}
