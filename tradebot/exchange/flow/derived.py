"""Derive the flow feed from the market's bars and a seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tradebot.exchange.flow.alerts import Flow
from tradebot.exchange.flow.closes import Closes
from tradebot.exchange.flow.daily import Daily
from tradebot.exchange.flow.events import Events
from tradebot.exchange.flow.exposures import Exposures
from tradebot.exchange.flow.funds import Funds
from tradebot.exchange.flow.insiders import Insiders
from tradebot.exchange.flow.institutions import Institutions
from tradebot.exchange.flow.politics import Congress
from tradebot.exchange.flow.prints import Prints
from tradebot.exchange.flow.reports import Reports
from tradebot.exchange.flow.rows import Row, feed_ticker, known
from tradebot.exchange.flow.screens import Screens
from tradebot.exchange.flow.series import NOTHING, Answered, Maker, Question
from tradebot.exchange.flow.shorts import Shorts
from tradebot.exchange.flow.skews import Skews
from tradebot.exchange.flow.ticks import Ticks
from tradebot.exchange.flow.tide import Tide
from tradebot.exchange.flow.volatilities import Volatilities
from tradebot.exchange.flow.volumes import Volumes
from tradebot.exchange.market.bars import Market


class DerivedFlow:
    def __init__(self, market: Market, seed: int, edge: float) -> None:
        self._market = market
        self._flow = Flow(market, seed, edge)
        self._prints = Prints(market, self._flow, seed)
        self._tide = Tide(market, self._flow, seed)
        self._daily = Daily(market, self._flow, seed)
        self._makers = _makers(market, self._flow, self._tide, self._daily, seed)

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
        index, symbol = self._market.calendar.shown(day, now_us), self._symbol(ticker)
        if index is None or symbol is None:
            return ()
        rows = known(self._prints.session(symbol, index), now_us)
        return rows[::-1]

    def tide(self, day: str | None, every_5m: bool, now_us: int) -> tuple[str, Sequence[Row]]:
        index = self._market.calendar.shown(day, now_us)
        if index is None:
            return day or self._market.calendar.trading(now_us).date, ()
        return self._market.calendar.market[index].date, known(self._tide.session(index, every_5m), now_us)

    def greeks(self, ticker: str, now_us: int) -> Sequence[Row]:
        symbol = self._symbol(ticker)
        return () if symbol is None else self._daily.greeks(symbol, now_us)

    def iv_ranks(self, ticker: str, now_us: int) -> Sequence[Row]:
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
        maker = self._makers[question.endpoint.series]
        if "{ticker}" not in question.endpoint.path:
            return maker("", question, now_us)
        symbol = self._symbol(question.about)
        return NOTHING if symbol is None else maker(symbol, question, now_us)

    def _symbol(self, ticker: str) -> str | None:
        """Return the listed symbol for a ticker, spelled as in the market or as in the feed."""
        known = self._market.known
        return ticker if ticker in known else next((one for one in known if feed_ticker(one) == ticker), None)


def _makers(market: Market, flow: Flow, tide: Tide, daily: Daily, seed: int) -> Mapping[str, Maker]:
    """Return what answers each of the further series."""
    closes, volumes = Closes(market), Volumes(market, flow, seed)
    ticks, shorts, events = Ticks(market, volumes), Shorts(market, closes, seed), Events(market, seed)
    volatilities = Volatilities(market, daily, closes, seed)
    exposures = Exposures(market, daily, volumes, seed)
    reports = Reports(market, closes)
    screens = Screens(market, daily, volumes, volatilities, closes)
    return {
        "options-volume": volumes.answer,
        "insider-flow": Insiders(market, closes, seed).answer,
        "risk-reversal": Skews(market, seed).answer,
        "net-prem-ticks": ticks.answer,
        "top-net-impact": ticks.impact,
        "sector-tide": tide.of_sector,
        "term-structure": volatilities.term_structure,
        "interpolated-iv": volatilities.interpolated,
        "realized-volatility": volatilities.realized,
        "volatility-stats": volatilities.stats,
        "earnings": reports.answer,
        "earnings-premarket": reports.of_a_day,
        "earnings-afterhours": reports.of_a_day,
        "short-interest": shorts.interest,
        "fails": shorts.fails,
        "short-volume": shorts.volumes,
        "ownership": Institutions(market, closes, seed).answer,
        "congress": Congress(market, seed).answer,
        "economic-calendar": events.economic,
        "fda-calendar": events.fda,
        "spot-exposures": exposures.spot,
        "max-pain": exposures.max_pain,
        "oi-per-strike": exposures.strikes,
        "etf-flow": Funds(market, closes, seed).answer,
        "screener": screens.screener,
        "info": screens.info,
    }
