"""Handle requests for historical bars, from seconds to days; a holiday's session belongs to the next day.

The market only has minutes. Within a minute, the price is assumed to move in straight lines from the open to one
extreme, to the other, and to the close. So the seconds of a minute always add up to its bar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
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

BARS, HEAD, UPDATE = 17, 88, 90
SIZES: Mapping[str, int] = MappingProxyType(
    {
        "1 secs": 1,
        "5 secs": 5,
        "10 secs": 10,
        "15 secs": 15,
        "30 secs": 30,
        "1 min": 60,
        "2 mins": 120,
        "3 mins": 180,
        "5 mins": 300,
        "10 mins": 600,
        "15 mins": 900,
        "20 mins": 1200,
        "30 mins": 1800,
        "1 hour": 3600,
        "2 hours": 7200,
        "3 hours": 10800,
        "4 hours": 14400,
        "8 hours": 28800,
        "1 day": 0,
    }
)
"""The seconds of each size of bars; 0 is a day."""
_LONGEST_S: Mapping[int, int] = MappingProxyType({1: 2_000, 5: 10_800, 10: 14_400, 15: 14_400, 30: 28_800})
"""The longest span, in seconds, that bars of less than a minute may be requested for."""
TRADES, MIDPOINT = "TRADES", "MIDPOINT"
_OF_QUOTES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {"BID": (0, 0, 0, 0), "ASK": (1, 1, 1, 1), "BID_ASK": (0, 1, 0, 1)}
)
"""Whether a bar of quotes shows the bid (0) or the ask (1) as its open, high, low and close."""
SHOWN = frozenset({TRADES, MIDPOINT, *_OF_QUOTES})
"""The kinds of prices that bars can show."""
_CORNER_S, _SECONDS = 20, 60
"""How many seconds the price takes from each corner of a minute to the next, and how many a minute has."""
_DURATION = re.compile(r"(\d{1,5}) ([SDWMY])")
_UNBOUNDED_S = 10**9
_SPANS = {"S": SECOND, "D": DAY, "W": 7 * DAY, "M": 30 * DAY, "Y": 365 * DAY}
_END = re.compile(r"(\d{8})[ -](\d\d:\d\d:\d\d)(?: (.+))?")


class HistoryError(ValueError):
    """Raised for a request that can't be served; its text is the venue's message."""


class TwsHistory:
    """Builds bars of any size from the market's minutes and days."""

    def __init__(self, engine: Engine, contracts: Contracts) -> None:
        self._engine = engine
        self._contracts = contracts

    def answer(self, request: str, symbol: str, fields: Mapping[str, str], *, continuous: bool = False) -> TwsMessage:
        """Return the bars of a contract or, if `continuous`, of the future whose front month it is.

        Raises HistoryError if there are no bars, or if the request is invalid.
        """
        end_us = min(_end(fields["end"]) or self._engine.now_us, self._engine.now_us)
        size = SIZES.get(fields["size"])
        if size is None:
            raise HistoryError(f"invalid bar size {fields['size']!r}")
        length = _DURATION.fullmatch(fields["duration"])
        if length is None:
            raise HistoryError(f"invalid duration {fields['duration']!r}")
        number, unit = int(length[1]), length[2]
        if number * _SPANS[unit] > _LONGEST_S.get(size, _UNBOUNDED_S) * SECOND:
            raise HistoryError("Time length exceed max.")
        months = self._contracts.months_in_turn(symbol) if continuous else [(symbol, 0, end_us)]
        bars = [
            bar
            for month, from_us, until_us in months
            for bar in self._bars(month, end_us, size, number, unit)
            if from_us <= bar.start_us < until_us
        ]
        if size == 0 and unit == "D":
            bars = bars[-number:]
        if not bars:
            raise HistoryError("HMDS query returned no data")
        shown = [self.row(symbol, bar, size, fields["format"], fields.get("what", TRADES)) for bar in bars]
        start, end = _chicago_text(bars[0].start_us), _chicago_text(end_us)
        return TwsMessage(BARS, {"reqId": request, "start": start, "end": end, "count": len(shown), "bars": shown})

    def _bars(self, symbol: str, end_us: int, size: int, number: int, unit: str) -> list[Bar]:
        """Return a contract's bars in a span of time up to a moment.

        If the span is in days, all daily bars are returned, because its days are sessions.
        """
        if size:
            return self._intraday(symbol, self._start(symbol, end_us, number, unit), end_us, size)
        days = self._days(symbol, end_us)
        return days if unit == "D" else [bar for bar in days if bar.start_us >= end_us - number * _SPANS[unit]]

    def row(self, symbol: str, bar: Bar, size: int, dates: str, what: str = TRADES) -> dict[str, Any]:
        """Return a bar as a row of the message; only bars of trades have a volume."""
        grid = self._engine.market.grids[symbol]
        if size == 0:
            calendar = self._engine.market.calendars[symbol]
            when = self._date_of(symbol, calendar.position_of(calendar.trading(bar.start_us).date)).replace("-", "")
        else:
            when = str(bar.start_us // SECOND) if dates == "2" else _chicago_text(bar.start_us)
        prices = {"open": bar.open, "high": bar.high, "low": bar.low, "close": bar.close}
        if what == TRADES:
            row: dict[str, Any] = {"date": when, **{name: grid.usd(units) for name, units in prices.items()}}
            return {**row, "volume": bar.volume, "average": _middle(grid, bar), "barCount": max(bar.volume // 3, 1)}
        around = {name: self._engine.model.around(units, symbol) for name, units in prices.items()}
        if what == MIDPOINT:
            shown = {name: (grid.usd(bid) + grid.usd(ask)) / 2 for name, (bid, ask) in around.items()}
        else:
            sides = _OF_QUOTES[what]
            shown = {name: grid.usd(quote[side]) for (name, quote), side in zip(around.items(), sides, strict=True)}
        return {"date": when, **shown, "volume": -1, "average": -1, "barCount": -1}

    def first(self, request: str, symbol: str, dates: str) -> TwsMessage:
        """Return the time of the earliest bar of a contract; raise HistoryError if it has none."""
        days = self._days(symbol, self._engine.now_us)
        if not days:
            raise HistoryError("No head time stamp")
        start_us = days[0].start_us
        text = str(start_us // SECOND) if dates == "2" else f"{to_datetime(start_us):%Y%m%d-%H:%M:%S}"
        return TwsMessage(HEAD, {"reqId": request, "time": text})

    def latest(self, symbol: str, size: int) -> Bar | None:
        """Return the unfinished bar of a size, built from complete minutes; None before the first of them is over."""
        now_us = self._engine.now_us
        bars = self._intraday(symbol, (now_us - 1) // (size * SECOND) * size * SECOND, now_us, size)
        return bars[-1] if bars else None

    def _start(self, symbol: str, end_us: int, number: int, unit: str) -> int:
        """Return when a span of time begins; days are sessions, of which the last one may be unfinished."""
        if unit != "D":
            return end_us - number * _SPANS[unit]
        begun = [session for session in self._engine.market.calendars[symbol].played if session.open_us < end_us]
        return begun[-min(number, len(begun))].open_us if begun else end_us

    def _intraday(self, symbol: str, from_us: int, to_us: int, size: int) -> list[Bar]:
        """Return the bars of `size` seconds, built from the complete minutes or seconds in a span of time."""
        market, calendar, size_us = self._engine.market, self._engine.market.calendars[symbol], size * SECOND
        part_us = MINUTE if size_us >= MINUTE else SECOND
        bars: dict[int, Bar] = {}
        for position, session in enumerate(calendar.played):
            index = position - calendar.first
            if session.close_us <= from_us or session.open_us >= to_us or index < -market.past_minutes:
                continue
            parts: Iterable[Bar] = market.day(symbol, index).bars
            if part_us == SECOND:
                there = [minute for minute in parts if from_us < minute.end_us <= to_us]
                parts = (second for minute in there for second in _seconds(market.grids[symbol], minute))
            for bar in parts:
                if from_us <= bar.start_us and bar.start_us + part_us <= to_us:
                    start_us = bar.start_us // size_us * size_us
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


def _seconds(grid: Grid, minute: Bar) -> Iterator[Bar]:
    """Yield the seconds of a minute, which add up to it."""
    extremes = (minute.low, minute.high) if minute.close >= minute.open else (minute.high, minute.low)
    path, tick = [minute.open], grid.tick(minute.open)
    for begin, end in pairwise((minute.open, *extremes, minute.close)):
        ticks = (end - begin) // tick
        path += [begin + tick * (ticks * second // _CORNER_S) for second in range(1, _CORNER_S)] + [end]
    for second, (opened, closed) in enumerate(pairwise(path)):
        volume = minute.volume * (second + 1) // _SECONDS - minute.volume * second // _SECONDS
        high, low = max(opened, closed), min(opened, closed)
        yield Bar(minute.start_us + second * SECOND, opened, high, low, closed, volume)


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
