"""The interval that holds after every session: how often it ever misses, and how much that costs in width."""

from math import sqrt

import numpy as np
import pytest

from tradebot.lab.selection.promotion import anytime, half_width


def test_interval_that_is_looked_at_every_session_seldom_ever_misses_the_true_mean() -> None:
    """An ordinary interval with the same error at each look misses it at some time for several times as many."""
    error, count, many = 0.05, 500, 2_000
    drawn = np.random.default_rng(1).normal(size=(many, count))
    looks = np.arange(60, count + 1)
    means = np.cumsum(drawn, axis=1)[:, 59:] / looks
    widths = np.array([half_width(look, error) for look in looks.tolist()])
    above, ordinary = (means > widths).any(axis=1).mean(), (means > 1.645 / np.sqrt(looks)).any(axis=1).mean()
    assert above <= error
    assert ordinary > 2 * error


def test_interval_is_around_the_mean_and_narrows_with_the_root_of_its_returns() -> None:
    returns = (0.01, -0.01, 0.02, 0.0) * 100
    ends = anytime(returns, 0.05)
    assert ends is not None
    assert (ends.low + ends.high) / 2 == pytest.approx(0.005)
    assert half_width(400, 0.05) * sqrt(400) == pytest.approx(half_width(1_600, 0.05) * sqrt(1_600), rel=0.2)
    assert half_width(500, 0.05 / 20) > half_width(500, 0.05)


def test_one_return_has_no_interval() -> None:
    assert anytime((0.01,), 0.05) is None
