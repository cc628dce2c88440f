"""Closed trades to learn from, a few in each session, with what components said of them."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tradebot.model.bar import Session
from tradebot.model.candidate import Component
from tradebot.model.venue_day import VenueDay
from tradebot.views.learning.values import Outcome, outcomes_of
from tradebot.views.performance.trade_row import LONG, Excursion, Source, Status, TradeRow

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
