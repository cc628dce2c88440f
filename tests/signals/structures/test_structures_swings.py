"""Swings: strict, known one bar later, and never across a hole."""

from tests.kit.signals.series import FOUR_HOURS_S, first, series_of
from tradebot.signals.structures.structures import Extreme, Swing, swings

PEAK = [(1.0, 2.0, 0.9, 1.5), (1.5, 3.0, 1.4, 2.0), (2.0, 2.5, 1.0, 1.2), (1.2, 2.0, 1.1, 1.5)]


def test_swing_is_known_when_the_bar_after_it_closes() -> None:
    high = Swing(Extreme.HIGH, 1, FOUR_HOURS_S, 3.0, 3 * FOUR_HOURS_S)
    low = Swing(Extreme.LOW, 2, 2 * FOUR_HOURS_S, 1.0, 4 * FOUR_HOURS_S)
    series = series_of(PEAK)
    assert [swings(first(series, count)) for count in range(5)] == [[], [], [], [high], [high, low]]


def test_bar_outside_both_neighbors_is_a_swing_at_both_ends() -> None:
    outside = series_of([(2, 3, 1.5, 2), (2, 4, 1, 2), (2, 3, 1.5, 2)])
    assert [(swing.extreme, swing.price) for swing in swings(outside)] == [(Extreme.HIGH, 4), (Extreme.LOW, 1)]


def test_three_bars_with_a_hole_between_them_are_no_swing() -> None:
    for starts in ([0, 2, 3, 4], [0, 1, 3, 4]):
        found = swings(series_of(PEAK, [FOUR_HOURS_S * start for start in starts]))
        assert Extreme.HIGH not in {swing.extreme for swing in found}
    found = swings(series_of(PEAK, [0, FOUR_HOURS_S, 2 * FOUR_HOURS_S, 4 * FOUR_HOURS_S]))
    assert [swing.extreme for swing in found] == [Extreme.HIGH]
