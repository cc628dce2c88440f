"""Generate the risk-reversal skew: implied volatility of puts less that of calls, a random walk without edge.

A session's row is published with the other daily rows, after its close.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from tradebot.exchange.chance import bell, stream
from tradebot.exchange.flow.daily import published_us
from tradebot.exchange.flow.rows import Row, feed_ticker, known, row
from tradebot.exchange.flow.series import NOTHING, RECENT, Answered, Question, oldest_day
from tradebot.exchange.market.bars import Market
from tradebot.exchange.market.profiles import profile

_DELTAS = {"10": 10, "25": 25, "0.1": 10, "0.10": 10, "0.25": 25}
_USUAL = {10: 0.12, 25: 0.06}
"""The usual skew as a share of implied volatility: further from the money, puts are dearer still."""
_THURSDAY, _FRIDAY = 3, 4
_MONTHLY_DAYS, _WEEKLY_DAYS = 400, 60
"""For how many days before its end an expiry is listed."""


class Skews:
    def __init__(self, market: Market, seed: int) -> None:
        self._market = market
        self._seed = seed
        self._levels = lru_cache(maxsize=RECENT)(self._all_levels)
        self._rows = lru_cache(maxsize=RECENT)(self._of_expiry)

    def answer(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return the skew of one expiry by day, oldest first; nothing if no contract expires that day."""
        params = question.params
        expiry, delta = _expiry(question), _DELTAS.get(params.text("delta"))
        if delta is None:
            raise params.refused("delta")
        if expiry is None:
            return NOTHING
        rows = known(self._rows(symbol, expiry.isoformat(), delta), now_us)
        if question.day is not None:
            rows = [one for one in rows if one.fields["date"] <= question.day]
        oldest = oldest_day(question, rows[-1].fields["date"] if rows else expiry.isoformat())
        return Answered([one for one in rows if one.fields["date"] > oldest])

    def _all_levels(self, symbol: str) -> tuple[float, ...]:
        """Return the symbol's skew in each session, relative to what is usual."""
        rng, level, levels = stream(self._seed, "skew", symbol), 1.0, []
        calendar = self._market.calendar
        for _ in range(calendar.first + len(calendar.market)):
            level += 0.08 * (1.0 - level) + 0.2 * bell(rng)
            levels.append(level)
        return tuple(levels)

    def _of_expiry(self, symbol: str, expiry: str, delta: int) -> tuple[Row, ...]:
        rng = stream(self._seed, "skew", symbol, expiry)
        own = 1.0 + 0.1 * bell(rng)
        usual = profile(symbol).implied_volatility * _USUAL[delta]
        end, rows = date.fromisoformat(expiry), []
        listed = _MONTHLY_DAYS if 14 < end.day < 22 else _WEEKLY_DAYS
        for session, level in zip(self._market.calendar.all, self._levels(symbol), strict=False):
            left = (end - date.fromisoformat(session.date)).days
            if 0 <= left < listed:
                skew = usual * (own * level + 0.1 * stream(expiry, symbol, delta, session.date).random() - 0.05)
                fields = {
                    "date": session.date,
                    "ticker": feed_ticker(symbol),
                    "delta": delta,
                    "risk_reversal": f"{skew:.4f}",
                }
                rows.append(row(published_us(session.date), fields))
        return tuple(rows)


def _expiry(question: Question) -> date | None:
    """Return the expiry asked for, or None if contracts don't expire on that weekday; an unreadable one is refused."""
    asked = question.params.read("expiry", date.fromisoformat)
    if asked is None:
        raise question.params.refused("expiry")
    # A Friday that is a holiday moves the expiry to the Thursday before it.
    return asked if asked.weekday() in (_THURSDAY, _FRIDAY) else None
