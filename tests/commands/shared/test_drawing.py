"""Bars, lines and spans: what a person sees is in proportion to the numbers."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from commands.shared.drawing import HEIGHTS, bar, duration, sparkline, thinned

VALUES = st.lists(st.decimals(-1000, 1000, places=2), min_size=1, max_size=200)


@given(VALUES, st.integers(1, 80))
def test_a_line_is_lowest_and_highest_where_its_values_are(values: list[Decimal], width: int) -> None:
    shown, line = thinned(values, width), sparkline(values, width)
    assert len(line) == len(shown) == min(width, len(values))
    assert shown[-1] == values[-1]
    if max(shown) > min(shown):
        assert line[shown.index(min(shown))] == HEIGHTS[0]
        assert line[shown.index(max(shown))] == HEIGHTS[-1]
        assert sorted(line) == [letter for _, letter in sorted(zip(shown, line, strict=True))]


def test_a_line_that_never_moved_is_drawn_in_the_middle_and_nothing_as_nothing() -> None:
    assert (sparkline([Decimal(5)] * 3, 10), sparkline([], 10)) == ("▄▄▄", "")


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_whatever_is_there_has_a_bar_and_none_is_longer_than_the_longest(count: int, more: int) -> None:
    drawn = bar(count, count + more, 8)
    assert (len(drawn) > 0) == (count > 0)
    assert len(drawn) <= 8 == len(bar(more, more, 8))


def test_a_span_of_time_is_told_in_its_two_largest_units() -> None:
    spans = [0, 59, 60, 3599, 3600, 12_000, 86_400, 187_200, -90]
    assert [duration(s) for s in spans] == ["0s", "59s", "1m", "59m", "1h00m", "3h20m", "1d0h", "2d4h", "-1m"]
