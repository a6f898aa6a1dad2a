"""docs/faults.md lists the kinds that there are, with what each promises."""

import re

from loadtests.deployment import ROOT
from tests.faults.kinds import KINDS

ROW = re.compile(r"^\| `([a-z-]+)` \| (\w+) \| .+ \|$", re.MULTILINE)


def test_the_table_is_the_registry() -> None:
    rows = ROW.findall((ROOT / "docs" / "faults.md").read_text())
    assert rows == [(kind.name, kind.promise) for kind in KINDS.values()]
