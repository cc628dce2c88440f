"""Breaks of structure: strict, asked of each bar anew, and never across a hole."""

from tests.kit.signals.series import FOUR_HOURS_S, SPEC, Row, series_of
from tradebot.model.struct_tools import replace
from tradebot.signals.structures.bars import bars_of
from tradebot.signals.structures.structures import DraftStructure, breaks

HIGHS = [5.0, 9.0, 5.0, 5.0, 5.0, 5.0, 5.0, 9.0, 5.0, 5.0, 9.5, 5.0, 5.0, 5.0]


def rows(highs: list[float]) -> list[Row]:
    return [(4.0, high, 3.0, 4.0) for high in highs]


def test_break_is_true_while_the_last_three_bars_are_higher_than_the_seven_before() -> None:
    # A high of 9 that equals the one before it breaks nothing.
    found = breaks(bars_of(series_of(rows(HIGHS))), SPEC)
    assert found == [DraftStructure(bar, bar, 9.0, 9.5) for bar in (10, 11, 12)]


def test_no_break_among_too_few_bars() -> None:
    assert breaks(bars_of(series_of(rows([1.0] * 8 + [2.0]))), SPEC) == []
    assert breaks(bars_of(series_of([])), SPEC) == []


def test_no_break_where_one_of_the_bars_is_missing() -> None:
    highs = [1.0] * 9 + [2.0, 3.0]
    for hole in range(1, 11):
        starts = [FOUR_HOURS_S * (place + (place >= hole)) for place in range(11)]
        bars = [found.bar for found in breaks(bars_of(series_of(rows(highs), starts)), SPEC)]
        assert bars == ([9] if hole == 10 else [10] if hole == 1 else [])


def test_numbers_of_bars_are_settings() -> None:
    settings = replace(SPEC, break_bars=1, break_before=1)
    assert [found.bar for found in breaks(bars_of(series_of(rows(HIGHS))), settings)] == [1, 7, 10]
