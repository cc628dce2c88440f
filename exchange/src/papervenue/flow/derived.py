"""Derive the flow feed from the market's bars and a seed.

Exposure is computed from the last published Greek exposure and the price, and intraday volume from the option volume so
far.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from math import fsum
from typing import Any

from papervenue.chance import random_stream
from papervenue.flow.alerts import AlertSeries, Flow, Prints
from papervenue.flow.daily import DailyFacts
from papervenue.flow.events import Events, Reports
from papervenue.flow.filings import Congress, Funds, Insiders, Institutions, Shorts
from papervenue.flow.options import FlowContract, expiries
from papervenue.flow.screener import Screens
from papervenue.flow.series import (
    NOTHING,
    RECENT,
    Closes,
    ComputedSeries,
    FlowRows,
    Maker,
    Question,
    Row,
    cache_newest,
    feed_ticker,
    row,
    rows_known_at,
)
from papervenue.flow.volatilities import Skews, Volatilities
from papervenue.flow.volumes import MarketTideSeries, Ticks, Volumes
from papervenue.market.bars import UNITS, Market
from papervenue.times import MINUTE, SECOND, at_new_york, new_york_date, rfc3339


class DerivedFlow:
    def __init__(self, market: Market, seed: int, edge: float) -> None:
        self._market = market
        self._flow = Flow(market, seed, edge)
        self._makers = _makers(self._flow)

    def alerts(self, tickers: Sequence[str], now_us: int) -> Iterator[Row]:
        """Return alerts for these tickers, or for all if the list is empty, newest first over all sessions."""
        begun = self._market.calendar.last_begun(now_us)
        for index in range(-1 if begun is None else begun, -1, -1):
            yield from reversed(rows_known_at(self._session_alerts(tickers, index), now_us))

    def _session_alerts(self, tickers: Sequence[str], index: int) -> Sequence[Row]:
        if not tickers:
            return self._flow.session_alerts(index)
        named = dict.fromkeys(self._symbol(ticker) for ticker in tickers)
        chosen = [symbol for symbol in named if symbol is not None]
        if len(chosen) == 1:
            return self._flow.alerts(chosen[0], index)
        rows = [row for ticker in chosen for row in self._flow.alerts(ticker, index)]
        return sorted(rows, key=lambda row: (row.at_us, row.fields["id"]))

    def answer(self, question: Question, now_us: int) -> FlowRows:
        """Return the rows for a request to one of the series; empty for a ticker that isn't listed."""
        maker = self._makers[question.endpoint.series]
        if "{ticker}" not in question.endpoint.path:
            return maker("", question, now_us)
        symbol = self._symbol(question.about)
        return NOTHING if symbol is None else maker(symbol, question, now_us)

    def _symbol(self, ticker: str) -> str | None:
        """Return the listed symbol for a ticker, spelled as in the market or as in the feed."""
        names = self._market.known
        return ticker if ticker in names else next((name for name in names if feed_ticker(name) == ticker), None)


