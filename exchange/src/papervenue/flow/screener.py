"""Serve company information, and the screener, which has one row with the current state of each listed symbol."""

from __future__ import annotations

from datetime import date
from math import sqrt
from typing import Any

from papervenue.flow.daily import DailyFacts
from papervenue.flow.events import next_report
from papervenue.flow.filters import Value, range_tests
from papervenue.flow.series import (
    NOTHING,
    Closes,
    FlowRows,
    Priced,
    Question,
    Row,
    feed_ticker,
    number,
    row,
)
from papervenue.flow.volatilities import Volatilities
from papervenue.flow.volumes import Volumes
from papervenue.market.bars import UNITS
from papervenue.market.profiles import profile

_YEAR = 252
_WEEK, _MONTH = 5, 21
_LARGE = 20_000_000_000
"""The market capitalization in USD from which a company counts as a member of the S&P 500."""
_STRADDLE = 0.8 * 0.85
Fields = dict[str, Any]
_RANGES: dict[str, Value] = {
    "change": lambda fields: number(fields, "close") / number(fields, "prev_close") - 1,
    "underlying_price": lambda fields: number(fields, "close"),
    "marketcap": lambda fields: number(fields, "marketcap"),
    "iv_rank": lambda fields: number(fields, "iv_rank"),
    "volatility": lambda fields: number(fields, "volatility"),
    "premium": lambda fields: number(fields, "call_premium") + number(fields, "put_premium"),
    "volume": lambda fields: float(fields["call_volume"] + fields["put_volume"]),
    "put_call_ratio": lambda fields: float(fields["put_call_ratio"] or 0),
}


class Screens(Priced):
    def __init__(self, closes: Closes, daily: DailyFacts, volumes: Volumes, volatilities: Volatilities) -> None:
        super().__init__(closes)
        self._daily, self._volumes, self._volatilities = daily, volumes, volatilities

    def screener(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return one row for each symbol that passes the filters, by call premium unless another order is requested."""
        index = self.calendar.published_index(question.day, now_us)
        if index is None:
            return NOTHING
        tests = range_tests(_RANGES, lambda name: question.params.read(name, float))
        rows = [self._row(name, index, now_us) for name in self._chosen_symbols(question)]
        shown = [row for row in rows if row is not None and all(test(row.fields) for test in tests)]
        order = question.params.text("order", "call_premium")
        descending = question.params.choice("order_direction", ("desc", "asc")) == "desc"
        shown.sort(key=lambda row: _sort_key(row.fields.get(order)), reverse=descending)
        return FlowRows(shown)

    def info(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        character = profile(symbol)
        report = next_report(symbol, date.fromisoformat(self.calendar.trading(now_us).date))
        fields: Fields = {
            "symbol": feed_ticker(symbol),
            "full_name": symbol,
            "short_description": f"{symbol} is a made-up security of this market.",
            "issue_type": character.issue_type,
            "sector": character.sector,
            "marketcap": str(character.marketcap),
            "marketcap_size": "big" if character.marketcap > _LARGE else "mid",
            "avg30_volume": str(character.shares_a_day),
            "beta": f"{character.beta:.2f}",
            "next_earnings_date": None if report is None else report.day.isoformat(),
            "announce_time": "unknown" if report is None else _announced_text(report.when),
            "has_dividend": False,
            "has_earnings_history": report is not None,
            "has_investment_arm": False,
            "has_options": True,
            "uw_tags": [],
        }
        return FlowRows([row(now_us, fields)])

    def _chosen_symbols(self, question: Question) -> list[str]:
        tickers = [word.upper() for word in question.params.words("ticker")]
        types, sectors = question.values("issue_types[]"), question.values("sectors[]")
        only_large = question.params.text("is_s_p_500")
        large = question.params.flag("is_s_p_500", True)
        return [
            symbol
            for symbol in self.market.symbols
            if (not tickers or feed_ticker(symbol) in tickers or symbol in tickers)
            and (not types or profile(symbol).issue_type in types)
            and (not sectors or profile(symbol).sector in sectors)
            and (
                not only_large or large == (profile(symbol).sector is not None and profile(symbol).marketcap >= _LARGE)
            )
        ]

    def _row(self, symbol: str, index: int, now_us: int) -> Row | None:
        session, position = self.calendar.market[index], self.calendar.first + index
        until = min(now_us, session.close_us)
        price, before = self.market.session_price(symbol, until), self.market.close_before(symbol, index)
        if price is None or before is None:
            return None
        report, character = next_report(symbol, date.fromisoformat(session.date)), profile(symbol)
        traded = self._volumes.fields(symbol, position, until)
        fields: Fields = {
            "ticker": feed_ticker(symbol),
            "date": session.date,
            "close": f"{price / UNITS:.2f}",
            "prev_close": f"{before / UNITS:.2f}",
            "issue_type": character.issue_type,
            "is_index": False,
            "sector": character.sector,
            "marketcap": str(character.marketcap),
            "next_earnings_date": None if report is None else report.day.isoformat(),
            "er_time": None if report is None else _announced_text(report.when),
            "next_dividend_date": None,
            **traded,
            **self._interests(symbol, position, traded),
            **self._implied_fields(symbol, position, price / UNITS),
            **self._prices(symbol, position, price / UNITS),
        }
        return row(now_us, fields)

    def _interests(self, symbol: str, index: int, traded: Fields) -> Fields:
        calls, puts = traded["call_open_interest"], traded["put_open_interest"]
        ratio = traded["put_volume"] / traded["call_volume"] if traded["call_volume"] else None
        return {
            "total_open_interest": calls + puts,
            "prev_call_oi": self._volumes.open_interest(symbol, index - 1, "C"),
            "prev_put_oi": self._volumes.open_interest(symbol, index - 1, "P"),
            "put_call_ratio": None if ratio is None else f"{ratio:.15f}",
        }

    def _implied_fields(self, symbol: str, index: int, price: float) -> Fields:
        history = self._daily.volatilities(symbol)
        near = self._volatilities.at(symbol, index, 7)
        move = _STRADDLE * near * sqrt(7 / 365)
        year = history[max(0, index - _YEAR) : index]
        low, high = min(year), max(year)
        return {
            "volatility": f"{near:.4f}",
            "implied_move": f"{move * price:.4f}",
            "implied_move_perc": f"{move:.6f}",
            "iv_rank": f"{100 * (year[-1] - low) / (high - low):.4f}",
            "iv30d": f"{year[-1]:.4f}",
            "iv30d_1d": f"{year[-2]:.4f}",
            "iv30d_1w": f"{year[-1 - _WEEK]:.4f}",
            "iv30d_1m": f"{year[-1 - _MONTH]:.4f}",
        }

    def _prices(self, symbol: str, index: int, price: float) -> Fields:
        """Return the extremes of the last year's closes and the price, and how busy the day is."""
        closes = [self.closes.usd(symbol, past) for past in range(max(0, index - _YEAR), index)]
        return {
            "week_52_high": f"{max(*closes, price):.2f}",
            "week_52_low": f"{min(*closes, price):.2f}",
            "relative_volume": f"{self._volumes.activity(symbol, index):.4f}",
        }


def _announced_text(when: str) -> str:
    """Return when a report is published, as the screener writes it."""
    return "afterhours" if when == "postmarket" else when


def _sort_key(value: object) -> tuple[bool, float, str]:
    """Sort numbers by size and other text alphabetically; missing values are last when the largest come first."""
    try:
        return value is not None, float(str(value)), ""
    except ValueError:
        return value is not None, 0.0, str(value)
