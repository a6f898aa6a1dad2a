"""What is shown from memory is what the views would say."""

import msgspec
import pytest

from api import views
from api.shown import Showcase, Shown
from engine.domain.definition import compile_definition
from engine.live.counts import Counts
from tests.stand import campaign, offering

POOLS = [{"pool": "own", "capacity": 3, "eligible": {"units": ["xicheng"]}}, {"pool": "open", "capacity": 2}]
DEFINITION = compile_definition(
    campaign(offering(pools=POOLS), offering("tea", waitlist={"size_max": 4}), lead="\\u0000 as text"), 7
)


@pytest.mark.parametrize(
    "fields",
    [{}, {b"taken/soap/own": b"3", b"taken/soap/open": b"1", b"taken/tea/open": b"2", b"waiting/tea": b"4"}],
)
def test_the_gaps_hold_the_counts(fields: dict[bytes, bytes]) -> None:
    counts = Counts(7, 1041, fields)
    shown = Shown(DEFINITION)
    assert shown.campaign(counts) == msgspec.json.encode(views.campaign(DEFINITION, counts))
    for each in DEFINITION.document.offerings:
        expected = msgspec.json.encode(views.offering(each, counts))
        assert shown.offering(each.offering, counts) == expected


def test_the_bytes_are_made_once_for_the_same_counts() -> None:
    shown, counts = Shown(DEFINITION), Counts(7, 3, {})
    assert shown.campaign(counts) is shown.campaign(counts)
    assert b'"seq":4' in shown.campaign(Counts(7, 4, {}))


def test_a_new_version_takes_the_place_of_the_old_one() -> None:
    showcase = Showcase()
    first = showcase.of(DEFINITION)
    assert showcase.of(DEFINITION) is first
    newer = compile_definition(DEFINITION.document, 8)
    assert showcase.of(newer).definition is newer
