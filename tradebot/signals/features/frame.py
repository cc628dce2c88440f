"""What features are computed from: closed bars with the session of each, and what was known besides."""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from tradebot.model.bar import Session
from tradebot.model.series import Series
from tradebot.model.values import replace
from tradebot.signals.features.rolling import Column
from tradebot.signals.structures.bars import seconds_of

NOWHERE = -1
"""The session's times and date of a bar that belongs to no known session."""


class ReleaseList(NamedTuple):
    """A list of releases: since when it is known, and when each is due, in seconds since 1970 UTC, in order."""

    known_s: int
    due_s: tuple[int, ...]


class NewsTimes(NamedTuple):
    """The news that a source told, of one category or symbol set: when each became known, in seconds, in order.

    The source had answered by `since_s`: what came before that isn't known.
    """

    since_s: int
    known_s: Mapping[str, tuple[int, ...]]


class Frame(Struct, frozen=True):
    """Closed bars, oldest first, as columns. `starts` are in seconds since 1970 UTC, and a bar lasts `width_s`.

    Prices must be adjusted for signals: joined over rolls, so that none of them is another contract's. `opens` and
    `closes` are the times of each bar's session, and `days` its date as a number of days, or NOWHERE. `rolls` are the
    dates on which contracts are left, in the same numbers. `spread` is that of quotes at each bar's close in ticks, NaN
    where it isn't known. `releases` are the lists of them that became known, in order. What is None has no source.
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
        """Return the bars from one place to before another."""
        cut = {name: getattr(self, name)[first:end] for name in _COLUMNS}
        return replace(self, **cut, spread=None if self.spread is None else self.spread[first:end])

    def runs(self) -> Sequence[tuple[int, int]]:
        """Return the spans of usable bars between those that aren't: first places, and those after the last.

        A bar is usable if its numbers are finite, its prices above zero and in order, and its volume isn't below zero.
        """
        top, bottom = np.maximum(self.open, self.close), np.minimum(self.open, self.close)
        fine = (self.low > 0) & (self.low <= bottom) & (self.high >= top) & (self.volume >= 0)
        fine &= np.isfinite(self.high) & np.isfinite(self.volume)
        edges = [-1, *np.flatnonzero(~fine).tolist(), len(self)]
        return [(bad + 1, following) for bad, following in pairwise(edges) if following > bad + 1]


_COLUMNS = ("starts", "open", "high", "low", "close", "volume", "opens", "closes", "days")
_OPENS = attrgetter("open")


def frame_of(series: Series, sessions: Sequence[Session], rolls: Sequence[date] | None = None) -> Frame:
    """Return the frame of adjusted bars, given their sessions and the dates on which contracts are left, each in order.

    ValueError if the bars aren't adjusted, or are out of order or there twice.
    """
    if not series.adjusted:
        raise ValueError(f"{series.symbol}: features are made of adjusted bars, which are joined over rolls")
    starts = np.array(series.starts, dtype=np.int64)
    if np.any(np.diff(starts) <= 0):
        raise ValueError(f"{series.symbol} {series.timeframe}: a bar is out of order or there twice")
    opening, high, low, close, volume = (
        np.array(column, dtype=np.float64)
        for column in (series.open, series.high, series.low, series.close, series.volume)
    )
    known = [(int(one.open.timestamp()), int(one.close.timestamp()), one.date.toordinal()) for one in sessions]
    table = np.array([(NOWHERE, NOWHERE, NOWHERE), *known], dtype=np.int64)
    place = np.searchsorted(table[1:, 0], starts, side="right")
    table = table[np.where(starts < table[place, 1], place, 0)]
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
