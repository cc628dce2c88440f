"""Fakes of the world outside: a venue that fills when told, a flow source that answers from a table."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from tradebot.errors import TemporaryError
from tradebot.model.account import Account, Activity, ActivityKind, BrokerPosition, BrokerView
from tradebot.model.bar import Depth, Quote, Session, VenueClock
from tradebot.model.candidate import Candidate, Side
from tradebot.model.fact_kind import AnyKind
from tradebot.model.flow import FlowPage, Quota
from tradebot.model.instrument import AssetClass, Listing, notional
from tradebot.model.intent import Intent
from tradebot.model.order import (
    Fee,
    Fill,
    Order,
    OrderClass,
    OrdersReported,
    OrderStatus,
    OrderType,
    Reply,
    WriteOutcome,
    fee_id,
)
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Proof, Settlement
from tradebot.model.view import BarNeed, Needs, Open, StrategyView, Want
from tradebot.ports.broker import Ending
from tradebot.venues.alpaca.capabilities import ALPACA
from tradebot.venues.alpaca.parsers import end_of, has_outlived, listings

ACCEPTED = Reply(WriteOutcome.ACCEPTED)
REJECTED = Reply(WriteOutcome.REJECTED, code="40310000", message="insufficient buying power")
LOST = Reply(WriteOutcome.UNKNOWN, message="504 Gateway Timeout")


class FakeVenue:
    """One account at a venue. Orders rest until `fill`; `script` holds replies other than a plain yes.

    A LOST reply comes from a request that arrived, unless `swallows` is set: then the order never existed.
    """

    capabilities = ALPACA
    has_outlived = staticmethod(has_outlived)

    def __init__(self, session: Session, now: datetime, cash: Decimal, number: str = "TEST00001") -> None:
        self.session, self.now, self.is_open = session, now, True
        self.number, self.cash, self.blocked = number, cash, tuple[str, ...]()
        self.held: dict[str, Decimal] = {}
        self.prices: dict[str, Quote] = {}
        self.book: dict[str, Order] = {}
        self.executions: list[Fill] = []
        self.happened: list[Activity] = []
        self.averages: dict[str, Decimal] = {}
        self.script: dict[str, Reply] = {}
        self.swallows = False
        self.refuses_only_replaces = False
        self.submitted: list[Intent] = []
        self.replaced: list[Intent] = []
        self.cancelled: list[Intent] = []
        self.fills_asked_after: list[datetime | None] = []
        self.unreadable_fills = 0
        self.asked_again: list[tuple[str, ...]] = []
        self.second_prices: dict[str, Quote] | None = None
        self.resting: dict[str, Depth] = {}
        self.asked_depth: list[str] = []
        self.away = False
        self.listed: dict[str, Listing] = {}
        self.unlisted: set[str] = set()
        self.asked_listings: list[tuple[str, ...]] = []
        self.lists_nothing_now = False
        self.unpromised_cancels: list[str] = []
        self.before_submit: Callable[[Intent], None] = lambda intent: None

    def clock(self) -> VenueClock:
        return VenueClock(self.now, self.is_open, self.session.open + timedelta(days=1), self.session.close)

    def account(self) -> Account:
        worth = sum((q * self._price(s) for s, q in self.held.items()), Decimal(0))
        equity = self.cash + worth
        return Account(self.number, "ACTIVE", self.cash, equity, equity, self.cash, self.blocked)

    def view(self) -> BrokerView:
        positions = tuple(
            BrokerPosition(symbol, AssetClass.US_EQUITY, quantity, self.averages.get(symbol, self._price(symbol)), None)
            for symbol, quantity in self.held.items()
            if quantity
        )
        working = tuple(order for order in self.book.values() if not order.status.terminal)
        return BrokerView(self.account(), positions, working)

    def position(self, symbol: str) -> BrokerPosition | None:
        return next((position for position in self.view().positions if position.symbol == symbol), None)

    def order(self, client_order_id: str) -> Order | None:
        return self.book.get(client_order_id)

    def end_of(self, intent: Intent, sessions: Sequence[Session], now: datetime) -> Proof:
        return end_of(self.order, intent, sessions, now)

    def follower(self, venue_id: str) -> Order | None:
        return next((order for order in self.book.values() if order.venue_id == venue_id), None)

    def legs(self, venue_id: str) -> Sequence[Order]:
        return [order for order in self.book.values() if order.parent == venue_id]

    def ended(self, since: datetime) -> Sequence[Order]:
        done = (order for order in self.book.values() if order.status.terminal)
        return [order for order in done if order.submitted_at and order.submitted_at >= since]

    def orders_of(self, symbols: Sequence[str]) -> OrdersReported:
        return OrdersReported(tuple(order for order in self.book.values() if order.symbol in symbols)[::-1])

    def fills(self, after: datetime | None) -> Sequence[Fill]:
        self.fills_asked_after.append(after)
        return [fill for fill in self.executions if after is None or fill.at > after]

    def activities(self, after: datetime) -> Sequence[Activity]:
        return [activity for activity in self.happened if activity.at > after]

    def calendar(self, start: date, end: date, calendar: str = "") -> Sequence[Session]:
        return [self.session] if start <= self.session.date <= end else []

    def listings(self, symbols: Sequence[str]) -> Mapping[str, Listing]:
        self.asked_listings.append(tuple(symbols))
        if self.lists_nothing_now:
            raise TemporaryError("no answer")
        usual = {**listings(symbols, self.now), **self.listed}
        return {s: replace(usual[s], read_at=self.now) for s in symbols if s in usual and s not in self.unlisted}

    @property
    def rejected_quotes(self) -> Mapping[str, str]:
        return {}

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        return {symbol: self.prices[symbol] for symbol in symbols if symbol in self.prices}

    def depth(self, symbol: str) -> Depth | None:
        self.asked_depth.append(symbol)
        if self.away:
            raise TemporaryError("no answer")
        return self.resting.get(symbol)

    def quotes_again(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        self.asked_again.append(tuple(symbols))
        if self.away:
            raise TemporaryError("no answer")
        source = self.prices if self.second_prices is None else self.second_prices
        return {symbol: source[symbol] for symbol in symbols if symbol in source}

    def submit(self, intent: Intent) -> Reply:
        self.before_submit(intent)
        self.submitted.append(intent)
        reply = ACCEPTED if self.refuses_only_replaces else self.script.get(intent.instrument.symbol, ACCEPTED)
        if reply.outcome is WriteOutcome.REJECTED or (reply.outcome is WriteOutcome.UNKNOWN and self.swallows):
            return reply
        order = self.rest(intent.client_order_id, intent.instrument.symbol, intent)
        legs = self.rest_stop(order, intent.stop_price)
        return replace(reply, order=order, legs=legs) if reply.outcome is WriteOutcome.ACCEPTED else reply

    def replace(self, intent: Intent) -> Reply:
        self.replaced.append(intent)
        reply = self.script.get(intent.instrument.symbol, ACCEPTED)
        if reply.outcome is WriteOutcome.REJECTED or (reply.outcome is WriteOutcome.UNKNOWN and self.swallows):
            return reply
        done = self.replacement(intent)
        return done if reply.outcome is WriteOutcome.ACCEPTED else reply

    def replacement(self, intent: Intent) -> Reply:
        """Let a replace arrive: refused for a taken id, and where its order is not open; what was filled goes over."""
        old = next((order for order in self.book.values() if order.venue_id == intent.target_venue_id), None)
        if intent.client_order_id in self.book or old is None or old.status.terminal:
            held = self.book.get(intent.client_order_id)
            return replace(REJECTED, code="42210000") if held is None else replace(ACCEPTED, order=held)
        new = self.rest(intent.client_order_id, intent.instrument.symbol, intent)
        filled = old.filled_quantity
        status = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.NEW
        new = replace(new, quantity=old.quantity, filled_quantity=filled, status=status, parent=old.parent)
        for name, leg in self.book.items():
            if leg.parent == old.venue_id:
                self.book[name] = replace(leg, parent=new.venue_id)
        ended = replace(old, status=OrderStatus.REPLACED, replaced_by=new.venue_id, updated_at=self.now)
        self.book |= {intent.client_order_id: new, old.client_order_id: ended}
        return replace(ACCEPTED, order=new)

    def cancel(self, intent: Ending) -> Reply:
        if isinstance(intent, Intent):
            self.cancelled.append(intent)
        else:
            self.unpromised_cancels.append(str(intent.target_venue_id))
        for name, order in self.book.items():
            if order.venue_id == intent.target_venue_id:
                self.book[name] = replace(order, status=OrderStatus.CANCELED, updated_at=self.now)
                self._end_pair_of(order)
        return ACCEPTED

    def rest(self, client_order_id: str, symbol: str, intent: Intent) -> Order:
        """Put an order into the venue's book."""
        order = Order(
            venue_id=f"venue-{len(self.book) + 1}",
            client_order_id=client_order_id,
            symbol=symbol,
            asset_class=AssetClass.US_EQUITY,
            side=intent.side,
            quantity=intent.quantity,
            filled_quantity=Decimal(0),
            filled_average_price=None,
            order_type=intent.order_type if intent.limit_price or intent.stop_price else OrderType.MARKET,
            limit_price=intent.limit_price,
            time_in_force=intent.time_in_force,
            status=OrderStatus.NEW,
            submitted_at=self.now,
            updated_at=self.now,
            stop_price=None if intent.order_class is OrderClass.OCO else intent.stop_price,
            order_class=intent.order_class,
        )
        self.book[client_order_id] = order
        return order

    def rest_stop(self, limit: Order, stop_price: Decimal | None) -> tuple[Order, ...]:
        """Put the stop of a pair into the venue's book, under an id of the venue's own."""
        if limit.order_class is not OrderClass.OCO:
            return ()
        leg = replace(
            limit,
            venue_id=f"venue-{len(self.book) + 1}",
            client_order_id=f"leg-{len(self.book) + 1}",
            order_type=OrderType.STOP,
            limit_price=None,
            stop_price=stop_price,
            status=OrderStatus.HELD,
            parent=limit.venue_id,
        )
        self.book[leg.client_order_id] = leg
        return (leg,)

    def _end_pair_of(self, order: Order) -> None:
        """Cancel what belongs to an ended order, as venues do."""
        for name, other in self.book.items():
            related = order.venue_id == other.parent or order.parent == other.venue_id
            if related and not other.status.terminal:
                self.book[name] = replace(other, status=OrderStatus.CANCELED, updated_at=self.now)

    def fill(self, client_order_id: str, price: str, quantity: Decimal | None = None) -> None:
        """Fill an order, wholly where no quantity is given."""
        order = self.book[client_order_id]
        amount = quantity if quantity is not None else order.open_quantity
        done = order.filled_quantity + amount
        status = OrderStatus.FILLED if done == order.quantity else OrderStatus.PARTIALLY_FILLED
        self.book[client_order_id] = replace(
            order,
            filled_quantity=done,
            filled_average_price=Decimal(price),
            status=status,
            updated_at=self.now,
        )
        if status is OrderStatus.FILLED:
            self._end_pair_of(order)
        number = len(self.executions) + 1
        told = Fill(f"act-{number}", order.venue_id, order.symbol, order.side, amount, Decimal(price), self.now)
        self.executions.append(told)
        self.held[order.symbol] = self.held.get(order.symbol, Decimal(0)) + told.signed_quantity
        self.cash -= told.signed_quantity * told.price

    def liquidate(
        self, symbol: str, change: Decimal, price: Decimal, *, order: str = "", settles: bool = False
    ) -> Fill:
        """Close signed units of a position without any order of ours, as at the end of margin or a contract."""
        number, side = len(self.executions) + 1, Side.BUY if change > 0 else Side.SELL
        told = Fill(f"act-{number}", order, symbol, side, abs(change), price, self.now, liquidation=not settles)
        told = replace(told, settlement=settles)
        self.executions.append(told)
        self.held[symbol] = self.held.get(symbol, Decimal(0)) + change
        self.cash -= change * price
        return told

    def _price(self, symbol: str) -> Decimal:
        return self.prices[symbol].middle if symbol in self.prices else Decimal(100)


