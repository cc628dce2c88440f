"""Features of price (returns, trend, momentum, the shape of single bars), and of volume relative to its usual size."""

from functools import partial

import numpy as np

from tradebot.signals.features.frame import SETTLED, Feature, FeatureInputs, Measures
from tradebot.signals.features.rolling import (
    NOISE,
    Column,
    about_mean,
    above,
    deviation,
    fill_gaps,
    highest,
    long_deviation,
    lowest,
    mean,
    over,
    rolling_sum,
    shift,
    since,
    total,
)

LONG, SESSIONS = 390, 20
_SPANS = (1, 3, 6, 12, 39, 78)
_STILL = "no price has moved in that time"
_NO_VOLUME = "nothing was traded"


def _scaled_return(bars: int, of: Measures) -> Column:
    moved = of.log_return(bars)
    return over(moved, long_deviation(moved, LONG))


def efficiency(closes: Column, length: int) -> Column:
    """Return the net price change divided by the path length, 0 to 1; NaN if the price didn't move."""
    way = total(np.abs(closes - shift(closes, 1)), length)
    return over(np.abs(closes - shift(closes, length)), way)


def _efficiency(bars: int, of: Measures) -> Column:
    return efficiency(of.close, bars)


def zscores(values: Column, length: int) -> Column:
    """Return each value's distance from the mean of the last `length`, in standard deviations; NaN if all are equal."""
    return over(values - mean(values, length), deviation(values, length))


def _realized_ratio(of: Measures) -> Column:
    squares = np.square(of.log_return(1))
    return np.sqrt(over(mean(squares, 12), mean(squares, 78)))


def _skew(of: Measures) -> Column:
    moved = of.log_return(1)
    variance, third = (about_mean(moved, 78, term) for term in (np.square, lambda away: away * away * away))
    return over(third, np.where(variance > NOISE * mean(np.square(moved), 78), variance, np.nan) ** 1.5)


