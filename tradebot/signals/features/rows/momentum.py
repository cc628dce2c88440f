"""Momentum: oscillators of prices, and of prices with their volume."""

from functools import partial

import numpy as np

from tradebot.signals.features.feature import Feature, Reads
from tradebot.signals.features.measures import SETTLED, Measures
from tradebot.signals.features.rolling import (
    NOISE,
    Column,
    about_mean,
    above,
    highest,
    lowest,
    mean,
    over,
    shifted,
    since,
    total,
)

_BARS = (Reads.HIGH, Reads.LOW, Reads.CLOSE)
_NO_RANGE = "no bar of that time has a range"


def _rsi(length: int, of: Measures) -> Column:
    return of.rsi(length) / 50 - 1


def _place(of: Measures) -> Column:
    """Return where the close is between the lowest and the highest price of 14 bars, 0 to 1."""
    bottom = lowest(of.low, 14)
    return over(of.close - bottom, highest(of.high, 14) - bottom)


def _cci(of: Measures) -> Column:
    middle, away = mean(of.typical, 20), about_mean(of.typical, 20, np.abs)
    return over(of.typical - middle, 0.015 * np.where(away > NOISE * middle, away, np.nan)) / 200


def _mfi(of: Measures) -> Column:
    typical, flow = of.typical, of.typical * of.volume
    before = shifted(typical, 1)
    known = np.where(np.isnan(before), np.nan, 1.0)
    rose, fell = above(typical, before), above(before, typical)
    up, down = (total(known * np.where(moved, flow, 0.0), 14) for moved in (rose, fell))
    return 2 * over(up, up + down) - 1


FEATURES = (
    Feature(7, "rsi_14", "RSI(14) / 50 - 1", (Reads.CLOSE,), 15, partial(_rsi, 14), "never", -1, 1),
    Feature(8, "rsi_2", "RSI(2) / 50 - 1", (Reads.CLOSE,), 3, partial(_rsi, 2), "never", -1, 1),
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
    Feature(21, "stochastic_k", "fast K of 14 / 50 - 1", _BARS, 14, lambda of: 2 * _place(of) - 1, _NO_RANGE, -1, 1),
    Feature(
        22, "stochastic_d", "SMA(3) of K / 50 - 1", _BARS, 16, lambda of: 2 * mean(_place(of), 3) - 1, _NO_RANGE, -1, 1
    ),
    Feature(23, "williams_r", "Williams %R of 14", _BARS, 14, lambda of: 100 * _place(of) - 100, _NO_RANGE, -100, 0),
    Feature(24, "cci_20", "CCI(20) / 200", _BARS, 20, _cci, _NO_RANGE, -3.34, 3.34),
    Feature(
        25,
        "mfi_14",
        "MFI(14) / 50 - 1",
        (*_BARS, Reads.VOLUME),
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
        (Reads.HIGH, Reads.LOW),
        26,
        lambda of: (since(of.low, 26, -1) - since(of.high, 26, 1)) / 25,
        "never",
        -1,
        1,
    ),
)
