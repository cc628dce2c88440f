"""Build series from raw bars: select closed bars, merge minutes, and adjust for splits and dividends.

Nothing here does I/O or looks ahead: a series has only bars that had ended and actions that were in force. Adjusted
bars are raw bars times the factors of splits and dividends, as CRSP defines them; there is no adjustment for spin-offs.
Actions for the whole period are fetched once a day, because some are announced late.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from math import ceil
from typing import NamedTuple

from tradebot.adapters.bars.store import DAYS, DIVIDEND, MINUTES, SPLIT, STORED_ALWAYS, CorporateAction, PriceStep
from tradebot.auditing.bar_findings import RawBar
from tradebot.model.bar import Session
from tradebot.model.series import PriceKind, Series, width_of
from tradebot.model.venue_day import VenueDay
from tradebot.model.view import BarNeed
from tradebot.timetable.sessions import BEGINS_AHEAD


def resample(minutes: Sequence[RawBar], hours: Sequence[Session], width_s: int, end_s: int) -> Iterator[RawBar]:
    """Yield bars of `width_s` that have ended by `end_s`, from the minutes of regular sessions, oldest first.

    Each session's first bar starts at its open, and its last one ends at its close. A bar without a trade is absent.
    """
    opens, closes = (
        [int(at.timestamp()) for at in ends] for ends in zip(*((s.open, s.close) for s in hours), strict=True)
    )

    def start_of(minute: RawBar) -> int | None:
        index = bisect_right(opens, minute.start_s) - 1
        if index < 0 or minute.start_s >= closes[index]:
            return None
        start_s = minute.start_s - (minute.start_s - opens[index]) % width_s
        return start_s if min(start_s + width_s, closes[index]) <= end_s else None

    for start_s, group in groupby(minutes, start_of):
        if start_s is not None:
            parts = list(group)
            is_whole = len(parts) == 1 and parts[0].start_s == start_s
            yield parts[0] if is_whole else _one(start_s, parts)


def _one(start_s: int, parts: Sequence[RawBar]) -> RawBar:
    return RawBar(
        start_s,
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        sum(part.volume for part in parts),
    )


def price_steps(actions: Iterable[CorporateAction], days: Sequence[RawBar], venue: VenueDay) -> list[PriceStep]:
    """Compute the factors of splits and dividends from raw daily bars that start before each ex-date.

    A split's factor is old shares / new shares; a dividend's is (close before - dividend) / close before, as CRSP and
    data vendors define it. A dividend is left out unless the close before its ex-date is higher than the dividend.
    """
    starts, steps = [day.start_s for day in days], []
    for action in sorted(actions):
        at_s = venue.begins_s(action.ex_date)
        if action.kind == SPLIT:
            steps.append(PriceStep(at_s, SPLIT, 1 / action.amount, action.amount))
            continue
        index = bisect_right(starts, at_s - 1) - 1
        if index >= 0 and action.amount < days[index].close:
            steps.append(PriceStep(at_s, DIVIDEND, 1 - action.amount / days[index].close, 1.0))
    return steps


def adjust_bars(bars: Sequence[RawBar], steps: Sequence[PriceStep], until_s: int) -> list[RawBar]:
    """Return bars adjusted by all splits and dividends in `steps` that took effect after a bar's start and by
    `until_s`.
    """
    steps = [step for step in steps if step.at_s <= until_s]
    moments = [step.at_s for step in steps]
    factors = [(1.0, 1.0)]
    for step in reversed(steps):
        price, volume = factors[-1]
        factors.append((price * step.price, volume * step.volume))
    factors.reverse()
    return [_times(bar, *factors[bisect_right(moments, bar.start_s)]) for bar in bars]


def _times(bar: RawBar, price: float, volume: float) -> RawBar:
    start_s, opening, high, low, close, shares = bar
    return RawBar(start_s, opening * price, high * price, low * price, close * price, shares * volume)


def series(
    symbol: str, timeframe: str, bars: Sequence[RawBar], *, adjusted: bool, price: PriceKind = PriceKind.TRADE
) -> Series:
    starts, *columns = zip(*bars, strict=True) if bars else ((),) * 6
    opening, high, low, close, volume = (array("d", column) for column in columns)
    return Series(symbol, timeframe, adjusted, array("q", starts), opening, high, low, close, volume, price)


def adjust_series(of: Series, steps: Sequence[PriceStep], until_s: int) -> Series:
    """Return a series adjusted by all splits and dividends in `steps` that took effect after a bar's start and by
    `until_s`; the same series if there are none.
    """
    if not any(of.starts[0] < step.at_s <= until_s for step in steps):
        return of
    columns = (of.starts, of.open, of.high, of.low, of.close, of.volume)
    bars = adjust_bars(list(map(RawBar._make, zip(*columns, strict=True))), steps, until_s)
    return series(of.symbol, of.timeframe, bars, adjusted=True, price=of.price)


MINUTE_S, DAY_S = 60, 86_400

LATE_S = 900

"""A missing minute is requested again until it is this old, because trades may be reported late."""

DAY_GROWS = timedelta(hours=4, minutes=15)

"""How long after a session's close its daily bar still gains volume from trading after hours."""

REACHES = (1, 2, 4)

"""How much farther back to look for bars of symbols that don't trade in every minute."""

_MARGIN = timedelta(days=10)

_DAYS_A_SESSION = 1.5

