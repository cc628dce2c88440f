"""Round trips and lots from an account's past: what each was, why it ended, what it risked and what it earned."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from tradebot.model.candidate import Side
from tradebot.model.origin import Origin
from tradebot.model.position import ADOPTED, Kept, to_nine_places
from tradebot.model.trade import Trade
from tradebot.model.trade_note import TradeNote
from tradebot.model.values import replace
from tradebot.views.performance.history import NOT_OURS, History
from tradebot.views.performance.lots import AnyLot, ClosedLot, OpenLot, Trip
from tradebot.views.performance.market_time import MarketTime
from tradebot.views.performance.reasons import why_closed
from tradebot.views.performance.risk import excursion, in_risks
from tradebot.views.performance.trade_row import LotRow, Rows, Source, Status, TradeRow, side_of
from tradebot.views.performance.trip_facts import TripFacts
from tradebot.views.slippage import totals

_ZERO = Decimal(0)
_SOURCES = {
    Origin.ADOPTION: Source.ADOPTED,
    Origin.TAKEN_OVER: Source.TAKEN_OVER,
    Origin.PLAN: Source.PLAN,
    Origin.GIVEN_BACK: Source.GIVEN_BACK,
    Origin.ACTIVITY: Source.ACTIVITY,
}


def rows_of(history: History, market: MarketTime, *, by_lot: bool = False) -> Rows:
    """Return a row for each position of ours, and with `by_lot` for each piece of it; otherwise there are no lots.

    `market` tells how long the market was open. Each fee is shared among the trades that sold on its day.
    """
    making = _Rows(history, market)
    trips = [trip for trip in history.lots.trips if trip.trade.strategy != NOT_OURS]
    lots = [lot for trip in trips for lot in making.lots(trip)] if by_lot else []
    return Rows(
        tuple(map(making.row, trips)),
        tuple(sorted(lots, key=lambda lot: (not lot.closed_at, lot.closed_at or lot.opened_at))),
    )


class _Rows:
    """Makes rows from one account's past."""

    def __init__(self, history: History, market: MarketTime) -> None:
        self.history, self.market, self.facts = history, market, TripFacts(history)

    def row(self, trip: Trip) -> TradeRow:
        """Return the row of one trade."""
        history, facts, trade = self.history, self.facts, trip.trade
        kept, note = facts.kept(trip), self._note(trip)
        until = trade.closed_at or history.at
        risk = facts.risk(trip)
        fees = facts.fees_usd(trip)
        gross = trade.realized_before_fees_usd
        mark = history.marks.get(trade.symbol) if trip.held else None
        best, worst = self._extremes(trip, kept)
        return TradeRow(
            id=facts.name(trip),
            strategy=trade.strategy,
            symbol=trade.symbol,
            side=side_of(trade.side),
            status=_status(trade),
            source=self._source(trip),
            opened_at=trade.opened_at,
            last_exit_at=trip.closed[-1].closed_at if trip.closed else None,
            closed_at=trade.closed_at,
            quantity=trade.quantity,
            closed_quantity=trade.closed_quantity,
            entry_price=to_nine_places(trade.entry_price),
            exit_price=None if trade.exit_price is None else to_nine_places(trade.exit_price),
            reasons=facts.reasons(trip),
            entry_score=kept.entry_score,
            components=kept.components,
            held_s=(until - trade.opened_at).total_seconds() if until else None,
            market_s=self.market.between_s(trade.opened_at, until) if until else None,
            gross_usd=gross,
            fees_usd=fees,
            net_usd=gross + fees,
            open_usd=None if mark is None else sum((_open(lot, mark) for lot in trip.held), _ZERO),
            risk_usd=risk.usd if risk else None,
            risk_from=risk.source if risk else None,
            r=in_risks(gross + fees, risk) if trade.closed_at else None,
            best=excursion(trade, best, risk),
            worst=excursion(trade, worst, risk),
            slippage=totals(list(facts.made(trip))),
            tags=note.tags if note else (),
            note=note.note if note else "",
        )

    def lots(self, trip: Trip) -> Iterator[LotRow]:
        """Yield the rows of a trade's pieces."""
        name = self.facts.name(trip)
        for lot in trip.closed:
            yield self._closed(name, lot)
        for piece in trip.held:
            yield self._held(name, piece)

    def _source(self, trip: Trip) -> Source:
        lot = trip.first
        if lot.entry_origin is Origin.VENUE:
            sent = self.history.sent.get(lot.entry_order)
            own = Source.BOT if sent and sent.intents else Source.RECOVERED
            return Source.ADOPTED if lot.strategy == ADOPTED else own
        return _SOURCES.get(lot.entry_origin, Source.RECOVERED)

    def _note(self, trip: Trip) -> TradeNote | None:
        """Return the last note of a trade; it may have been written before the symbol was renamed."""
        if not self.history.notes:
            return None
        strategy, _, opened_at = trip.trade.key
        written = (self.history.notes.get((strategy, name, opened_at)) for name in self.facts.names(trip))
        return max((note for note in written if note), key=lambda note: note.at, default=None)

    def _extremes(self, trip: Trip, kept: Kept) -> tuple[Decimal | None, Decimal | None]:
        """Return the best and the worst price that passes saw; what it was closed at was seen, too."""
        if kept.best is None and kept.worst is None:
            return None, None
        is_restated = self.facts.restated_at(trip) is not None
        exits = [] if is_restated else [lot.exit_price for lot in trip.closed]
        best, worst = (max, min) if trip.trade.side is Side.BUY else (min, max)
        return (
            None if kept.best is None else best((kept.best, *exits)),
            None if kept.worst is None else worst((kept.worst, *exits)),
        )

    def _closed(self, trade_id: str, lot: ClosedLot) -> LotRow:
        row = self._lot(trade_id, lot, lot.closed_at)
        return replace(
            row,
            closed_at=lot.closed_at,
            exit_price=lot.exit_price,
            exit_fill=lot.exit_fill,
            exit_order=lot.exit_order,
            reason=why_closed(lot, self.history.sent),
            gross_usd=lot.gross_usd,
            net_usd=lot.gross_usd + row.fees_usd,
        )

    def _held(self, trade_id: str, lot: OpenLot) -> LotRow:
        mark = self.history.marks.get(lot.symbol)
        row = self._lot(trade_id, lot, self.history.at)
        return row if mark is None else replace(row, open_usd=_open(lot, mark))

    def _lot(self, trade_id: str, lot: AnyLot, until: datetime | None) -> LotRow:
        return LotRow(
            trade_id=trade_id,
            strategy=lot.strategy,
            symbol=lot.symbol,
            side=side_of(lot.side),
            quantity=lot.quantity,
            opened_at=lot.opened_at,
            entry_price=lot.entry_price,
            entry_fill=lot.entry_fill,
            entry_order=lot.entry_order,
            held_s=(until - lot.opened_at).total_seconds() if until else None,
            market_s=self.market.between_s(lot.opened_at, until) if until else None,
            fees_usd=self.history.fees.of(lot),
        )


def _status(trade: Trade) -> Status:
    if trade.closed_at:
        return Status.CLOSED
    return Status.PARTLY_CLOSED if trade.closed_quantity else Status.OPEN


def _open(lot: OpenLot, mark: Decimal) -> Decimal:
    return lot.side.sign * lot.quantity * (mark - lot.entry_price)
