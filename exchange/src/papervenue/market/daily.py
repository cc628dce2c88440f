"""Play daily bars: each session has two minute bars, built from the day's bar on request.

The first minute is the session's open: all its prices are the day's open, and it has a twentieth of the day's volume.
The last minute is everything else: it goes from the day's open to its close, with the day's high and low. So an order
sent after the open sees the open as the last price, and can fill only at the day's later prices. With `day_prices`
"close", the first minute is the whole day. A decision five minutes after the open then sees the session's close and
fills at it. This looks ahead by a day, in order to reproduce studies that rank by a close and fill at the same close.

Days before the market's first session are its history. A dividend is paid on its ex-date, because files of daily bars
don't contain the payment date.
"""

from __future__ import annotations

import json
import os
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from papervenue.market.action_sources import actions_file_for, date_action, read_actions
from papervenue.market.actions import DIVIDEND, FORWARD_SPLIT, REVERSE_SPLIT, Action
from papervenue.market.bars import Bar
from papervenue.market.daily_file import (
    DailyAction,
    Rebuilt,
    Rows,
    Segment,
    daily_dates,
    on_ticks,
    read_daily,
    rebuild,
    to_exact_units,
)
from papervenue.market.recorded import symbols_to_play
from papervenue.market.sessions import Calendar
from papervenue.market.spec import AS_FOUND, NEW_EXCHANGE, DayPrices, MarketError, MarketSpec, Reading
from papervenue.private_files import open_own
from papervenue.times import MINUTE

_AT_THE_OPEN = 20
"""One in this many shares of a day trades in its first minute; opening auctions have a few percent."""


class Days(NamedTuple):
    """One symbol's daily bars, oldest first, as plain arrays: prices in units of 0.0001 USD, volume in shares.

    `places` has each session's index among all sessions of the calendar.
    """

    places: array[int]
    open: array[int]
    high: array[int]
    low: array[int]
    close: array[int]
    volume: array[int]

    def row(self, index: int) -> int | None:
        """Return the row of a session, or None if the symbol has no bar in it."""
        places = self.places
        # Almost every symbol has a bar in every session from its first on.
        guess = index - places[0] if places else -1
        if not 0 <= guess < len(places) or places[guess] != index:
            guess = bisect_left(places, index)
        return guess if guess < len(places) and places[guess] == index else None


class ImportedDays(NamedTuple):
    """What a file contains for a market: bars by symbol, corporate actions, and the skipped rows by reason.

    `first_lines` gives the CSV line or Parquet row where each reason first occurred.
    """

    days: Mapping[str, Days]
    actions: tuple[Action, ...]
    symbols: tuple[str, ...]
    skipped: dict[str, int]
    first_lines: dict[str, int]


def daily_span(path: Path, start: date | None, reading: Reading = AS_FOUND) -> tuple[date, int]:
    """Return the first session to play, and how many sessions a file of daily bars has from that date on.

    Raises MarketError if the file has none.
    """
    dates, skipped = daily_dates(path, reading)
    first = bisect_left(dates, start.isoformat()) if start is not None else 0
    if first == len(dates):
        after = f" from {start} on" if start is not None and dates else ""
        raise MarketError(f"{path}: no usable bar{after}{skipped.describe()}", "choose another --start or file")
    return date.fromisoformat(dates[first]), len(dates) - first


def read_days(spec: MarketSpec, calendar: Calendar) -> ImportedDays:
    """Read the bars and corporate actions of a daily market; raise MarketError if the file has none for it."""
    assert spec.path is not None, "daily bars come from a file"
    path = Path(spec.path)
    daily = read_daily(path, frozenset(spec.symbols), spec.reading)
    days, actions, raw = {}, [], spec.prices == "raw"
    for symbol, rows in daily.rows.items():
        as_it_is = Rebuilt([Segment(0, len(rows.dates), 1.0, 1.0)], [])
        rebuilt = rebuild(rows.dates, rows.close, rows.events) if raw else as_it_is
        days[symbol] = _days(rows, rebuilt, calendar, on_grid=raw)
        actions += [action for event in reversed(rebuilt.happened) for action in _actions(event, symbol, calendar)]
    last = calendar.first + len(calendar.market)
    heard = {symbol for symbol, name in days.items() if name.places and calendar.first <= name.places[-1] < last}
    symbols = symbols_to_play(spec, calendar, heard, daily.skipped)
    if not daily.tells_actions and raw and actions_file_for(path).is_file():
        actions = read_actions(actions_file_for(path), calendar, symbols, history=True)
    relevant = tuple(action for action in actions if action.symbol in set(symbols))
    return ImportedDays(
        {symbol: days[symbol] for symbol in symbols}, relevant, symbols, dict(daily.skipped.counts), daily.skipped.first
    )


