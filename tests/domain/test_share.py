"""Weights of entries, from what earlier draws gave."""

import pytest

from engine.domain.campaign import Weights
from engine.domain.share import NEVER_DRAWN, History, weight

WEIGHTS = Weights(loss=50, win=30, min=40, max=220)


@pytest.mark.parametrize(
    ("losses", "wins", "thousandths"),
    [(0, 0, 1_000), (1, 0, 1_500), (2, 0, 2_000), (3, 0, 2_200), (9, 0, 2_200), (0, 1, 700), (0, 2, 400), (0, 9, 400),
     (1, 1, 1_200)],
)  # fmt: skip
def test_losses_raise_and_wins_lower_within_bounds(losses: int, wins: int, thousandths: int) -> None:
    assert weight(WEIGHTS, History(losses, wins)) == thousandths


def test_without_weights_all_are_alike() -> None:
    assert weight(None, History(5, 5)) == weight(WEIGHTS, NEVER_DRAWN) == 1_000
