"""Derive the flow feed from the market's bars and a seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tradebot.exchange.flow.alerts import Flow
from tradebot.exchange.flow.daily import Daily
from tradebot.exchange.flow.insiders import Insiders
from tradebot.exchange.flow.prints import Prints
from tradebot.exchange.flow.rows import Row, feed_ticker, known
from tradebot.exchange.flow.series import NOTHING, Answered, Maker, Question
from tradebot.exchange.flow.skews import Skews
from tradebot.exchange.flow.tide import Tide
from tradebot.exchange.flow.volumes import Volumes
from tradebot.exchange.market.bars import Market


class DerivedFlow:
    """A FlowSource derived from bars, a seed and an edge."""

    def __init__(self, market: Market, seed: int, edge: float) -> None:
        self._market = market
        self._flow = Flow(market, seed, edge)
        self._prints = Prints(market, self._flow, seed)
        self._tide = Tide(market, self._flow, seed)
        self._daily = Daily(market, seed)
        self._makers: Mapping[str, Maker] = {
            "options-volume": Volumes(market, self._flow, seed).answer,
            "insider-flow": Insiders(market, seed).answer,
            "risk-reversal": Skews(market, seed).answer,
        }

    def alerts(self, tickers: Sequence[str], now_us: int) -> Iterator[Row]:
        """Return alerts for these tickers (for all if none is given), newest first over all sessions."""
        begun = self._market.calendar.begun(now_us)
        for index in range(-1 if begun is None else begun, -1, -1):
            yield from reversed(known(self._session_alerts(tickers, index), now_us))

    def _session_alerts(self, tickers: Sequence[str], index: int) -> Sequence[Row]:
        if not tickers:
            return self._flow.session_alerts(index)
        named = dict.fromkeys(self._symbol(ticker) for ticker in tickers)
        chosen = [symbol for symbol in named if symbol is not None]
        if len(chosen) == 1:
            return self._flow.alerts(chosen[0], index)
        rows = [one for ticker in chosen for one in self._flow.alerts(ticker, index)]
        return sorted(rows, key=lambda one: (one.at_us, one.fields["id"]))

    def prints(self, ticker: str, day: str | None, now_us: int) -> Iterable[Row]:
        """Return a day's prints, newest first."""
        index, symbol = self._index(day, now_us), self._symbol(ticker)
        if index is None or symbol is None:
            return ()
        rows = known(self._prints.session(symbol, index), now_us)
        return rows[::-1]

    def tide(self, day: str | None, every_5m: bool, now_us: int) -> tuple[str, Sequence[Row]]:
        """Return the day shown and its tide so far, oldest first."""
        index = self._index(day, now_us)
        if index is None:
            return day or self._market.calendar.trading(now_us).date, ()
        return self._market.calendar.market[index].date, known(self._tide.session(index, every_5m), now_us)

    def greeks(self, ticker: str, now_us: int) -> Sequence[Row]:
        """Return about a year of daily Greek exposure, oldest first."""
        symbol = self._symbol(ticker)
        return () if symbol is None else self._daily.greeks(symbol, now_us)

    def iv_ranks(self, ticker: str, now_us: int) -> Sequence[Row]:
        """Return about a year of daily IV ranks, oldest first."""
        symbol = self._symbol(ticker)
        return () if symbol is None else self._daily.iv_ranks(symbol, now_us)

    def oi_changes(self, ticker: str, day: str | None, now_us: int) -> Sequence[Row]:
        """Return contracts by change of open interest; the default day is the newest session that has any."""
        symbol = self._symbol(ticker)
        if symbol is None:
            return ()
        if day is not None:
            index = self._market.calendar.index_of.get(day)
            return () if index is None else self._daily.oi_changes(symbol, index, now_us)
        coming = self._market.calendar.begun(now_us)
        for index in range(min(-1 if coming is None else coming, len(self._market.calendar.market) - 2) + 1, -1, -1):
            rows = self._daily.oi_changes(symbol, index, now_us)
            if rows:
                return rows
        return ()

    def answer(self, question: Question, now_us: int) -> Answered:
        """Answer a question of one of the further series; nothing is known of a ticker that isn't listed."""
        symbol = self._symbol(question.about)
        return NOTHING if symbol is None else self._makers[question.series](symbol, question, now_us)

    def _symbol(self, ticker: str) -> str | None:
        """Return the listed symbol for a ticker, spelled as in the market or as in the feed."""
        known = self._market.known
        return ticker if ticker in known else next((one for one in known if feed_ticker(one) == ticker), None)

    def _index(self, day: str | None, now_us: int) -> int | None:
        """Return the session of a day if it has begun; the default is the current session, or else the last."""
        begun = self._market.calendar.begun(now_us)
        if day is None or begun is None:
            return begun
        index = self._market.calendar.index_of.get(day)
        return index if index is not None and index <= begun else None
