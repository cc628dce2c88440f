"""Look up daily closes as they were traded, of the market's sessions and of those before it."""

from __future__ import annotations

from functools import lru_cache
from math import fsum, sqrt

from tradebot.exchange.market.bars import UNITS, Market
from tradebot.exchange.market.profiles import profile

_CLOSES_A_SYMBOL = 64
_RETURNS = 21
_SESSIONS_A_YEAR = 252


class Closes:
    """Daily closes by symbol and place among all sessions.

    Those of the market's sessions are looked up once, because each takes a day of bars.
    """

    def __init__(self, market: Market) -> None:
        self._market = market
        self._known = lru_cache(maxsize=_CLOSES_A_SYMBOL * (8 + len(market.symbols)))(self._close)
        self.realized = lru_cache(maxsize=4 * _CLOSES_A_SYMBOL + len(market.symbols))(self._volatility)

    def usd(self, symbol: str, place: int) -> float:
        """Return the last price of a finished session in dollars; if none is known, the symbol's usual price."""
        return (self._known if place >= self._market.calendar.first else self._close)(symbol, place)

    def text(self, symbol: str, place: int) -> str:
        return f"{self.usd(symbol, place):.2f}"

    def change(self, symbol: str, start: int, end: int) -> float:
        """Return the return from one session's close to a later one's as a fraction; a split is none."""
        sessions = self._market.calendar.all
        split = self._market.split_factor(symbol, sessions[start].close_us, sessions[end].close_us)
        return self.usd(symbol, end) / (self.usd(symbol, start) * split) - 1

    def _close(self, symbol: str, place: int) -> float:
        units = self._market.close_of(symbol, place - self._market.calendar.first)
        return profile(symbol).level if units is None else units / UNITS

    def _volatility(self, symbol: str, place: int) -> float:
        """Return the yearly volatility of the 21 daily returns up to a finished session, as a fraction.

        These are simple returns; the service doesn't say whether it takes their logarithms.
        """
        returns = [self.change(symbol, end - 1, end) for end in range(place - _RETURNS + 1, place + 1)]
        mean = fsum(returns) / _RETURNS
        return sqrt(fsum((one - mean) * (one - mean) for one in returns) / (_RETURNS - 1) * _SESSIONS_A_YEAR)