class MarginedVenue(FakeVenue):
    """A venue of contracts of 50 USD a point, in a margined account; it tells a fill's fee later, as an activity."""

    multiplier = Decimal(50)
    fee_usd = Decimal("2.25")

    def account(self) -> Account:
        gains = (position.value - position.value_at(position.average_price) for position in self.positions())
        equity = self.cash + sum(gains, Decimal(0))
        figures = self.cash, equity, equity, equity
        return Account(self.number, "ACTIVE", *figures, self.blocked, Settlement.MARGINED)

    def positions(self) -> tuple[BrokerPosition, ...]:
        """Return the net positions at their average prices."""
        held = ((symbol, quantity) for symbol, quantity in self.held.items() if quantity)
        return tuple(
            BrokerPosition(
                symbol,
                AssetClass.UNKNOWN,
                quantity,
                self.averages.get(symbol, self._price(symbol)),
                notional(quantity, self._price(symbol), self.multiplier),
                multiplier=self.multiplier,
            )
            for symbol, quantity in held
        )

    def view(self) -> BrokerView:
        working = tuple(order for order in self.book.values() if not order.status.terminal)
        return BrokerView(self.account(), self.positions(), working)

    def fill(self, client_order_id: str, price: str, quantity: Decimal | None = None) -> None:
        """Fill an order at once; cash moves by what was closed, counted at the average price, and by the fee."""
        order, cash = self.book[client_order_id], self.cash
        before, average = self.held.get(order.symbol, Decimal(0)), self.averages.get(order.symbol, Decimal(0))
        super().fill(client_order_id, price, quantity)
        told = replace(self.executions[-1], multiplier=self.multiplier, fee=Fee(None))
        self.executions[-1] = told
        after, paid = self.held[order.symbol], told.price
        closed = min(abs(before), told.quantity).copy_sign(before) if before * told.signed_quantity < 0 else Decimal(0)
        self.cash = cash + notional(closed, paid - average, self.multiplier) - self.fee_usd
        if abs(after) > abs(before) and before * after > 0:
            self.averages[order.symbol] = (before * average + told.signed_quantity * paid) / after
        elif before * after <= 0:
            self.averages[order.symbol] = paid

    def tell_fees(self) -> None:
        """List the fee of each fill among the activities, those that were listed before too."""
        for told in self.executions:
            name = fee_id(told.activity_id)
            if all(name != one.id for one in self.happened):
                row = Activity(name, "FEE", "", told.symbol, None, None, -self.fee_usd, self.now, ActivityKind.FEE)
                self.happened.append(replace(row, fill_id=told.activity_id))


