"""Generate what insiders bought and sold: random, without edge, and known two days after the trading date.

Insiders report a trade within two business days (SEC Form 4), so that a row is served from the second evening after its
date on. A day with both purchases and sales has two rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from tradebot.exchange.chance import stream
from tradebot.exchange.flow.closes import Closes
from tradebot.exchange.flow.rows import Row, known, row
from tradebot.exchange.flow.series import RECENT, Answered, Question
from tradebot.exchange.market.bars import Market
from tradebot.exchange.market.profiles import profile
from tradebot.exchange.times import at_new_york

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
