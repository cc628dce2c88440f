"""Serve Alpaca's screener: the day's most active symbols and largest moves, from the market's own bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tradebot.exchange.faces.data.asking import params_of, refused
from tradebot.exchange.faces.data.history import History
from tradebot.exchange.faces.data.rows import Row
from tradebot.exchange.faces.web import Call, Handler, Reply, ok
from tradebot.exchange.market.bars import UNITS, Market
from tradebot.exchange.times import MINUTE, rfc3339

_MOST_ACTIVE, _MOST_MOVERS, _DEFAULT_TOP = 100, 50, 10
_STOCKS = "stocks"


class Move(NamedTuple):
    """One symbol's move since the previous close: its current price and the difference, in units."""

    symbol: str
    price: int
    change: int

    @property
    def percent(self) -> float:
        return round(100 * self.change / (self.price - self.change), 2)


class Screener:
    def __init__(self, market: Market, history: History, now_us: Callable[[], int]) -> None:
        self._market = market
        self._history = history
        self._now_us = now_us

    def routes(self) -> Iterator[tuple[str, Handler]]:
        yield "/v1beta1/screener/stocks/most-actives", self._most_actives
        yield "/v1beta1/screener/{market_type}/movers", self._movers

    def _most_actives(self, call: Call) -> Reply:
        params, now = params_of(call), self._now_us()
        top, key = params.count("top", _DEFAULT_TOP, _MOST_ACTIVE), params.choice("by", ("volume", "trades"))
        days = ((symbol, self._history.day(symbol, self._shown(now), now)) for symbol in self._market.symbols)
        active = [(symbol, day) for symbol, day in days if day]
        active.sort(key=lambda pair: (-(pair[1].volume if key == "volume" else pair[1].trades), pair[0]))
        rows = [{"symbol": symbol, "volume": day.volume, "trade_count": day.trades} for symbol, day in active[:top]]
        return ok({"most_actives": rows, "last_updated": rfc3339(now)})

    def _movers(self, call: Call) -> Reply:
        kind = call.names["market_type"]
        if kind != _STOCKS:
            raise refused(f"market_type: {kind[:20]}")
        top, now = params_of(call).count("top", _DEFAULT_TOP, _MOST_MOVERS), self._now_us()
        moves = sorted(self._moves(now), key=lambda move: (-move.percent, move.symbol))
        gainers = [_mover_json(move) for move in moves if move.change > 0][:top]
        losers = [_mover_json(move) for move in reversed(moves) if move.change < 0][:top]
        return ok({"gainers": gainers, "losers": losers, "market_type": _STOCKS, "last_updated": rfc3339(now)})

    def _moves(self, now_us: int) -> Iterator[Move]:
        index = self._shown(now_us)
        for symbol in self._market.symbols if index is not None else ():
            day = self._history.day(symbol, index, now_us)
            before = self._market.close_before(symbol, index or 0)
            if day and before:
                yield Move(symbol, day.close, day.close - before)

    def _shown(self, now_us: int) -> int | None:
        """Return the session to show: the last one that opened, once its first minute is over."""
        return self._market.calendar.begun(now_us - MINUTE)


def _mover_json(move: Move) -> Row:
    return {
        "symbol": move.symbol,
        "percent_change": move.percent,
        "change": move.change / UNITS,
        "price": move.price / UNITS,
    }
