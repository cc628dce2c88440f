"""Generate each day's option volume and premium: the symbol's own alerts, and seeded trading that raises no alert.

So a day never shows less than its alerts add up to, and its edge is that of the alerts, diluted. Sessions before the
market's first have no alerts; what they would have alerted is decided by coins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from tradebot.exchange.chance import bell, stream
from tradebot.exchange.flow.alerts import Flow, planned
from tradebot.exchange.flow.rows import Row, known, row
from tradebot.exchange.flow.series import Answered, Question
from tradebot.exchange.market.bars import Market
from tradebot.exchange.market.profiles import profile
from tradebot.exchange.market.sessions import Session

_SHARE_OF_DOLLAR_VOLUME = 0.03
_CONTRACTS_ALERTED = 8_000
_DAYS_IN_MEMORY = 64
_AVERAGED = (3, 7, 30)


class Side(NamedTuple):
    """What was traded of one right: dollars at the ask, at the bid and in all, and USD for a contract on average."""

    ask: int
    bid: int
    total: int
    each: int

    @property
    def volume(self) -> int:
        """Return how many contracts were traded."""
        return self.total // self.each

    @property
    def ask_volume(self) -> int:
        """Return how many contracts were traded at the ask."""
        return self.ask // self.each

    @property
    def bid_volume(self) -> int:
        """Return how many contracts were traded at the bid."""
        return self.bid // self.each

    @property
    def net(self) -> int:
        """Return the dollars at the ask less those at the bid."""
        return self.ask - self.bid


class Traded(NamedTuple):
    """One symbol's option trading in one session, or in what has passed of it."""

    calls: Side
    puts: Side


class Volumes:
    """Option volume of every symbol and session, generated on first use."""

    def __init__(self, market: Market, flow: Flow, seed: int) -> None:
        self._market = market
        self._flow = flow
        self._seed = seed
        self._finished = lru_cache(maxsize=_DAYS_IN_MEMORY * (4 + len(market.symbols)))(self._whole)

    def answer(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return one row for each session up to the current one, newest first, as many as were asked for."""
        count = question.params.count("limit", 1, 500)
        newest = self.newest(now_us)
        oldest = max(newest - count + 1, max(_AVERAGED))
        return Answered([self._row(symbol, place, now_us) for place in range(newest, oldest - 1, -1)])

    def newest(self, now_us: int) -> int:
        """Return the place of the last session that has opened, among all sessions of the calendar."""
        calendar = self._market.calendar
        begun = calendar.begun(now_us)
        return calendar.first + (-1 if begun is None else begun)

    def traded(self, symbol: str, place: int, now_us: int) -> Traded:
        """Return what a symbol's options traded in a session until now."""
        session = self._market.calendar.all[place]
        if now_us >= session.close_us:
            return self._finished(symbol, place)
        passed = (now_us - session.open_us) / (session.close_us - session.open_us)
        return self._until(symbol, place, passed, now_us)

    def _whole(self, symbol: str, place: int) -> Traded:
        return self._until(symbol, place, 1.0, self._market.calendar.all[place].close_us)

    def _until(self, symbol: str, place: int, passed: float, now_us: int) -> Traded:
        """Add up the alerts until now and the share of the day's other trading that has passed."""
        session = self._market.calendar.all[place]
        sums = {"C": [0, 0, 0], "P": [0, 0, 0]}
        for right, *dollars in self._alerted(symbol, place, session, now_us):
            sums[right] = [old + new for old, new in zip(sums[right], dollars, strict=True)]
        rng = stream(self._seed, "volumes", symbol, session.date)
        character = profile(symbol)
        other = _SHARE_OF_DOLLAR_VOLUME * character.level * character.shares_a_day * (0.5 + rng.random())
        calls = other * (0.55 + 0.04 * bell(rng))
        sides = []
        for right, whole in (("C", calls), ("P", other - calls)):
            asked, bid, each = 0.42 + 0.03 * bell(rng), 0.42 + 0.03 * bell(rng), 150 + int(450 * rng.random())
            ask_usd, bid_usd, total_usd = sums[right]
            some = whole * passed
            sides.append(Side(ask_usd + int(some * asked), bid_usd + int(some * bid), total_usd + int(some), each))
        return Traded(*sides)

    def _alerted(self, symbol: str, place: int, session: Session, now_us: int) -> Iterable[tuple[str, int, int, int]]:
        index = place - self._market.calendar.first
        if index < 0:
            return planned(self._seed, symbol, session)
        return map(_sides_of, known(self._flow.alerts(symbol, index), now_us))

    def _row(self, symbol: str, place: int, now_us: int) -> Row:
        session = self._market.calendar.all[place]
        calls, puts = self.traded(symbol, place, now_us)
        before = [self.traded(symbol, earlier, now_us) for earlier in range(place - max(_AVERAGED), place)]
        fields: dict[str, Any] = {
            "date": session.date,
            **_side_fields("call", calls, self.open_interest(symbol, place, "C")),
            **_side_fields("put", puts, self.open_interest(symbol, place, "P")),
            "bullish_premium": str(calls.ask + puts.bid),
            "bearish_premium": str(calls.bid + puts.ask),
        }
        for days in _AVERAGED:
            fields[f"avg_{days}_day_call_volume"] = _average([one.calls.volume for one in before[-days:]])
            fields[f"avg_{days}_day_put_volume"] = _average([one.puts.volume for one in before[-days:]])
        return row(session.open_us, fields)

    def open_interest(self, symbol: str, place: int, right: str) -> int:
        """Return the open contracts of one right on the morning of a session: about nine days of its usual volume."""
        character = profile(symbol)
        usual = _CONTRACTS_ALERTED + _SHARE_OF_DOLLAR_VOLUME * character.level * character.shares_a_day / 350
        session = self._market.calendar.all[place]
        drawn = stream(self._seed, "open interest", symbol, session.date, right).random()
        return 1 + int(usual * (5.0 if right == "C" else 4.0) * (0.95 + 0.1 * drawn))


def _sides_of(alert: Row) -> tuple[str, int, int, int]:
    """Return an alert's right, its ask-side, bid-side and total dollars."""
    fields = alert.fields
    dollars = (int(fields[f"total_{name}"]) for name in ("ask_side_prem", "bid_side_prem", "premium"))
    return ("C" if fields["type"] == "call" else "P", *dollars)  # type: ignore[return-value]


def _side_fields(name: str, side: Side, open_interest: int) -> dict[str, Any]:
    return {
        f"{name}_volume": side.volume,
        f"{name}_volume_ask_side": side.ask_volume,
        f"{name}_volume_bid_side": side.bid_volume,
        f"{name}_premium": str(side.total),
        f"net_{name}_premium": str(side.net),
        f"{name}_open_interest": open_interest,
    }


def _average(volumes: Sequence[int]) -> str:
    return f"{sum(volumes) / len(volumes):.12f}"
