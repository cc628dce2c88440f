"""What the trades of a demo earned, and what the profit came from."""

from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from tradebot.model.values import replace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from tradebot.app.wiring import App
    from tradebot.views.performance.history import History
    from tradebot.views.performance.pnl import Row
    from tradebot.views.performance.trade_row import TradeRow


class DemoTrade(Struct, frozen=True):
    """A closed trade: what it made after fees in USD, why it was closed, and which part of the score spoke for it."""

    symbol: str
    side: str
    net_usd: Decimal
    reason: str
    component: str


class Earned(Struct, frozen=True):
    """The closed trades with the best and the worst of them, and all profit by exit reason and by entry component."""

    closed: int
    won: int
    best: DemoTrade | None
    worst: DemoTrade | None
    by_reason: "tuple[Row, ...]"
    by_component: "tuple[Row, ...]"


def earned(app: "App", session: "date", marks: "Mapping[str, Decimal]") -> Earned:
    """Return what the trades of a demo's session earned, with what is held at these prices in USD."""
    from commands.shared.history import read_history
    from tradebot.views.performance.days import MarketTime
    from tradebot.views.performance.pieces import breakdown
    from tradebot.views.performance.pnl import Cut, pnl
    from tradebot.views.performance.trade_row import Status
    from tradebot.views.performance.trades import rows_of

    history = _valued(read_history(app), session, marks)
    known, trades = breakdown(history), rows_of(history, MarketTime(())).trades
    closed = sorted((row for row in trades if row.status is Status.CLOSED), key=lambda row: row.net_usd)
    return Earned(
        closed=len(closed),
        won=sum(row.net_usd > 0 for row in closed),
        best=_trade(closed[-1]) if closed else None,
        worst=_trade(closed[0]) if len(closed) > 1 else None,
        by_reason=pnl(known, Cut.REASON).rows,
        by_component=pnl(known, Cut.COMPONENT).rows,
    )


def _valued(history: "History", session: "date", marks: "Mapping[str, Decimal]") -> "History":
    """Return the past with the prices at the end of the session instead of those that the last pass saw."""
    from tradebot.model.record import SessionEnd

    before = (end for end in history.ends if end.session < session)
    return replace(history, ends=(*before, SessionEnd(session, None, None, marks, None)))


def _trade(row: "TradeRow") -> DemoTrade:
    from tradebot.model.candidate import Side
    from tradebot.model.position import Kept
    from tradebot.views.performance.pnl import entry_component
    from tradebot.views.performance.reasons import rule_of

    component = entry_component(Kept(components=row.components), Side.BUY if row.side == "long" else Side.SELL)
    return DemoTrade(row.symbol, row.side, row.net_usd, rule_of(row.reasons[-1]), component)
