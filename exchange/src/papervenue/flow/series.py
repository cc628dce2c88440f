"""Define requests for flow series other than alerts, the rows of their responses, and the base class of the series."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import cached_property, lru_cache, partial
from math import fsum, isfinite, sqrt
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar, cast

from papervenue.jsontext import encode
from papervenue.market.bars import UNITS, Market
from papervenue.market.profiles import profile
from papervenue.params import Params

_CLOSES_A_SYMBOL = 64
_RETURNS = 21
_SESSIONS_A_YEAR = 252


class ComputedSeries:
    """A series that is computed from a market and a seed alone."""

    def __init__(self, market: Market, seed: int) -> None:
        self.market, self.calendar, self.seed = market, market.calendar, seed


Method = TypeVar("Method", bound=Callable[..., Any])


def cache_newest(size: int, per_symbol: int = 0) -> Callable[[Method], Method]:
    """Cache the newest results of a method of `ComputedSeries`: `size` in total, plus `per_symbol` for each symbol."""

    def keeping(method: Method) -> Method:
        def cache(series: ComputedSeries) -> Callable[..., Any]:
            return lru_cache(maxsize=size + per_symbol * len(series.market.symbols))(partial(method, series))

        return cast(Method, cached_property(cache))

    return keeping


class Closes(ComputedSeries):
    """Daily closes, by symbol and by the session's index among all sessions.

    The closes of the market's sessions are cached, because each of them requires a day of bars.
    """

    def usd(self, symbol: str, index: int) -> float:
        """Return the close of a finished session in USD; if none is known, the symbol's usual price."""
        return (self._known_close if index >= self.calendar.first else self._close)(symbol, index)

    def text(self, symbol: str, index: int) -> str:
        return f"{self.usd(symbol, index):.2f}"

    def change(self, symbol: str, start: int, end: int) -> float:
        """Return the return between two sessions' closes as a fraction, adjusted for splits."""
        sessions = self.calendar.all
        split = self.market.split_factor(symbol, sessions[start].close_us, sessions[end].close_us)
        return self.usd(symbol, end) / (self.usd(symbol, start) * split) - 1

    @cache_newest(8 * _CLOSES_A_SYMBOL, _CLOSES_A_SYMBOL)
    def _known_close(self, symbol: str, index: int) -> float:
        return self._close(symbol, index)

    def _close(self, symbol: str, index: int) -> float:
        units = self.market.close_of(symbol, index - self.calendar.first)
        return profile(symbol).level if units is None else units / UNITS

    @cache_newest(4 * _CLOSES_A_SYMBOL, 1)
    def realized_volatility(self, symbol: str, index: int) -> float:
        """Return the annualized volatility of the 21 daily returns up to a finished session, as a fraction.

        These are simple returns; the service doesn't document whether it uses log returns.
        """
        returns = [self.change(symbol, end - 1, end) for end in range(index - _RETURNS + 1, index + 1)]
        mean = fsum(returns) / _RETURNS
        return sqrt(fsum((value - mean) * (value - mean) for value in returns) / (_RETURNS - 1) * _SESSIONS_A_YEAR)


class Priced(ComputedSeries):
    """A series that includes closing prices."""

    def __init__(self, closes: Closes) -> None:
        super().__init__(closes.market, closes.seed)
        self.closes = closes


def feed_ticker(symbol: str) -> str:
    """Return a symbol as the flow feed writes it, without the dot of a share class (BRK.B becomes BRKB)."""
    return symbol.replace(".", "")


class Row(NamedTuple):
    """One row; `at_us` is when it became known."""

    at_us: int
    fields: dict[str, Any]
    encoded: bytes


def row(at_us: int, fields: dict[str, Any]) -> Row:
    return Row(at_us, fields, encode(fields))


def rows_known_at(rows: Sequence[Row], now_us: int) -> Sequence[Row]:
    """Return the rows known at a given time; the rows must be sorted by time."""
    return rows[: bisect_right(rows, now_us, key=attrgetter("at_us"))]


def number(fields: dict[str, Any], name: str) -> float:
    """Return a field as a finite number; raise KeyError, TypeError, ValueError or OverflowError if it isn't one."""
    value = float(fields[name])
    if not isfinite(value):
        raise ValueError(f"{name} isn't finite")
    return value


def accept_unreadable(test: Callable[[dict[str, Any]], bool]) -> Callable[[dict[str, Any]], bool]:
    """Return a test that also passes rows that it can't read, so that clients receive bad rows and can count them."""

    def passes(fields: dict[str, Any]) -> bool:
        try:
            return test(fields)
        except (KeyError, TypeError, ValueError, OverflowError):
            return True

    return passes


def envelope(rows: Iterable[Row], **others: Any) -> bytes:
    """Return {"data": [rows…], …} without encoding the rows again."""
    tail = encode(others)[1:]
    separator = b"," if others else b""
    return b'{"data":[' + b",".join(row.encoded for row in rows) + b"]" + separator + tail


class FlowEndpoint(NamedTuple):
    """An endpoint. `limit` has the default and the largest row limit; None means that it has no limit, or ignores it.

    `paged` means that it has pages, numbered from 0. `single` means that its data is one object, not a list.
    `newest_first` says how its rows are sorted.
    """

    series: str
    path: str
    limit: tuple[int, int] | None = None
    paged: bool = False
    single: bool = False
    newest_first: bool = False


