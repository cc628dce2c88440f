"""Round trips and lots from an account's history: each one's exit reason, risk and profit."""

import hashlib
from base64 import b32encode
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

from msgspec import Struct

from tradebot.model.candidate import Side
from tradebot.model.instrument import ONE, notional
from tradebot.model.order import Fill
from tradebot.model.position import ADOPTED, EntryTerms, Origin, OwnedFill, round_to_nine_places
from tradebot.model.struct_tools import replace
from tradebot.model.trade import RestedStop, Trade, TradeNote
from tradebot.views.slippage import FillWithOrder, totals
from tradebot.views.trades.days import MarketTime
from tradebot.views.trades.history import NOT_OURS, History, links
from tradebot.views.trades.lots import ClosedLot, OpenLot, Trip
from tradebot.views.trades.trade_row import (
    WITHOUT_ORDER,
    EntrySource,
    Excursion,
    LotRow,
    RiskFrom,
    TradeRow,
    TradeRows,
    TradeStatus,
    side_of,
    why_closed,
)

_ZERO = Decimal(0)
_SIX_PLACES, _CENTS = Decimal("1e-6"), Decimal("0.01")
_AT = attrgetter("at")


def rows_of(history: History, market: MarketTime, *, by_lot: bool = False) -> TradeRows:
    """Return a row for each of our positions, and with `by_lot` for each of its pieces.

    `market` has the hours in which the market was open. Fees are shared among trades as `allocate_fees` describes.
    """
    making = _Rows(history, market)
    trips = [trip for trip in history.lots.trips if trip.trade.strategy != NOT_OURS]
    rows = tuple(map(making.row, trips))
    of = links(rows, history.day)
    for row in rows:
        if row.id in of:
            row.story, row.moved_from, row.moved_into = of[row.id]
    of_rows = zip(rows, trips, strict=True) if by_lot else ()
    lots = [making.lot(row.id, lot) for row, trip in of_rows for lot in trip.lots]
    return TradeRows(rows, tuple(sorted(lots, key=lambda lot: (not lot.closed_at, lot.closed_at or lot.opened_at))))


def moves_of(history: History, sales: Collection[str]) -> Sequence[tuple[str, str, date]]:
    """Return each roll behind these closing fills: the old contract, the new contract, and the day."""
    rows = rows_of(history, MarketTime(()), by_lot=True)
    closed = {lot.trade_id for lot in rows.lots if lot.exit_fill in sales}
    moved = [row for row in rows.trades if row.moved_into and row.id in closed]
    return [(row.symbol, row.moved_into, history.day.date_of(row.closed_at)) for row in moved if row.closed_at]


