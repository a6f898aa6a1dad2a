"""The alert rules: each is explained, fires and does not fire, and asks for what a live deployment exports."""

import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis
import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from loadtests.bench import campaigns, sign_ups
from loadtests.deployment import Deployment, deployed
from tests import alarms

ROOT: Final = Path(__file__).parents[1]
RULES: Final[list[dict[str, Any]]] = [
    rule for group in yaml.safe_load(alarms.RULES.read_text())["groups"] for rule in group["rules"]
]
NAMES: Final = [rule["alert"] for rule in RULES]
OPERATIONS: Final = (ROOT / "docs" / "operations.md").read_text()
CAMPAIGN: Final = "alarmed"
PATIENCE_S: Final = 20
ONLY_IN_A_CLUSTER: Final = {"MOVED"}

each_rule = pytest.mark.parametrize("rule", RULES, ids=NAMES)


def test_promtool_takes_the_rules_and_every_test_of_them_passes() -> None:
    alarms.promtool("check", "rules", alarms.RULES.name)
    alarms.promtool("test", "rules", alarms.TESTS.name)


@each_rule
def test_a_rule_is_told_in_both_languages(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    told = rule["annotations"]
    assert told.keys() == {"summary", "summary_zh", "description", "description_zh", "runbook"}
    for name in ("summary", "description"):
        assert re.search(r"[一-鿿]", told[f"{name}_zh"])
        assert not re.search(r"[一-鿿]", told[name])
    kept = {label for labels in re.findall(r"by \(([^)]*)\)", rule["expr"]) for label in labels.split(", ")}
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(told.values())))
    if "by (" in rule["expr"]:
        assert used <= kept


@each_rule
def test_the_runbook_has_a_section_for_it(rule: dict[str, Any]) -> None:
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert file == "docs/operations.md"
    assert anchor == rule["alert"].lower()
    assert f"\n### {rule['alert']}\n" in OPERATIONS


def test_the_runbook_explains_no_alert_that_is_not_there() -> None:
    assert re.findall(r"^### (Seatrush\w+)$", OPERATIONS, re.MULTILINE) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_is_tried_both_ways(name: str) -> None:
    moments = [
        {sample["labels"] for sample in moment["exp_samples"]}
        for tried in yaml.safe_load(alarms.TESTS.read_text())["tests"]
        if tried["name"] == name
        for moment in tried["promql_expr_test"]
    ]
    fires = [f'{{alertname="{name}"}}' in moment for moment in moments]
    assert set(fires) == {True, False}


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """One that has decided a sign-up."""
    with deployed(campaigns.plain(CAMPAIGN)) as running:
        where = running.url + sign_ups.path(CAMPAIGN, campaigns.SEATS)
        headers = {"Authorization": f"Bearer {sign_ups.token(running.secret)}"}
        asking = urllib.request.Request(where, method="POST", headers=headers)
        with urllib.request.urlopen(asking, timeout=PATIENCE_S) as answer:
            assert answer.status == 201
        yield running


def scrape(deployment: Deployment) -> str:
    with urllib.request.urlopen(f"{deployment.url}/metrics", timeout=PATIENCE_S) as answer:
        body: bytes = answer.read()
    return body.decode()


def samples(scraped: str) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(scraped):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def asked() -> dict[str, set[tuple[str, str]]]:
    """The metrics that the rules ask for, with the labels of their matchers and the values that these may have."""
    found: dict[str, set[tuple[str, str]]] = {}
    for rule in RULES:
        for name, matchers in re.findall(r"\b(seatrush_\w+)(?:\{([^}]*)\})?", rule["expr"]):
            wanted = found.setdefault(name, set())
            for label, values in re.findall(r'(\w+)=~?"([^"]*)"', matchers):
                wanted.update((label, value) for value in values.split("|"))
    return found


def lacking(scraped: str) -> list[str]:
    """What the rules ask for and a scrape has not."""
    found, missing = samples(scraped), []
    for name, wanted in asked().items():
        there = {pair for sample in found.get(name, ()) for pair in sample.labels.items()}
        missing += [name] if name not in found else []
        missing += [
            f"{name} {label}={value}" for label, value in wanted - there if value not in ONLY_IN_A_CLUSTER
        ]
    return missing


def wait_for(deployment: Deployment, *, dead_letters: int) -> str:
    """The first scrape that has all that the rules ask for, and so many dead letters."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        scraped = scrape(deployment)
        letters = sum(each.value for each in samples(scraped).get("seatrush_dead_letters_total", ()))
        missing = lacking(scraped)
        if not missing and letters == dead_letters:
            return scraped
        assert time.monotonic() < deadline, missing or f"{letters} dead letters"
        time.sleep(0.1)


def test_a_live_deployment_has_what_the_rules_ask_for_and_fires_none(deployment: Deployment) -> None:
    scraped = wait_for(deployment, dead_letters=0)
    alarms.fire([], scraped, scraped)
    grouped = {
        label
        for rule in RULES
        for by in re.findall(r"by \(([^)]*)\)", rule["expr"])
        for label in by.split(", ")
    }
    labels = {label for each in samples(scraped).values() for sample in each for label in sample.labels}
    assert grouped - {"instance"} <= labels


def test_a_poisoned_event_of_a_live_deployment_fires_its_alert(deployment: Deployment) -> None:
    before = wait_for(deployment, dead_letters=0)
    with redis.Redis.from_url(f"unix://{deployment.data}/redis.sock") as client:
        meta, events = (f"seatrush:{{{CAMPAIGN}}}:{part}" for part in ("meta", "events"))
        seq = client.hincrby(meta, "seq", 1)
        client.xadd(events, {"h": b"\xc1"}, id=f"1-{seq}")
    alarms.fire(["SeatrushDeadLetter"], before, wait_for(deployment, dead_letters=1))