def _makers(flow: Flow) -> Mapping[str, Maker]:
    tide, daily, volumes, closes = (
        MarketTideSeries(flow),
        DailyFacts(flow),
        Volumes(flow),
        Closes(flow.market, flow.seed),
    )
    ticks, shorts, events, reports = Ticks(volumes), Shorts(closes), Events(flow.market, flow.seed), Reports(closes)
    volatilities, exposures = Volatilities(closes, daily), Exposures(daily, volumes)
    screens = Screens(closes, daily, volumes, volatilities)
    return {
        "prints": Prints(flow).answer,
        "tide": tide.answer,
        "greeks": lambda symbol, question, now_us: FlowRows(daily.greeks(symbol, now_us)),
        "iv-rank": daily.iv_ranks,
        "oi-change": daily.oi_changes,
        "options-volume": volumes.answer,
        "insider-flow": Insiders(closes).answer,
        "risk-reversal": Skews(flow.market, flow.seed).answer,
        "net-prem-ticks": ticks.answer,
        "top-net-impact": ticks.impact,
        "sector-tide": tide.of_sector,
        "term-structure": volatilities.term_structure,
        "interpolated-iv": volatilities.interpolated_rows,
        "realized-volatility": volatilities.realized_rows,
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


_A_DAY = 40
_DAY_S = 86_400
_SHARE_MAJOR = 0.2
SOURCES = ("Wire Monday", "Ticker Tape", "Market Notes")
"""The made-up publishers of headlines."""
_SENTIMENTS = ("positive", "neutral", "negative")
_COMPANY = {
    "earnings": ("{} reports quarterly results", "{} raises its guidance"),
    "merger": ("{} agrees to acquire a rival",),
    "regulatory": ("Regulators open a probe into {}",),
    "products": ("{} shows a new product", "{} names a new chief executive"),
}
_MARKET = {
    "economy": ("Inflation slows for a third month", "Jobless claims are little changed"),
    "federal-reserve": ("Fed officials see no hurry",),
    "markets": ("Stocks drift in quiet trading", "Oil ends higher"),
}


class Headlines(ComputedSeries):
    def answer(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return the last days' headlines, newest first; on request, only those of one ticker, or only major ones."""
        params = question.params
        ticker, words = params.text("ticker").upper(), params.text("search_term").lower()
        major = params.flag("major_only", default=False)
        return FlowRows(
            [
                row
                for row in self.rows_until(now_us)
                if (not ticker or ticker in row.fields["tickers"])
                and words in row.fields["headline"].lower()
                and (row.fields["is_major"] or not major)
            ]
        )

    def rows_until(self, now_us: int) -> list[Row]:
        """Return all headlines of the last three days, newest first."""
        today = date.fromisoformat(new_york_date(now_us))
        days = (today - timedelta(days=ago) for ago in range(3))
        return [row for day in days for row in reversed(rows_known_at(self._of_day(day, self.market.symbols), now_us))]

    @cache_newest(RECENT)
    def _of_day(self, day: date, symbols: tuple[str, ...]) -> tuple[Row, ...]:
        """Return the headlines of a date in New York, in the order in which they are published."""
        rng = random_stream(self.seed, "headlines", day)
        begins_us = at_new_york(day.isoformat(), 0)
        times = sorted(int(_DAY_S * rng.random()) for _ in range(_A_DAY))
        return tuple(self._row(begins_us + at_s * SECOND, number, day, symbols) for number, at_s in enumerate(times))

    def _row(self, at_us: int, number: int, day: date, symbols: tuple[str, ...]) -> Row:
        rng = random_stream(self.seed, "headline", day, number)

        def one_of(choices: Any) -> Any:
            return choices[int(len(choices) * rng.random())]

        about = one_of(symbols) if rng.random() < 0.6 else None
        topics = _COMPANY if about else _MARKET
        topic = one_of(tuple(topics))
        ticker = feed_ticker(about) if about else ""
        fields: dict[str, Any] = {
            "created_at": rfc3339(at_us),
            "headline": one_of(topics[topic]).format(ticker),
            "is_major": rng.random() < _SHARE_MAJOR,
            "meta": {},
            "sentiment": one_of(_SENTIMENTS),
            "source": one_of(SOURCES),
            "tags": [topic],
            "tickers": [ticker] if ticker else [],
        }
        return row(at_us, fields)


_GREEKS = ("gamma", "charm", "vanna")
_TRADED_SHARE = 0.2
"""The weight of a whole day's trading relative to the open interest."""
_LISTED_EXPIRIES = 16
_STEPS = range(-15, 16)
"""The strikes around the price, in steps."""


class Exposures(AlertSeries):
    def __init__(self, daily: DailyFacts, volumes: Volumes) -> None:
        super().__init__(volumes.flow)
        self._daily = daily
        self._volumes = volumes

    def spot(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return the dealers' Greek exposure after each minute of a day that has passed, oldest first."""
        index = self.calendar.published_index(question.day, now_us)
        published = [] if index is None else self._daily.greeks(symbol, self.calendar.market[index].open_us)
        if index is None or not published:
            return NOTHING
        last = json.loads(published[-1].encoded)
        open_interest = {name: float(last[f"call_{name}"]) + float(last[f"put_{name}"]) for name in _GREEKS}
        return FlowRows(list(self._minutes(symbol, index, open_interest, now_us)))

    def max_pain(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return, for each expiry, the underlying's price at which its contracts are worth least in total.

        The nearest expiry comes first.
        """
        index, reference = self._priced_session(symbol, question.day, now_us)
        if reference is None:
            return NOTHING
        day = self.calendar.market[index].date
        rows = []
        for expiry in expiries(day)[:_LISTED_EXPIRIES]:
            away = 0.04 * random_stream(self.seed, "pain", symbol, expiry).random() - 0.02
            strike = FlowContract(symbol, expiry, "C", reference * (1 + away)).strike_text
            rows.append(row(now_us, {"expiry": expiry, "max_pain": strike}))
        return FlowRows(rows, {"date": day})

    def strikes(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return open interest by strike; all strikes add up to the open interest in the daily option volume."""
        index, reference = self._priced_session(symbol, question.day, now_us)
        if reference is None:
            return NOTHING
        day, position = self.calendar.market[index].date, self.calendar.first + index
        strikes = sorted(
            {FlowContract(symbol, day, "C", reference * (1 + 0.012 * step)).strike_thousandths for step in _STEPS}
        )
        rng = random_stream(self.seed, "strikes", symbol, day)
        columns = []
        for right in "CP":
            weights = [0.1 + rng.random() for _ in strikes]
            columns.append(_divide_whole(self._volumes.open_interest(symbol, position, right), weights))
        rows = [
            row(now_us, {"date": day, "strike": f"{strike / 1000:g}", "call_oi": calls, "put_oi": puts})
            for strike, calls, puts in zip(strikes, *columns, strict=True)
        ]
        return FlowRows(rows)

    def _priced_session(self, symbol: str, day: str | None, now_us: int) -> tuple[int, float | None]:
        """Return the newest session up to a date whose open interest is known, and the close before it."""
        sessions = [session for session in self.calendar.market if self._daily.open_interest_us(session) <= now_us]
        index = sum(day is None or session.date <= day for session in sessions) - 1
        close = self.market.close_before(symbol, index) if index >= 0 else None
        return index, None if close is None else close / UNITS

    def _minutes(self, symbol: str, index: int, open_interest: dict[str, float], now_us: int) -> Iterator[Row]:
        session, day = self.calendar.market[index], self.market.day(symbol, index)
        position = self.calendar.first + index
        ends = [bar.end_us for bar in day.bars[: day.complete(now_us)]]
        traded = self._volumes.after(symbol, position, [(end - session.open_us) // MINUTE for end in ends])
        usual = max(1, self._volumes.open_interest(symbol, position, "C") // 9)
        for bar, sums in zip(day.bars, traded, strict=False):
            price = bar.close / UNITS
            # A contract's gamma counts per dollar; one percent of the price moves the hedge by gamma x price / 100.
            weight = price * price / 100
            passed = _TRADED_SHARE * (sums.calls.volume + sums.puts.volume) / usual
            lean = (sums.calls.net + sums.puts.net) / max(1, sums.calls.total + sums.puts.total)
            fields: dict[str, Any] = {"time": rfc3339(bar.end_us), "price": f"{price:.2f}"}
            for name, value in open_interest.items():
                fields[f"{name}_per_one_percent_move_oi"] = f"{value * weight:.2f}"
                fields[f"{name}_per_one_percent_move_vol"] = f"{value * weight * passed:.2f}"
                fields[f"{name}_per_one_percent_move_dir"] = f"{-value * weight * passed * lean:.2f}"
            yield row(bar.end_us, fields)


def _divide_whole(whole: int, weights: list[float]) -> list[int]:
    """Divide a whole number by weights, without losing any of it."""
    parts = [int(whole * weight / fsum(weights)) for weight in weights]
    parts[0] += whole - sum(parts)
    return parts
