"""Simulate fills at a real venue's prices, sessions and listings.

An order that can fill at the current quote fills at once and pays the assumed slippage. Resting orders are checked
against the minutes since the last check. A stop fills at its price in the minute that reached it, or at that minute's
open if it began beyond the stop, and pays the slippage too. A limit order fills at its price once trades go past it. If
a minute reaches both a stop and a limit, the stop fills. There are no partial fills, and no order moves the market.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

from tradebot.adapters.bars.store import SPLIT, CorporateAction
from tradebot.model.account import Account, Activity, ActivityKind, BrokerPosition, BrokerView
from tradebot.model.bar import Depth, Quote, Session, VenueClock
from tradebot.model.candidate import Purpose, Side
from tradebot.model.costs import BASIS_POINTS
from tradebot.model.instrument import Listing, notional
from tradebot.model.intent import Intent
from tradebot.model.margin import Need, need_of
from tradebot.model.order import (
    Fee,
    Fill,
    Order,
    OrderClass,
    OrdersReported,
    OrderStatus,
    OrderType,
    Reply,
    TimeInForce,
    WriteOutcome,
)
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Capabilities, ClientIds, Edit, End, Pairs, Proof, Settlement
from tradebot.model.view import BarNeed
from tradebot.ports.broker import BrokerReader, Ending, Market
from tradebot.ports.stores import Bars
from tradebot.venues.simulated.account import (
    KEPT,
    PLACES,
    ZERO,
    SimulatedAccount,
    SimulatedPosition,
    read_account,
    write_account,
)


class Minute(NamedTuple):
    """A symbol's price range since the last check, or in one minute."""

    open: Decimal
    high: Decimal
    low: Decimal


Slips = Callable[[Decimal, Side], Decimal]


def at_once(order: Order, quote: Quote, slipped: Slips) -> Decimal | None:
    """Return the price at which an order fills at a quote; None if it doesn't fill yet."""
    touch = quote.ask if order.side is Side.BUY else quote.bid
    if order.order_type is OrderType.STOP:
        assert order.stop_price is not None, "a stop needs a price"
        return slipped(touch, order.side) if (touch - order.stop_price) * order.side.sign >= 0 else None
    if order.order_type is OrderType.MARKET or order.limit_price is None:
        return slipped(touch, order.side)
    if (touch - order.limit_price) * order.side.sign > 0:
        return None
    nearest = min if order.side is Side.BUY else max
    return nearest(slipped(touch, order.side), order.limit_price)


def fill_price(order: Order, minute: Minute, slipped: Slips) -> Decimal | None:
    """Return the price at which a resting order filled in a minute; None if it didn't fill."""
    buys = order.side is Side.BUY
    if order.order_type is OrderType.STOP and order.stop_price is not None:
        stop = order.stop_price
        if minute.high < stop if buys else minute.low > stop:
            return None
        return slipped(max(stop, minute.open) if buys else min(stop, minute.open), order.side)
    limit = order.limit_price
    if limit is None:
        return slipped(minute.open, order.side)
    return limit if (minute.low < limit if buys else minute.high > limit) else None


def with_order(account: SimulatedAccount, order: Order) -> SimulatedAccount:
    return replace(account, orders={**account.orders, order.venue_id: order})


def expire_day_orders(
    account: SimulatedAccount, today: date, date_of: Callable[[datetime], date], now: datetime
) -> SimulatedAccount:
    """Return an account without DAY orders of earlier days."""
    for order in account.working:
        if order.time_in_force is TimeInForce.DAY and date_of(order.submitted_at or now) < today:
            account = with_order(account, replace(order, status=OrderStatus.EXPIRED, updated_at=now))
    return account


def apply_action(account: SimulatedAccount, symbol: str, action: CorporateAction, at: datetime) -> SimulatedAccount:
    """Return an account after a split or dividend, booked as brokers do: whole shares, and fractions in cash."""
    position, amount = account.holdings[symbol], Decimal(str(action.amount))
    name = f"{account.number}-{symbol}-{action.ex_date}-{action.kind}"
    if action.kind != SPLIT:
        paid = position.quantity * amount
        row = Activity(name, "DIV", "", symbol, position.quantity, amount, paid, at, ActivityKind.DIVIDEND)
        return replace(account, cash=account.cash + paid, activities=(*account.activities, row))
    exact, average = position.quantity * amount, position.average / amount
    after = exact.to_integral_value(ROUND_DOWN)
    rows = [Activity(name, "SPLIT", "", symbol, after - position.quantity, average, ZERO, at, ActivityKind.SPLIT)]
    in_lieu = ((exact - after) * average).quantize(PLACES)
    if in_lieu:
        rows.append(Activity(f"{name}-cash", "SPLIT", "", symbol, None, None, in_lieu, at, ActivityKind.SPLIT))
    holdings = {**account.holdings, symbol: replace(position, quantity=after, average=average)}
    if not after:
        del holdings[symbol]
    account = replace(account, cash=account.cash + in_lieu, holdings=holdings, activities=(*account.activities, *rows))
    for order in account.working:
        # Resting orders were for the old shares and prices; the next pass of exits places new ones.
        if order.symbol == symbol:
            account = with_order(account, replace(order, status=OrderStatus.CANCELED, updated_at=at))
    return account


