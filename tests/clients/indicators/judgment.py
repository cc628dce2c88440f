"""What TA-Lib and smartmoneyconcepts find in bars: `judgment.py BARS.json` prints it as JSON.

The file holds a list of series, each with its columns of open, high, low, close and volume. Run it with SMC_CREDIT=0,
or the second library prints an advertisement.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import talib
from smartmoneyconcepts import smc

LENGTH = 14


def judge(columns: dict[str, list[float]]) -> dict[str, object]:
    """Return ATR, DI, DX and ADX, null where they are unknown, and the gaps: direction, middle bar, edges, end."""
    bars = pd.DataFrame(columns, dtype=float)
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    functions = {"atr": talib.ATR, "plus": talib.PLUS_DI, "minus": talib.MINUS_DI, "dx": talib.DX, "adx": talib.ADX}
    found = {name: known(function(high, low, close, LENGTH)) for name, function in functions.items()}
    volume = bars["volume"].to_numpy()
    gaps = smc.fvg(bars).dropna(subset=["FVG"])
    return {
        **found,
        "features": {name: known(column) for name, column in features(high, low, close, volume).items()},
        "gaps": [[int(gap.FVG), place, gap.Bottom, gap.Top, int(gap.MitigatedIndex)] for place, gap in gaps.iterrows()],
    }


def features(high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray) -> dict[str, np.ndarray]:
    """Return the features that TA-Lib has functions for, scaled as ours are."""
    unit, (macd, signal, difference) = talib.ATR(high, low, close, LENGTH), talib.MACD(close, 12, 26, 9)
    fast_k, fast_d = talib.STOCHF(high, low, close, LENGTH, 3)
    obv = talib.OBV(close, volume)
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    return {
        "rsi_14": talib.RSI(close, LENGTH) / 50 - 1,
        "rsi_2": talib.RSI(close, 2) / 50 - 1,
        "macd": macd / unit,
        "macd_signal": signal / unit,
        "macd_difference": difference / unit,
        **{f"from_sma_{length}": (close - talib.SMA(close, length)) / unit for length in (10, 20, 50, 200)},
        "bollinger_place": (close - middle) / ((upper - lower) / 2),
        "stochastic_k": fast_k / 50 - 1,
        "stochastic_d": fast_d / 50 - 1,
        "williams_r": talib.WILLR(high, low, close, LENGTH),
        "cci_20": talib.CCI(high, low, close, 20) / 200,
        "mfi_14": talib.MFI(high, low, close, volume, LENGTH) / 50 - 1,
        "aroon_25": talib.AROONOSC(high, low, 25) / 100,
        "adx_14": talib.ADX(high, low, close, LENGTH) / 50,
        "directional_14": (talib.PLUS_DI(high, low, close, LENGTH) - talib.MINUS_DI(high, low, close, LENGTH)) / 100,
        "from_tema_14": (close - talib.TEMA(close, 14)) / unit,
        "from_tenkan_9": (close - talib.MIDPRICE(high, low, 9)) / unit,
        "from_kijun_26": (close - talib.MIDPRICE(high, low, 26)) / unit,
        "obv_20": (obv - np.concatenate((np.full(20, np.nan), obv[:-20]))) / (20 * talib.SMA(volume, 20)),
    }


def known(column: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in column]


json.dump([judge(series) for series in json.loads(Path(sys.argv[1]).read_text())], sys.stdout)
