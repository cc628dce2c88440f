"""The trades of a report: the round trips that ended in its span, and the positions that are still held."""

from collections.abc import Iterable

from tradebot.model.kind import NEW_YORK
from tradebot.views.performance import trades
from tradebot.views.performance.days import Days
from tradebot.views.performance.report import TradeRow


def report_trades(rows: Iterable[trades.TradeRow], days: Days) -> tuple[TradeRow, ...]:
    """Return the round trips that were closed in a span, and the positions opened by its end that are held today."""
    return tuple(_row(row) for row in rows if _belongs(row, days))


def _belongs(row: trades.TradeRow, days: Days) -> bool:
    if row.closed_at is not None:
        return days.has(row.closed_at)
    return not days.is_after(row.opened_at.astimezone(NEW_YORK).date())


def _row(row: trades.TradeRow) -> TradeRow:
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