BUSIEST = (
    FlowEndpoint("prints", "/api/darkpool/{ticker}", newest_first=True),
    FlowEndpoint("tide", "/api/market/market-tide"),
    FlowEndpoint("greeks", "/api/stock/{ticker}/greek-exposure"),
    FlowEndpoint("iv-rank", "/api/stock/{ticker}/iv-rank"),
    FlowEndpoint("oi-change", "/api/stock/{ticker}/oi-change"),
)
ENDPOINTS = (
    FlowEndpoint("options-volume", "/api/stock/{ticker}/options-volume", (1, 500), newest_first=True),
    FlowEndpoint("insider-flow", "/api/insider/{ticker}/ticker-flow", newest_first=True),
    FlowEndpoint("risk-reversal", "/api/stock/{ticker}/historical-risk-reversal-skew"),
    FlowEndpoint("net-prem-ticks", "/api/stock/{ticker}/net-prem-ticks"),
    FlowEndpoint("top-net-impact", "/api/market/top-net-impact"),
    FlowEndpoint("sector-tide", "/api/market/{sector}/sector-tide"),
    FlowEndpoint("term-structure", "/api/stock/{ticker}/volatility/term-structure"),
    FlowEndpoint("interpolated-iv", "/api/stock/{ticker}/interpolated-iv"),
    FlowEndpoint("realized-volatility", "/api/stock/{ticker}/volatility/realized"),
    FlowEndpoint("volatility-stats", "/api/stock/{ticker}/volatility/stats", single=True),
    FlowEndpoint("earnings-premarket", "/api/earnings/premarket", (50, 100), paged=True),
    FlowEndpoint("earnings-afterhours", "/api/earnings/afterhours", (50, 100), paged=True),
    FlowEndpoint("earnings", "/api/earnings/{ticker}", newest_first=True),
    FlowEndpoint("short-interest", "/api/shorts/{ticker}/interest-float/v2", single=True),
    FlowEndpoint("fails", "/api/shorts/{ticker}/ftds"),
    FlowEndpoint("short-volume", "/api/shorts/{ticker}/volume-and-ratio"),
    FlowEndpoint("ownership", "/api/institution/{ticker}/ownership", (500, 500), paged=True, newest_first=True),
    FlowEndpoint("congress", "/api/congress/recent-trades", (100, 200), newest_first=True),
    FlowEndpoint("headlines", "/api/news/headlines", (50, 100), paged=True, newest_first=True),
    FlowEndpoint("economic-calendar", "/api/market/economic-calendar"),
    FlowEndpoint("fda-calendar", "/api/market/fda-calendar", (100, 200)),
    FlowEndpoint("spot-exposures", "/api/stock/{ticker}/spot-exposures"),
    FlowEndpoint("max-pain", "/api/stock/{ticker}/max-pain"),
    FlowEndpoint("oi-per-strike", "/api/stock/{ticker}/oi-per-strike"),
    FlowEndpoint("etf-flow", "/api/etfs/{ticker}/in-outflow", newest_first=True),
    FlowEndpoint("screener", "/api/screener/stocks"),
    FlowEndpoint("info", "/api/stock/{ticker}/info", single=True),
)
"""All paths but the busiest. A fixed path comes before a path with a name in braces that would match it, too, such as
/api/earnings/premarket before /api/earnings/{ticker}.
"""


class Question(NamedTuple):
    """One request: its endpoint and path, its subject, and its query.

    `about` is a ticker or a sector, and empty for the market. `day` is the requested ISO date, or None for the current
    one. `lists` are the parameters that may be repeated.
    """

    endpoint: FlowEndpoint
    path: str
    about: str
    day: str | None
    params: Params
    lists: Mapping[str, Sequence[str]] = {}

    def values(self, name: str) -> Sequence[str]:
        """Return every value of a repeated parameter."""
        return self.lists.get(name, ())


class FlowRows(NamedTuple):
    """The rows of a response in order, and the other fields of its envelope."""

    rows: Sequence[Row]
    others: Mapping[str, Any] = {}


NOTHING = FlowRows(())
RECENT = 64
"""How many symbols' rows to cache for a series that changes once a day, and so is rarely requested twice."""
Maker = Callable[[str, Question, int], FlowRows]
"""Answers a question about a listed symbol (empty for the market or a sector) at an engine time."""
_DAYS = {"D": 1, "W": 7, "M": 31, "Y": 366}


def oldest_day(question: Question, last: str) -> str:
    """Return the ISO date on which a request's timeframe (default: a year) begins, if it ends on `last`.

    Raise a Refusal for text that isn't a timeframe.
    """
    text = question.params.text("timeframe", "1Y").upper()
    if text == "YTD":
        return f"{last[:4]}-01-01"
    count, unit = text[:-1], text[-1:]
    if not (count.isascii() and count.isdigit() and len(count) <= 3 and unit in _DAYS):
        raise question.params.refused("timeframe")
    return (date.fromisoformat(last) - timedelta(days=int(count) * _DAYS[unit])).isoformat()