def without_old_orders(account: SimulatedAccount, now: datetime) -> SimulatedAccount:
    """Return an account without old ended orders."""
    recent_orders = {
        name: order
        for name, order in account.orders.items()
        if not order.status.terminal or _recent(order.updated_at, now)
    }
    return replace(
        account, orders=recent_orders, reducing=tuple(name for name in account.reducing if name in recent_orders),
        fills=tuple(fill for fill in account.fills if _recent(fill.at, now)),
        activities=tuple(activity for activity in account.activities if _recent(activity.at, now)),
    )  # fmt: skip


def _recent(at: datetime | None, now: datetime) -> bool:
    return at is None or now - at < KEPT


def position_of(symbol: str, position: SimulatedPosition, price: Decimal | None) -> BrokerPosition:
    value = None if price is None else notional(position.quantity, price, position.multiplier)
    return BrokerPosition(
        symbol, position.asset_class, position.quantity, position.average, value, price, position.multiplier
    )


MINUTE, LONGEST = timedelta(minutes=1), 3000
"""The bar width for following resting orders, and the most bars since the last check."""
TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP})
REFUSED, NO_MONEY, ENDED = "not_simulated", "insufficient_buying_power", "order_not_open"


class PriceSource(BrokerReader, Market, Protocol):
    """The real venue, used only for prices, sessions and listings."""


class Assumed(NamedTuple):
    """The assumed costs of fills in addition to the spread, in basis points of notional."""

    slippage_bps: Decimal
    fee_bps: Decimal


Row = tuple[datetime, str, Minute]
"""The start of a minute, its symbol, and its bar."""


class Minutes(Bars, Protocol):
    """A source of bars that also reports up to which time it has them."""

    def known_until(self, now: datetime) -> datetime:
        """Return the time up to which the source has bars at `now`."""


def to_whole_minute(at: datetime) -> datetime:
    """Round a time down to its minute."""
    return at.replace(second=0, microsecond=0)


def _minute(series: Series, index: int) -> Minute:
    return Minute(*(Decimal(str(each[index])) for each in (series.open, series.high, series.low)))


Actions = Callable[[Sequence[str], date, date], Mapping[str, Sequence[CorporateAction]]]


