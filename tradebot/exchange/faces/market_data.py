"""Alpaca's market-data API under /v2/stocks: bars, latest bars, quotes and trades, snapshots."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from starlette.routing import Route

from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.trading import keyed
from tradebot.exchange.faces.web import Call, Reply, ok, route
from tradebot.exchange.market.bars import UNITS, Bar, Market, ask, bid
from tradebot.exchange.market.profiles import profile
from tradebot.exchange.params import Params
from tradebot.exchange.refusal import INVALID, Refusal
from tradebot.exchange.times import MINUTE, at_new_york, new_york, new_york_date, rfc3339

_MINUTES = re.compile(r"([1-9]|[1-5][0-9])(?:Min|T)|([1-9]|1[0-9]|2[0-3])(?:Hour|H)")
_DAYS = re.compile(r"1(?:Day|D)")
_WEEKS = re.compile(r"1(?:Week|W)")
_MONTHS = re.compile(r"(1|2|3|4|6|12)(?:Month|M)")
_DAILY = 0
_MOST_BARS = 10_000
_ROUND_LOT = 100
_TAPES = {"NYSE": "A", "ARCA": "B", "NASDAQ": "C"}
_VENUE = "V"

Row = dict[str, Any]


def _refused(what: str) -> Refusal:
    return Refusal(400, {"code": INVALID, "message": f"invalid {what}"})


class DataFace:
    """Handlers of the market-data API. What they show was complete at engine time."""

    def __init__(self, exchange: Exchange) -> None:
        self._engine = exchange.engine
        self._market = exchange.market

    def routes(self) -> list[Route]:
        """Return the face's routes, the busiest first."""
        return [
            route("/v2/stocks/snapshots", GET=keyed(self._snapshots)),
            route("/v2/stocks/quotes/latest", GET=keyed(self._latest("quotes", _quote))),
            route("/v2/stocks/trades/latest", GET=keyed(self._latest("trades", _trade))),
            route("/v2/stocks/bars/latest", GET=keyed(self._latest("bars", _latest_bar))),
            route("/v2/stocks/bars", GET=keyed(self._bars)),
            route("/v2/stocks/{symbol}/snapshot", GET=keyed(self._one_snapshot)),
            route("/v2/stocks/{symbol}/quotes/latest", GET=keyed(self._one_latest("quote", _quote))),
            route("/v2/stocks/{symbol}/trades/latest", GET=keyed(self._one_latest("trade", _trade))),
            route("/v2/stocks/{symbol}/bars/latest", GET=keyed(self._one_latest("bar", _latest_bar))),
            route("/v2/stocks/{symbol}/bars", GET=keyed(self._bars)),
        ]

    def _latest(self, key: str, render: Callable[[str, Bar], Row]) -> Callable[[Call], Reply]:
        def answer(call: Call) -> Reply:
            bars = {symbol: self._last(symbol) for symbol in _symbols(call)}
            return ok({key: {symbol: render(symbol, bar) for symbol, bar in bars.items() if bar}})

        return answer

    def _one_latest(self, key: str, render: Callable[[str, Bar], Row]) -> Callable[[Call], Reply]:
        def answer(call: Call) -> Reply:
            symbol = call.names["symbol"]
            bar = self._last(symbol)
            return ok({"symbol": symbol, key: render(symbol, bar) if bar else None})

        return answer

    def _last(self, symbol: str) -> Bar | None:
        known = symbol in self._market.known
        return self._market.last_bar(symbol, self._engine.now_us) if known else None

    def _snapshots(self, call: Call) -> Reply:
        known = self._market.known
        return ok({symbol: self._snapshot(symbol) for symbol in _symbols(call) if symbol in known})

    def _one_snapshot(self, call: Call) -> Reply:
        symbol = call.names["symbol"]
        if symbol not in self._market.known:
            raise Refusal(404, {"message": f"no snapshot found for {symbol}"})
        return ok({"symbol": symbol, **self._snapshot(symbol)})

    def _snapshot(self, symbol: str) -> Row:
        now = self._engine.now_us
        begun = self._market.calendar.begun(now)
        last = self._last(symbol)
        today = _day_bar(self._market, symbol, begun, now)
        before = _previous_day(self._market, symbol, begun, now)
        return {
            "latestTrade": _trade(symbol, last) if last else None,
            "latestQuote": _quote(symbol, last) if last else None,
            "minuteBar": bar_json(last) if last else None,
            "dailyBar": bar_json(today) if today else None,
            "prevDailyBar": bar_json(before) if before else None,
        }

    def _bars(self, call: Call) -> Reply:
        query = self._bars_query(call)
        page: dict[str, list[Row]] = {}
        token: str | None = None
        taken, last = 0, query.after
        for symbol, bar in self._rows(query):
            if taken == query.limit:
                token = _token(*last) if last else None
                break
            page.setdefault(symbol, []).append(bar_json(bar))
            taken, last = taken + 1, (symbol, bar.start_us)
        if "symbol" in call.names:
            name = call.names["symbol"]
            return ok({"symbol": name, "bars": page.get(name, []), "next_page_token": token})
        return ok({"bars": page, "next_page_token": token})

    def _bars_query(self, call: Call) -> BarsQuery:
        params = Params(call.query, _refused)
        now = self._engine.now_us
        start, end = params.moment("start"), params.moment("end")
        return BarsQuery(
            symbols=sorted(set(_symbols(call)) & self._market.known),
            timeframe=_timeframe(params.text("timeframe")),
            start_us=at_new_york(new_york_date(now), 0) if start is None else start,
            end_us=now if end is None else end,
            now_us=now,
            limit=params.count("limit", 1000, _MOST_BARS),
            newest_first=params.choice("sort", ("asc", "desc")) == "desc",
            after=_read_token(params.text("page_token")),
        )

    def _rows(self, query: BarsQuery) -> Iterator[tuple[str, Bar]]:
        for symbol in query.symbols:
            if query.after and symbol < query.after[0]:
                continue
            for bar in self._symbol_rows(symbol, query):
                if query.start_us <= bar.start_us <= query.end_us and not query.seen(symbol, bar):
                    yield symbol, bar

    def _symbol_rows(self, symbol: str, query: BarsQuery) -> Iterator[Bar]:
        begun = self._market.calendar.begun(query.now_us)
        indices = range(0 if begun is None else begun + 1)
        if query.timeframe.first_day is not None:
            days = (_day_bar(self._market, symbol, index, query.now_us) for index in indices)
            periods = _periods(filter(None, days), query.timeframe.first_day)
            yield from reversed(periods) if query.newest_first else periods
            return
        for index in reversed(indices) if query.newest_first else indices:
            if self._market.calendar.market[index].close_us < query.start_us and query.timeframe.minutes != _DAILY:
                continue
            bars = _session_bars(self._market, symbol, index, query)
            yield from reversed(bars) if query.newest_first else bars


