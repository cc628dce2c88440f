"""The logistic regression is the one that minimizes its penalized loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.errors import OperatorError
from tradebot.lab.learning.training.training import regression


def made(seed: int, rows: int = 200, skill: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    shown = chance.normal(size=(rows, 3))
    return shown, shown @ np.array([skill, -0.5 * skill, 0.0]) + chance.logistic(size=rows) > 0.2


def loss(weights: np.ndarray, bias: float, shown: np.ndarray, rose: np.ndarray, c: float) -> float:
    signs = np.where(rose, 1.0, -1.0)
    return float(0.5 * (weights**2).sum() + c * np.logaddexp(0, -signs * (shown @ weights + bias)).sum())


@given(seed=st.integers(0, 10_000), c=st.floats(0.01, 100), away=st.integers(0, 10_000))
def test_nothing_near_it_has_a_smaller_loss(seed: int, c: float, away: int) -> None:
    shown, rose = made(seed)
    line = regression(shown, rose, c)
    best = loss(line.weights, line.bias, shown, rose, c)
    step = np.random.default_rng(away).normal(size=4) * 1e-3
    assert loss(line.weights + step[:3], line.bias + step[3], shown, rose, c) >= best - 1e-9


def test_planted_skill_is_found_and_a_strong_penalty_leaves_little_of_it() -> None:
    shown, rose = made(1, rows=5_000, skill=2.0)
    line = regression(shown, rose, 10.0)
    assert line.weights == pytest.approx([2.0, -1.0, 0.0], abs=0.15)
    assert line.bias == pytest.approx(-0.2, abs=0.1)
    assert np.abs(regression(shown, rose, 1e-6).weights).max() < 0.01


def test_separable_rows_have_finite_weights() -> None:
    shown = np.linspace(-1, 1, 100)[:, None]
    assert 0 < regression(shown, shown[:, 0] > 0, 0.5).weights[0] < 50


def test_bars_that_went_one_way_are_refused() -> None:
    shown, _ = made(1)
    with pytest.raises(OperatorError, match="one way"):
        regression(shown, np.ones(len(shown), dtype=bool), 0.5)
