"""Closed trades to learn from, a few in each session, with what components said of them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from types import MappingProxyType
from typing import Any

from tradebot.auditing.forward_returns import HORIZONS, Entry, Returns, SessionReturns
from tradebot.auditing.outcomes import StrategyOutcomes, Tally
from tradebot.model.bar import Session
from tradebot.model.candidate import Component, Side
from tradebot.model.decision import Gate
from tradebot.model.record import Judged
from tradebot.model.venue_day import VenueDay
from tradebot.views.learning.values import Outcome, outcomes_of
from tradebot.views.performance.trade_row import LONG, Excursion, Source, Status, TradeRow

# Made-up candidates and what followed them, with an edge or without one.

AT = datetime(2026, 11, 16, 15, 0, tzinfo=UTC)
SYMBOLS = ("AAPL", "AMZN", "MSFT", "NVDA", "TSLA")
LONGEST = 11
DAILY = 0.02
"""The standard deviation of a symbol's return in a session."""


class Told(SessionReturns):
    """Returns that a test makes up, by symbol and by the minute after AT in which a candidate is entered."""

    def __init__(self, panel_returns: dict[tuple[str, int], Returns]) -> None:
        self._told = panel_returns

    def entry(self, symbol: str, at: datetime) -> Entry | None:
        minute = int((at - AT).total_seconds()) // 60
        found = self._told.get((symbol, minute))
        return None if found is None else Entry(minute, found)


def judged(
    symbol: str = "AAPL",
    score: float | None = 0.5,
    gate: Gate | None = None,
    *,
    minute: int = 0,
    at: datetime = AT,
    was_gated: bool = True,
    parts: Mapping[str, float | None] = MappingProxyType({}),
) -> Judged:
    side = Side.SELL if score is not None and score < 0 else Side.BUY
    return Judged(at + timedelta(minutes=minute), "flow", symbol, side, score, tuple(parts.items()), gate, was_gated)


def panel_returns(*values: float | None) -> Returns:
    return (*values, *[None] * (len(HORIZONS) - len(values)))


def panel_outcomes(*panel_days: tuple[dict[tuple[str, int], Returns], list[Judged]]) -> StrategyOutcomes:
    tally = Tally()
    for told, each in panel_days:
        tally.add(Told(told), each)
    (found,) = tally.outcomes()
    return found


def panel(seed: int, sessions: int, edge: float) -> StrategyOutcomes:
    """Measure random candidates with scores that last for days, in a market whose symbols move together.

    Three components are noise. With an edge, an hour's return leans toward the score by that many standard deviations.
    """
    return panel_outcomes(*panel_days(Random(seed), sessions, edge))


def panel_days(
    chance: Random, sessions: int, edge: float
) -> Iterator[tuple[dict[tuple[str, int], Returns], list[Judged]]]:
    market = [chance.gauss(0, 0.01) for _ in range(sessions + LONGEST)]
    moves = {s: [beta + chance.gauss(0, DAILY) for beta in market] for s in SYMBOLS}
    views = {symbol: [chance.uniform(-1, 1) for _ in range(4)] for symbol in SYMBOLS}
    for session in range(sessions):
        told, each = dict[tuple[str, int], Returns](), list[Judged]()
        for symbol in SYMBOLS:
            views[symbol] = [0.9 * view + 0.3 * chance.uniform(-1, 1) for view in views[symbol]]
            score, *noise = views[symbol]
            for minute in (0, 60):
                hour = 0.004 * (chance.gauss(0, 1) + edge * (1 if score > 0 else -1))
                later = [sum(moves[symbol][session : session + reach]) + hour for reach in (1, 2, 4, 6, 11)]
                told[symbol, minute] = (hour, *later)
                gate = chance.choice((None, Gate.SPREAD, Gate.COOLDOWN))
                parts: dict[str, float | None] = dict(zip(("flow", "tide", "skew"), noise, strict=True))
                each.append(judged(symbol, score, gate, minute=minute, parts=parts))
        yield told, each


OPEN = datetime(2026, 6, 1, 13, 30, tzinfo=UTC)
DAY = VenueDay("America/New_York")
HOURS = timedelta(hours=6, minutes=30)
WORTH = 1000
"""What each trade paid, in USD: 10 shares at 100."""
FLOW = "flow"


def session(number: int) -> Session:
    opened = OPEN + timedelta(days=number)
    return Session(opened.date(), opened, opened + HOURS)


def trade(
    number: int,
    net: float,
    says: Mapping[str, float] | None = None,
    *,
    in_session: int = 0,
    minutes: int = 60,
    held: timedelta = timedelta(minutes=30),
    weight: float = 0.4,
    best: float | None = 0.01,
    worst: float | None = -0.01,
    **other: Any,
) -> TradeRow:
    """Return a closed trade of 1,000 USD, which components are positive about if they expect a rise."""
    opened = OPEN + timedelta(days=in_session, minutes=minutes)
    usd = Decimal(str(round(net, 6)))
    said = {"flow": 0.5} if says is None else says
    fields: dict[str, Any] = {
        **dict.fromkeys((name for name in TradeRow.__struct_fields__), None),
        "id": f"t{number:05}",
        "strategy": FLOW,
        "symbol": f"S{number % 7}",
        "side": LONG,
        "status": Status.CLOSED,
        "source": Source.BOT,
        "opened_at": opened,
        "closed_at": opened + held,
        "quantity": Decimal(10),
        "entry_price": Decimal(100),
        "gross_usd": usd,
        "fees_usd": Decimal(0),
        "net_usd": usd,
        "reasons": (),
        "entry_score": 0.3,
        "components": tuple(Component(name, value, weight, "") for name, value in said.items()),
        "best": excursion(best),
        "worst": excursion(worst),
        "multiplier": Decimal(1),
        "unknown_fees": 0,
        "open_fees_usd": Decimal(0),
    }
    return TradeRow(**{**fields, **other})


def excursion(fraction: float | None) -> Excursion | None:
    if fraction is None:
        return None
    exact = Decimal(str(round(fraction, 6)))
    return Excursion(100 + 100 * exact, exact, WORTH * exact, None)


def sessions(count: int) -> Mapping[date, Session]:
    return {one.date: one for one in map(session, range(count))}


def outcomes(*trades: TradeRow) -> tuple[Outcome, ...]:
    return outcomes_of(trades, sessions(400), DAY)
