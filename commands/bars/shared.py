"""Code shared by the verbs of `tradebot bars`: their options, the store, and the sessions that bars must match."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from commands.shared.times import MINUTE, stamp, venue_day
from tradebot.adapters.state.state_folder import BARS, BARS_FOLDER
from tradebot.errors import OperatorError, word
from tradebot.model.sentences import SYMBOL_PATTERN

if TYPE_CHECKING:
    from pathlib import Path

    from tradebot.adapters.bars.store import StoredSpan
    from tradebot.app.wiring import App
    from tradebot.auditing.bar_findings import RawBar
    from tradebot.auditing.bars import Odd
    from tradebot.model.bar import Session

TIMEFRAMES = ("1Day", "1Min")
MARGIN = timedelta(days=7)


def timeframes(incomplete: str) -> list[str]:
    return [name for name in TIMEFRAMES if name.startswith(incomplete)]


def zones(incomplete: str) -> list[str]:
    """Complete the name of a time zone."""
    from zoneinfo import available_timezones

    return sorted(name for name in available_timezones() if name.startswith(incomplete))


def timeframe_of(text: str) -> str:
    """Return a timeframe as stored; raise OperatorError for an invalid one."""
    for name in TIMEFRAMES:
        if text.lower() == name.lower():
            return name
    raise OperatorError(
        f"{word(text)} is not a timeframe in which bars are stored",
        f"use {' or '.join(TIMEFRAMES)}; all others are computed from these",
    )


def symbols_of(typed: Sequence[str]) -> tuple[str, ...]:
    """Return symbols as they are stored, without duplicates; raise OperatorError for an invalid one."""
    names = tuple(dict.fromkeys(name.strip().upper() for name in typed))
    for name in names:
        if not re.fullmatch(SYMBOL_PATTERN, name):
            raise OperatorError(f"{word(name)} is not a symbol", "write it as the broker does, such as AAPL or BRK.B")
    return names


def spans_of(app: "App") -> "Sequence[StoredSpan]":
    """Return the stored series; without a store, return none and don't create it."""
    return app.bars.store.spans() if any(_files(app)) else ()


def stored_bytes(app: "App") -> int:
    return sum(path.stat().st_size for path in _files(app))


def _files(app: "App") -> "list[Path]":
    folder = app.folder.path
    files = (folder / BARS, folder / f"{BARS}-wal", *(folder / BARS_FOLDER).rglob("*.parquet"))
    return [path for path in files if path.is_file()]


def now_of(app: "App") -> datetime:
    """Return trading time: the exchange's in the sandbox, this machine's otherwise, without a request to the broker."""
    from tradebot.model.trading import Mode

    return app.now() if app.mode is Mode.SANDBOX else datetime.now(UTC)


def sessions_between(app: "App", first: date, last: date, calendar: str = "") -> "Sequence[Session]":
    """Return a calendar's sessions in a period, and those of a few days around it; by default, the venue's calendar."""
    from tradebot.app.calendar import list_sessions

    days = first - MARGIN, last + MARGIN
    return list_sessions(app.settings.capabilities, *days, calendar) or app.books.sessions(*days, calendar)


def by_calendar(app: "App", symbols: Iterable[str]) -> "Mapping[str, Collection[str]]":
    """Return symbols grouped by the name of their calendar; the name is empty for the venue's own calendar."""
    by_calendar: dict[str, list[str]] = {}
    for symbol in symbols:
        by_calendar.setdefault(_calendar_of(app, symbol), []).append(symbol)
    return by_calendar


def odd_at(app: "App", now: datetime) -> "Odd":
    """Return a function that says why a bar can't belong to a symbol, judging by its prices, its day and the date of
    `now`.

    The function returns an empty text if the bar may belong to the symbol. It always does so at a venue without such a
    check.
    """
    oddity, today = app.driver.oddity, app.day.date_of(now)

    if oddity is None:
        return lambda symbol, bar: ""

    def odd(symbol: str, bar: "RawBar") -> str:
        day = app.day.date_of(datetime.fromtimestamp(bar.start_s, UTC))
        return oddity(symbol, day, (bar.open, bar.high, bar.low, bar.close), today)

    return odd


def _calendar_of(app: "App", symbol: str) -> str:
    try:
        name = app.driver.calendar(symbol)
    except ValueError:
        # It isn't one of the venue's symbols.
        return ""
    return "" if name == app.settings.capabilities.calendar else name


def series_name(timeframe: str, price: str) -> str:
    """Return a timeframe for a table, with the kind of price if the bars aren't built from trades."""
    return timeframe if price == "trade" else f"{timeframe} {price}"


def bar_time(at: datetime | None, timeframe: str) -> str:
    """Return a bar's start for a table; a daily bar's start is its date, in any time zone."""
    if at is None:
        return ""
    return f"{venue_day().date_of(at):%Y-%m-%d}" if timeframe == "1Day" else stamp(at, MINUTE)
