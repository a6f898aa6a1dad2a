"""Units contain each other by whole segments."""

import pytest

from engine.domain.person import Person, within


@pytest.mark.parametrize(
    ("unit", "of", "is_within"),
    [
        ("xicheng", "xicheng", True),
        ("xicheng.health.fuxing", "xicheng", True),
        ("xicheng.health.fuxing", "xicheng.health", True),
        ("xicheng.healthy", "xicheng.health", False),
        ("xicheng", "xicheng.health", False),
        ("dongcheng.health", "xicheng", False),
        ("", "xicheng", False),
        ("xicheng", "", False),
        ("", "", False),
    ],
)
def test_within(unit: str, of: str, is_within: bool) -> None:
    assert within(unit, of) is is_within


def test_who_says_nothing_else_is_a_member() -> None:
    assert Person("m1") == Person("m1", "", "", (), frozenset({"member"}))