class _Rows:
    def __init__(self, history: History, market: MarketTime) -> None:
        self.history, self.market, self.facts = history, market, TripFacts(history)

    def row(self, trip: Trip) -> TradeRow:
        history, facts, trade = self.history, self.facts, trip.trade
        shared, entry_terms, note = facts.shared_fields(trip), facts.entry_terms(trip), self._note(trip)
        until, risk = trade.closed_at or history.at, facts.risk(trip)
        mark = history.marks.get(trade.symbol) if trip.held else None
        best, worst = self._extremes(trip, entry_terms)
        return TradeRow(
            **shared,
            status=_status(trade),
            source=self._source(trip),
            last_exit_at=trip.closed[-1].closed_at if trip.closed else None,
            closed_quantity=trade.closed_quantity,
            components=entry_terms.components,
            held_s=(until - trade.opened_at).total_seconds() if until else None,
            market_s=self.market.between_s(trade.opened_at, until) if until else None,
            open_usd=None if mark is None else sum((lot.gain_at(mark) for lot in trip.held), _ZERO),
            risk_usd=risk.usd if risk else None,
            risk_from=risk.source if risk else None,
            r=in_risks(shared["net_usd"], risk) if trade.closed_at else None,
            best=excursion(trade, best, risk),
            worst=excursion(trade, worst, risk),
            slippage=totals(list(facts.own_fills(trip))),
            tags=note.tags if note else (),
            note=note.note if note else "",
            multiplier=trade.multiplier,
            unknown_fees=facts.unknown_fees(trip),
            open_fees_usd=facts.open_fees_usd(trip),
        )

    def _source(self, trip: Trip) -> EntrySource:
        lot = trip.first
        if lot.entry_origin is Origin.VENUE:
            sent = self.history.sent.get(lot.entry_order)
            own = EntrySource.BOT if sent and sent.intents else EntrySource.RECOVERED
            return EntrySource.ADOPTED if lot.strategy == ADOPTED else own
        return WITHOUT_ORDER[lot.entry_origin].entered if lot.entry_origin in WITHOUT_ORDER else EntrySource.RECOVERED

    def _note(self, trip: Trip) -> TradeNote | None:
        """Return the last note of a trade; it may have been written before the symbol was renamed."""
        if not self.history.notes:
            return None
        strategy, _, opened_at = trip.trade.key
        written = (self.history.notes.get((strategy, name, opened_at)) for name in self.facts.names(trip))
        return max((note for note in written if note), key=lambda note: note.at, default=None)

    def _extremes(self, trip: Trip, entry_terms: EntryTerms) -> tuple[Decimal | None, Decimal | None]:
        """Return the best and the worst price that passes saw, or at which it was closed."""
        if entry_terms.best is None and entry_terms.worst is None:
            return None, None
        exits = [] if self.facts.restated_at(trip) else [lot.exit_price for lot in trip.closed]
        ends = zip(
            (entry_terms.best, entry_terms.worst),
            (max, min) if trip.trade.side is Side.BUY else (min, max),
            strict=True,
        )
        best, worst = (None if price is None else furthest((price, *exits)) for price, furthest in ends)
        return best, worst

    def lot(self, trade_id: str, lot: OpenLot) -> LotRow:
        history, ends = self.history, dict[str, Any]()
        fees_usd = None if self.facts.awaited.intersection(fills_of(lot)) else history.fees.of(lot)
        if isinstance(lot, ClosedLot):
            until: datetime | None = lot.closed_at
            ends = {name: getattr(lot, name) for name in _ENDS}
            ends["reason"] = why_closed(lot, history.sent)
            ends["net_usd"] = None if fees_usd is None else lot.gross_usd + fees_usd
        else:
            until, mark = history.at, history.marks.get(lot.symbol)
            ends["open_usd"] = None if mark is None else lot.gain_at(mark)
        return LotRow(
            trade_id=trade_id,
            side=side_of(lot.side),
            held_s=(until - lot.opened_at).total_seconds() if until else None,
            market_s=self.market.between_s(lot.opened_at, until) if until else None,
            fees_usd=fees_usd,
            **{name: getattr(lot, name) for name in _BEGINS},
            **ends,
        )


_BEGINS = ("strategy", "symbol", "quantity", "opened_at", "entry_price", "entry_fill", "entry_order")
_ENDS = ("closed_at", "exit_price", "exit_fill", "exit_order", "gross_usd")
"""The fields that a row copies from its piece: about the entry, and about the exit."""


def _status(trade: Trade) -> TradeStatus:
    if trade.closed_at:
        return TradeStatus.CLOSED
    return TradeStatus.PARTLY_CLOSED if trade.closed_quantity else TradeStatus.OPEN


class Risk(Struct, frozen=True):
    """A trade's loss at its first stop, in USD before fees: the stop's distance times all shares entered."""

    usd: Decimal
    source: RiskFrom


def initial_risk(
    trade: Trade,
    entered: Collection[Fill],
    stop: RestedStop | None,
    asked_fraction: Decimal | None,
    restated_at: datetime | None = None,
) -> Risk | None:
    """Return a trade's initial risk: from the first resting `stop`, or else from the fraction that its entry requested.

    The stop's distance is measured from the average price of the fills that had `entered` the trade by the time of the
    stop, given in order. `restated_at` is when the trade's shares were first split, or None. Return None if no stop is
    known, or if it wasn't on the losing side.
    """
    if stop is None:
        return None if asked_fraction is None else _risk(trade, asked_fraction, RiskFrom.ENTRY)
    before = [fill for fill in entered if fill.at <= stop.at]
    is_restated = restated_at is not None and restated_at <= stop.at
    entry = trade.entry_price if is_restated or not before else _average(before)
    return _risk(trade, trade.side.sign * (entry - stop.price) / entry, RiskFrom.RESTING)


