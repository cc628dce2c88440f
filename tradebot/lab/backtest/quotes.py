"""Quote from the engine's market, as the exchange's snapshots would."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from papervenue.faces.data.rows import listing
from papervenue.market.bars import Bar, Day
from papervenue.market.ticks import last_quote, last_trade
from tradebot.lab.backtest.translating import moment, shown_price, shown_size
from tradebot.model.bar import Quote

if TYPE_CHECKING:
    from papervenue.engine.floor import Floor

_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9./-]{0,31}", re.ASCII)
NO_SYMBOL = "is not a symbol"
NO_SNAPSHOT, NO_QUOTE = "snapshot is not a JSON object", "latestQuote is not a JSON object"
"""What the reader of the API's replies says of a symbol that the exchange doesn't know, or that never traded."""


class EngineQuotes:
    """The newest quotes of a market; each is made once at each moment of engine time."""

    def __init__(self, floor: Floor, feed: str) -> None:
        self._floor = floor
        self._feed = feed
        self._at_us = -1
        self._quotes: dict[str, Quote | str] = {}
        self._hours = (0, 0)
        self._index = -1
        self._days: dict[str, Day] = {}
        self._closes: dict[str, int | None] = {}
        self._around = lru_cache(maxsize=65_536)(lambda price: (floor.model.bid(price), floor.model.ask(price)))
        self.rejected: Mapping[str, str] = {}

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the newest quote of each symbol that has one; `rejected` explains the others."""
        quotes, self.rejected = self._sorted_out(symbols)
        return quotes

    def quotes_again(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """Return the same quotes: the market stands still while the bot looks at it. `rejected` doesn't change."""
        return self._sorted_out(symbols)[0]

    def _sorted_out(self, symbols: Sequence[str]) -> tuple[dict[str, Quote], dict[str, str]]:
        quotes: dict[str, Quote] = {}
        rejected: dict[str, str] = {}
        now_us = self._floor.now_us
        if now_us != self._at_us:
            self._move(now_us)
        for symbol in symbols:
            quote = self._quotes.get(symbol)
            if quote is None:
                quote = self._quotes[symbol] = self._quote(symbol, now_us)
            if isinstance(quote, str):
                rejected[symbol] = quote
            else:
                quotes[symbol] = quote
        return quotes, rejected

    def _move(self, now_us: int) -> None:
        """Forget what was known at another moment; days and closes stay known for as long as a session is open."""
        self._at_us = now_us
        self._quotes.clear()
        opens_us, closes_us = self._hours
        if opens_us < now_us <= closes_us:
            return
        self._days.clear()
        self._closes.clear()
        calendar = self._floor.market.calendar
        self._index = calendar.reached(now_us)
        session = calendar.market[self._index]
        self._hours = (session.open_us, session.close_us) if session.open_us < now_us <= session.close_us else (0, 0)

    def _quote(self, symbol: str, now_us: int) -> Quote | str:
        bar = (self._newest(symbol, now_us) if self._hours[1] else None) or self._last_known(symbol, now_us)
        if isinstance(bar, str):
            return bar
        quote = last_quote(bar, self._around)
        previous = self._previous_close(symbol, now_us)
        return Quote(
            symbol,
            moment(self._floor.market.quoted_us(bar, now_us)),
            shown_price(quote.bid),
            shown_price(quote.ask),
            shown_price(bar.close),
            None if previous is None else shown_price(previous),
            self._feed,
            shown_size(quote.bid_size),
            shown_size(quote.ask_size),
            last_at=moment(last_trade(bar).at_us),
        )

    def _newest(self, symbol: str, now_us: int) -> Bar | None:
        """Return the newest complete bar of the open session, between whose bars and now no split can take effect."""
        market = self._floor.market
        if symbol not in market.known:
            return None
        day = self._days.get(symbol)
        if day is None:
            day = self._days[symbol] = market.day(symbol, self._index)
        return day.last(now_us)

    def _last_known(self, symbol: str, now_us: int) -> Bar | str:
        """Return the newest bar of a symbol, or why there is none."""
        if not _SYMBOL.fullmatch(symbol):
            return NO_SYMBOL
        market = self._floor.market
        listed = listing(market, symbol, now_us)
        if listed is None:
            return NO_SNAPSHOT
        return market.last_bar(symbol, min(now_us, listed.until_us)) or NO_QUOTE

    def _previous_close(self, symbol: str, now_us: int) -> int | None:
        """Return the last price of the session before the one that opened last, as it was traded."""
        if symbol in self._closes:
            return self._closes[symbol]
        market, calendar = self._floor.market, self._floor.market.calendar
        begun = calendar.begun(now_us)
        index = (-1 if begun is None else begun) - 1
        if index >= 0:
            bars = market.day(symbol, index).bars
            close = bars[-1].close if bars else None
        else:
            past = market.history_day(symbol, -index) if calendar.first + index >= 0 else None
            close = past.close if past else None
        self._closes[symbol] = close
        return close
