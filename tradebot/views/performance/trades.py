"""Round trips and lots as people and programs read them: what each was, why it ended, and what it earned."""

import hashlib
from base64 import b32encode
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from tradebot.model.candidate import Component, Side
from tradebot.model.cash import CashKind
from tradebot.model.origin import Origin
from tradebot.model.position import ADOPTED, NINE_PLACES, Kept, Key, OwnedFill
from tradebot.model.trade import Trade, trades
from tradebot.views.performance.cash import cash_kind
from tradebot.views.performance.fees import allotted
from tradebot.views.performance.history import History
from tradebot.views.performance.lots import ClosedLot, OpenLot, closed_lots, open_lots
from tradebot.views.performance.market_time import MarketTime
from tradebot.views.performance.reasons import why_closed
from tradebot.views.performance.risk import (
    Entered,
    Excursion,
    Risk,
    RiskFrom,
    Stops,
    excursion,
    in_risks,
    initial_risk,
)
from tradebot.views.slippage import FillSlippage, TotalSlippage, of_order, totals

_ZERO = Decimal(0)
Place = tuple[str, str, int]
"""Where a trade is in the books: its strategy, its symbol, and how many trades of those there were before."""
LETTERS = 7
"""How long the id of a trade is."""


class Status(StrEnum):
    """Whether a trade is over."""

    OPEN = "open"
    PARTLY_CLOSED = "partly closed"
    CLOSED = "closed"


class Source(StrEnum):
    """Whose entry a trade began with. RECOVERED is one of the bot's orders whose promise the books don't have."""

    BOT = "bot"
    ADOPTED = "adopted"
    TAKEN_OVER = "taken over"
    PLAN = "accepted plan"
    GIVEN_BACK = "given back"
    ACTIVITY = "corporate action"
    RECOVERED = "recovered"


_SOURCES = {
    Origin.ADOPTION: Source.ADOPTED,
    Origin.TAKEN_OVER: Source.TAKEN_OVER,
    Origin.PLAN: Source.PLAN,
    Origin.GIVEN_BACK: Source.GIVEN_BACK,
    Origin.ACTIVITY: Source.ACTIVITY,
}


@dataclass(frozen=True, slots=True)
class LotRow:
    """A piece of a trade, as it was bought and closed, first in, first out. Amounts are in USD, and fees are negative.

    The last fields are None or empty while it is held; `open_usd` is None once it is closed, or without a last price.
    """

    trade_id: str
    strategy: str
    symbol: str
    side: str
    quantity: Decimal
    opened_at: datetime
    entry_price: Decimal
    entry_fill: str
    entry_order: str
    held_s: float | None
    market_s: float | None
    fees_usd: Decimal
    open_usd: Decimal | None = None
    closed_at: datetime | None = None
    exit_price: Decimal | None = None
    exit_fill: str = ""
    exit_order: str = ""
    reason: str = ""
    gross_usd: Decimal | None = None
    net_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class TradeRow:
    """A position from its first fill to its last. Amounts are in USD, prices in USD per share, and fees are negative.

    `id` names the trade and never changes. `quantity` counts all shares entered and `closed_quantity` those that are
    closed, in today's shares; prices are averages. `last_exit_at` is None before the first exit, and `closed_at` until
    the last share is closed. `held_s` is the time from the first fill to the last, or to the last recorded moment, and
    `market_s` the part of it in which the market was open; None if the calendar isn't known. `gross_usd` is the profit
    of what is closed, and `net_usd` that with fees. `open_usd` is the profit of what is held, at the last recorded
    price. `risk_usd` is what the first stop would have lost, and `r` is the net profit of a closed trade as a multiple
    of it. `best` and `worst` are the excursions that passes saw.
    """

    id: str
    strategy: str
    symbol: str
    side: str
    status: Status
    source: Source
    opened_at: datetime
    last_exit_at: datetime | None
    closed_at: datetime | None
    quantity: Decimal
    closed_quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal | None
    reasons: tuple[str, ...]
    entry_score: float | None
    components: tuple[Component, ...]
    held_s: float | None
    market_s: float | None
    gross_usd: Decimal
    fees_usd: Decimal
    net_usd: Decimal
    open_usd: Decimal | None
    risk_usd: Decimal | None
    risk_from: RiskFrom | None
    r: Decimal | None
    best: Excursion | None
    worst: Excursion | None
    slippage: tuple[TotalSlippage, ...]
    tags: tuple[str, ...]
    note: str
    lots: tuple[LotRow, ...]

    @property
    def key(self) -> Key:
        """Return what names the position in the books."""
        return self.strategy, self.symbol, self.opened_at


