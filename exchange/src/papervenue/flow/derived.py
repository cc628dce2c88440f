"""Derive the flow feed from the market's bars and a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from papervenue.flow.alerts import Flow, Prints
from papervenue.flow.daily import Daily
from papervenue.flow.events import Events, Reports
from papervenue.flow.exposures import Exposures
from papervenue.flow.filings import Congress, Funds, Insiders, Institutions, Shorts
from papervenue.flow.headlines import Headlines
from papervenue.flow.screens import Screens
from papervenue.flow.series import NOTHING, Answered, Closes, Maker, Question, Row, feed_ticker, known
from papervenue.flow.volatilities import Skews, Volatilities
from papervenue.flow.volumes import Ticks, Tide, Volumes
from papervenue.market.bars import Market


class DerivedFlow:
    def __init__(self, market: Market, seed: int, edge: float) -> None:
        self._market = market
        self._flow = Flow(market, seed, edge)
        self._makers = _makers(self._flow)

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

    def answer(self, question: Question, now_us: int) -> Answered:
        """Answer a question of one of the series; nothing is known of a ticker that isn't listed."""
        maker = self._makers[question.endpoint.series]
        if "{ticker}" not in question.endpoint.path:
            return maker("", question, now_us)
        symbol = self._symbol(question.about)
        return NOTHING if symbol is None else maker(symbol, question, now_us)

    def _symbol(self, ticker: str) -> str | None:
        """Return the listed symbol for a ticker, spelled as in the market or as in the feed."""
        known = self._market.known
        return ticker if ticker in known else next((one for one in known if feed_ticker(one) == ticker), None)


def _makers(flow: Flow) -> Mapping[str, Maker]:
    tide, daily, volumes, closes = Tide(flow), Daily(flow), Volumes(flow), Closes(flow.market, flow.seed)
    ticks, shorts, events, reports = Ticks(volumes), Shorts(closes), Events(flow.market, flow.seed), Reports(closes)
    volatilities, exposures = Volatilities(closes, daily), Exposures(daily, volumes)
    screens = Screens(closes, daily, volumes, volatilities)
    return {
        "prints": Prints(flow).answer,
        "tide": tide.answer,
        "greeks": lambda symbol, question, now_us: Answered(daily.greeks(symbol, now_us)),
        "iv-rank": daily.iv_ranks,
        "oi-change": daily.oi_changes,
        "options-volume": volumes.answer,
        "insider-flow": Insiders(closes).answer,
        "risk-reversal": Skews(flow.market, flow.seed).answer,
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
        "ownership": Institutions(closes).answer,
        "congress": Congress(flow.market, flow.seed).answer,
        "headlines": Headlines(flow.market, flow.seed).answer,
        "economic-calendar": events.economic,
        "fda-calendar": events.fda,
        "spot-exposures": exposures.spot,
        "max-pain": exposures.max_pain,
        "oi-per-strike": exposures.strikes,
        "etf-flow": Funds(closes).answer,
        "screener": screens.screener,
        "info": screens.info,
    }
