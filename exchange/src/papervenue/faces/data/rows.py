"""Format bars, trades and quotes as the data API does: short names, prices as JSON numbers in USD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from papervenue.market.actions import CASH_MERGER, NAME_CHANGE, Action
from papervenue.market.bars import UNITS, Bar, Market
from papervenue.market.profiles import profile
from papervenue.market.ticks import Quote, Trade, trade_count, turnover
from papervenue.times import at_new_york, rfc3339

ALONE = "-"
"""The as-of date under which symbols mean only themselves, without former names."""
_NEVER, _FOR_EVER = -(2**62), 2**62


class Listing(NamedTuple):
    """A symbol, and the first and last moment of its data."""

    symbol: str
    from_us: int = _NEVER
    until_us: int = _FOR_EVER


def listing(market: Market, symbol: str, asof_us: int | None) -> Listing | None:
    """Return the listing of a symbol, or None if the symbol isn't in use yet.

    A symbol that was in use at `asof_us` has its company's entire past, including that under former and later names.
    Any other symbol has only what was traded under its own name, and so does every symbol if `asof_us` is None.
    """
    delisted = {action.symbol for action in market.actions if action.kind in (NAME_CHANGE, CASH_MERGER)}
    if symbol not in market.known and symbol not in delisted:
        return None
    named = market.actions.renaming
    if not named and asof_us is not None:
        return Listing(symbol)
    began = max((_day_of(action) for action in named if action.new_symbol == symbol), default=_NEVER)
    ended = min((_day_of(action) for action in named if action.symbol == symbol), default=_FOR_EVER)
    if asof_us is not None and began <= asof_us < ended:
        return Listing(symbol)
    return Listing(symbol, began, ended - 1)


def _day_of(action: Action) -> int:
    """Return the midnight when an action's first day begins, which is also the timestamp of its daily bar."""
    return at_new_york(action.ex_date, 0)


Row = dict[str, Any]

_TAPES = {"NYSE": "A", "ARCA": "B", "NASDAQ": "C"}
_LISTINGS = {"NYSE": "N", "ARCA": "P", "NASDAQ": "Q"}
_IEX = "V"
_ROUND_LOT = 100
_AVERAGE_DIGITS = 6


class Aggregate(NamedTuple):
    """All trades of an interval combined: prices in units, volume in shares, turnover in units times shares."""

    start_us: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int
    turnover: int


def of_minute(bar: Bar) -> Aggregate:
    return Aggregate(*bar, trades=trade_count(bar), turnover=turnover(bar))


def of_past_day(bar: Bar, midnight_us: int, minutes: int) -> Aggregate:
    """Return the aggregate of a day of which only the daily bar is known, as if its shares had traded evenly.

    Its turnover is computed from a single bar with the day's prices, so that the average price is within their range.
    """
    minute = bar._replace(volume=bar.volume // minutes)
    return Aggregate(midnight_us, *bar[1:], trades=minutes * trade_count(minute), turnover=turnover(bar))


def merge_aggregates(start_us: int, parts: Sequence[Aggregate]) -> Aggregate:
    """Merge several aggregates, given in order of time, into one stamped `start_us`."""
    return Aggregate(
        start_us,
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        sum(part.volume for part in parts),
        sum(part.trades for part in parts),
        sum(part.turnover for part in parts),
    )


def bar_json(bar: Aggregate) -> Row:
    """Return an aggregate as a bar of the API; if no shares traded, the average price is the close."""
    average = bar.turnover / bar.volume if bar.volume else bar.close
    return {
        "t": rfc3339(bar.start_us),
        "o": bar.open / UNITS,
        "h": bar.high / UNITS,
        "l": bar.low / UNITS,
        "c": bar.close / UNITS,
        "v": bar.volume,
        "n": bar.trades,
        "vw": round(average / UNITS, _AVERAGE_DIGITS),
    }


def trade_json(symbol: str, trade: Trade, feed: str, extended: bool) -> Row:
    """Return a trade as the API shows it; `extended` means outside the regular session."""
    return {
        "t": rfc3339(trade.at_us),
        "x": venue(symbol, feed),
        "p": trade.price / UNITS,
        "s": trade.size,
        "c": conditions(symbol, trade.size, extended),
        "i": trade.number,
        "z": tape(symbol),
    }


def quote_json(symbol: str, quote: Quote, feed: str) -> Row:
    name = venue(symbol, feed)
    return {
        "t": rfc3339(quote.at_us),
        "ax": name,
        "ap": quote.ask / UNITS,
        "as": quote.ask_size,
        "bx": name,
        "bp": quote.bid / UNITS,
        "bs": quote.bid_size,
        "c": ["R"],
        "z": tape(symbol),
    }


def tape(symbol: str) -> str:
    """Return the letter of the tape that reports a symbol's trades."""
    return _TAPES[profile(symbol).exchange]


def venue(symbol: str, feed: str) -> str:
    """Return the letter of the exchange: IEX on its own feed, otherwise the listing exchange."""
    return _IEX if feed == "iex" else _LISTINGS[profile(symbol).exchange]


def conditions(symbol: str, size: int, extended: bool) -> list[str]:
    """Return a trade's conditions: a regular sale, plus T outside the session and I below a round lot."""
    regular = "@" if tape(symbol) == "C" else " "
    return [regular, *(["T"] if extended else []), *(["I"] if size < _ROUND_LOT else [])]
