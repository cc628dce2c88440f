"""What TA-Lib and smartmoneyconcepts find in bars: `judgment.py BARS.json` prints it as JSON.

The file holds a list of series, each with its columns of open, high, low and close. Run it with SMC_CREDIT=0, or the
second library prints an advertisement.
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
    gaps = smc.fvg(bars).dropna(subset=["FVG"])
    return {
        **found,
        "gaps": [[int(gap.FVG), place, gap.Bottom, gap.Top, int(gap.MitigatedIndex)] for place, gap in gaps.iterrows()],
    }


def known(column: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in column]


json.dump([judge(series) for series in json.loads(Path(sys.argv[1]).read_text())], sys.stdout)
