"""Fibonacci levels: golden figures for both directions."""

from decimal import Decimal

from tests.kit.signals.series import series_of
from tradebot.signals.structures.structures import Direction, FibonacciRange, fibonacci_range

GOLDEN = FibonacciRange(Decimal(90), Decimal(110))
NEAR, FAR = Decimal("0.618"), Decimal("0.786")


def test_levels_of_the_golden_range() -> None:
    ratios = map(Decimal, ("0.236", "0.382", "0.5", "0.618", "0.786", "1.272", "1.618"))
    levels = [[GOLDEN.level(ratio, direction) for direction in Direction] for ratio in ratios]
    long = map(Decimal, ("105.28", "102.36", "100", "97.64", "94.28", "84.56", "77.64"))
    assert levels == [[level, 200 - level] for level in long], "a short's are mirrored at the middle, 100"


def test_entry_zone_is_the_cheap_half_for_a_long_and_the_dear_half_for_a_short() -> None:
    assert GOLDEN.zone(NEAR, FAR, Direction.LONG) == (Decimal("94.28"), Decimal("97.64"))
    assert GOLDEN.zone(NEAR, FAR, Direction.SHORT) == (Decimal("102.36"), Decimal("105.72"))


def test_range_is_that_of_the_last_bars_only() -> None:
    series = series_of([(5, 9, 0.1, 5), (5, 6.3, 4, 5), (5, 6, 3.7, 5)])
    assert fibonacci_range(series, 2) == FibonacciRange(Decimal("3.7"), Decimal("6.3"))
    assert fibonacci_range(series, 3) == FibonacciRange(Decimal("0.1"), Decimal(9))


def test_there_is_no_range_of_too_few_bars() -> None:
    assert fibonacci_range(series_of([(5, 6, 4, 5)] * 99), 100) is None
    assert fibonacci_range(series_of([]), 0) is None
