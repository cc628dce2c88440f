"""Round trips and lots from an account's past: what each was, why it ended, what it risked and what it earned."""

import hashlib
from base64 import b32encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from tradebot.model.candidate import Side
from tradebot.model.origin import Origin
from tradebot.model.position import ADOPTED, Kept, OwnedFill, to_nine_places
from tradebot.model.trade import Trade
from tradebot.model.trade_note import TradeNote
from tradebot.views.performance.history import NOT_OURS, History
from tradebot.views.performance.lots import ClosedLot, OpenLot
from tradebot.views.performance.market_time import MarketTime
from tradebot.views.performance.reasons import why_closed
from tradebot.views.performance.risk import (
    Entered,
    Risk,
    Stops,
    excursion,
    in_risks,
    initial_risk,
)
from tradebot.views.performance.trade_row import LONG, SHORT, LotRow, Rows, Source, Status, TradeRow
from tradebot.views.slippage import FillSlippage, of_order, totals

_ZERO = Decimal(0)
Place = tuple[str, str, int]
"""Where a trade is in the books: its strategy, its symbol, and how many trades of those there were before."""
LETTERS = 7
"""How long the id of a trade is."""
BYTES = 5
"""How many bytes of a digest it takes: they have 8 letters."""

_SOURCES = {
    Origin.ADOPTION: Source.ADOPTED,
    Origin.TAKEN_OVER: Source.TAKEN_OVER,
    Origin.PLAN: Source.PLAN,
    Origin.GIVEN_BACK: Source.GIVEN_BACK,
    Origin.ACTIVITY: Source.ACTIVITY,
}


@dataclass
class _Trip:
    """The pieces of one trade, each with its share of the fees."""

    closed: list[tuple[ClosedLot, Decimal]] = field(default_factory=list)
    held: list[tuple[OpenLot, Decimal]] = field(default_factory=list)
    lots: list[ClosedLot | OpenLot] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)

    @property
    def first(self) -> ClosedLot | OpenLot:
        """Return the piece that was bought first."""
        return min(self.lots, key=lambda lot: lot.opened_at) if len(self.lots) > 1 else self.lots[0]

    @property
    def name(self) -> str:
        """Return the id of the trade: letters made from its first fill, which stays its first whatever follows."""
        digest = hashlib.sha256(self.first.entry_fill.encode()).digest()
        return b32encode(digest[:BYTES]).decode().lower()[:LETTERS]


def rows_of(history: History, market: MarketTime, *, by_lot: bool = False) -> Rows:
    """Return a row for each position of ours, and with `by_lot` for each piece of it; otherwise there are no lots.

    `market` tells how long the market was open. Each fee is shared among the trades that sold on its day.
    """
    pieces = _pieces(history)
    making = _Rows(history, market, pieces)
    counts, found, lots = defaultdict[tuple[str, str], int](int), list[TradeRow](), list[LotRow]()
    for trade in history.lots.trades:
        if trade.strategy == NOT_OURS:
            continue
        strategy, symbol = place = (trade.strategy, trade.symbol)
        trip = pieces[strategy, symbol, counts[place]]
        counts[place] += 1
        found.append(making.row(trade, trip))
        lots += making.lots(trip) if by_lot else ()
    return Rows(tuple(found), tuple(sorted(lots, key=lambda lot: (not lot.closed_at, lot.closed_at or lot.opened_at))))


def _pieces(history: History) -> Mapping[Place, _Trip]:
    """Return the pieces of each trade; what others sold takes its share of the fees, too."""
    closed, held, *_ = history.lots
    of_lots = history.fees.of_lots
    found = defaultdict[Place, _Trip](_Trip)
    for lot, fees in zip(closed, of_lots, strict=False):
        trip = found[lot.strategy, lot.symbol, lot.trip]
        trip.closed.append((lot, fees))
        trip.lots.append(lot)
    for piece, fees in zip(held, of_lots[len(closed) :], strict=True):
        trip = found[piece.strategy, piece.symbol, piece.trip]
        trip.held.append((piece, fees))
        trip.lots.append(piece)
    return found


