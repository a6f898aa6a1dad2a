"""The shipped alert rules, put to promtool: which of them what was scraped would fire."""

import shutil
import subprocess
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Final

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.redis_servers import absent

DEPLOY: Final = Path(__file__).parents[1] / "docs" / "deploy"
RULES: Final = DEPLOY / "alerts.yml"
TESTS: Final = DEPLOY / "alerts_test.yml"

SLOW: Final = (
    "SeatrushDecisionsSlow",
    "SeatrushFsyncSlow",
    "SeatrushLedgerBehind",
    "SeatrushTimeStandsStill",
)
"""What a machine that is busy with other tests may fire, and rightly."""

FIRING: Final = 'count by (alertname) (ALERTS{alertstate="firing", alertname!~"%s"})'


def promtool(*arguments: str, within: Path = DEPLOY) -> None:
    """Run promtool in a directory; a test that needs it where it is not there is skipped, and fails under CI."""
    program = shutil.which("promtool") or absent("the machine has no promtool (Debian's package prometheus)")
    ran = subprocess.run([program, *arguments], cwd=within, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def fire(expected: Collection[str], before: str, after: str) -> None:
    """Assert that exactly these alerts fire, but for `SLOW`, five minutes after one scrape followed another."""
    first = _series(before)
    series = [
        {"series": name, "values": f"{first[name]}x20 {value}x20" if name in first else f"_x20 {value}x20"}
        for name, value in _series(after).items()
    ]
    moment = {
        "expr": FIRING % "|".join(SLOW),
        "eval_time": "10m",
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected],
    }
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "15s",
        "tests": [{"interval": "15s", "input_series": series, "promql_expr_test": [moment]}],
    }
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "scraped.yml"
        path.write_text(yaml.safe_dump(document))
        promtool("test", "rules", path.name, within=path.parent)


def _series(scraped: str) -> dict[str, float]:
    """Each series of a scrape, as promtool writes it, with its value."""
    return {
        sample.name
        + "{"
        + ", ".join(f'{name}="{text}"' for name, text in sample.labels.items())
        + "}": sample.value
        for family in text_string_to_metric_families(scraped)
        for sample in family.samples
    }
