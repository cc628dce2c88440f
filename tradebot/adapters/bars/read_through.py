"""Serve closed bars from the local store, and fetch missing ones.

A bar is closed if it had ended by the requested time; a daily bar is closed once its session has closed. If the data
plan delays bars by 15 minutes, they must be 16 minutes old. If the source lacks a timeframe, its bars are built from
the regular session's minutes, and the last bar ends at the session's close. Nothing is fetched before a strategy needs
bars.

The store records which periods were requested from which source, so that a minute without a trade isn't requested
forever. A gap is requested again until it is 15 minutes old. The newest minute is requested once more, and a day's bar
again in the evening, when its volume is complete. Hourly bars, and daily bars of a market that never closes, are
requested when they have ended and again 15 minutes later, because trades may be reported late. Each feed counts as a
separate source, whose bars replace those of an earlier feed. The series served last stay in memory, and are read again
only if they may have changed.

`RestingBars` fetches nothing and returns the stored bars, which may have changed since an earlier call.

`stored_bars` and `bars_at_rest` serve the bars of a bot's folder.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from tradebot.adapters.bars.series import (
    MINUTE_S,
    REACHES,
    Window,
    adjust_bars,
    adjust_series,
    days_from,
    frame_window,
    missing_span,
    moment,
    price_steps,
    resample,
    series,
    window_of,
)
from tradebot.adapters.bars.store import (
    DAYS,
    DIVIDEND,
    MINUTES,
    STORED_ALWAYS,
    BarSource,
    BarStore,
    CorporateAction,
    DelayedError,
    LostBarsError,
)
from tradebot.adapters.state.state_folder import BARS, BARS_FOLDER
from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import TemporaryError
from tradebot.model.bar import Session
from tradebot.model.series import PriceKind, Series, width_of
from tradebot.model.venue_day import VenueDay
from tradebot.model.view import BarNeed
from tradebot.ports.stores import Events

T = TypeVar("T")
ACTIONS = "actions"
PROCESSED_WITHIN = timedelta(days=180)
"""How long after its ex-date a dividend may be processed, which happens when it is paid."""
CLOSE_WITHIN = timedelta(days=15)
"""How far before an ex-date to look for a close."""
_MOST_TRIES = 3
_MOST_KEPT = 250_000
"""How many bars are cached in memory between requests, at some 50 bytes each."""


class CachedSeries(NamedTuple):
    """The last series returned for a symbol and a `BarNeed`; it is valid while `window` and `version` stay the same."""

    window: tuple[int, int]
    version: object
    series: Series


Place = tuple[str, str, PriceKind]
"""A symbol, a stored timeframe, and a price kind."""


class StoredBars:
    """Serves closed bars. The store is opened, and the source created, at the first request.

    `sessions` returns the venue's sessions between two dates, inclusive, oldest first, and `venue` says when its days
    begin. If the source is `final`, its bars never change once they have ended, so none is requested again.
    """

    def __init__(
        self,
        opens: Callable[[], BarStore],
        finds: Callable[[], BarSource],
        sessions: Callable[[date, date], Sequence[Session]],
        venue: VenueDay,
        *,
        final: bool = False,
    ) -> None:
        self._final = final
        self._opens = opens
        self._venue = venue
        self._finds = finds
        self._sessions = lru_cache(maxsize=16)(sessions)
        self._asked_at: dict[Place, tuple[datetime, int]] = {}
        self._kept: dict[tuple[str, BarNeed], CachedSeries] = {}
        self._kept_bars = 0
        self._complete_at: dict[Place, tuple[tuple[int, int], object]] = {}

    @cached_property
    def store(self) -> BarStore:
        return self._opens()

    @cached_property
    def _source(self) -> BarSource:
        return self._finds()

    def close(self) -> None:
        if "store" in self.__dict__:
            self.store.close()

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Return each symbol's last `need.depth` bars that were complete at `until`, oldest first.

        A symbol may have fewer bars, or be missing, if there aren't enough. Raise TemporaryError if the source doesn't
        answer and the store lacks needed bars.
        """
        return self._retry_once(lambda: self._closed_series(need, list(dict.fromkeys(symbols)), until))

    def between(
        self, timeframe: str, symbols: Sequence[str], first: date, last: date, until: datetime
    ) -> Mapping[str, Series]:
        """Return the adjusted bars of a stored timeframe from `first` to `last` that were complete at `until`.

        A symbol without bars is absent. Missing bars are fetched; raise TemporaryError if the source doesn't answer.
        """
        return self._retry_once(lambda: self._between(timeframe, list(dict.fromkeys(symbols)), first, last, until))

    def closes(self, symbol: str, first: date, last: date) -> Mapping[date, float]:
        """Return the stored adjusted closes from `first` to `last`; nothing is fetched."""
        return {day: bar.close for day, bar in self.daily(symbol, first, last).items()}

    def daily(self, symbol: str, first: date, last: date) -> Mapping[date, RawBar]:
        """Return the stored adjusted daily bars from `first` to `last`; nothing is fetched."""
        end_s = self._venue.begins_s(last + timedelta(days=1)) - 1
        raw = self._retry_once(lambda: self.store.get(symbol, DAYS, self._venue.begins_s(first), end_s))
        steps = self._retry_once(lambda: self.store.actions(symbol))
        return {self._date_of(bar): bar for bar in adjust_bars(raw, steps, end_s)}

    def _date_of(self, bar: RawBar) -> date:
        return self._venue.date_of(moment(bar.start_s))

    def known_until(self, now: datetime) -> datetime:
        """Return the time up to which the source provides bars at `now`; if the source is delayed, it is earlier than
        `now`.
        """
        return now - self._source.delay

    def fetch(
        self,
        timeframe: str,
        symbols: Sequence[str],
        first: date,
        until: datetime,
        heard: Callable[[int], None] = lambda changed: None,
    ) -> int:
        """Fetch missing raw bars of a timeframe: those that start on `first` or later and were complete by `until`.

        Return how many bars were new or changed; `heard` is called with the count after each stored page.
        """
        return self._retry_once(lambda: self._fetch_until(timeframe, list(dict.fromkeys(symbols)), first, until, heard))

    def fetch_actions(self, symbols: Sequence[str], first: date, until: datetime) -> None:
        """Fetch the splits and dividends since a date, unless that was done today."""
        names = list(dict.fromkeys(symbols))
        self._retry_once(lambda: self._ensure_actions(names, first, until - self._source.delay))

    def _retry_once(self, work: Callable[[], T]) -> T:
        """Run `work`, and once more if the store had to start over or the source's delay was just discovered."""
        for _ in range(_MOST_TRIES - 1):
            try:
                return work()
            except (LostBarsError, DelayedError):
                self._asked_at.clear()
                self._forget()
        return work()

    def _fetch_until(
        self, timeframe: str, symbols: Sequence[str], first: date, until: datetime, heard: Callable[[int], None]
    ) -> int:
        closed_until = until - self._source.delay
        if timeframe == DAYS:
            return self._ensure(self._day_window(first, closed_until), symbols, heard)
        window = frame_window(self._sessions(first, self._venue.date_of(closed_until)), closed_until, MINUTES)
        return self._ensure(window, symbols, heard) if window else 0

    def _between(
        self, timeframe: str, symbols: Sequence[str], first: date, last: date, until: datetime
    ) -> dict[str, Series]:
        until_s = until - self._source.delay
        last = min(last, self._venue.date_of(until_s))
        window = self._day_window(first, until_s) if timeframe == DAYS else self._past_minutes(first, last, until_s)
        if window is None:
            return {}
        self._ensure(window, symbols)
        end_s = min(window.end_s, self._venue.begins_s(last + timedelta(days=1))) - 1
        read_series = {symbol: self.store.get(symbol, timeframe, window.first_s, end_s) for symbol in symbols}
        there = {symbol: bars for symbol, bars in read_series.items() if bars}
        whole = self._adjust_for_actions(there, until_s) if there else {}
        return {symbol: series(symbol, timeframe, bars, adjusted=True) for symbol, bars in whole.items()}

    def _past_minutes(self, first: date, last: date, as_of: datetime) -> Window | None:
        window = frame_window(self._sessions(first, last), as_of, MINUTES)
        # It ends in the past, so requests for it don't cover later bars.
        return window and window._replace(until=min(as_of, window.hours[-1].close))

    def _closed_series(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> dict[str, Series]:
        closed_until, native = until - self._source.delay, self._source.timeframes
        by_symbol: dict[str, Series] = {}
        lacking = symbols
        for reach in REACHES:
            window = window_of(need, closed_until, reach, self._sessions, self._venue, native)
            if window is None or not lacking:
                break
            self._ensure(window, lacking)
            by_symbol |= {symbol: self._series(need, symbol, window) for symbol in lacking}
            lacking = [symbol for symbol in lacking if len(by_symbol[symbol]) < need.depth]
        there = {symbol: bars for symbol, bars in by_symbol.items() if bars}
        if not need.adjusted or not there:
            return there
        first = min(self._venue.date_of(bars.start_of(0)) for bars in there.values())
        self._ensure_actions(list(there), first, closed_until)
        until_s = int(closed_until.timestamp())
        return {symbol: adjust_series(bars, self.store.actions(symbol), until_s) for symbol, bars in there.items()}

    def _series(self, need: BarNeed, symbol: str, window: Window) -> Series:
        """Return the unadjusted bars of a window, from memory unless one of them may have changed."""
        span, version = (window.first_s, window.end_s), self.store.version(symbol, window.timeframe, window.price)
        cached_series = self._kept.get((symbol, need))
        if cached_series is not None and (cached_series.window, cached_series.version) == (span, version):
            return cached_series.series
        bars = self._bars(need, symbol, window)
        built = series(symbol, need.timeframe, bars, adjusted=need.adjusted, price=need.price)
        self._keep((symbol, need), CachedSeries(span, version, built))
        return built

    def _keep(self, key: tuple[str, BarNeed], cached_series: CachedSeries) -> None:
        before = self._kept.pop(key, None)
        self._kept_bars += len(cached_series.series) - (len(before.series) if before else 0)
        if self._kept_bars > _MOST_KEPT:
            self._forget()
        else:
            self._kept[key] = cached_series

    def _forget(self) -> None:
        self._kept.clear()
        self._complete_at.clear()
        self._kept_bars = 0

    def _day_window(self, first: date, as_of: datetime) -> Window:
        return days_from(first, as_of, self._sessions, self._venue)

    def _bars(self, need: BarNeed, symbol: str, window: Window) -> Sequence[RawBar]:
        width = width_of(need.timeframe)
        if width is None or window.timeframe != MINUTES:
            return self._stored_bars(symbol, window)[-need.depth :]
        width_s = int(width.total_seconds())
        if need.timeframe == MINUTES:
            # Usually all of the newest minutes are present, and nothing more is read.
            newest = window._replace(first_s=max(window.first_s, window.end_s - need.depth * MINUTE_S))
            minutes = list(resample(self._stored_bars(symbol, newest), window.hours, width_s, window.end_s))
            if len(minutes) >= need.depth:
                return minutes
        return list(resample(self._stored_bars(symbol, window), window.hours, width_s, window.end_s))[-need.depth :]

    def _stored_bars(self, symbol: str, window: Window) -> Sequence[RawBar]:
        return self.store.get(symbol, window.timeframe, window.first_s, window.end_s - 1, window.price)

    def _ensure(
        self, window: Window, symbols: Sequence[str], heard: Callable[[int], None] = lambda changed: None
    ) -> int:
        """Fetch what wasn't requested yet, in one request per missing range, and return the number of changes."""
        window = window._replace(final_s=window.end_s) if self._final else window
        lacking: dict[tuple[int, int], list[str]] = defaultdict(list)
        for symbol in symbols:
            if span := self._lacking(window, symbol):
                lacking[span].append(symbol)
        return sum(self._ask(window, span, group, heard) for span, group in lacking.items())

    def _lacking(self, window: Window, symbol: str) -> tuple[int, int] | None:
        spans = self.store.asked_spans(symbol, window.timeframe, self._source.name, window.price)
        # Bars that may still change aren't recorded as requested, but are requested only once at any one time.
        at, first_s = self._asked_at.get((symbol, window.timeframe, window.price), (None, 0))
        end_s = min(window.end_s, max(first_s, window.first_s)) if at == window.until else window.end_s
        span = missing_span(spans, window.first_s, end_s)
        settled = (
            span is not None and window.waits and span[0] >= window.final_s and self._complete(window, symbol, span)
        )
        return None if settled else span

    def _complete(self, window: Window, symbol: str, span: tuple[int, int]) -> bool:
        """Return True if a range has no missing bar; it is read again only if that may have changed."""
        (first_s, end_s), key = span, (symbol, window.timeframe, window.price)
        version = (span, self.store.version(*key))
        if self._complete_at.get(key) == version:
            return True
        raw_bars = self.store.get(symbol, window.timeframe, first_s, end_s - 1, window.price)
        if len(raw_bars) < window.bars_in(span):
            return False
        self._complete_at[key] = version
        return True

    def _ask(self, window: Window, span: tuple[int, int], symbols: Sequence[str], heard: Callable[[int], None]) -> int:
        (first_s, end_s), name, changed = span, self._source.name, 0
        last = window.last if end_s == window.end_s else moment(end_s)
        for page in self._source.pages(symbols, window.timeframe, moment(first_s), last, window.price):
            new = 0
            for symbol, bars in page.items():
                ended = [bar for bar in bars if first_s <= bar.start_s < end_s]
                new += self.store.put(symbol, window.timeframe, ended, name, window.price)
            heard(new)
            changed += new
        for symbol in symbols:
            final_s = min(end_s, self._final_s(window, symbol))
            if first_s < final_s and symbol not in self._source.refused_symbols:
                self.store.put_asked(symbol, window.timeframe, name, first_s, final_s - 1, window.price)
            if end_s == window.end_s:
                self._asked_at[symbol, window.timeframe, window.price] = (window.until, first_s)
        return changed

    def _final_s(self, window: Window, symbol: str) -> int:
        """Return the time in seconds from which bars may still change: the newest minute, or the first gap."""
        if window.timeframe != MINUTES or window.final_s == window.end_s:
            return window.final_s
        complete = self._complete(window, symbol, (window.final_s, window.end_s))
        return max(window.final_s, window.end_s - MINUTE_S) if complete else window.final_s

    def _adjust_for_actions(self, raw: Mapping[str, Sequence[RawBar]], as_of: datetime) -> dict[str, Sequence[RawBar]]:
        first = min(self._date_of(bars[0]) for bars in raw.values())
        self._ensure_actions(list(raw), first, as_of)
        until_s = int(as_of.timestamp())
        return {symbol: adjust_bars(bars, self.store.actions(symbol), until_s) for symbol, bars in raw.items()}

    def _ensure_actions(self, symbols: Sequence[str], first: date, as_of: datetime) -> None:
        """Request all actions since the earliest bar once a day, because some are announced late."""
        date_of, begins_s = self._venue.date_of, self._venue.begins_s
        name, end_s = self._source.name, begins_s(date_of(as_of) + timedelta(days=1))
        spans_by_symbol = {symbol: self.store.asked_spans(symbol, ACTIONS, name) for symbol in symbols}
        stale = [symbol for symbol in symbols if missing_span(spans_by_symbol[symbol], begins_s(first), end_s)]
        if not stale:
            return
        spans = [span for symbol in stale for span in spans_by_symbol[symbol]]
        first_s = min([begins_s(first), *(start for start, _ in spans)])
        last_s = max([end_s - 1, *(last for _, last in spans)])
        actions = self._source.actions(stale, date_of(moment(first_s)), date_of(moment(last_s)) + PROCESSED_WITHIN)
        in_force = {s: [each for each in actions[s] if begins_s(each.ex_date) <= last_s] for s in stale}
        self._ensure_closes(in_force, as_of)
        for symbol, of_symbol in in_force.items():
            days = self.store.get(symbol, DAYS, first_s - int(CLOSE_WITHIN.total_seconds()), last_s)
            self.store.put_actions(symbol, price_steps(of_symbol, days, self._venue))
            self.store.put_asked(symbol, ACTIONS, name, first_s, last_s)

    def _ensure_closes(self, actions: Mapping[str, Sequence[CorporateAction]], as_of: datetime) -> None:
        """Fetch the daily bars before dividends, because their factors need the close before the ex-date."""
        paying = {s: [each.ex_date for each in of if each.kind == DIVIDEND] for s, of in actions.items()}
        firsts = [min(dates) for dates in paying.values() if dates]
        if firsts:
            window = self._day_window(min(firsts) - CLOSE_WITHIN, as_of)
            self._ensure(window, [symbol for symbol, dates in paying.items() if dates])


class RestingBars(StoredBars):
    """Serves closed bars from the store alone, and fetches nothing."""

    def __init__(
        self, opens: Callable[[], BarStore], sessions: Callable[[date, date], Sequence[Session]], venue: VenueDay
    ) -> None:
        super().__init__(opens, self._nowhere, sessions, venue)

    @cached_property
    def _source(self) -> BarSource:
        # Until Python 3.12, computing a cached property locks all objects of the class, including those that query a
        # venue.
        return self._finds()

    def _nowhere(self) -> BarSource:
        return _Nowhere(STORED_ALWAYS | {span.timeframe for span in self.store.spans()})

    def _ensure(
        self, window: Window, symbols: Sequence[str], heard: Callable[[int], None] = lambda changed: None
    ) -> int:
        return 0

    def _ensure_actions(self, symbols: Sequence[str], first: date, as_of: datetime) -> None:
        pass


class _Nowhere:
    """A source without bars, with the timeframes that another source has stored."""

    name, delay, refused_symbols = "", timedelta(0), frozenset[str]()

    def __init__(self, timeframes: frozenset[str]) -> None:
        self.timeframes = timeframes

    def pages(
        self,
        symbols: Sequence[str],
        timeframe: str,
        first: datetime,
        last: datetime,
        price: PriceKind = PriceKind.TRADE,
    ) -> Iterator[Mapping[str, Sequence[RawBar]]]:
        """Raise TemporaryError, because nothing is fetched."""
        raise _lacking()

    def actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        """Raise TemporaryError, because nothing is fetched."""
        raise _lacking()


def _lacking() -> TemporaryError:
    return TemporaryError("these bars aren't stored", "tradebot bars fetch")


def bars_at_rest(
    folder: Path, events: Events, sessions: Callable[[date, date], Sequence[Session]], day: VenueDay
) -> StoredBars | None:
    """Return a bot's stored bars, without a source for fetching more; None if the bot never stored any."""
    is_stored = (folder / BARS).exists() or (folder / BARS_FOLDER).exists()
    return RestingBars(_store_of(folder, events), sessions, day) if is_stored else None


def stored_bars(
    folder: Path,
    events: Events,
    source: Callable[[], BarSource],
    sessions: Callable[[date, date], Sequence[Session]],
    day: VenueDay,
) -> StoredBars:
    """Return a bot's closed bars. The store is opened, and the source used, only when bars are first needed."""
    return StoredBars(_store_of(folder, events), source, sessions, day)


def _store_of(folder: Path, events: Events) -> Callable[[], BarStore]:
    def store() -> BarStore:
        from tradebot.adapters.bars.parquet import open_bars

        return open_bars(folder, events, datetime.now(UTC))

    return store
