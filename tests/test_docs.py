"""What the documentation says is so: settings, metrics, and the README's commands as printed."""

import re
from pathlib import Path

from prometheus_client import metrics as prometheus

from engine import config, metrics

ROOT = Path(__file__).parent.parent
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def test_every_setting_is_described_as_it_is() -> None:
    for name, setting in config.SETTINGS.items():
        default = config.default(name)
        shown = "" if default is None else f"`{default}`"
        assert re.search(
            rf"^\| `{config.variable(name)}` \| .* \| {re.escape(shown)} \| {re.escape(setting.doc)} \|$",
            OPERATIONS,
            re.MULTILINE,
        ), name


def test_every_metric_is_described() -> None:
    defined = {
        next(iter(metric.describe())).name
        for metric in vars(metrics).values()
        if isinstance(metric, prometheus.MetricWrapperBase)
    }
    described = {
        name.removesuffix("_total")
        for name in re.findall(r"^\| `(seatrush_\w+)` \|", OPERATIONS, re.MULTILINE)
    }
    assert described == defined


def test_links_lead_somewhere() -> None:
    for document in (ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_test_that_security_names_is_there() -> None:
    for name in re.findall(r"`(tests/\S+?\.py)`", (ROOT / "SECURITY.md").read_text()):
        assert (ROOT / name).exists(), name
