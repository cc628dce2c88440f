"""Trend: the price against its averages, in units of the average true range; and how directed its movement is."""

from functools import partial

from tradebot.signals.features.feature import Feature, Reads
from tradebot.signals.features.measures import SETTLED, Measures
from tradebot.signals.features.rolling import Column, deviation, highest, lowest, mean, over, shifted

_BARS = (Reads.HIGH, Reads.LOW, Reads.CLOSE)
_NO_RANGE = "no bar of that time has a range"


def _from_mean(length: int, of: Measures) -> Column:
    return over(of.close - of.sma(length), of.atr)


def _slope(length: int, of: Measures) -> Column:
    return over(of.sma(length) - shifted(of.sma(length), 5), of.atr)


def _from_middle(length: int, of: Measures) -> Column:
    return over(of.close - (highest(of.high, length) + lowest(of.low, length)) / 2, of.atr)


def _tema(of: Measures) -> Column:
    one = of.ema_of(of.close, 14)
    two = of.ema_of(one, 14)
    return over(of.close - (3 * one - 3 * two + of.ema_of(two, 14)), of.atr)


def _width(of: Measures) -> Column:
    width = 4 * deviation(of.close, 20) / of.sma(20)
    return over(width, mean(width, 390))


FEATURES = (
    *(
        Feature(
            number,
            f"from_sma_{length}",
            f"(c - SMA({length})) / ATR(14)",
            _BARS,
            max(length, 15),
            partial(_from_mean, length),
            _NO_RANGE,
        )
        for number, length in ((12, 10), (13, 20), (14, 50), (15, 200))
    ),
    *(
        Feature(
            number,
            f"slope_sma_{length}",
            f"(SMA({length}) - that of 5 bars ago) / ATR(14)",
            _BARS,
            length + 5,
            partial(_slope, length),
            _NO_RANGE,
        )
        for number, length in ((16, 20), (17, 50))
    ),
    Feature(
        18,
        "bollinger_place",
        "(c - SMA(20)) / (2 sd20)",
        (Reads.CLOSE,),
        20,
        lambda of: over(of.close - of.sma(20), 2 * deviation(of.close, 20)),
        "no price has moved in that time",
        -2.18,
        2.18,
    ),
    Feature(
        19,
        "bollinger_width",
        "w / its mean of 390, w = 4 sd20 / SMA(20)",
        (Reads.CLOSE,),
        409,
        _width,
        "no price has moved in that time",
        0,
        390,
    ),
    Feature(
        20,
        "range_level",
        "R / its mean of 390, R = ATR(14) / c",
        _BARS,
        404,
        lambda of: over(of.relative_range, mean(of.relative_range, 390)),
        _NO_RANGE,
        0,
        390,
    ),
    Feature(27, "adx_14", "ADX(14) / 50", _BARS, 28, lambda of: of.movement("adx") / 50, "never", 0, 2),
    Feature(
        28,
        "directional_14",
        "(+DI(14) - -DI(14)) / 100",
        _BARS,
        15,
        lambda of: (of.movement("plus") - of.movement("minus")) / 100,
        "never",
        -1,
        1,
    ),
    Feature(29, "from_tema_14", "(c - TEMA(14)) / ATR(14)", _BARS, SETTLED, _tema, _NO_RANGE),
    Feature(
        30, "from_tenkan_9", "(c - middle of the range of 9) / ATR(14)", _BARS, 15, partial(_from_middle, 9), _NO_RANGE
    ),
    Feature(
        31,
        "from_kijun_26",
        "(c - middle of the range of 26) / ATR(14)",
        _BARS,
        26,
        partial(_from_middle, 26),
        _NO_RANGE,
    ),
)
