"""Handle requests for historical bars: minutes to hours, and days; a holiday's session belongs to the next day."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from papervenue.engine.engine import Engine
from papervenue.faces.tws.contracts import ZONE, Contracts
from papervenue.faces.tws.wire import TwsMessage
from papervenue.market.bars import Bar
from papervenue.market.hours import CHICAGO, trade_date
from papervenue.market.venue import Grid
from papervenue.times import DAY, MINUTE, SECOND, from_datetime, to_datetime

BARS, UPDATE = 17, 90
SIZES: Mapping[str, int] = MappingProxyType(
    {
        "1 min": 1,
        "2 mins": 2,
        "3 mins": 3,
        "5 mins": 5,
        "10 mins": 10,
        "15 mins": 15,
        "20 mins": 20,
        "30 mins": 30,
        "1 hour": 60,
        "2 hours": 120,
        "4 hours": 240,
        "1 day": 0,
    }
)
"""The minutes of each size of bars; 0 is a day."""
_DURATION = re.compile(r"(\d{1,5}) ([SDWMY])")
_SPANS = {"S": SECOND, "D": DAY, "W": 7 * DAY, "M": 30 * DAY, "Y": 365 * DAY}
_END = re.compile(r"(\d{8})[ -](\d\d:\d\d:\d\d)(?: (.+))?")


class HistoryError(ValueError):
    """Raised for a request that can't be served, with the venue's message."""


class TwsHistory:
    """Builds bars of any size from the market's minutes and days."""

    def __init__(self, engine: Engine, contracts: Contracts) -> None:
        self._engine = engine
        self._contracts = contracts

    def answer(self, request: str, symbol: str, fields: Mapping[str, str]) -> TwsMessage:
        """Return the bars of a contract; raise HistoryError if it has none or the request is invalid."""
        end_us = min(_end(fields["end"]) or self._engine.now_us, self._engine.now_us)
        size = SIZES.get(fields["size"])
        if size is None:
            raise HistoryError(f"invalid bar size {fields['size']!r}")
        length = _DURATION.fullmatch(fields["duration"])
        if length is None:
            raise HistoryError(f"invalid duration {fields['duration']!r}")
        number, unit = int(length[1]), length[2]
        bars = self._days(symbol, end_us) if size == 0 else None
        if bars is None:
            bars = self._minutes(symbol, self._start(symbol, end_us, number, unit), end_us, size)
        elif unit == "D":
            bars = bars[-number:]
        else:
            bars = [bar for bar in bars if bar.start_us >= end_us - number * _SPANS[unit]]
        if not bars:
            raise HistoryError("HMDS query returned no data")
        shown = [self.row(symbol, bar, size, fields["format"]) for bar in bars]
        start, end = _chicago_text(bars[0].start_us), _chicago_text(end_us)
        return TwsMessage(BARS, {"reqId": request, "start": start, "end": end, "count": len(shown), "bars": shown})

    def row(self, symbol: str, bar: Bar, size: int, dates: str) -> dict[str, Any]:
        """Return a bar as a row of the message."""
        grid = self._engine.market.grids[symbol]
        if size == 0:
            calendar = self._engine.market.calendars[symbol]
            when = self._date_of(symbol, calendar.position_of(calendar.trading(bar.start_us).date)).replace("-", "")
        else:
            when = str(bar.start_us // SECOND) if dates == "2" else _chicago_text(bar.start_us)
        prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
        row: dict[str, Any] = {"date": when, **{name: grid.usd(units) for name, units in prices.items()}}
        return {**row, "volume": bar.volume, "average": _middle(grid, bar), "barCount": max(bar.volume // 3, 1)}

    def latest(self, symbol: str, size: int) -> Bar | None:
        """Return the unfinished bar of a size, built from the minutes that are complete."""
        now_us = self._engine.now_us
        bars = self._minutes(symbol, (now_us - 1) // (size * MINUTE) * size * MINUTE, now_us, size)
        return bars[-1] if bars else None

    def _start(self, symbol: str, end_us: int, number: int, unit: str) -> int:
        """Return when a span of time begins; days are sessions, of which the last one may be unfinished."""
        if unit != "D":
            return end_us - number * _SPANS[unit]
        begun = [session for session in self._engine.market.calendars[symbol].played if session.open_us < end_us]
        return begun[-min(number, len(begun))].open_us if begun else end_us

    def _minutes(self, symbol: str, from_us: int, to_us: int, size: int) -> list[Bar]:
        market = self._engine.market
        calendar = market.calendars[symbol]
        bars: dict[int, Bar] = {}
        for position, session in enumerate(calendar.played):
            index = position - calendar.first
            if session.close_us <= from_us or session.open_us >= to_us or index < -market.past_minutes:
                continue
            for bar in market.day(symbol, index).bars:
                if from_us <= bar.start_us and bar.end_us <= to_us:
                    start_us = bar.start_us // (size * MINUTE) * size * MINUTE
                    bars[start_us] = _join_bars(bars.get(start_us), bar._replace(start_us=start_us))
        return [bars[start_us] for start_us in sorted(bars)]

    def _days(self, symbol: str, end_us: int) -> list[Bar]:
        """Return the daily bars up to a moment by trade date; the last one may be unfinished."""
        market = self._engine.market
        calendar, last_us = market.calendars[symbol], market.grids[symbol].last_us
        bars: dict[str, Bar] = {}
        for position, session in enumerate(calendar.played):
            index = position - calendar.first
            if session.open_us >= end_us or (last_us is not None and session.open_us >= last_us):
                break
            if index < 0:
                bar = market.history_day(symbol, -index)
            else:
                bar = market.day(symbol, index).until(end_us, session.open_us)
            if bar is not None:
                day = self._date_of(symbol, position)
                bars[day] = _join_bars(bars.get(day), bar)
        return [*bars.values()]

    def _date_of(self, symbol: str, index: int) -> str:
        sessions = self._engine.market.calendars[symbol].all
        return trade_date(sessions[index], sessions[index + 1])


def _join_bars(before: Bar | None, bar: Bar) -> Bar:
    if before is None:
        return bar
    high, low = max(before.high, bar.high), min(before.low, bar.low)
    return Bar(before.start_us, before.open, high, low, bar.close, before.volume + bar.volume)


def _middle(grid: Grid, bar: Bar) -> Decimal:
    return grid.usd((bar.high + bar.low + 2 * bar.close) // 4)


def _end(text: str) -> int | None:
    """Return the requested end of the bars, or None for now."""
    if not text:
        return None
    match = _END.fullmatch(text)
    try:
        if match is None:
            raise ValueError(text)
        zone = ZoneInfo(match[3]) if match[3] else CHICAGO if " " in text else ZoneInfo("UTC")
        return from_datetime(datetime.strptime(match[1] + match[2], "%Y%m%d%H:%M:%S").replace(tzinfo=zone))
    except (ValueError, KeyError) as error:
        raise HistoryError(f"invalid end {text!r}") from error


def _chicago_text(us: int) -> str:
    return f"{to_datetime(us).astimezone(CHICAGO):%Y%m%d %H:%M:%S} {ZONE}"
