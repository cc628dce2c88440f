"""Serve option trading by the minute, and the tickers whose net premium weighs most in it.

The ticks of a day add up to its daily option volume. A tick is known at the end of its minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

from tradebot.exchange.flow.rows import Row, feed_ticker, known, row
from tradebot.exchange.flow.series import NOTHING, Answered, Question
from tradebot.exchange.flow.volumes import Traded, Volumes
from tradebot.exchange.market.bars import Market
from tradebot.exchange.market.profiles import profile
from tradebot.exchange.times import MINUTE, rfc3339

_DAYS_IN_MEMORY = 8
_DELTA = 0.42
"""The delta of a contract as it is usually traded; a put's is the negative."""
_SHARES = 100


class Ticks:
    """Net premium by symbol: the minutes of a session, and where it stands among the market's."""

    def __init__(self, market: Market, volumes: Volumes) -> None:
        self._market = market
        self._volumes = volumes
        self._rows = lru_cache(maxsize=_DAYS_IN_MEMORY)(self._of_session)

    def answer(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return a day's minutes so far, oldest first."""
        index = self._market.calendar.shown(question.day, now_us)
        return NOTHING if index is None else Answered(known(self._rows(symbol, index), now_us))

    def impact(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return the tickers with the highest and the lowest net premium of a day, half of each, highest first."""
        count = question.params.count("limit", 20, 100)
        index = self._market.calendar.shown(question.day, now_us)
        if index is None:
            return NOTHING
        place = self._market.calendar.first + index
        wanted = question.values("issue_types[]")
        nets = [
            (self._net(one, place, now_us), feed_ticker(one))
            for one in self._market.symbols
            if not wanted or profile(one).issue_type in wanted
        ]
        top = sorted((net for net in nets if net[0] > 0), reverse=True)[: count // 2]
        bottom = sorted(net for net in nets if net[0] < 0)[: count // 2]
        ranked = [*top, *reversed(bottom)]
        return Answered([row(now_us, {"ticker": ticker, "net_premium": float(net)}) for net, ticker in ranked])

    def _net(self, symbol: str, place: int, now_us: int) -> int:
        calls, puts = self._volumes.traded(symbol, place, now_us)
        return calls.net - puts.net

    def _of_session(self, symbol: str, index: int) -> Sequence[Row]:
        calendar = self._market.calendar
        session = calendar.market[index]
        minutes = range((session.close_us - session.open_us) // MINUTE + 1)
        sums = self._volumes.after(symbol, calendar.first + index, minutes)
        return tuple(
            row(session.open_us + (minute + 1) * MINUTE, _tick(session.date, session.open_us + minute * MINUTE, *pair))
            for minute, pair in enumerate(pairwise(sums))
        )


def _tick(day: str, start_us: int, before: Traded, after: Traded) -> dict[str, Any]:
    fields: dict[str, Any] = {"date": day, "tape_time": rfc3339(start_us)}
    for name, old, new in zip(("call", "put"), before, after, strict=True):
        asked, bid = new.ask_volume - old.ask_volume, new.bid_volume - old.bid_volume
        fields |= {
            f"{name}_volume": new.volume - old.volume,
            f"{name}_volume_ask_side": asked,
            f"{name}_volume_bid_side": bid,
            f"net_{name}_premium": f"{new.net - old.net}.00",
            f"net_{name}_volume": asked - bid,
        }
    delta = _DELTA * _SHARES * (fields["net_call_volume"] - fields["net_put_volume"])
    return fields | {"net_delta": f"{delta:.8f}"}
