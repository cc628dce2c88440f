"""Closed bars: their order, their holes, and how long they last."""

import pytest

from tests.kit.signals.series import FOUR_HOURS_S, series_of
from tradebot.signals.structures.bars import Hole, bars_of, holes

STILL = (1.0, 1.0, 1.0, 1.0)


def at(*places: int) -> list[int]:
    return [FOUR_HOURS_S * place for place in places]


def test_holes_are_listed_from_the_end_of_a_bar_to_the_start_of_the_next() -> None:
    series = series_of([STILL] * 5, at(0, 1, 4, 5, 9))
    assert holes(series) == [Hole(*at(2, 4)), Hole(*at(6, 9))]
    assert bars_of(series).run == [1, 2, 1, 2, 1]


def test_whole_and_empty_series_have_no_hole() -> None:
    assert holes(series_of([STILL] * 5)) == holes(series_of([])) == []


@pytest.mark.parametrize(("timeframe", "width"), [("15Min", 900), ("1Hour", 3600), ("4Hour", 14_400), ("1Day", 86_400)])
def test_bar_closes_when_its_timeframe_is_over(timeframe: str, width: int) -> None:
    assert bars_of(series_of([STILL] * 2, [0, width], timeframe)).ends_s == [width, 2 * width]


@pytest.mark.parametrize(("places", "order"), [((0, 1, 1), "twice"), ((0, 2, 1), "after a later one")])
def test_bars_that_are_there_twice_or_out_of_order_are_refused(places: tuple[int, ...], order: str) -> None:
    message = f"BTC/USD 4Hour: the bar that starts at 14400 s is there {order}"
    with pytest.raises(ValueError, match=message):
        holes(series_of([STILL] * 3, at(*places)))


def test_mirrored_twice_is_the_same_again() -> None:
    bars = bars_of(series_of([(2, 4, 1, 3)]))
    assert bars.mirrored().high == [-1]
    assert bars.mirrored().mirrored() == bars
