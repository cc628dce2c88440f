"""Single bars: where they opened and closed in their range, and how large that is."""

import numpy as np

from tradebot.signals.features.feature import Feature, Reads
from tradebot.signals.features.measures import Measures
from tradebot.signals.features.rolling import Column, deviation, mean, over, summed

_ALL = (Reads.OPEN, Reads.HIGH, Reads.LOW, Reads.CLOSE)
_FLAT = "the bar has no range"


def _correlation(of: Measures) -> Column:
    """Return the correlation of closes and opens of 20 bars."""
    middles = [mean(column, 20)[19:] for column in (of.close, of.open)]
    both = np.arange(len(of.close), dtype=np.float64)

    def product(places: Column) -> Column:
        at = places.astype(np.int64)
        return (of.close[at] - middles[0]) * (of.open[at] - middles[1])

    return over(summed(both, 20, product) / 20, deviation(of.close, 20) * deviation(of.open, 20))


FEATURES = (
    Feature(
        39, "body", "(c - o) / (h - l)", _ALL, 1, lambda of: over(of.close - of.open, of.high - of.low), _FLAT, -1, 1
    ),
    Feature(
        40,
        "close_place",
        "(c - l) / (h - l)",
        _ALL[1:],
        1,
        lambda of: over(of.close - of.low, of.high - of.low),
        _FLAT,
        0,
        1,
    ),
    Feature(
        41,
        "bar_range",
        "(h - l) / ATR(14)",
        _ALL[1:],
        15,
        lambda of: over(of.high - of.low, of.atr),
        "no bar of that time has a range",
        0,
        14,
    ),
    Feature(
        42,
        "open_close_correlation",
        "correlation of c and o of 20",
        (Reads.OPEN, Reads.CLOSE),
        20,
        _correlation,
        "no price has moved in that time",
        -1,
        1,
    ),
)
