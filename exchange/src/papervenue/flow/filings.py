"""Generate regulatory disclosures that are random, predict nothing, and are published as late as the real ones.

Insiders report a trade within two business days (SEC Form 4), so a row is served from the second evening after its
date. A day with both purchases and sales has two rows. Members of Congress file within 45 days after a trade (STOCK
Act). Institutions file within 45 days after a quarter's end (SEC Form 13F), most of them shortly before the deadline.
Each evening, funds publish how much money flowed in or out.

FINRA publishes short interest for the middle and for the end of each month, about seven business days after the
settlement date. The SEC publishes the fails of a month's first half at the end of the month, and those of the second
half in the middle of the next month. FINRA publishes a day's short volume on the same evening.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from papervenue.chance import draw_bell, random_stream, uuid_of
from papervenue.flow.events import is_fomc
from papervenue.flow.series import (
    NOTHING,
    RECENT,
    ComputedSeries,
    FlowRows,
    Priced,
    Question,
    Row,
    cache_newest,
    feed_ticker,
    row,
    rows_known_at,
)
from papervenue.market.profiles import profile
from papervenue.times import HOUR, at_new_york

_PUBLISHED_SESSIONS_LATER = 9
_MIDDLE = 15
_SHOWN_FAILS, _SHOWN_VOLUMES = 60, 250


class Shorts(Priced):
    def interest(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return the last published short interest: at most one row."""
        return FlowRows(rows_known_at(self._interests(symbol), now_us)[-1:])

    def fails(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return the last published fails to deliver by day, oldest first; a day without fails has no row."""
        rows = rows_known_at(self._fails(symbol), now_us)[-_SHOWN_FAILS:]
        priced = (
            {"price": self.closes.text(symbol, self.calendar.position_of(row.fields["date"])), **row.fields}
            for row in rows
        )
        return FlowRows([row(entry.at_us, fields) for entry, fields in zip(rows, priced, strict=True)])

    def volumes(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return how much of each finished session's volume was sold short, oldest first."""
        sessions = enumerate(self.calendar.played)
        places = [position for position, session in sessions if session.close_us + 4 * HOUR <= now_us]
        return FlowRows([self._volume(symbol, index) for index in places[-_SHOWN_VOLUMES:]])

    @cache_newest(RECENT)
    def _interests(self, symbol: str) -> tuple[Row, ...]:
        """Return the short interest of every settlement date; it varies around the symbol's usual value."""
        rng, character = random_stream(self.seed, "shorts", symbol), profile(symbol)
        floating = max(character.shares_a_day * 4, int(character.marketcap / character.level * 0.9))
        usual, level, rows = 0.01 + 0.06 * rng.random() * rng.random(), 1.0, []
        for published_us, settled in self._settlements():
            level = max(0.3, level + 0.15 * (1 - level) + 0.15 * draw_bell(rng))
            interest = int(floating * usual * level)
            fee = 0.25 + 4 * rng.random() * usual * level * 10
            fields = {
                "symbol": feed_ticker(symbol),
                "market_date": settled,
                "short_interest": interest,
                "total_float": floating,
                "si_float": f"{interest / floating:.9f}",
                "si_float_with_synth_long_pct_of_total_shares": f"{interest / (floating + interest):.10f}",
                "days_to_cover": f"{interest / character.shares_a_day:.2f}",
                "fee_rate": f"{fee:.4f}",
                "rebate_rate": f"{4.3 - fee:.4f}",
                "short_shares_available": int(floating * 0.02 * rng.random()),
            }
            rows.append(row(published_us, fields))
        return tuple(rows)

    def _settlements(self) -> Iterator[tuple[int, str]]:
        """Yield each settlement date, mid-month or at its end, preceded by the publication time of its interest."""
        sessions = self.calendar.all
        for index, session in enumerate(sessions[: -_PUBLISHED_SESSIONS_LATER - 1]):
            day, following = session.date, sessions[index + 1].date
            if day[:7] != following[:7] or int(day[8:]) <= _MIDDLE < int(following[8:]):
                yield at_new_york(sessions[index + _PUBLISHED_SESSIONS_LATER].date, 18), day

    @cache_newest(RECENT)
    def _fails(self, symbol: str) -> tuple[Row, ...]:
        rng, usual, rows = random_stream(self.seed, "fails", symbol), profile(symbol).shares_a_day * 0.002, []
        for session in self.calendar.all:
            drawn = rng.random()
            quantity = int(usual * rng.random() / (1.02 - drawn)) if drawn > 0.3 else 0
            if quantity:
                rows.append(Row(_fails_published_us(session.date), {"date": session.date, "quantity": quantity}, b""))
        return tuple(rows)

    def _volume(self, symbol: str, index: int) -> Row:
        """Return a session's short volume among what the reporting facilities saw, about half of all."""
        session = self.calendar.all[index]
        rng, usual = random_stream(self.seed, "short volume", symbol, session.date), profile(symbol).shares_a_day
        total = 1 + int(usual * 0.5 * (0.6 + 0.8 * rng.random()))
        ratio = 0.35 + 0.25 * rng.random()
        fields: dict[str, Any] = {
            "market_date": session.date,
            "close_price": self.closes.text(symbol, index),
            "total_volume": total,
            "short_volume": int(total * ratio),
            "short_volume_ratio": f"{int(total * ratio) / total:.4f}",
        }
        return row(session.close_us + 4 * HOUR, fields)


def _fails_published_us(day: str) -> int:
    settled = date.fromisoformat(day)
    following = (settled.replace(day=1) + timedelta(days=32)).replace(day=1)
    published = following - timedelta(days=1) if settled.day <= _MIDDLE else following.replace(day=_MIDDLE)
    return at_new_york(published.isoformat(), 18)


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
"""The longest that institutions and politicians take to file, in days."""
_QUARTERS_SHOWN = 8


class Institutions(Priced):
    def answer(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return each institution's last filed position, the newest filing first unless another order is requested."""
        descending = question.params.choice("order_direction", ("desc", "asc")) == "desc"
        if not profile(symbol).sector:
            return NOTHING
        newest: dict[str, Row] = {}
        for filing in rows_known_at(self._all_filings(symbol), now_us):
            if question.day is None or filing.fields["report_date"] == question.day:
                newest[filing.fields["name"]] = filing
        order = question.params.text("order", "filing_date")
        chosen = sorted(newest.values(), key=lambda row: str(row.fields.get(order, "")), reverse=descending)
        return FlowRows([self._with_value(symbol, row) for row in chosen])

    @cache_newest(RECENT)
    def _all_filings(self, symbol: str) -> tuple[Row, ...]:
        """Return every filing in the order of time, still without prices."""
        rows = [row for name in _INSTITUTIONS for row in self._filings(symbol, name)]
        return tuple(sorted(rows, key=lambda row: (row.at_us, row.fields["name"])))

    def _filings(self, symbol: str, name: str) -> Iterator[Row]:
        rng, character = random_stream(self.seed, "institution", symbol, name), profile(symbol)
        shares = character.marketcap / character.level
        units = [int(shares * 0.002 * rng.random())]
        for quarter in self._quarters():
            units.append(max(0, int(units[-1] * (1 + 0.08 * draw_bell(rng)))))
            filed = str(quarter + timedelta(days=_FILED_WITHIN_DAYS - int(20 * rng.random() * rng.random())))
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
        sessions = self.calendar.all
        day, last = date.fromisoformat(sessions[0].date), date.fromisoformat(sessions[-1].date)
        while day <= last:
            year, quarter = divmod(day.year * 4 + (day.month - 1) // 3 + 1, 4)
            following = date(year, 3 * quarter + 1, 1)
            yield following - timedelta(days=1)
            day = following

    def _with_value(self, symbol: str, filing: Row) -> Row:
        fields: dict[str, Any] = filing.fields
        sessions = self.calendar.all
        ends = [index for index, session in enumerate(sessions) if session.date <= fields["report_date"]][-1]
        price = self.closes.usd(symbol, ends)
        value = price * fields["units"]
        added = {
            "avg_price": f"{price * 0.8:.2f}",
            "value": f"{int(value)}.0",
            "inst_value": f"{int(value * 40)}.0",
            "inst_share_value": f"{int(value * 38)}.0",
        }
        return row(filing.at_us, {**fields, **added})


_SHARE_OF_VOLUME = 0.15
_PUBLISHED_HOUR = 20
_DAYS_SHOWN = 366
_NO_YEARS: dict[str, list[int]] = {"years": []}
"""A field that the service sends beside the rows, as captured."""


class Funds(Priced):
    def answer(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return a year of a fund's flows, or those between two dates, newest first; empty for a company."""
        start, end = question.params.date("start_date"), question.params.date("end_date")
        if profile(symbol).sector:
            return FlowRows((), _NO_YEARS)
        rows = rows_known_at(self._changes(symbol), now_us)
        last = rows[-1].fields["date"] if rows else ""
        oldest = start or (last and (date.fromisoformat(last) - timedelta(days=_DAYS_SHOWN)).isoformat())
        shown = [row for row in rows if oldest <= row.fields["date"] <= (end or last)]
        return FlowRows([self._with_price(symbol, row) for row in reversed(shown)], _NO_YEARS)

    @cache_newest(RECENT)
    def _changes(self, symbol: str) -> tuple[Row, ...]:
        rng, usual, rows, tendency = random_stream(self.seed, "fund", symbol), profile(symbol).shares_a_day, [], 0.0
        for session in self.calendar.all:
            tendency = 0.7 * tendency + 0.5 * draw_bell(rng)
            volume = int(usual * (0.6 + 0.8 * rng.random()))
            fields = {
                "date": session.date,
                "change": int(volume * _SHARE_OF_VOLUME * tendency),
                "volume": volume,
                "is_fomc": is_fomc(date.fromisoformat(session.date)),
            }
            rows.append(Row(at_new_york(session.date, _PUBLISHED_HOUR), fields, b""))
        return tuple(rows)

    def _with_price(self, symbol: str, trade: Row) -> Row:
        close = self.closes.text(symbol, self.calendar.position_of(trade.fields["date"]))
        premium = f"{float(close) * trade.fields['change']:.1f}"
        return row(trade.at_us, {**trade.fields, "close": close, "change_prem": premium})


_MEMBERS = ("Alma Reyes", "Peter Novak", "Judith Stone", "Carl Whitfield", "Nora Haddad", "Samuel Okafor")
_AMOUNTS = ("$1,001 - $15,000", "$15,001 - $50,000", "$50,001 - $100,000", "$100,001 - $250,000")
_ISSUERS = ("self", "spouse", "joint", "not-disclosed")
_SHARE_OF_DAYS = 0.03
_UNLISTED = ("QZMMF", "QZBND", "QZTEN")
"""Mutual funds and bonds, which members of Congress trade and which no other series here has."""


class Congress(ComputedSeries):
    def answer(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return the trades filed so far, newest filing first; on request, only those in one ticker."""
        ticker, day = question.params.text("ticker").upper(), question.day
        rows = rows_known_at(self._all_filings(self.market.symbols), now_us)[::-1]
        return FlowRows(
            [
                row
                for row in rows
                if (not ticker or row.fields["ticker"] == ticker)
                and (day is None or row.fields["transaction_date"] <= day)
            ]
        )

    @cache_newest(2)
    def _all_filings(self, symbols: tuple[str, ...]) -> tuple[Row, ...]:
        rows = [row for symbol in (*symbols, *_UNLISTED) for row in self._filings(symbol)]
        return tuple(sorted(rows, key=lambda row: (row.at_us, row.fields["politician_id"], row.fields["ticker"])))

    def _filings(self, symbol: str) -> Iterator[Row]:
        rng = random_stream(self.seed, "congress", symbol)
        for session in self.calendar.all:
            if rng.random() < _SHARE_OF_DAYS:
                name = _MEMBERS[int(len(_MEMBERS) * rng.random())]
                traded = date.fromisoformat(session.date) - timedelta(days=2 + int(_FILED_WITHIN_DAYS * rng.random()))
                fields: dict[str, Any] = {
                    "ticker": feed_ticker(symbol),
                    "name": name,
                    "reporter": name,
                    "politician_id": uuid_of("politician", name),
                    "member_type": "senate" if _MEMBERS.index(name) % 3 == 0 else "house",
                    "is_active": _MEMBERS.index(name) != 1,
                    "issuer": _ISSUERS[int(len(_ISSUERS) * rng.random())],
                    "txn_type": "Buy" if rng.random() < 0.5 else "Sell",
                    "amounts": _AMOUNTS[int(len(_AMOUNTS) * rng.random() * rng.random())],
                    "transaction_date": traded.isoformat(),
                    "filed_at_date": session.date,
                    "notes": "stock" if symbol not in _UNLISTED else "mutual-fund",
                }
                yield row(at_new_york(session.date, 18), fields)


_SHARES_OF_DAYS = {"buy": 0.012, "sell": 0.05}
_REPORTED_AFTER = 2


class Insiders(Priced):
    def answer(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return all reported days, newest first."""
        rows = rows_known_at(self._rows(symbol), now_us) if profile(symbol).sector else ()
        return FlowRows([self._price_row(symbol, index) for index in range(len(rows) - 1, -1, -1)], {"has_more": False})

    @cache_newest(RECENT)
    def _rows(self, symbol: str) -> tuple[Row, ...]:
        """Return every day's trades in the order in which they are reported, without prices yet."""
        rng, rows = random_stream(self.seed, "insiders", symbol), []
        for index, session in enumerate(self.calendar.played):
            reported_us = at_new_york(self.calendar.all[index + _REPORTED_AFTER].date, 20)
            for word, share in _SHARES_OF_DAYS.items():
                if rng.random() < share:
                    insiders = 1 + int(4 * rng.random() * rng.random())
                    fields = {
                        "date": session.date,
                        "buy_sell": word,
                        "uniq_insiders": insiders,
                        "transactions": insiders + int(6 * rng.random()),
                        "volume": insiders * (500 + int(20_000 * rng.random() * rng.random())),
                    }
                    rows.append(Row(reported_us, fields, b""))
        return tuple(rows)

    @cache_newest(8 * 64, 8)
    def _price_row(self, symbol: str, index: int) -> Row:
        """Return a reported row with the day's close as its price."""
        trade = self._rows(symbol)[index]
        fields: dict[str, Any] = trade.fields
        price = round(self.closes.usd(symbol, self.calendar.position_of(fields["date"])), 2)
        premium = str(int(price * fields["volume"]))
        return row(trade.at_us, {"avg_price": price, "premium": premium, **fields})
