"""Compute the features that strategies need, from closed bars and from current quotes and market facts."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from math import isnan
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tradebot.model.bar import Session
from tradebot.model.series import DAY, width_of
from tradebot.model.venue_day import VenueDay
from tradebot.model.view import BarNeed, FeatureNeed, FeatureRow
from tradebot.ports.stores import Bars
from tradebot.signals.features import Feature, Frame, absence, bars_before, columns, feature_of, frame_of
from tradebot.signals.features.frame import NOWHERE, FeatureInputs, NewsTimes, ReleaseList
from tradebot.signals.features.rolling import Column
from tradebot.signals.subjects.calendars import ECONOMIC_CALENDAR_KIND, ReleaseCalendar
from tradebot.signals.subjects.market import NEWS_KIND, Category
from tradebot.timetable.sessions import BEGINS_AHEAD, ENDS_LATE

Sessions = Callable[[date, date, str], Sequence[Session]]
"""Return the sessions of a calendar between two dates, inclusive, oldest first."""
MICROSECOND = timedelta(microseconds=1)
Place = tuple[FeatureNeed, str, str, tuple[date, ...] | None]


# Each pass asks what a need means, so the answer is cached.
@lru_cache(maxsize=64)
def reads_quotes(need: FeatureNeed) -> bool:
    return any(FeatureInputs.SPREAD in each.reads for each in _features_of(need))


@lru_cache(maxsize=64)
def of_the_moment(need: FeatureNeed) -> bool:
    """Return True if any of these features change between bars, because they use more than bars."""
    return any(each.of_the_moment for each in _features_of(need))


@lru_cache(maxsize=64)
def bars_for(need: FeatureNeed, venue: VenueDay) -> BarNeed:
    """Return the bars that features need.

    With only the smallest accepted number of bars (`least`), some features have no value yet.
    """
    features, a_session = _of_bars(need), _a_session(need, venue)
    least = max((each.bars + each.sessions * a_session for each in features), default=1)
    return BarNeed(need.timeframe, bars_before(features, a_session) + a_session, least=least)


def _a_session(need: FeatureNeed, venue: VenueDay) -> int:
    width = width_of(need.timeframe)
    return 1 if width is None else (venue.lasts + width - MICROSECOND) // width


def _features_of(need: FeatureNeed) -> Sequence[Feature]:
    return [feature_of(name) for name in (*need.names, *need.optional)]


@lru_cache(maxsize=64)
def _of_bars(need: FeatureNeed) -> Sequence[Feature]:
    return [each for each in _features_of(need) if not each.of_the_moment]


class _CachedColumns(NamedTuple):
    """Features from one moment until another, with the frame of bars that they were computed from."""

    after: datetime
    until: datetime
    frame: Frame
    ends: NDArray[np.int64]
    columns_by_name: Mapping[str, Column]

    def bar_at(self, until: datetime) -> int:
        """Return the index of the last bar closed by a moment, -1 if there is none."""
        return int(np.searchsorted(self.ends, until.timestamp(), "right")) - 1

    def is_of_last_session(self, bar: int) -> bool:
        return bool(self.frame.opens[bar] == self.frame.opens[-1])


class BarFeatures:
    """Computes features from closed bars. For each session, the computation starts a fixed number of bars before the
    session.

    So a bar's values are identical to the last digit, whenever they are computed. `whole` is set in a backtest, which
    can also provide the rest of a session. A session's features are then computed once and looked up by time. Even so,
    each feature uses only bars that were closed at its time.
    """

    def __init__(self, bars: Bars, sessions: Sessions, venue: VenueDay, *, whole: bool = False) -> None:
        self._bars, self._sessions, self._venue, self._whole = bars, sessions, venue, whole
        self._cached_columns: dict[Place, _CachedColumns] = {}

    def row(
        self, need: FeatureNeed, symbol: str, until: datetime, calendar: str, rolls: tuple[date, ...] | None
    ) -> FeatureRow | None:
        """Return a symbol's features at the last bar closed by `until`; None without a bar."""
        cache_key = need, symbol, calendar, rolls
        cached = self._cached_columns.get(cache_key)
        if cached is None or not cached.after < until <= cached.until:
            cached = self._compute_columns(cache_key, *self._span(need, calendar, until))
            if cached is None:
                return None
            self._cached_columns[cache_key] = cached
        bar = len(cached.ends) - 1 if need.timeframe == DAY else cached.bar_at(until)
        if bar >= 0 and not cached.is_of_last_session(bar):
            # Until the first bar of a session has closed, the latest closed bar belongs to the session before.
            cached = self._compute_columns(cache_key, until, until, until)
            return cached and _row(need, cached, len(cached.ends) - 1)
        return _row(need, cached, bar) if bar >= 0 else None

    def _span(self, need: FeatureNeed, calendar: str, until: datetime) -> tuple[datetime, datetime, datetime]:
        """Return from when until when features are computed at once, and up to which moment bars are read."""
        if self._whole and need.timeframe != DAY:
            near = self._sessions(until.date() - ENDS_LATE, until.date() + BEGINS_AHEAD, calendar)
            index = bisect_left(near, until, key=attrgetter("open"))
            if index:
                session, following = near[index - 1], near[index:]
                ends = following[0].open if following else max(session.close, until)
                return session.open, ends, max(session.close, until)
        return until - MICROSECOND, until, until

    def _compute_columns(
        self, cache_key: Place, after: datetime, until: datetime, last: datetime
    ) -> _CachedColumns | None:
        need, symbol, calendar, rolls = cache_key
        bars = bars_for(need, self._venue)
        series = self._bars.closed(bars, [symbol], last).get(symbol)
        if not series:
            return None
        sessions = self._sessions(series.start_of(0).date() - ENDS_LATE, last.date() + BEGINS_AHEAD, calendar)
        frame = _anchor_frame(frame_of(series, sessions, rolls), bars.depth - _a_session(need, self._venue))
        return _CachedColumns(after, until, frame, frame.ends, columns(frame, [each.name for each in _of_bars(need)]))