class Timeframe(NamedTuple):
    """How long a bar is: so many minutes, 0 for a day, or all days with the same first day of their week or months."""

    minutes: int
    first_day: Callable[[date], date] | None = None


class BarsQuery(NamedTuple):
    """What GET /v2/stocks/bars asks; `after` is the last row of the page before."""

    symbols: list[str]
    timeframe: Timeframe
    start_us: int
    end_us: int
    now_us: int
    limit: int
    newest_first: bool
    after: tuple[str, int] | None

    def seen(self, symbol: str, bar: Bar) -> bool:
        """Say whether an earlier page has shown a bar."""
        if self.after is None or symbol != self.after[0]:
            return False
        return bar.start_us >= self.after[1] if self.newest_first else bar.start_us <= self.after[1]


def _session_bars(market: Market, symbol: str, index: int, query: BarsQuery) -> list[Bar]:
    minutes = query.timeframe.minutes
    if minutes == _DAILY:
        bar = _day_bar(market, symbol, index, query.now_us)
        return [bar] if bar else []
    day = market.day(symbol, index)
    bars = day.bars[: day.complete(query.now_us)]
    if minutes == 1:
        return list(bars)
    width = minutes * MINUTE
    return [_merged(start, list(group)) for start, group in groupby(bars, lambda b: b.start_us // width * width)]


def _periods(days: Iterable[Bar], first_day: Callable[[date], date]) -> list[Bar]:
    """Group daily bars; a week or month in progress shows its days so far, stamped at its own first midnight."""
    grouped = groupby(days, lambda bar: first_day(new_york(bar.start_us).date()))
    return [_merged(at_new_york(first.isoformat(), 0), list(bars)) for first, bars in grouped]


def _merged(start_us: int, bars: list[Bar]) -> Bar:
    high, low = max(bar.high for bar in bars), min(bar.low for bar in bars)
    return Bar(start_us, bars[0].open, high, low, bars[-1].close, sum(bar.volume for bar in bars))


def _previous_day(market: Market, symbol: str, begun: int | None, now_us: int) -> Bar | None:
    """Return the day before the one in progress; before the market's first session only closes are known, if any."""
    if begun != 0:
        return _day_bar(market, symbol, None if begun is None else begun - 1, now_us)
    close, earlier = market.close_of(symbol, -1), market.close_of(symbol, -2)
    if close is None or earlier is None:
        return None
    midnight = at_new_york(market.calendar.all[market.calendar.first - 1].date, 0)
    return Bar(midnight, earlier, max(close, earlier), min(close, earlier), close, 0)


def _day_bar(market: Market, symbol: str, index: int | None, now_us: int) -> Bar | None:
    if index is None or index < 0:
        return None
    midnight = at_new_york(market.calendar.market[index].date, 0)
    return market.day(symbol, index).until(now_us, midnight)


def _symbols(call: Call) -> list[str]:
    if "symbol" in call.names:
        return [call.names["symbol"]]
    symbols = [symbol for symbol in call.query.get("symbols", "").split(",") if symbol]
    if not symbols:
        raise _refused("symbols: at least one is required")
    return symbols


def _timeframe(text: str) -> Timeframe:
    if match := _MINUTES.fullmatch(text):
        minutes, hours = match.groups()
        return Timeframe(int(minutes or 0) + 60 * int(hours or 0))
    if _DAYS.fullmatch(text):
        return Timeframe(_DAILY)
    if _WEEKS.fullmatch(text):
        return Timeframe(_DAILY, lambda day: day - timedelta(days=day.weekday()))
    if match := _MONTHS.fullmatch(text):
        count = int(match[1])
        return Timeframe(_DAILY, lambda day: day.replace(month=(day.month - 1) // count * count + 1, day=1))
    raise _refused(f"timeframe: {text[:20]}")


def _token(symbol: str, start_us: int) -> str:
    return urlsafe_b64encode(f"{symbol}|{start_us}".encode()).decode()


def _read_token(token: str) -> tuple[str, int] | None:
    if not token:
        return None
    try:
        symbol, _, start_us = urlsafe_b64decode(token.encode()).decode().partition("|")
        return symbol, int(start_us)
    except ValueError as error:
        raise _refused("page_token") from error


def bar_json(bar: Bar) -> Row:
    """Return a bar as the data API shows it; trade count and average price are modelled from the bar."""
    return {
        "t": rfc3339(bar.start_us),
        "o": bar.open / UNITS,
        "h": bar.high / UNITS,
        "l": bar.low / UNITS,
        "c": bar.close / UNITS,
        "v": bar.volume,
        "n": bar.volume // _ROUND_LOT + 1,
        "vw": (bar.high + bar.low + bar.close) // 3 / UNITS,
    }


def _latest_bar(symbol: str, bar: Bar) -> Row:
    return bar_json(bar)


def _quote(symbol: str, bar: Bar) -> Row:
    """Return the modelled quote around the last bar's close, stamped at its end."""
    return {
        "t": rfc3339(bar.end_us),
        "ax": _VENUE,
        "ap": ask(bar.close) / UNITS,
        "as": _ROUND_LOT * (1 + bar.volume % 9),
        "bx": _VENUE,
        "bp": bid(bar.close) / UNITS,
        "bs": _ROUND_LOT * (1 + bar.volume % 7),
        "c": ["R"],
        "z": _TAPES[profile(symbol).exchange],
    }


def _trade(symbol: str, bar: Bar) -> Row:
    """Return the last bar's closing trade, stamped at its end."""
    return {
        "t": rfc3339(bar.end_us),
        "x": _VENUE,
        "p": bar.close / UNITS,
        "s": 1 + bar.volume % _ROUND_LOT,
        "c": ["@"],
        "i": bar.start_us // MINUTE,
        "z": _TAPES[profile(symbol).exchange],
    }
