"""Generate the money that flows into and out of funds each day: random, without edge, known that evening."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

from tradebot.exchange.chance import bell, stream
from tradebot.exchange.flow.closes import Closes
from tradebot.exchange.flow.events import is_fomc
from tradebot.exchange.flow.rows import Row, known, row
from tradebot.exchange.flow.series import RECENT, Answered, Question
from tradebot.exchange.market.bars import Market
from tradebot.exchange.market.profiles import profile
from tradebot.exchange.times import at_new_york

_SHARE_OF_VOLUME = 0.15
_PUBLISHED_HOUR = 20
_DAYS_SHOWN = 366
_NO_YEARS: dict[str, list[int]] = {"years": []}
"""What the service says beside the rows, as it was captured."""


class Funds:
    def __init__(self, market: Market, closes: Closes, seed: int) -> None:
        self._market = market
        self._closes = closes
        self._seed = seed
        self._changes = lru_cache(maxsize=RECENT)(self._all)

    def answer(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return a year of a fund's flows, or those between two dates, newest first; nothing for a company."""
        start, end = question.params.date("start_date"), question.params.date("end_date")
        if profile(symbol).sector:
            return Answered((), _NO_YEARS)
        rows = known(self._changes(symbol), now_us)
        last = rows[-1].fields["date"] if rows else ""
        oldest = start or (last and (date.fromisoformat(last) - timedelta(days=_DAYS_SHOWN)).isoformat())
        shown = [one for one in rows if oldest <= one.fields["date"] <= (end or last)]
        return Answered([self._with_price(symbol, one) for one in reversed(shown)], _NO_YEARS)

    def _all(self, symbol: str) -> tuple[Row, ...]:
        rng, usual, rows, tendency = stream(self._seed, "fund", symbol), profile(symbol).shares_a_day, [], 0.0
        for session in self._market.calendar.all:
            tendency = 0.7 * tendency + 0.5 * bell(rng)
            volume = int(usual * (0.6 + 0.8 * rng.random()))
            fields = {
                "date": session.date,
                "change": int(volume * _SHARE_OF_VOLUME * tendency),
                "volume": volume,
                "is_fomc": is_fomc(date.fromisoformat(session.date)),
            }
            rows.append(Row(at_new_york(session.date, _PUBLISHED_HOUR), fields, b""))
        return tuple(rows)

    def _with_price(self, symbol: str, one: Row) -> Row:
        close = self._closes.text(symbol, self._market.calendar.place(one.fields["date"]))
        premium = f"{float(close) * one.fields['change']:.1f}"
        return row(one.at_us, {**one.fields, "close": close, "change_prem": premium})
