"""The trades of a report: the round trips that ended in its span, and the positions that are still held."""

from typing import NamedTuple

from tradebot.model.position import to_nine_places
from tradebot.views.performance.choosing import Choice
from tradebot.views.performance.history import NOT_OURS, History
from tradebot.views.performance.lots import Trip
from tradebot.views.performance.report import TradeRow
from tradebot.views.performance.risk import in_risks
from tradebot.views.performance.trade_row import side_of
from tradebot.views.performance.trip_facts import TripFacts
from tradebot.views.slippage import TotalSlippage, totals


class ReportTrades(NamedTuple):
    """The chosen trades, and the slippage of all their fills together against each midpoint; none without trades."""

    rows: tuple[TradeRow, ...]
    slippage: tuple[TotalSlippage, ...]


def report_trades(history: History, choice: Choice) -> ReportTrades:
    """Return what a report says of an account's trades."""
    trips = [trip for trip in history.lots.trips if trip.trade.strategy != NOT_OURS and choice.covers(trip.trade)]
    facts = TripFacts(history)
    made = [one for trip in trips for one in facts.made(trip)]
    return ReportTrades(tuple([_row(trip, facts) for trip in trips]), totals(made) if trips else ())


def _row(trip: Trip, facts: TripFacts) -> TradeRow:
    trade, fees = trip.trade, facts.fees_usd(trip)
    gross, price = trade.realized_before_fees_usd, to_nine_places(trade.entry_price)
    cost, r = trade.closed_quantity * price, in_risks(gross + fees, facts.risk(trip)) if trade.closed_at else None
    return TradeRow(
        id=facts.name(trip),
        strategy=trade.strategy,
        symbol=trade.symbol,
        side=side_of(trade.side),
        opened_at=trade.opened_at,
        closed_at=trade.closed_at,
        quantity=trade.quantity,
        entry_price=price,
        exit_price=None if trade.exit_price is None else to_nine_places(trade.exit_price),
        gross_usd=gross,
        fees_usd=fees,
        net_usd=gross + fees,
        fraction=float(gross / cost) if cost else None,
        r=None if r is None else float(r),
        reasons=facts.reasons(trip),
        entry_score=facts.kept(trip).entry_score,
    )