Sessions = Callable[[date, date], Sequence[Session]]

"""Returns the exchange's sessions between two dates, inclusive, oldest first."""


class Window(NamedTuple):
    """A range of closed bars of a stored timeframe: from `first_s` to before `end_s`, in seconds since 1970 UTC.

    Bars that start before `final_s` no longer change. `last` is the end of the newest bar that had ended by `until`.
    `hours` are the regular sessions that the bars lie in; each bar is `width_s` long, but a daily bar lasts as long as
    its session. If `waits` is set, stored bars that may still change are requested again only once they are final.
    """

    timeframe: str
    first_s: int
    end_s: int
    final_s: int
    last: datetime
    until: datetime
    hours: Sequence[Session] = ()
    width_s: int = DAY_S
    waits: bool = False
    price: PriceKind = PriceKind.TRADE

    def bars_in(self, span: tuple[int, int]) -> int:
        """Return how many bars fit into a half-open range of seconds; time before the newest session's open doesn't
        count.
        """
        first_s, end_s = span
        if self.hours:
            first_s = max(first_s, _seconds(self.hours[-1].open))
        return ceil((end_s - first_s) / self.width_s)


def window_of(
    need: BarNeed,
    as_of: datetime,
    reach: int,
    sessions: Sessions,
    venue: VenueDay,
    native: frozenset[str] = STORED_ALWAYS,
) -> Window | None:
    """Return a window long enough for `reach` times the needed bars; None if no session has begun.

    The window may contain fewer bars, because a minute without a trade has no bar. It consists of minute bars, unless
    the timeframe is one of the `native` ones, which the source provides.
    """
    depth, width, today = need.depth * reach, width_of(need.timeframe), venue.date_of(as_of)
    day = timedelta(1 if venue.never_ends else _DAYS_A_SESSION)
    if width is None:
        return days_from(today - depth * day - _MARGIN, as_of, sessions, venue)._replace(price=need.price)
    count = ceil(depth / ceil(venue.lasts / width))
    last = today + BEGINS_AHEAD if venue.crosses_midnight else today
    hours = sessions(today - count * day - _MARGIN, last)
    begun = [session for session in hours if session.open < as_of]
    # The newest session may have just begun, so one more is needed.
    window = frame_window(begun[-count - 1 :], as_of, need.timeframe if need.timeframe in native else MINUTES)
    return window and window._replace(price=need.price)


def days_from(first: date, as_of: datetime, sessions: Sessions, venue: VenueDay) -> Window:
    today = sessions(venue.date_of(as_of), venue.date_of(as_of))
    return day_window(first, as_of, today[-1] if today else None, venue)


def day_window(first: date, until: datetime, session: Session | None, venue: VenueDay) -> Window:
    """Return the window of daily bars since a date; `session` is the session on the day of `until`, if any."""
    today, first_s = venue.date_of(until), venue.begins_s(first)
    today_s, yesterday_s = venue.begins_s(today), venue.begins_s(today - timedelta(days=1))
    if session is None or session.close > until:
        # Without a close, a day's last trades may be reported on the next day.
        late = venue.never_ends and until < moment(today_s + LATE_S)
        final_s = yesterday_s if late else today_s
        return Window(DAYS, first_s, today_s, final_s, moment(yesterday_s), until, waits=venue.never_ends)
    end_s, grows = venue.begins_s(today + timedelta(days=1)), until < session.close + DAY_GROWS
    return Window(DAYS, first_s, end_s, today_s if grows else end_s, session.close, until)


def frame_window(hours: Sequence[Session], until: datetime, timeframe: str) -> Window | None:
    """Return the window of intraday bars in these sessions, oldest first; None if no bar had ended by `until`.

    Each session's first bar starts at its open, and its last one ends at its close.
    """
    width = width_of(timeframe)
    assert width is not None, "only intraday bars can divide a session"
    width_s, until_s = int(width.total_seconds()), _seconds(until)
    begun = [session for session in hours if _ended_s(session, until_s, width_s) > _seconds(session.open)]
    if not begun:
        return None
    first, last = begun[0], begun[-1]
    end_s = _ended_s(last, until_s, width_s)
    final_s = max(_ended_s(last, until_s - LATE_S, width_s), _seconds(last.open))
    waits = timeframe != MINUTES
    return Window(timeframe, _seconds(first.open), end_s, final_s, moment(end_s), until, begun, width_s, waits)


def _ended_s(session: Session, until_s: int, width_s: int) -> int:
    """Return when a session's newest bar ended by `until_s`; a time up to the open means that none had."""
    open_s, close_s = _seconds(session.open), _seconds(session.close)
    return close_s if until_s >= close_s else open_s + (until_s - open_s) // width_s * width_s


def missing_span(covered: Sequence[tuple[int, int]], first_s: int, end_s: int) -> tuple[int, int] | None:
    """Return the shortest range that contains every uncovered moment, as start and exclusive end; None if nothing is
    missing.

    `covered` has ranges with inclusive ends, oldest first, that neither overlap nor touch.
    """
    for start, last in covered:
        if start <= first_s <= last:
            first_s = last + 1
            break
    for start, last in covered:
        if start < end_s <= last + 1:
            end_s = start
            break
    return (first_s, end_s) if first_s < end_s else None


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def moment(second: int) -> datetime:
    """Convert seconds since 1970 to a datetime in UTC."""
    return datetime.fromtimestamp(second, UTC)