class Stops:
    """Looks up resting stops by the trade that they protected."""

    def __init__(self, stops: Iterable[RestedStop]) -> None:
        self._of: dict[tuple[str, str, Side], list[RestedStop]] = {}
        for stop in stops:
            self._of.setdefault((stop.strategy, stop.symbol, stop.side), []).append(stop)

    def first_of(self, trade: Trade, names: Iterable[str]) -> RestedStop | None:
        """Return the first stop that protected a trade, under any of its symbols."""
        against, rested_stops = Side.SELL if trade.side is Side.BUY else Side.BUY, list[RestedStop]()
        for name in names:
            stops = self._of.get((trade.strategy, name, against), [])
            index = bisect_left(stops, trade.opened_at, key=_AT)
            rested_stops += stops[index : index + 1]
        first = min(rested_stops, key=_AT, default=None)
        return first if first and (trade.closed_at is None or first.at <= trade.closed_at) else None


def excursion(trade: Trade, price: Decimal | None, risk: Risk | None) -> Excursion | None:
    if price is None:
        return None
    gain = trade.side.sign * (price - trade.entry_price)
    usd = round_to_nine_places(notional(trade.quantity, gain, trade.multiplier))
    return Excursion(price, (gain / trade.entry_price).quantize(_SIX_PLACES), usd, in_risks(usd, risk))


def in_risks(usd: Decimal, risk: Risk | None) -> Decimal | None:
    """Return an amount as a multiple of the initial risk (R), to two places; None if the risk is unknown."""
    return None if risk is None else (usd / risk.usd).quantize(_CENTS)


def _average(entered: Collection[Fill]) -> Decimal:
    whole = sum((fill.quantity for fill in entered), _ZERO)
    return sum((notional(fill.quantity, fill.price, ONE) for fill in entered), _ZERO) / whole


def _risk(trade: Trade, fraction: Decimal, source: RiskFrom) -> Risk | None:
    usd = notional(trade.quantity, fraction * trade.entry_price, trade.multiplier)
    return Risk(round_to_nine_places(usd), source) if fraction > 0 else None


LETTERS = 7
"""How many letters, of 5 bits each, an id has."""


