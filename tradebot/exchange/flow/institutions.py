"""Generate what institutions hold of each company, by quarter: random, without edge, known once it is filed.

An institution files within 45 days after a quarter's end (SEC Form 13F), and most of them late in that time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from tradebot.exchange.chance import bell, stream
from tradebot.exchange.flow.closes import Closes
from tradebot.exchange.flow.rows import Row, known, row
from tradebot.exchange.flow.series import NOTHING, RECENT, Answered, Question
from tradebot.exchange.market.bars import Market
from tradebot.exchange.market.profiles import profile
from tradebot.exchange.times import at_new_york

_INSTITUTIONS = {
    "NORTHFIELD INDEX TRUST": ("Northfield", [], []),
    "GRANITE STATE ADVISORS": ("Granite State", [], ["advisor"]),
    "HARBOR LIGHT CAPITAL": ("Harbor Light", ["Maria Lindqvist"], ["hedge_fund"]),
    "BLUE MESA PARTNERS": ("Blue Mesa", ["Owen Tran"], ["hedge_fund", "activist"]),
    "FIRST PRAIRIE TRUST CO": ("First Prairie", [], []),
    "OLD MILL VALUE FUND": ("Old Mill", ["Ruth Carver"], ["value_investor"]),
    "SUMMIT QUANT STRATEGIES": ("Summit Quant", [], ["hedge_fund"]),
    "CEDAR POINT PENSION": ("Cedar Point", [], []),
    "LAKESIDE BROKERAGE LLC": ("Lakeside", [], ["brokerage"]),
    "TERN ISLAND ESG": ("Tern Island", [], ["esg"]),
}
"""Made-up institutions: their short names, people and tags."""
_FILED_WITHIN_DAYS = 45
_QUARTERS_SHOWN = 8


class Institutions:
    def __init__(self, market: Market, closes: Closes, seed: int) -> None:
        self._market = market
        self._closes = closes
        self._seed = seed
        self._filed = lru_cache(maxsize=RECENT)(self._all)

    def answer(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return each institution's last filed holding, the last filing first unless another order is asked for."""
        descending = question.params.choice("order_direction", ("desc", "asc")) == "desc"
        if not profile(symbol).sector:
            return NOTHING
        newest: dict[str, Row] = {}
        for one in known(self._filed(symbol), now_us):
            if question.day is None or one.fields["report_date"] == question.day:
                newest[one.fields["name"]] = one
        order = question.params.text("order", "filing_date")
        chosen = sorted(newest.values(), key=lambda one: str(one.fields.get(order, "")), reverse=descending)
        return Answered([self._with_value(symbol, one) for one in chosen])

    def _all(self, symbol: str) -> tuple[Row, ...]:
        """Return every filing in the order of time, still without prices."""
        rows = [one for name in _INSTITUTIONS for one in self._filings(symbol, name)]
        return tuple(sorted(rows, key=lambda one: (one.at_us, one.fields["name"])))

    def _filings(self, symbol: str, name: str) -> Iterator[Row]:
        rng, character = stream(self._seed, "institution", symbol, name), profile(symbol)
        shares = character.marketcap / character.level
        units = [int(shares * 0.002 * rng.random())]
        for quarter in self._quarters():
            units.append(max(0, int(units[-1] * (1 + 0.08 * bell(rng)))))
            filed = (quarter + timedelta(days=_FILED_WITHIN_DAYS - int(20 * rng.random() * rng.random()))).isoformat()
            short, people, tags = _INSTITUTIONS[name]
            fields = {
                "name": name,
                "short_name": short,
                "people": people,
                "tags": tags,
                "report_date": quarter.isoformat(),
                "filing_date": filed,
                "first_buy": "2019-02-14",
                "units": units[-1],
                "units_change": units[-1] - units[-2],
                "historical_units": units[:-1][::-1][:_QUARTERS_SHOWN],
                "shares_outstanding": f"{int(shares)}.0",
            }
            yield Row(at_new_york(filed, 18), fields, b"")

    def _quarters(self) -> Iterator[date]:
        """Yield the ends of the quarters within the calendar."""
        sessions = self._market.calendar.all
        day, last = date.fromisoformat(sessions[0].date), date.fromisoformat(sessions[-1].date)
        while day <= last:
            year, quarter = divmod(day.year * 4 + (day.month - 1) // 3 + 1, 4)
            following = date(year, 3 * quarter + 1, 1)
            yield following - timedelta(days=1)
            day = following

    def _with_value(self, symbol: str, one: Row) -> Row:
        fields: dict[str, Any] = one.fields
        sessions = self._market.calendar.all
        ends = [place for place, session in enumerate(sessions) if session.date <= fields["report_date"]][-1]
        price = self._closes.usd(symbol, ends)
        value = price * fields["units"]
        added = {
            "avg_price": f"{price * 0.8:.2f}",
            "value": f"{int(value)}.0",
            "inst_value": f"{int(value * 40)}.0",
            "inst_share_value": f"{int(value * 38)}.0",
        }
        return row(one.at_us, {**fields, **added})