class _Rows:
    """Makes rows from one account's past."""

    def __init__(self, history: History, market: MarketTime, pieces: Mapping[Place, _Trip]) -> None:
        self.history, self.market = history, market
        self.fills = {owned.fill.activity_id: owned for owned in history.fills}
        self.stops = Stops(history.stops)
        self.restated = _restated(history.fills)
        self.closed_by: dict[str, Decimal] = defaultdict(Decimal)
        for lot, _ in (each for trip in pieces.values() for each in trip.closed):
            self.closed_by[lot.exit_fill] += lot.quantity

    def row(self, trade: Trade, trip: _Trip) -> TradeRow:
        """Return the row of one trade."""
        history, key = self.history, (trade.strategy, trade.symbol, trade.opened_at)
        kept, note = history.kept.get(key, Kept()), self._note(trade, trip)
        until = trade.closed_at or history.at
        risk = self._risk(trade, trip, kept)
        fees = sum((fee for _, fee in (*trip.closed, *trip.held)), _ZERO)
        gross = trade.realized_before_fees_usd
        mark = history.marks.get(trade.symbol) if trip.held else None
        best, worst = self._extremes(trade, trip, kept)
        return TradeRow(
            id=trip.name,
            strategy=trade.strategy,
            symbol=trade.symbol,
            side=LONG if trade.side is Side.BUY else SHORT,
            status=_status(trade),
            source=self._source(trip),
            opened_at=trade.opened_at,
            last_exit_at=max((lot.closed_at for lot, _ in trip.closed), default=None),
            closed_at=trade.closed_at,
            quantity=trade.quantity,
            closed_quantity=trade.closed_quantity,
            entry_price=to_nine_places(trade.entry_price),
            exit_price=None if trade.exit_price is None else to_nine_places(trade.exit_price),
            reasons=tuple(dict.fromkeys(why_closed(lot, history.sent) for lot, _ in trip.closed)),
            entry_score=kept.entry_score,
            components=kept.components,
            held_s=(until - trade.opened_at).total_seconds() if until else None,
            market_s=self.market.between_s(trade.opened_at, until) if until else None,
            gross_usd=gross,
            fees_usd=fees,
            net_usd=gross + fees,
            open_usd=None if mark is None else sum((_open(lot, mark) for lot, _ in trip.held), _ZERO),
            risk_usd=risk.usd if risk else None,
            risk_from=risk.source if risk else None,
            r=in_risks(gross + fees, risk) if trade.closed_at else None,
            best=excursion(trade, best, risk),
            worst=excursion(trade, worst, risk),
            slippage=totals(self._slippages(trip)),
            tags=note.tags if note else (),
            note=note.note if note else "",
        )

    def lots(self, trip: _Trip) -> Iterator[LotRow]:
        """Yield the rows of a trade's pieces."""
        name = trip.name
        for lot, fees in trip.closed:
            yield self._closed(name, lot, fees)
        for piece, fees in trip.held:
            yield self._held(name, piece, fees)

    def _source(self, trip: _Trip) -> Source:
        lot = trip.first
        if lot.entry_origin is Origin.VENUE:
            sent = self.history.sent.get(lot.entry_order)
            own = Source.BOT if sent and sent.intents else Source.RECOVERED
            return Source.ADOPTED if lot.strategy == ADOPTED else own
        return _SOURCES.get(lot.entry_origin, Source.RECOVERED)

    def _note(self, trade: Trade, trip: _Trip) -> TradeNote | None:
        """Return the last note of a trade; it may have been written before the symbol was renamed."""
        if not self.history.notes:
            return None
        written = (self.history.notes.get((trade.strategy, name, trade.opened_at)) for name in self._names(trade, trip))
        return max((note for note in written if note), key=lambda note: note.at, default=None)

    def _names(self, trade: Trade, trip: _Trip) -> dict[str, None]:
        """Return the symbols that a trade has had."""
        if (trade.strategy, trade.symbol) not in self.history.former_names:
            return {trade.symbol: None}
        if not trip.names:
            entries = (self.fills[lot.entry_fill].fill.symbol for lot in trip.lots)
            trip.names = dict.fromkeys((trade.symbol, *entries))
        return trip.names

    def _risk(self, trade: Trade, trip: _Trip, kept: Kept) -> Risk | None:
        names = self._names(trade, trip)
        stop = self.stops.first_of(trade, names)
        raw = self._entered(trip) if stop else ()
        entered = [Entered(owned.fill.at, owned.fill.quantity, owned.fill.price) for owned in raw]
        return initial_risk(trade, entered, stop, kept.stop_loss_fraction, self._restated_at(trade, names))

    def _entered(self, trip: _Trip) -> list[OwnedFill]:
        """Return the fills that opened a trade, as they happened, without what they closed of the one before."""
        found = [self.fills[name] for name in dict.fromkeys(lot.entry_fill for lot in trip.lots)]
        return [_less(owned, self.closed_by.get(owned.fill.activity_id, _ZERO)) for owned in found]

    def _restated_at(self, trade: Trade, names: Iterable[str]) -> datetime | None:
        """Return when a trade was first restated, such as by a split; None if it never was."""
        if not self.restated:
            return None
        times = (at for name in names for at in self.restated.get((trade.strategy, name), ()))
        end = trade.closed_at
        return min((at for at in times if trade.opened_at < at and (end is None or at <= end)), default=None)

    def _extremes(self, trade: Trade, trip: _Trip, kept: Kept) -> tuple[Decimal | None, Decimal | None]:
        """Return the best and the worst price that passes saw; what it was closed at was seen, too."""
        if kept.best is None and kept.worst is None:
            return None, None
        names = self._names(trade, trip)
        exits = [lot.exit_price for lot, _ in trip.closed] if self._restated_at(trade, names) is None else []
        best, worst = (max, min) if trade.side is Side.BUY else (min, max)
        return (
            None if kept.best is None else best((kept.best, *exits)),
            None if kept.worst is None else worst((kept.worst, *exits)),
        )

    def _slippages(self, trip: _Trip) -> list[FillSlippage]:
        """Return the slippage of each fill of a trade that an order of ours made; a fill of two trades is divided."""
        parts: dict[str, Decimal] = defaultdict(Decimal)
        for lot, _ in trip.closed:
            parts[lot.exit_fill] += lot.quantity
        for owned in self._entered(trip):
            parts[owned.fill.activity_id] += owned.fill.quantity
        return [found for name, part in parts.items() if (found := self._slippage(name, part))]

    def _slippage(self, fill_id: str, part: Decimal) -> FillSlippage | None:
        fill = self.fills[fill_id].fill
        sent = self.history.sent.get(fill.venue_order_id)
        own = sent.intents[0] if sent and sent.intents else None
        if sent is None or own is None or own.protects or own.client_order_id != sent.order.client_order_id:
            return None
        return of_order(fill if part == fill.quantity else replace(fill, quantity=part), sent.order, own)

    def _closed(self, trade_id: str, lot: ClosedLot, fees: Decimal) -> LotRow:
        return replace(
            self._lot(trade_id, lot, lot.closed_at, fees),
            closed_at=lot.closed_at,
            exit_price=lot.exit_price,
            exit_fill=lot.exit_fill,
            exit_order=lot.exit_order,
            reason=why_closed(lot, self.history.sent),
            gross_usd=lot.gross_usd,
            net_usd=lot.gross_usd + fees,
        )

    def _held(self, trade_id: str, lot: OpenLot, fees: Decimal) -> LotRow:
        mark = self.history.marks.get(lot.symbol)
        row = self._lot(trade_id, lot, self.history.at, fees)
        return row if mark is None else replace(row, open_usd=_open(lot, mark))

    def _lot(self, trade_id: str, lot: ClosedLot | OpenLot, until: datetime | None, fees: Decimal) -> LotRow:
        return LotRow(
            trade_id=trade_id,
            strategy=lot.strategy,
            symbol=lot.symbol,
            side=LONG if lot.side is Side.BUY else SHORT,
            quantity=lot.quantity,
            opened_at=lot.opened_at,
            entry_price=lot.entry_price,
            entry_fill=lot.entry_fill,
            entry_order=lot.entry_order,
            held_s=(until - lot.opened_at).total_seconds() if until else None,
            market_s=self.market.between_s(lot.opened_at, until) if until else None,
            fees_usd=fees,
        )


def _restated(fills: Iterable[OwnedFill]) -> Mapping[tuple[str, str], list[datetime]]:
    """Return when activities and plans changed the shares of each strategy and symbol without an order."""
    found = defaultdict[tuple[str, str], list[datetime]](list)
    for owned in fills:
        if owned.origin in (Origin.ACTIVITY, Origin.PLAN):
            found[owned.strategy, owned.fill.symbol].append(owned.fill.at)
    return found


def _less(owned: OwnedFill, part: Decimal) -> OwnedFill:
    return replace(owned, fill=replace(owned.fill, quantity=owned.fill.quantity - part)) if part else owned


def _status(trade: Trade) -> Status:
    if trade.closed_at:
        return Status.CLOSED
    return Status.PARTLY_CLOSED if trade.closed_quantity else Status.OPEN


def _open(lot: OpenLot, mark: Decimal) -> Decimal:
    return lot.side.sign * lot.quantity * (mark - lot.entry_price)