_RETURNS = (
    *(
        Feature(
            number,
            f"return_{bars}",
            f"ln(c / c {bars} ago) / its deviation over {LONG}",
            (FeatureInputs.CLOSE,),
            bars + LONG,
            partial(_scaled_return, bars),
            _STILL,
        )
        for number, bars in enumerate(_SPANS, 1)
    ),
    Feature(
        32,
        "zscore_20",
        "(c - sma20) / sd20",
        (FeatureInputs.CLOSE,),
        20,
        lambda of: zscores(of.close, 20),
        _STILL,
        -4.36,
        4.36,
    ),
    *(
        Feature(
            number,
            f"efficiency_{bars}",
            f"|c - c {bars} ago| / sum of |changes| of {bars}",
            (FeatureInputs.CLOSE,),
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
        (FeatureInputs.CLOSE,),
        79,
        _realized_ratio,
        _STILL,
        0,
        2.55,
    ),
    Feature(44, "skew_78", "skew of 78 returns", (FeatureInputs.CLOSE,), 79, _skew, _STILL, -8.67, 8.67),
)


_BARS = (FeatureInputs.HIGH, FeatureInputs.LOW, FeatureInputs.CLOSE)
_NO_RANGE = "no bar of that time has a range"


def _from_mean(length: int, of: Measures) -> Column:
    return over(of.close - of.sma(length), of.atr)


def _slope(length: int, of: Measures) -> Column:
    return over(of.sma(length) - shift(of.sma(length), 5), of.atr)


def _from_middle(length: int, of: Measures) -> Column:
    return over(of.close - (highest(of.high, length) + lowest(of.low, length)) / 2, of.atr)


def _tema(of: Measures) -> Column:
    ema = of.ema_of(of.close, 14)
    two = of.ema_of(ema, 14)
    return over(of.close - (3 * ema - 3 * two + of.ema_of(two, 14)), of.atr)


def _width(of: Measures) -> Column:
    width = 4 * deviation(of.close, 20) / of.sma(20)
    return over(width, mean(width, 390))


_TREND = (
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
        (FeatureInputs.CLOSE,),
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
        (FeatureInputs.CLOSE,),
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


def _rsi(length: int, of: Measures) -> Column:
    return of.rsi(length) / 50 - 1


def _stochastic(of: Measures) -> Column:
    """Return where the close lies between the lowest and the highest price of 14 bars, 0 to 1."""
    bottom = lowest(of.low, 14)
    return over(of.close - bottom, highest(of.high, 14) - bottom)


def _cci(of: Measures) -> Column:
    middle, away = mean(of.typical, 20), about_mean(of.typical, 20, np.abs)
    return over(of.typical - middle, 0.015 * np.where(away > NOISE * middle, away, np.nan)) / 200


def _mfi(of: Measures) -> Column:
    typical, flow = of.typical, of.typical * of.volume
    before = shift(typical, 1)
    ones = np.where(np.isnan(before), np.nan, 1.0)
    rose, fell = above(typical, before), above(before, typical)
    up, down = (total(ones * np.where(moved, flow, 0.0), 14) for moved in (rose, fell))
    return 2 * over(up, up + down) - 1


_MOMENTUM = (
    Feature(7, "rsi_14", "RSI(14) / 50 - 1", (FeatureInputs.CLOSE,), 15, partial(_rsi, 14), "never", -1, 1),
    Feature(8, "rsi_2", "RSI(2) / 50 - 1", (FeatureInputs.CLOSE,), 3, partial(_rsi, 2), "never", -1, 1),
    Feature(9, "macd", "MACD(12, 26) / ATR(14)", _BARS, SETTLED, lambda of: over(of.macd, of.atr), _NO_RANGE),
    Feature(
        10,
        "macd_signal",
        "EMA(9) of MACD / ATR(14)",
        _BARS,
        SETTLED,
        lambda of: over(of.macd_signal, of.atr),
        _NO_RANGE,
    ),
    Feature(
        11,
        "macd_difference",
        "(MACD - its EMA(9)) / ATR(14)",
        _BARS,
        SETTLED,
        lambda of: over(of.macd - of.macd_signal, of.atr),
        _NO_RANGE,
    ),
    Feature(
        21, "stochastic_k", "fast K of 14 / 50 - 1", _BARS, 14, lambda of: 2 * _stochastic(of) - 1, _NO_RANGE, -1, 1
    ),
    Feature(
        22,
        "stochastic_d",
        "SMA(3) of K / 50 - 1",
        _BARS,
        16,
        lambda of: 2 * mean(_stochastic(of), 3) - 1,
        _NO_RANGE,
        -1,
        1,
    ),
    Feature(
        23, "williams_r", "Williams %R of 14", _BARS, 14, lambda of: 100 * _stochastic(of) - 100, _NO_RANGE, -100, 0
    ),
    Feature(24, "cci_20", "CCI(20) / 200", _BARS, 20, _cci, _NO_RANGE, -3.34, 3.34),
    Feature(
        25,
        "mfi_14",
        "MFI(14) / 50 - 1",
        (*_BARS, FeatureInputs.VOLUME),
        15,
        _mfi,
        "no volume moved a price in that time",
        -1,
        1,
        version=2,
    ),
    Feature(
        26,
        "aroon_25",
        "Aroon oscillator of 25 / 100",
        (FeatureInputs.HIGH, FeatureInputs.LOW),
        26,
        lambda of: (since(of.low, 26, -1) - since(of.high, 26, 1)) / 25,
        "never",
        -1,
        1,
    ),
)


_ALL = (FeatureInputs.OPEN, FeatureInputs.HIGH, FeatureInputs.LOW, FeatureInputs.CLOSE)
_FLAT = "the bar has no range"


def _correlation(of: Measures) -> Column:
    """Return the correlation of closes and opens of 20 bars."""
    middles = [mean(column, 20)[19:] for column in (of.close, of.open)]
    both = np.arange(len(of.close), dtype=np.float64)

    def product(places: Column) -> Column:
        at = places.astype(np.int64)
        return (of.close[at] - middles[0]) * (of.open[at] - middles[1])

    return over(rolling_sum(both, 20, product) / 20, deviation(of.close, 20) * deviation(of.open, 20))


_CANDLES = (
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
        (FeatureInputs.OPEN, FeatureInputs.CLOSE),
        20,
        _correlation,
        "no price has moved in that time",
        -1,
        1,
    ),
)


def _usual(of: Measures) -> Column:
    """Return the mean volume of the same bar of the session in the last 20 sessions that have that bar."""
    frame, usual = of.frame, fill_gaps(np.nan, len(of.frame))
    places = np.flatnonzero(of.in_session)
    bars = ((frame.starts - frame.opens) // frame.width_s)[places]
    order = np.argsort(bars, kind="stable")
    bars, volume, count = bars[order], of.volume[places][order], len(places) - SESSIONS
    if count > 0:
        # Each sum adds the same volumes in the same order, however many bars there are.
        before = sum(volume[ago : ago + count] for ago in range(SESSIONS)) / SESSIONS
        usual[places[order][SESSIONS:]] = np.where(bars[SESSIONS:] == bars[:-SESSIONS], before, np.nan)
    return usual


def _against_mean(of: Measures) -> Column:
    usual = mean(of.volume, 20)
    return np.where(np.isnan(usual), np.nan, above(of.volume, 1.5 * usual))


def _on_balance(of: Measures) -> Column:
    return over(total(np.sign(of.change) * of.volume, 20), total(of.volume, 20))


_VOLUME = (
    Feature(
        36,
        "volume_of_bar",
        f"ln(v / mean v of the same bar of the last {SESSIONS} sessions that have one)",
        (FeatureInputs.VOLUME, FeatureInputs.SESSIONS),
        1,
        lambda of: np.log(over(of.volume, _usual(of))),
        "the bar, or the same one of all those sessions, has no volume",
        sessions=SESSIONS,
    ),
    Feature(
        37,
        "volume_high",
        "1 if v > 1.5 SMA(20) of v, else 0",
        (FeatureInputs.VOLUME,),
        20,
        _against_mean,
        "never",
        0,
        1,
        version=2,
    ),
    Feature(
        38,
        "obv_20",
        "change of OBV over 20 / sum of v of 20",
        (FeatureInputs.CLOSE, FeatureInputs.VOLUME),
        21,
        _on_balance,
        _NO_VOLUME + " in that time",
        -1,
        1,
    ),
)

FEATURES = (*_RETURNS, *_TREND, *_MOMENTUM, *_CANDLES, *_VOLUME)