class VenueOnMargin(FakeVenue):
    """A venue whose account doesn't pay for what it buys; what is held ties up margin by the levels that are listed."""

    tells_margin = True

    def account(self) -> Account:
        """Return figures as a venue does: its cash is the equity without what open positions gain."""
        paid = super().account()
        if not self.tells_margin:
            return replace(paid, cash=paid.equity, settlement=Settlement.MARGINED)
        needs = [self._need(symbol, abs(quantity)) for symbol, quantity in self.held.items() if quantity]
        initial, kept = (sum((need[part] for need in needs), Decimal(0)) for part in (0, 1))
        return replace(
            paid,
            cash=paid.equity,
            settlement=Settlement.MARGINED,
            initial_margin=initial,
            maintenance_margin=kept,
            available=paid.equity - initial,
        )

    def _need(self, symbol: str, quantity: Decimal) -> tuple[Decimal, Decimal]:
        """Return the initial and the maintenance margin of a position."""
        levels = [level for level in self.listed[symbol].margin_levels if level.from_quantity <= quantity]
        usd = quantity * self._price(symbol)
        return levels[-1].initial * usd, levels[-1].maintenance * usd


class FakeReader:
    """The reading half of a venue: whoever holds it cannot send."""

    capabilities = ALPACA

    def __init__(self, venue: FakeVenue) -> None:
        self.clock, self.account, self.view = venue.clock, venue.account, venue.view
        self.order, self.fills, self.calendar = venue.order, venue.fills, venue.calendar
        self.position, self.orders_of = venue.position, venue.orders_of
        self.ended, self.follower, self.legs = venue.ended, venue.follower, venue.legs
        self.activities, self.capabilities, self.listings = venue.activities, venue.capabilities, venue.listings
        self.end_of, self.has_outlived = venue.end_of, venue.has_outlived
        self._venue = venue

    @property
    def unreadable_fills(self) -> int:
        return self._venue.unreadable_fills