def _days(rows: Rows, rebuilt: Rebuilt, calendar: Calendar, *, on_grid: bool) -> Days:
    final = calendar.first + len(calendar.market)
    places = {session.date: index for index, session in enumerate(calendar.all[:final])}
    first = bisect_left(rows.dates, calendar.all[0].date)
    end = bisect_left(rows.dates, calendar.all[final].date) if final < len(calendar.all) else len(rows.dates)
    days = Days(array("i", [places[day] for day in rows.dates[first:end]]), *(array("q") for _ in range(5)))
    for segment in reversed(rebuilt.segments):
        low, high = max(segment.first, first), min(segment.end, end)
        if low >= high:
            continue
        for name in ("open", "high", "low", "close"):
            prices = getattr(rows, name)[low:high]
            getattr(days, name).extend(on_ticks(prices, segment.price) if on_grid else to_exact_units(prices))
        days.volume.extend([int(shares / segment.shares + 0.5) for shares in rows.volume[low:high]])
    return days


def _actions(event: DailyAction, symbol: str, calendar: Calendar) -> Iterator[Action]:
    """Yield the corporate actions of an event within a calendar's sessions; their bars show them already."""
    first, last = calendar.all[0].date, calendar.market[-1].date
    if not first <= event.date <= last:
        return
    if event.rate:
        yield date_action(calendar, DIVIDEND, symbol, event.date)._replace(
            rate=event.rate, payable_date=event.date, in_bars=True
        )
    if event.ratio != 1:
        kind = FORWARD_SPLIT if event.ratio > 1 else REVERSE_SPLIT
        yield date_action(calendar, kind, symbol, event.date)._replace(
            new_rate=Decimal(event.ratio.numerator), old_rate=Decimal(event.ratio.denominator), in_bars=True
        )


def keep_days(path: Path, days: Mapping[str, Days]) -> None:
    """Write the bars into the state folder, so that a restart needs neither the source nor the data extra."""
    own = open_own(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with os.fdopen(own, "w", encoding="utf-8") as file:
        for symbol, columns in sorted(days.items()):
            file.write(json.dumps([symbol, *(column.tolist() for column in columns)], separators=(",", ":")) + "\n")


def kept_days(path: Path) -> dict[str, Days]:
    """Read the file written by `keep_days`; raise MarketError if it is missing or damaged."""
    try:
        with path.open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        return {
            symbol: Days(array("i", places), *(array("q", column) for column in columns))
            for symbol, places, *columns in rows
        }
    except (OSError, ValueError, TypeError) as error:
        raise MarketError(f"{path} is damaged: {error}", f"restore it, or {NEW_EXCHANGE}") from error


class DailyBars:
    """A bar source over daily bars in memory; minute bars are built on request."""

    past_minutes = 0

    def __init__(self, days: Mapping[str, Days], calendar: Calendar, day_prices: DayPrices) -> None:
        self._days = days
        self._calendar = calendar
        self.past_days = calendar.first
        self._whole_day_first = day_prices == "close"
        self.known_after_us = MINUTE if self._whole_day_first else None
        """How long after its open a session's daily bar is known; None: at its close."""

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        day_row = self._find_row(symbol, self._calendar.first + index)
        if day_row is None:
            return ()
        days, row = day_row
        session, opening, volume = self._calendar.market[index], days.open[row], days.volume[row]
        prices = (opening, days.high[row], days.low[row], days.close[row])
        if self._whole_day_first:
            return (Bar(session.open_us, *prices, volume),)
        early = volume // _AT_THE_OPEN
        return (
            Bar(session.open_us, opening, opening, opening, opening, early),
            Bar(session.close_us - MINUTE, *prices, volume - early),
        )

    def count(self, index: int) -> int:
        """Return how many symbols have a bar in a session of the market."""
        return self._counts[self._calendar.first + index]

    @cached_property
    def _counts(self) -> Counter[int]:
        return Counter(chain.from_iterable(days.places for days in self._days.values()))

    def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return no bars: daily bars cover only the regular session."""
        return ()

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        days = self._find_row(symbol, self._calendar.first - sessions_before)
        return None if days is None else days[0].close[days[1]]

    def history_day(self, symbol: str, sessions_before: int) -> Bar | None:
        position = self._calendar.first - sessions_before
        day_row = self._find_row(symbol, position)
        if day_row is None:
            return None
        days, row = day_row
        opens_us = self._calendar.all[position].open_us
        return Bar(opens_us, days.open[row], days.high[row], days.low[row], days.close[row], days.volume[row])

    def liquid(self, symbol: str) -> bool:
        """Return True: every symbol can be sold short and traded in fractions."""
        return True

    def days(self, symbol: str) -> Days | None:
        """Return all daily bars of a symbol at once, or None if it has none."""
        return self._days.get(symbol)

    def _find_row(self, symbol: str, index: int) -> tuple[Days, int] | None:
        days = self._days.get(symbol)
        row = days.row(index) if days is not None else None
        return None if days is None or row is None else (days, row)
