"""Returns: how far the price has moved, how evenly, and how much."""

from functools import partial

import numpy as np

from tradebot.signals.features.feature import Feature, Reads
from tradebot.signals.features.measures import Measures
from tradebot.signals.features.rolling import (
    NOISE,
    Column,
    about_mean,
    deviation,
    long_deviation,
    mean,
    over,
    shifted,
    total,
)

LONG = 390
_SPANS = (1, 3, 6, 12, 39, 78)
_STILL = "no price has moved in that time"


def _scaled(bars: int, of: Measures) -> Column:
    moved = of.log_return(bars)
    return over(moved, long_deviation(moved, LONG))


def efficiency(closes: Column, length: int) -> Column:
    """Return how much of the way that a price went it came forward, 0 to 1; NaN if it went none."""
    way = total(np.abs(closes - shifted(closes, 1)), length)
    return over(np.abs(closes - shifted(closes, length)), way)


def _efficiency(bars: int, of: Measures) -> Column:
    return efficiency(of.close, bars)


def zscores(values: Column, length: int) -> Column:
    """Return how many deviations each value is from the mean of the last `length`; NaN if none deviates."""
    return over(values - mean(values, length), deviation(values, length))


def _realized(of: Measures) -> Column:
    squares = np.square(of.log_return(1))
    return np.sqrt(over(mean(squares, 12), mean(squares, 78)))


def _skew(of: Measures) -> Column:
    moved = of.log_return(1)
    variance, third = (about_mean(moved, 78, term) for term in (np.square, lambda away: away * away * away))
    return over(third, np.where(variance > NOISE * mean(np.square(moved), 78), variance, np.nan) ** 1.5)


FEATURES = (
    *(
        Feature(
            number,
            f"return_{bars}",
            f"ln(c / c {bars} ago) / its deviation over {LONG}",
            (Reads.CLOSE,),
            bars + LONG,
            partial(_scaled, bars),
            _STILL,
        )
        for number, bars in enumerate(_SPANS, 1)
    ),
    Feature(
        32, "zscore_20", "(c - sma20) / sd20", (Reads.CLOSE,), 20, lambda of: zscores(of.close, 20), _STILL, -4.36, 4.36
    ),
    *(
        Feature(
            number,
            f"efficiency_{bars}",
            f"|c - c {bars} ago| / sum of |changes| of {bars}",
            (Reads.CLOSE,),
            bars + 1,
            partial(_efficiency, bars),
            _STILL,
            0,
            1,
        )
        for number, bars in ((33, 10), (34, 20))
    ),
    Feature(
        43,
        "realized_12_78",
        "root of mean squared return of 12 / that of 78",
        (Reads.CLOSE,),
        79,
        _realized,
        _STILL,
        0,
        2.55,
    ),
    Feature(44, "skew_78", "skew of 78 returns", (Reads.CLOSE,), 79, _skew, _STILL, -8.67, 8.67),
)
