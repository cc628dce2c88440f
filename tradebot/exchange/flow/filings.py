"""Make the disclosures that insiders, institutions and politicians file.

Generate what insiders bought and sold: random, without edge, and known two days after the trading date.

Insiders report a trade within two business days (SEC Form 4), so that a row is served from the second evening after its
date on. A day with both purchases and sales has two rows.

Generate trades of members of Congress: random, without edge, and known on the evening they are filed.

A member files within 45 days after a trade (STOCK Act).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from tradebot.exchange.chance import stream, uuid_of
from tradebot.exchange.flow.closes import Closes
from tradebot.exchange.flow.rows import Row, feed_ticker, known, row
from tradebot.exchange.flow.series import RECENT, Answered, Question
from tradebot.exchange.market.bars import Market
from tradebot.exchange.market.profiles import profile
from tradebot.exchange.times import at_new_york

_MEMBERS = ("Alma Reyes", "Peter Novak", "Judith Stone", "Carl Whitfield", "Nora Haddad", "Samuel Okafor")
_AMOUNTS = ("$1,001 - $15,000", "$15,001 - $50,000", "$50,001 - $100,000", "$100,001 - $250,000")
_ISSUERS = ("self", "spouse", "joint", "not-disclosed")
_FILED_WITHIN_DAYS = 45
_SHARE_OF_DAYS = 0.03
_UNLISTED = ("QZMMF", "QZBND", "QZTEN")
"""Mutual funds and bonds, which members trade and nobody else here does."""


class Congress:
    def __init__(self, market: Market, seed: int) -> None:
        self._market = market
        self._seed = seed
        self._filed = lru_cache(maxsize=2)(self._all)

    def answer(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return the trades filed so far, the last filing first; of one ticker if one is asked for."""
        ticker, day = question.params.text("ticker").upper(), question.day
        rows = known(self._filed(self._market.symbols), now_us)[::-1]
        return Answered(
            [
                one
                for one in rows
                if (not ticker or one.fields["ticker"] == ticker)
                and (day is None or one.fields["transaction_date"] <= day)
            ]
        )

    def _all(self, symbols: tuple[str, ...]) -> tuple[Row, ...]:
        rows = [one for symbol in (*symbols, *_UNLISTED) for one in self._filings(symbol)]
        return tuple(sorted(rows, key=lambda one: (one.at_us, one.fields["politician_id"], one.fields["ticker"])))

    def _filings(self, symbol: str) -> Iterator[Row]:
        rng = stream(self._seed, "congress", symbol)
        for session in self._market.calendar.all:
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


class Insiders:
    def __init__(self, market: Market, closes: Closes, seed: int) -> None:
        self._market = market
        self._closes = closes
        self._seed = seed
        self._rows = lru_cache(maxsize=RECENT)(lambda symbol: tuple(self._reported(symbol)))
        self._priced = lru_cache(maxsize=8 * (64 + len(market.symbols)))(self._with_price)

    def answer(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return all reported days, newest first."""
        rows = known(self._rows(symbol), now_us) if profile(symbol).sector else ()
        return Answered([self._priced(symbol, place) for place in range(len(rows) - 1, -1, -1)], {"has_more": False})

    def _reported(self, symbol: str) -> Iterator[Row]:
        """Yield every day's trades in the order in which they are reported, still without prices."""
        calendar = self._market.calendar
        rng = stream(self._seed, "insiders", symbol)
        for place, session in enumerate(calendar.all[: calendar.first + len(calendar.market)]):
            reported = calendar.all[place + _REPORTED_AFTER].date
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
                    yield Row(at_new_york(reported, 20), fields, b"")

    def _with_price(self, symbol: str, place: int) -> Row:
        """Return a reported row with the day's close as its price."""
        one = self._rows(symbol)[place]
        fields: dict[str, Any] = one.fields
        price = round(self._closes.usd(symbol, self._market.calendar.place(fields["date"])), 2)
        premium = str(int(price * fields["volume"]))
        return row(one.at_us, {"avg_price": price, "premium": premium, **fields})
