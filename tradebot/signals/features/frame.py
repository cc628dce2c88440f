"""The inputs of features: closed bars with their sessions, and other data known at the time.

Averages, ranges and times shared by several features are computed at their first use. A feature is one number for each
closed bar, computed from data known when the bar closed.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from math import inf
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from tradebot.model.bar import Session
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.signals.features.rolling import NOISE, Column, accumulate_since, mean, shift
from tradebot.signals.structures.bars import Directional, Smoothing, atr, directional, ema, rsi, seconds_of

NOWHERE = -1

"""The session times and date of a bar that lies in no known session."""


class ReleaseList(NamedTuple):
    """A list of releases: when it became known, and when each release is due, in seconds since 1970 UTC, sorted."""

    known_s: int
    due_s: tuple[int, ...]


class NewsTimes(NamedTuple):
    """When news of one category or set of symbols became known, in seconds, sorted.

    The source's replies begin at `since_s`: earlier news isn't known.
    """

    since_s: int
    known_s: Mapping[str, tuple[int, ...]]


class Frame(Struct, frozen=True):
    """Closed bars, oldest first, as columns. `starts` are in seconds since 1970 UTC, and a bar lasts `width_s`.

    Prices must be adjusted for signals: joined over rolls, so that all belong to one price series. `opens` and `closes`
    are the times of each bar's session, and `days` its date as a number of days; all three are NOWHERE for a bar that
    is in no known session. `rolls` are the roll dates of contracts, as numbers of days. `spread` is the quoted spread
    at each bar's close in ticks, NaN where unknown. `releases` are the lists that became known, in order. A field
    without a source is None.
    """

    width_s: int
    starts: NDArray[np.int64]
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column
    opens: NDArray[np.int64]
    closes: NDArray[np.int64]
    days: NDArray[np.int64]
    rolls: tuple[int, ...] | None = None
    spread: Column | None = None
    releases: tuple[ReleaseList, ...] | None = None
    news: NewsTimes | None = None

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def ends(self) -> NDArray[np.int64]:
        """Return when each bar closes, in seconds since 1970 UTC: at the latest when its session does."""
        ends = self.starts + self.width_s
        return np.where(self.opens == NOWHERE, ends, np.minimum(ends, self.closes))

    def part(self, first: int, end: int) -> "Frame":
        """Return the bars from index `first` to just before index `end`."""
        cut = {name: getattr(self, name)[first:end] for name in _COLUMNS}
        return replace(self, **cut, spread=None if self.spread is None else self.spread[first:end])

    def runs(self) -> Sequence[tuple[int, int]]:
        """Return the index ranges of usable bars, each with its first index and the index after its last.

        A bar is usable if its numbers are finite, its prices positive and in order, and its volume not negative.
        """
        top, bottom = np.maximum(self.open, self.close), np.minimum(self.open, self.close)
        fine = (self.low > 0) & (self.low <= bottom) & (self.high >= top) & (self.volume >= 0)
        fine &= np.isfinite(self.high) & np.isfinite(self.volume)
        edges = [-1, *np.flatnonzero(~fine).tolist(), len(self)]
        return [(bad + 1, following) for bad, following in pairwise(edges) if following > bad + 1]


_COLUMNS = ("starts", "open", "high", "low", "close", "volume", "opens", "closes", "days")

_OPENS = attrgetter("open")


def frame_of(series: Series, sessions: Sequence[Session], rolls: Sequence[date] | None = None) -> Frame:
    """Build the frame of adjusted bars, given their sessions and roll dates, each sorted.

    Raise ValueError if the bars aren't adjusted, are out of order or repeated.
    """
    if not series.adjusted:
        raise ValueError(f"{series.symbol}: features are computed from adjusted bars, which are joined over rolls")
    starts = np.array(series.starts, dtype=np.int64)
    if np.any(np.diff(starts) <= 0):
        raise ValueError(f"{series.symbol} {series.timeframe}: a bar is out of order or duplicated")
    opening, high, low, close, volume = (
        np.array(column, dtype=np.float64)
        for column in (series.open, series.high, series.low, series.close, series.volume)
    )
    hours = [
        (int(session.open.timestamp()), int(session.close.timestamp()), session.date.toordinal())
        for session in sessions
    ]
    table = np.array([(NOWHERE, NOWHERE, NOWHERE), *hours], dtype=np.int64)
    index = np.searchsorted(table[1:, 0], starts, side="right")
    table = table[np.where(starts < table[index, 1], index, 0)]
    return Frame(
        seconds_of(series.timeframe),
        starts,
        opening,
        high,
        low,
        close,
        volume,
        table[:, 0],
        table[:, 1],
        table[:, 2],
        None if rolls is None else tuple(day.toordinal() for day in rolls),
    )


LENGTH = 14

"""The number of bars over which ranges and directional movement are smoothed."""

SETTLED = 300

"""The number of bars after which the first value of such an average no longer matters."""

MINUTE_S = 60


def _plain(values: Column) -> "array[float]":
    return array("d", values.tobytes())


def _column(values: Sequence[float | None]) -> Column:
    """Return a column with NaN for unknown values."""
    return np.array(values, dtype=np.float64)


class Measures:
    """Measures of consecutive usable bars, shared by features."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.open, self.high, self.low, self.close = frame.open, frame.high, frame.low, frame.close
        self.volume = frame.volume
        self._means: dict[int, Column] = {}

    def sma(self, length: int) -> Column:
        """Return the mean of the last `length` closes."""
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
        """Return each close minus the previous one."""
        return self.close - shift(self.close, 1)

    @cached_property
    def typical(self) -> Column:
        return (self.high + self.low + self.close) / 3

    @cached_property
    def atr(self) -> Column:
        """Return the average true range; NaN where it is only rounding noise."""
        column = _column(atr(self.series, LENGTH, Smoothing.WILDER))
        return np.where(column > NOISE * self.close, column, np.nan)

    @cached_property
    def relative_range(self) -> Column:
        """Return the average true range as a fraction of the close."""
        return self.atr / self.close

    @cached_property
    def directional(self) -> Directional:
        return directional(self.series, LENGTH, Smoothing.WILDER)

    def movement(self, name: str) -> Column:
        """Return the column of directional movement with this name: a field of `Directional`, such as `adx`."""
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
        """Return the indices at which a session begins, including the first bar's."""
        opens = self.frame.opens
        return np.flatnonzero(np.concatenate(([True], opens[1:] != opens[:-1]))).astype(np.int64)

    @cached_property
    def whole_session(self) -> Column:
        """Return 1 at each bar of a session whose open is within these bars, and NaN at any other bar."""
        count = len(self.frame)
        ones = np.where(self.in_session, 1.0, np.nan)
        if count and self.frame.starts[0] > self.frame.opens[0]:
            following = self.session_starts[1] if len(self.session_starts) > 1 else count
            ones[:following] = np.nan
        return ones

    def in_this_session(self, values: Column, gather: np.ufunc) -> Column:
        """Return, for each bar, the values accumulated since the session's open, such as their sum or the highest
        one.
        """
        return self.whole_session * accumulate_since(values, self.session_starts, gather.accumulate)