def _anchor_frame(frame: Frame, before: int) -> Frame:
    """Return the bars of the last session and this many before it."""
    opens = int(frame.opens[-1])
    first = len(frame) - 1 if opens == NOWHERE else int(np.searchsorted(frame.starts, opens))
    return frame.part(max(first - before, 0), len(frame))


def _row(need: FeatureNeed, cached: _CachedColumns, bar: int) -> FeatureRow:
    at = datetime.fromtimestamp(int(cached.ends[bar]), UTC)
    return _of(
        _of_bars(need),
        {name: float(column[bar]) for name, column in cached.columns_by_name.items()},
        cached.frame,
        bar,
        at,
    )


def _of(features: Sequence[Feature], values: Mapping[str, float], frame: Frame, bar: int, at: datetime) -> FeatureRow:
    known_values = {name: value for name, value in values.items() if not isnan(value)}
    absent = {each.name: str(absence(each, frame, bar)) for each in features if each.name not in known_values}
    return FeatureRow(at, known_values, absent)


def with_moment(
    need: FeatureNeed, row: FeatureRow, now: datetime, spread: float | None, market: Mapping[str, object]
) -> FeatureRow:
    """Add current features to a row: the quote's spread in ticks, and facts about the whole market."""
    features = [each for each in _features_of(need) if each.of_the_moment]
    frame = _moment(now, spread, ECONOMIC_CALENDAR_KIND.of(market), NEWS_KIND.of(market))
    values = {name: float(column[0]) for name, column in columns(frame, [each.name for each in features]).items()}
    added = _of(features, values, frame, 0, now)
    return FeatureRow(row.at, {**row.values, **added.values}, {**row.absent, **added.absent})


def _moment(
    now: datetime,
    spread: float | None,
    calendar: ReleaseCalendar | None,
    moments_by_category: Mapping[Category, Sequence[datetime]] | None,
) -> Frame:
    """Return a frame of a single bar of zero length, without prices."""
    at, unit, nowhere = int(now.timestamp()), np.ones(1), np.full(1, NOWHERE)
    due = tuple(int(each.timestamp()) for each in calendar.major) if calendar else ()
    stamps = {
        str(each): tuple(int(at.timestamp()) for at in times) for each, times in (moments_by_category or {}).items()
    }
    since = min((times[0] for times in stamps.values() if times), default=at)
    return Frame(
        0,
        np.full(1, at),
        unit,
        unit,
        unit,
        unit,
        unit,
        nowhere,
        nowhere,
        nowhere,
        spread=None if spread is None else np.full(1, spread),
        releases=(ReleaseList(at, due),) if calendar else None,
        news=None if moments_by_category is None else NewsTimes(since, stamps),
    )