class FakeFlow:
    """A flow source that answers from a table, and fails for the endpoints that are down."""

    def __init__(self, rows: Mapping[tuple[str, str | None], Sequence[object]] | None = None) -> None:
        self.rows = dict(rows or {})
        self.down: set[str] = set()
        self.asked: list[tuple[str, str | None]] = []
        self.left: int | None = None

    def fetch(self, kind: AnyKind, symbol: str | None, session: date) -> FlowPage:
        self.asked.append((kind.name, symbol))
        if kind.name in self.down:
            raise TemporaryError(f"{kind.name} does not answer")
        rows = tuple(self.rows.get((kind.name, symbol), ()))
        return FlowPage(kind.name, symbol, rows, Quota(len(self.asked), 15_000, None))

    def calls_left(self) -> int | None:
        return self.left


def opening(candidate: Candidate) -> Open:
    """Return the want that leads to this candidate."""
    assert candidate.score is not None
    return Open(
        candidate.symbol,
        candidate.side,
        candidate.score,
        candidate.coverage,
        candidate.components,
        candidate.decisions,
        stop_loss_fraction=candidate.stop_loss_fraction,
        profit_target_fraction=candidate.profit_target_fraction,
        targets=candidate.targets,
        atr_fraction=candidate.atr_fraction,
        invalid_fraction=candidate.invalid_fraction,
        cluster=candidate.cluster,
        source=candidate.source,
    )


class FixedStrategy:
    """Wants the candidates it was given."""

    name = "flow"
    needs = Needs(frozenset({"flow_alerts"}))
    times = ""

    def __init__(self, *candidates: Candidate) -> None:
        self.candidates = candidates

    def propose(self, view: StrategyView) -> Sequence[Open]:
        return [opening(candidate) for candidate in self.candidates]


class Wanting:
    """A strategy that sees its own positions, and wants what it was given."""

    times = ""

    def __init__(self, *wants: Want, name: str = "momentum") -> None:
        self.wants, self.name = wants, name
        self.needs = Needs(lots=True)

    def propose(self, view: StrategyView) -> Sequence[Want]:
        return self.wants


class NoBars:
    """A source that has no bars."""

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        return {}