@dataclass
class _Trip:
    """The pieces of one trade, each with its share of the fees."""

    closed: list[tuple[ClosedLot, Decimal]] = field(default_factory=list)
    held: list[tuple[OpenLot, Decimal]] = field(default_factory=list)

    @property
    def lots(self) -> list[ClosedLot | OpenLot]:
        return [*(lot for lot, _ in self.closed), *(lot for lot, _ in self.held)]

    @property
    def first(self) -> ClosedLot | OpenLot:
        """Return the piece that was bought first."""
        return min(self.lots, key=lambda lot: lot.opened_at)


def trade_rows(history: History, market: MarketTime) -> tuple[TradeRow, ...]:
    """Return a row for each position of ours, in the order in which they were opened.

    `market` tells how long the market was open. Each fee is shared among the trades that sold on its day.
    """
    pieces = _pieces(history)
    rows = _Rows(history, market, pieces)
    counts, found = defaultdict[tuple[str, str], int](int), list[TradeRow]()
    for trade in trades(history.fills):
        place = (trade.strategy, trade.symbol)
        found.append(rows.row(trade, pieces[*place, counts[place]]))
        counts[place] += 1
    return tuple(found)


def _pieces(history: History) -> Mapping[Place, _Trip]:
    """Return the pieces of each trade."""
    closed, held = closed_lots(history.fills), open_lots(history.fills)
    charged = (movement for movement in history.cash if cash_kind(movement) is CashKind.FEE)
    of_lots = allotted(charged, (*closed, *held)).of_lots
    found = defaultdict[Place, _Trip](_Trip)
    for lot, fees in zip(closed, of_lots, strict=False):
        found[lot.strategy, lot.symbol, lot.trip].closed.append((lot, fees))
    for piece, fees in zip(held, of_lots[len(closed) :], strict=True):
        found[piece.strategy, piece.symbol, piece.trip].held.append((piece, fees))
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
        kept, note, name = history.kept.get(key, Kept()), history.notes.get(key), _name(trip)
        until = trade.closed_at or history.at
        risk = self._risk(trade, trip, kept)
        fees = sum((fee for _, fee in (*trip.closed, *trip.held)), _ZERO)
        gross = trade.realized_before_fees_usd
        mark = history.marks.get(trade.symbol) if trip.held else None
        best, worst = self._extremes(trade, trip, kept)
        return TradeRow(
            id=name,
            strategy=trade.strategy,
            symbol=trade.symbol,
            side="long" if trade.side is Side.BUY else "short",
            status=_status(trade),
            source=self._source(trip),
            opened_at=trade.opened_at,
            last_exit_at=max((lot.closed_at for lot, _ in trip.closed), default=None),
            closed_at=trade.closed_at,
            quantity=trade.quantity,
            closed_quantity=trade.closed_quantity,
            entry_price=_price(trade.entry_price),
            exit_price=None if trade.exit_price is None else _price(trade.exit_price),
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
            lots=(
                *(self._closed(name, lot, fee) for lot, fee in trip.closed),
                *(self._held(name, lot, fee, mark) for lot, fee in trip.held),
            ),
        )

    def _source(self, trip: _Trip) -> Source:
        lot = trip.first
        if lot.entry_origin is Origin.VENUE:
            sent = self.history.sent.get(lot.entry_order)
            own = Source.BOT if sent and sent.intents else Source.RECOVERED
            return Source.ADOPTED if lot.strategy == ADOPTED else own
        return _SOURCES.get(lot.entry_origin, Source.RECOVERED)

    def _risk(self, trade: Trade, trip: _Trip, kept: Kept) -> Risk | None:
        raw = self._entered(trip)
        entered = [Entered(owned.fill.at, owned.fill.quantity, owned.fill.price) for owned in raw]
        names = dict.fromkeys((trade.symbol, *(owned.fill.symbol for owned in raw)))
        stop = self.stops.first_of(trade, names)
        return initial_risk(trade, entered, stop, kept.stop_loss_fraction, self._restated_at(trade, names))

    def _entered(self, trip: _Trip) -> list[OwnedFill]:
        """Return the fills that opened a trade, as they happened, without what they closed of the one before."""
        found = [self.fills[name] for name in dict.fromkeys(lot.entry_fill for lot in trip.lots)]
        return [_less(owned, self.closed_by.get(owned.fill.activity_id, _ZERO)) for owned in found]

    def _restated_at(self, trade: Trade, names: Iterable[str]) -> datetime | None:
        """Return when a trade was first restated, such as by a split; None if it never was."""
        times = (at for name in names for at in self.restated.get((trade.strategy, name), ()))
        end = trade.closed_at
        return min((at for at in times if trade.opened_at < at and (end is None or at <= end)), default=None)

    def _extremes(self, trade: Trade, trip: _Trip, kept: Kept) -> tuple[Decimal | None, Decimal | None]:
        """Return the best and the worst price that passes saw; what it was closed at was seen, too."""
        names = {self.fills[lot.entry_fill].fill.symbol for lot in trip.lots} | {trade.symbol}
        exits = [lot.exit_price for lot, _ in trip.closed] if self._restated_at(trade, names) is None else []
        best, worst = (max, min) if trade.side is Side.BUY else (min, max)
        return (
            None if kept.best is None else best(kept.best, *exits),
            None if kept.worst is None else worst(kept.worst, *exits),
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
        return of_order(replace(fill, quantity=part), sent.order, own)

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

    def _held(self, trade_id: str, lot: OpenLot, fees: Decimal, mark: Decimal | None) -> LotRow:
        row = self._lot(trade_id, lot, self.history.at, fees)
        return row if mark is None else replace(row, open_usd=_open(lot, mark))

    def _lot(self, trade_id: str, lot: ClosedLot | OpenLot, until: datetime | None, fees: Decimal) -> LotRow:
        return LotRow(
            trade_id=trade_id,
            strategy=lot.strategy,
            symbol=lot.symbol,
            side="long" if lot.side is Side.BUY else "short",
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


def _name(trip: _Trip) -> str:
    """Return the id of a trade: letters made from its first fill, which stays its first whatever becomes of it."""
    digest = hashlib.sha256(trip.first.entry_fill.encode()).digest()
    return b32encode(digest).decode().lower()[:LETTERS]


def _status(trade: Trade) -> Status:
    if trade.closed_at:
        return Status.CLOSED
    return Status.PARTLY_CLOSED if trade.closed_quantity else Status.OPEN


def _price(average: Decimal) -> Decimal:
    """Return an average price to nine places, without trailing zeros."""
    return average.quantize(NINE_PLACES).normalize() + _ZERO


def _open(lot: OpenLot, mark: Decimal) -> Decimal:
    return lot.side.sign * lot.quantity * (mark - lot.entry_price)


def lot_rows(rows: Sequence[TradeRow]) -> tuple[LotRow, ...]:
    """Return the pieces of these trades, the oldest exit first; those that are held come last."""
    pieces = [lot for row in rows for lot in row.lots]
    return tuple(sorted(pieces, key=lambda lot: (lot.closed_at is None, lot.closed_at or lot.opened_at)))