class TripFacts:
    """Looks up facts about positions in one account's history."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._fills = {owned.fill.activity_id: owned for owned in history.fills}
        self._stops = Stops(history.stops)
        self._restated = _restatement_times(history.fills)
        self.awaited = frozenset(owned.fill.activity_id for owned in history.fills_awaiting_fee)
        """The ids of the fills whose fee isn't known yet."""
        self._closed_by: dict[str, Decimal] = defaultdict(Decimal)
        for lot in history.lots.closed:
            self._closed_by[lot.exit_fill] += lot.quantity

    def name(self, trip: Trip) -> str:
        """Return the id of a trade: letters derived from its first fill, so the id never changes."""
        digest = hashlib.sha256(trip.first.entry_fill.encode()).digest()
        return b32encode(digest[:5]).decode()[:LETTERS].lower()

    def names(self, trip: Trip) -> Mapping[str, None]:
        trade = trip.trade
        if (trade.strategy, trade.symbol) not in self._history.former_names:
            return {trade.symbol: None}
        entries = (self._fills[lot.entry_fill].fill.symbol for lot in trip.lots)
        return dict.fromkeys((trade.symbol, *entries))

    def entry_terms(self, trip: Trip) -> EntryTerms:
        return self._history.kept.get(trip.trade.key, _NOTHING)

    def shared_fields(self, trip: Trip) -> dict[str, Any]:
        """Return the fields that every type of row has, by name; the fees are only those of closed shares."""
        trade, fees = trip.trade, self._history.fees
        gross = trade.realized_before_fees_usd
        fees_usd = sum((fees.of(lot) for lot in trip.closed), _ZERO) if fees.shares else _ZERO
        return {
            "id": self.name(trip),
            "strategy": trade.strategy,
            "symbol": trade.symbol,
            "side": side_of(trade.side),
            "opened_at": trade.opened_at,
            "closed_at": trade.closed_at,
            "quantity": trade.quantity,
            "entry_price": round_to_nine_places(trade.entry_price),
            "exit_price": None if trade.exit_price is None else round_to_nine_places(trade.exit_price),
            "gross_usd": gross,
            "fees_usd": fees_usd,
            "net_usd": gross + fees_usd,
            "reasons": tuple(dict.fromkeys([why_closed(lot, self._history.sent) for lot in trip.closed])),
            "entry_score": self.entry_terms(trip).entry_score,
        }

    def open_fees_usd(self, trip: Trip) -> Decimal:
        """Return the part of the trade's fees that belongs to open lots."""
        fees = self._history.fees
        return sum((fees.of(lot) for lot in trip.held), _ZERO) if fees.shares else _ZERO

    def unknown_fees(self, trip: Trip) -> int:
        if not self.awaited:
            return 0
        return len(self.awaited.intersection(name for lot in trip.lots for name in fills_of(lot)))

    def risk(self, trip: Trip) -> Risk | None:
        stop = self._attached_stop(trip) or self._stops.first_of(trip.trade, self.names(trip))
        entered = [owned.fill for owned in self._opening_fills(trip)] if stop else []
        return initial_risk(
            trip.trade, entered, stop, self.entry_terms(trip).stop_loss_fraction, self.restated_at(trip)
        )

    def _attached_stop(self, trip: Trip) -> RestedStop | None:
        """Return the stop that was attached to a trade's first entry; None if it had none."""
        trade, sent = trip.trade, self._history.sent.get(self._fills[trip.first.entry_fill].fill.venue_order_id)
        entry = sent.traded_by if sent else None
        if entry is None or entry.stop_price is None:
            return None
        side = Side.SELL if trade.side is Side.BUY else Side.BUY
        return RestedStop(trade.strategy, trade.symbol, side, trade.opened_at, entry.stop_price)

    def restated_at(self, trip: Trip) -> datetime | None:
        """Return when a trade was first restated, such as by a split; None if it never was."""
        if not self._restated:
            return None
        trade, names = trip.trade, self.names(trip)
        times = (at for name in names for at in self._restated.get((trade.strategy, name), ()))
        end = trade.closed_at
        return min((at for at in times if trade.opened_at < at and (end is None or at <= end)), default=None)

    def own_fills(self, trip: Trip) -> Iterator[FillWithOrder]:
        """Yield each fill of a trade that our orders made; if two trades share a fill, yield only the trade's part of
        it.
        """
        parts = defaultdict[str, Decimal](Decimal)
        for lot in trip.closed:
            parts[lot.exit_fill] += lot.quantity
        for owned in self._opening_fills(trip):
            parts[owned.fill.activity_id] += owned.fill.quantity
        for name, part in parts.items():
            fill = self._fills[name].fill
            sent = self._history.sent.get(fill.venue_order_id)
            own = sent.traded_by if sent else None
            if sent and own:
                yield FillWithOrder(fill if part == fill.quantity else replace(fill, quantity=part), sent.order, own)

    def _opening_fills(self, trip: Trip) -> list[OwnedFill]:
        """Return the fills that opened a trade, in order, without the part of them that closed the previous one."""
        owned_fills = [self._fills[name] for name in dict.fromkeys(lot.entry_fill for lot in trip.lots)]
        return [_less(owned, self._closed_by.get(owned.fill.activity_id, _ZERO)) for owned in owned_fills]


_NOTHING = EntryTerms()


def fills_of(lot: OpenLot) -> tuple[str, ...]:
    """Return the ids of the fills that opened and closed a piece."""
    return (lot.entry_fill, lot.exit_fill) if isinstance(lot, ClosedLot) else (lot.entry_fill,)


def _restatement_times(fills: Iterable[OwnedFill]) -> Mapping[tuple[str, str], list[datetime]]:
    """Return when activities and plans changed the shares of each strategy and symbol without an order."""
    by_key = defaultdict[tuple[str, str], list[datetime]](list)
    for owned in fills:
        if owned.origin in (Origin.ACTIVITY, Origin.PLAN):
            by_key[owned.strategy, owned.fill.symbol].append(owned.fill.at)
    return by_key


def _less(owned: OwnedFill, part: Decimal) -> OwnedFill:
    return replace(owned, fill=replace(owned.fill, quantity=owned.fill.quantity - part)) if part else owned
