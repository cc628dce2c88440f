"""What several features are made of: averages, ranges and times of a frame, each worked out when it is first asked."""

from array import array
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tradebot.model.series import Series
from tradebot.signals.features.frame import NOWHERE, Frame
from tradebot.signals.features.rolling import NOISE, Column, accumulate_since, mean, shift
from tradebot.signals.structures.indicators import Directional, Smoothing, atr, directional, ema, rsi

LENGTH = 14
"""Over how many bars ranges and directional movement are smoothed."""
SETTLED = 300
"""After so many bars, it makes no difference any more where an average of them began."""
MINUTE_S = 60


def _plain(values: Column) -> "array[float]":
    return array("d", values.tobytes())


def _column(values: Sequence[float | None]) -> Column:
    """Return a column in which NaN stands for what isn't known."""
    return np.array(values, dtype=np.float64)


class Measures:
    """The measures of usable bars that follow each other."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.open, self.high, self.low, self.close = frame.open, frame.high, frame.low, frame.close
        self.volume = frame.volume
        self._means: dict[int, Column] = {}

    def sma(self, length: int) -> Column:
        """Return the mean of the last closes."""
        if length not in self._means:
            self._means[length] = mean(self.close, length)
        return self._means[length]

    def log_return(self, bars: int) -> Column:
        return np.log(self.close / shift(self.close, bars))

    def ema_of(self, values: Column, length: int) -> Column:
        """Return the exponential average, which starts with the first value."""
        return _column(ema(values.tolist(), length))

    def rsi(self, length: int) -> Column:
        return _column(rsi(self.close.tolist(), length))

    @cached_property
    def series(self) -> Series:
        opening, high, low, close = map(_plain, (self.open, self.high, self.low, self.close))
        return Series("", "", True, array("q", self.frame.starts.tolist()), opening, high, low, close)

    @cached_property
    def change(self) -> Column:
        """Return each close less the one before."""
        return self.close - shift(self.close, 1)

    @cached_property
    def typical(self) -> Column:
        return (self.high + self.low + self.close) / 3

    @cached_property
    def atr(self) -> Column:
        """Return the average true range; NaN where only rounding noise is left of it."""
        found = _column(atr(self.series, LENGTH, Smoothing.WILDER))
        return np.where(found > NOISE * self.close, found, np.nan)

    @cached_property
    def relative_range(self) -> Column:
        """Return the average true range as a fraction of the close."""
        return self.atr / self.close

    @cached_property
    def directional(self) -> Directional:
        return directional(self.series, LENGTH, Smoothing.WILDER)

    def movement(self, name: str) -> Column:
        """Return one of the columns of directional movement."""
        return _column(getattr(self.directional, name))

    @cached_property
    def macd(self) -> Column:
        return self.ema_of(self.close, 12) - self.ema_of(self.close, 26)

    @cached_property
    def macd_signal(self) -> Column:
        return self.ema_of(self.macd, 9)

    @cached_property
    def in_session(self) -> NDArray[np.bool_]:
        return np.not_equal(self.frame.opens, NOWHERE)

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Return when each bar closes, in seconds since 1970 UTC."""
        return self.frame.ends

    @cached_property
    def minute(self) -> Column:
        """Return the minute of the session at which each bar closes; the last one closes with its session."""
        return np.where(self.in_session, (self.ends - self.frame.opens) / MINUTE_S, np.nan)

    @cached_property
    def minutes_left(self) -> Column:
        return np.where(self.in_session, (self.frame.closes - self.ends) / MINUTE_S, np.nan)

    @cached_property
    def session_starts(self) -> NDArray[np.int64]:
        """Return the places at which another session begins, the first bar's among them."""
        opens = self.frame.opens
        return np.flatnonzero(np.concatenate(([True], opens[1:] != opens[:-1]))).astype(np.int64)

    @cached_property
    def whole_session(self) -> Column:
        """Return 1 where all bars since the session's open are here, and NaN elsewhere."""
        count = len(self.frame)
        found = np.where(self.in_session, 1.0, np.nan)
        if count and self.frame.starts[0] > self.frame.opens[0]:
            following = self.session_starts[1] if len(self.session_starts) > 1 else count
            found[:following] = np.nan
        return found

    def in_this_session(self, values: Column, gather: np.ufunc) -> Column:
        """Return what has been gathered since the session's open, such as a sum or the highest value."""
        return self.whole_session * accumulate_since(values, self.session_starts, gather.accumulate)
