"""Derive dark-pool prints from any bar source: random sizes and sides, prices inside the quote.

The side leans toward a coin tossed once per session. With the market's edge e, a print leans toward the next hour's
direction with probability e / 3 instead, which is weaker than for alerts.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from tradebot.exchange.chance import stream
from tradebot.exchange.flow.alerts import Flow
from tradebot.exchange.flow.filters import PRINT_NUMBERS
from tradebot.exchange.flow.rows import Row, feed_ticker, known
from tradebot.exchange.flow.series import NOTHING, Answered, Question
from tradebot.exchange.jsontext import encode
from tradebot.exchange.market.bars import UNITS, Market, ask, bid
from tradebot.exchange.market.profiles import profile
from tradebot.exchange.market.sessions import Session
from tradebot.exchange.times import HOUR, SECOND, rfc3339

_DRAWS = 9
_EXTENDED_SHARE = 0.06
_CANCELED_SHARE = 0.01
_ODD_SETTLEMENT_SHARE = 0.02
_EDGE_DILUTION = 3
_FIRST_TRACKING_ID = 26_946_000_000_000


class Prints:
    def __init__(self, market: Market, flow: Flow, seed: int) -> None:
        self._market = market
        self._flow = flow
        self._seed = seed
        self.session = lru_cache(maxsize=64 + len(market.symbols))(self._session)

    def answer(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return a day's prints, newest first."""
        index = self._market.calendar.shown(question.day, now_us)
        return NOTHING if index is None else Answered(known(self.session(symbol, index), now_us)[::-1])

    def _session(self, symbol: str, index: int) -> tuple[Row, ...]:
        """Return a symbol's prints in a session and in the hours after it, oldest first."""
        session = self._market.calendar.market[index]
        made = (self._print(symbol, index, session, plan) for plan in sorted(self._plan(symbol, session)))
        return tuple(one for one in made if one is not None)

    def _plan(self, symbol: str, session: Session) -> Iterator[Plan]:
        rng = stream(self._seed, "prints", symbol, session.date)
        busy = 2 if self._market.liquid(symbol) else 1
        length = session.close_us - session.open_us
        for _ in range(busy * (30 + int(70 * rng.random()))):
            draws = tuple(rng.random() for _ in range(_DRAWS))
            late = draws[0] < _EXTENDED_SHARE
            at_us = session.close_us + int(4 * HOUR * draws[1]) if late else session.open_us + int(length * draws[1])
            yield Plan(at_us // SECOND * SECOND, late, draws)

    def _print(self, symbol: str, index: int, session: Session, plan: Plan) -> Row | None:
        middle = self._market.session_price(symbol, plan.at_us)
        if middle is None:
            return None
        u = plan.draws
        coin = 1 if u[2] < 0.5 else -1
        side = self._flow.direction(symbol, session, index, plan.at_us, coin, u[3] * _EDGE_DILUTION)
        fields = self._fields(symbol, index, plan, middle, side)
        # There are many prints, so keep only the fields for filtering and sorting beside the JSON.
        return Row(plan.at_us, {name: fields[name] for name in PRINT_NUMBERS}, encode(fields))

    def _fields(self, symbol: str, index: int, plan: Plan, middle: int, side: int) -> dict[str, Any]:
        u, low, high = plan.draws, bid(middle), ask(middle)
        price = (low + high) // 2 + side * int((high - low) // 2 * u[4])
        size = self._size(symbol, u)
        odd = u[6] < _ODD_SETTLEMENT_SHARE
        return {
            "ticker": feed_ticker(symbol),
            "executed_at": rfc3339(plan.at_us),
            "price": f"{price / UNITS:.4f}",
            "size": size,
            "premium": f"{price * size / UNITS:.4f}",
            "volume": self._market.day(symbol, index).volume(plan.at_us) + size,
            "nbbo_bid": f"{low / UNITS:.2f}",
            "nbbo_ask": f"{high / UNITS:.2f}",
            "nbbo_bid_quantity": 1 + int(400 * u[7]),
            "nbbo_ask_quantity": 1 + int(400 * u[8]),
            "canceled": u[5] < _CANCELED_SHARE,
            "ext_hour_sold_codes": "extended_hours_trade" if plan.late else None,
            "market_center": "L",
            "sale_cond_codes": "average_price_trade" if u[6] > 0.9 else None,
            "tracking_id": _FIRST_TRACKING_ID + plan.at_us // SECOND % 1_000_000_000,
            "trade_code": None,
            "trade_settlement": "next_day" if odd else "regular",
        }

    def _size(self, symbol: str, u: tuple[float, ...]) -> int:
        """Return a number of shares: about a ten-thousandth of a day's volume, occasionally a hundred times that."""
        usual = max(1.0, profile(symbol).shares_a_day / 10_000)
        return 1 + int(usual * (0.2 + u[5]) / (1.01 - u[6]))


class Plan(NamedTuple):
    """The random part of one print, before prices."""

    at_us: int
    late: bool
    draws: tuple[float, ...]