class FeatureInputs(StrEnum):
    """The kinds of data that a feature can read."""

    OPEN = "open"
    HIGH = "high"
    LOW = "low"
    CLOSE = "close"
    VOLUME = "volume"
    SESSIONS = "sessions"
    ROLLS = "rolls"
    SPREAD = "spread"
    RELEASES = "releases"
    NEWS = "news"


OF_THE_MOMENT = frozenset({FeatureInputs.SPREAD, FeatureInputs.RELEASES, FeatureInputs.NEWS})

"""Inputs read at the time of a decision. Bars don't contain them."""


class Absence(StrEnum):
    """Why a feature has no value at a bar.

    WARMING_UP: too few bars came before. NOT_GIVEN: its input has no source, or wasn't known. UNDEFINED: its formula
    has no finite value there, such as a division by zero, or a bar isn't usable.
    """

    WARMING_UP = "warming up"
    NOT_GIVEN = "not given"
    UNDEFINED = "undefined"


class Feature(Struct, frozen=True, eq=False):
    """One feature. Its number is its index in an observation, and its name is used by strategies and models.

    `formula` is its definition for documents. `bars` is how many bars the first value needs, and `sessions` how many
    earlier sessions in addition. Values are between `low` and `high`, before any scaling or clipping. `absent` says
    what a missing value means. `of` returns a value for each bar; a value that isn't finite is absent. A bar's value
    depends only on that bar and earlier ones. `version` is raised whenever values change, so that no model gets values
    other than those it was trained on.
    """

    number: int
    name: str
    formula: str
    reads: tuple[FeatureInputs, ...]
    bars: int
    of: Callable[[Measures], Column]
    absent: str
    low: float = -inf
    high: float = inf
    sessions: int = 0
    version: int = 1

    @property
    def of_the_moment(self) -> bool:
        """Return True if the feature reads more than closed bars and calendars."""
        return not OF_THE_MOMENT.isdisjoint(self.reads)
