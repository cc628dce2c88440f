"""Generate trades of members of Congress: random, without edge, and known on the evening they are filed.

A member files within 45 days after a trade (STOCK Act).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from tradebot.exchange.chance import stream, uuid_of
from tradebot.exchange.flow.rows import Row, feed_ticker, known, row
from tradebot.exchange.flow.series import Answered, Question
from tradebot.exchange.market.bars import Market
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