@dataclass
class SimulatedVenue:
    """The simulated venue: its ports for reading the account and for sending orders.

    `look` is called once before a pass, and updates resting orders.
    """

    folder: Path
    prices: PriceSource
    bars: Minutes
    actions: Actions
    assumed: Assumed

    @cached_property
    def capabilities(self) -> Capabilities:
        """Return the real venue's capabilities, except that client ids are unique and that a target and a stop are
        independent orders.
        """
        real = self.prices.capabilities
        return replace(
            real, order_types=real.order_types & TYPES, client_ids=ClientIds.UNIQUE, edit=Edit.IN_PLACE,
            pairs=Pairs.TWO_ORDERS, reduce_only=True, tells_ends_after=timedelta(0),
        )  # fmt: skip

    def look(self) -> datetime:
        """Apply the price moves up to now to resting orders and positions; return the time.

        Raise TemporaryError, without losing anything, if the minutes or actions since the last check can't be read.
        """
        now, account, date_of = self.prices.clock().now, self._account, self.capabilities.day.date_of
        minutes, reached = self._minutes(account, now)
        # Finish the last check's day before its orders expire and the next day's splits are booked.
        same_day, today = sum(date_of(row[0]) <= account.day for row in minutes), date_of(now)
        for row in minutes[:same_day]:
            account = self._follow_minute(account, *row)
        if today > account.day:
            account = expire_day_orders(self._restate(account, today), today, date_of, now)
        for row in minutes[same_day:]:
            account = self._follow_minute(account, *row)
        self._file["account"] = without_old_orders(replace(account, looked_at=reached), now)
        self._mark_to_market()
        self._keep(self._account)
        return now

    def _restate(self, account: SimulatedAccount, today: date) -> SimulatedAccount:
        """Return an account with the splits and dividends since its day, and the previous day's final equity."""
        first = account.day + timedelta(days=1)
        account = replace(account, last_equity=account.equity, day=today)
        if account.holdings:
            for symbol, actions in self.actions(sorted(account.holdings), first, today).items():
                for action in sorted(action for action in actions if first <= action.ex_date <= today):
                    account = apply_action(account, symbol, action, self._opening(action.ex_date))
        return account

    def _opening(self, day: date) -> datetime:
        sessions = self.prices.calendar(day, day)
        return sessions[0].open if sessions else self.prices.clock().now

    def _minutes(self, account: SimulatedAccount, now: datetime) -> tuple[Sequence[Row], datetime]:
        """Return the minutes since the last check, by time, for symbols with working orders; and the time they cover.

        A minute that isn't over, or that the source lacks, is left to the next check.
        """
        symbols = sorted({order.symbol for order in account.working})
        if not symbols or now - account.looked_at < MINUTE:
            return (), account.looked_at if symbols else to_whole_minute(now)
        depth = min(int((now - account.looked_at) / MINUTE) + 1, LONGEST)
        series = self.bars.closed(BarNeed("1Min", depth, adjusted=False), symbols, now)
        rows = [
            (bars.start_of(index), symbol, index)
            for symbol, bars in series.items()
            for index in range(len(bars))
            if bars.start_of(index) >= account.looked_at
        ]
        in_order = ((at, symbol, series[symbol], index) for at, symbol, index in sorted(rows))
        minutes = [(at, symbol, _minute(series, index)) for at, symbol, series, index in in_order]
        return minutes, max(account.looked_at, to_whole_minute(self.bars.known_until(now)))

    def _follow_minute(self, account: SimulatedAccount, at: datetime, symbol: str, minute: Minute) -> SimulatedAccount:
        """Return an account after a minute of a symbol.

        Stops come first, because the order of prices within it is unknown.
        """
        for order in sorted(account.working, key=lambda order: order.order_type is not OrderType.STOP):
            # The minute in which an order was sent or changed doesn't count: its prices may be from before.
            if order.symbol == symbol and (order.updated_at or at) <= at:
                price = fill_price(order, minute, self._slip)
                if price is not None:
                    account = self._fill(account, order, price, at)
        return account

    def _slip(self, price: Decimal, side: Side) -> Decimal:
        return price * (1 + side.sign * self.assumed.slippage_bps / BASIS_POINTS)

    def _fill(self, account: SimulatedAccount, order: Order, price: Decimal, at: datetime) -> SimulatedAccount:
        """Return an account after an order's fill; a reduce-only order fills at most the position, or ends."""
        holding = account.holdings.get(order.symbol)
        quantity = order.open_quantity
        if order.venue_id in account.reducing:
            held_quantity = holding.quantity if holding and holding.quantity * order.side.sign < 0 else ZERO
            quantity = min(quantity, abs(held_quantity))
        if not quantity:
            return with_order(account, replace(order, status=OrderStatus.CANCELED, updated_at=at))
        price, multiplier = price.quantize(PLACES), holding.multiplier if holding else self._multiplier(order.symbol)
        fee = abs(notional(quantity, price, multiplier)) * self.assumed.fee_bps / BASIS_POINTS
        name = f"{account.number}-{account.made + 1}"
        fee_paid = Fee(fee) if fee else None
        fill = Fill(name, order.venue_id, order.symbol, order.side, quantity, price, at, multiplier, fee_paid)
        before = holding or SimulatedPosition(ZERO, price, order.asset_class, multiplier)
        after = before.after_fill(fill.signed_quantity, price)
        holdings = {**account.holdings, order.symbol: after}
        if not after.quantity:
            del holdings[order.symbol]
        done = replace(
            order, status=OrderStatus.FILLED, quantity=quantity, filled_quantity=quantity, filled_average_price=price,
            updated_at=at,
        )  # fmt: skip
        account = with_order(account, done)
        return replace(
            account, cash=account.cash - fill.notional - fee, holdings=holdings, fills=(*account.fills, fill),
            made=account.made + 1,
        )  # fmt: skip

    def _multiplier(self, symbol: str) -> Decimal:
        return self.prices.listings([symbol])[symbol].instrument.multiplier

    @cached_property
    def _file(self) -> dict[str, SimulatedAccount]:
        return {"account": read_account(self.folder)}

    @property
    def _account(self) -> SimulatedAccount:
        return self._file["account"]

    def _keep(self, account: SimulatedAccount) -> None:
        write_account(self.folder, account)
        self._file["account"] = account

    def _mark_to_market(self) -> Mapping[str, Decimal]:
        """Return the midpoint of each held symbol's quote, and store the equity at these prices."""
        quotes = self.prices.quotes(sorted(self._account.holdings)) if self._account.holdings else {}
        middles = {symbol: quote.middle for symbol, quote in quotes.items()}
        if middles.keys() >= self._account.holdings.keys():
            self._file["account"] = replace(self._account, equity=self._account.worth(middles))
        return middles

    # Orders.

    def submit(self, intent: Intent) -> Reply:
        """Accept an order and fill it at once if the quote allows it; a repeated id creates no second order."""
        account = self._account
        if resting := self.order(intent.client_order_id):
            return Reply(WriteOutcome.ACCEPTED, resting)
        if intent.order_class is not OrderClass.SIMPLE or intent.order_type not in TYPES:
            return Reply(WriteOutcome.REJECTED, code=REFUSED, message=f"a {intent.order_type} order isn't simulated")
        now, quote = self.prices.clock().now, self._quote(intent.instrument.symbol)
        opens = intent.purpose is Purpose.OPEN
        if opens and (quote is None or self._cost(intent, quote) > self.account().buying_power):
            why = "there is no quote" if quote is None else "it costs more than the account has in cash"
            return Reply(WriteOutcome.REJECTED, code=NO_MONEY, message=why)
        order = Order(
            venue_id=f"{account.number}-{account.made + 1}", client_order_id=intent.client_order_id,
            symbol=intent.instrument.symbol, asset_class=intent.instrument.asset_class, side=intent.side,
            quantity=intent.quantity, filled_quantity=ZERO, filled_average_price=None, order_type=intent.order_type,
            limit_price=intent.limit_price, time_in_force=intent.time_in_force, status=OrderStatus.NEW,
            submitted_at=now, updated_at=now, stop_price=intent.stop_price,
        )  # fmt: skip
        reducing = account.reducing if opens else (*account.reducing, order.venue_id)
        account = with_order(replace(account, made=account.made + 1, reducing=reducing), order)
        return self._try_to_fill(account, order.venue_id, quote, now)

    def replace(self, intent: Intent) -> Reply:
        """Change the price of an order in place, and fill it if the quote allows it now."""
        order = self._account.orders.get(intent.target_venue_id or "")
        if order is None or order.status.terminal:
            return Reply(WriteOutcome.REJECTED, order, ENDED, "the order is no longer open")
        now = self.prices.clock().now
        changed = replace(order, limit_price=intent.limit_price, stop_price=intent.stop_price, updated_at=now)
        account = with_order(self._account, changed)
        return self._try_to_fill(account, order.venue_id, self._quote(order.symbol), now)

    def cancel(self, intent: Ending) -> Reply:
        """Cancel an order; an ended order stays unchanged."""
        order = self._account.orders.get(intent.target_venue_id or "")
        if order is None:
            return Reply(WriteOutcome.REJECTED, code=ENDED, message="there is no such order")
        if not order.status.terminal:
            order = replace(order, status=OrderStatus.CANCELED, updated_at=self.prices.clock().now)
            self._keep(with_order(self._account, order))
        return Reply(WriteOutcome.ACCEPTED, order)

    def _try_to_fill(self, account: SimulatedAccount, venue_id: str, quote: Quote | None, now: datetime) -> Reply:
        order = account.orders[venue_id]
        price = at_once(order, quote, self._slip) if quote else None
        if price is not None:
            account = self._fill(account, order, price, now)
        self._keep(account)
        return Reply(WriteOutcome.ACCEPTED, account.orders[venue_id])

    def _quote(self, symbol: str) -> Quote | None:
        return self.prices.quotes([symbol]).get(symbol)

    def _cost(self, intent: Intent, quote: Quote) -> Decimal:
        usd = intent.instrument.notional(intent.quantity, intent.limit_price or quote.ask)
        return self._need(intent.instrument.symbol, intent.quantity, usd).initial

    # Reads.

    def clock(self) -> VenueClock:
        return self.prices.clock()

    def account(self) -> Account:
        """Return the account's figures; buying power is the equity less what positions and open orders tie up."""
        own, middles = self._account, self._mark_to_market()
        needs = [
            self._need(name, item.quantity, notional(item.quantity, middles.get(name, item.average), item.multiplier))
            for name, item in own.holdings.items()
        ]
        opening = (order for order in own.working if order.venue_id not in own.reducing)
        tied = sum((need.initial for need in needs), ZERO)
        tied += sum((order.open_quantity * (order.limit_price or ZERO) for order in opening), ZERO)
        equity = own.worth(middles)
        available = max(equity - tied, ZERO)
        if self.capabilities.settlement is Settlement.PAID:
            return Account(own.number, "ACTIVE", own.cash, equity, own.last_equity, available, (), Settlement.PAID)
        # Where cash moves by realized profit, what positions cost is still in it.
        return Account(
            own.number, "ACTIVE", own.cash + own.cost, equity, own.last_equity, available, (), Settlement.MARGINED,
            initial_margin=tied, maintenance_margin=sum((need.maintenance for need in needs), ZERO),
            available=available,
        )  # fmt: skip

    def _need(self, symbol: str, quantity: Decimal, usd: Decimal) -> Need:
        """Return the margin of a position; all of its value where it is paid in full, or if its margin is unknown."""
        is_paid = self.capabilities.settlement is Settlement.PAID
        listing = None if is_paid else self.prices.listings([symbol]).get(symbol)
        return need_of(listing.margin_levels if listing else (), quantity, abs(usd)) or Need(abs(usd), abs(usd))

    def view(self) -> BrokerView:
        """Return account, positions and open orders; always steady, because nothing changes in between."""
        middles = self._mark_to_market()
        positions = tuple(
            position_of(name, holding, middles.get(name)) for name, holding in self._account.holdings.items()
        )
        return BrokerView(self.account(), positions, self._account.working)

    def position(self, symbol: str) -> BrokerPosition | None:
        position = self._account.holdings.get(symbol)
        return position_of(symbol, position, self._mark_to_market().get(symbol)) if position else None

    def order(self, client_order_id: str) -> Order | None:
        orders = (order for order in self._account.orders.values() if order.client_order_id == client_order_id)
        return next(orders, None)

    def end_of(self, intent: Intent, sessions: Sequence[Session], now: datetime) -> Proof:
        """Determine what became of a request: every order is stored before the reply, so an unknown order never
        arrived.
        """
        name = intent.target_venue_id if intent.target_venue_id else None
        order = self._account.orders.get(name) if name else self.order(intent.client_order_id)
        return (
            Proof.of(order) if order else Proof(End.OVER, "the simulated venue stores every request, but not this one")
        )

    def has_outlived(self, order: Order, sessions: Sequence[Session], now: datetime) -> str:
        """Return an empty text: this venue reports the end of each order itself."""
        return ""

    def follower(self, venue_id: str) -> Order | None:
        return self._account.orders.get(venue_id)

    def legs(self, venue_id: str) -> Sequence[Order]:
        """Return nothing: orders at this venue have no legs."""
        return ()

    def ended(self, since: datetime) -> Sequence[Order]:
        orders = self._account.orders.values()
        return [
            order for order in orders if order.status.terminal and order.submitted_at and order.submitted_at >= since
        ]

    def orders_of(self, symbols: Sequence[str]) -> OrdersReported:
        return OrdersReported(
            tuple(order for order in reversed([*self._account.orders.values()]) if order.symbol in symbols)
        )

    def fills(self, after: datetime | None) -> Sequence[Fill]:
        return [fill for fill in self._account.fills if after is None or fill.at > after]

    @property
    def unreadable_fills(self) -> int:
        """Return 0: this venue reads only rows that it wrote itself."""
        return 0

    def activities(self, after: datetime) -> Sequence[Activity]:
        return [activity for activity in self._account.activities if activity.at > after]

    def calendar(self, start: date, end: date, calendar: str = "") -> Sequence[Session]:
        return self.prices.calendar(start, end, calendar)

    def listings(self, symbols: Sequence[str]) -> Mapping[str, Listing]:
        return self.prices.listings(symbols)

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        return self.prices.quotes(symbols)

    def quotes_again(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        return self.prices.quotes_again(symbols)

    def depth(self, symbol: str) -> Depth | None:
        return self.prices.depth(symbol)

    @property
    def rejected_quotes(self) -> Mapping[str, str]:
        return self.prices.rejected_quotes
