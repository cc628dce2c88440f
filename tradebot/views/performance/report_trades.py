"""The trades of a report: the round trips that ended in its span, and the positions that are still held."""

from collections.abc import Sequence

from tradebot.views.performance import trade_row
from tradebot.views.performance.report import TradeRow
from tradebot.views.slippage import TotalSlippage, summed


def report_trade(row: trade_row.TradeRow) -> TradeRow:
    """Return what a report says of a trade."""
    cost = row.closed_quantity * row.entry_price
    return TradeRow(
        id=row.id,
        strategy=row.strategy,
        symbol=row.symbol,
        side=row.side,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        quantity=row.quantity,
        entry_price=row.entry_price,
        exit_price=row.exit_price,
        gross_usd=row.gross_usd,
        fees_usd=row.fees_usd,
        net_usd=row.net_usd,
        fraction=float(row.gross_usd / cost) if cost else None,
        r=None if row.r is None else float(row.r),
        reasons=row.reasons,
        entry_score=row.entry_score,
    )


def slippage_of(rows: Sequence[trade_row.TradeRow]) -> tuple[TotalSlippage, ...]:
    """Return the slippage of all fills of these trades together, against each midpoint."""
    return tuple(summed(list(column)) for column in zip(*(row.slippage for row in rows), strict=True))
