"""What becomes of a simulated account: an order at a quote or in a minute, the end of a day, a split or dividend."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import ROUND_DOWN, Decimal
from typing import NamedTuple

from tradebot.adapters.bars.source import SPLIT, CorporateAction
from tradebot.model.account import BrokerPosition
from tradebot.model.activity import Activity, ActivityKind
from tradebot.model.bar import Quote
from tradebot.model.candidate import Side
from tradebot.model.instrument import notional
from tradebot.model.order import Order, OrderStatus, OrderType, TimeInForce
from tradebot.model.values import replace
from tradebot.venues.simulated.account import KEPT, NONE, PLACES, Holding, SimulatedAccount


class Minute(NamedTuple):
    """What a symbol did since the last look, or in one minute of it."""

    open: Decimal
    high: Decimal
    low: Decimal


Slips = Callable[[Decimal, Side], Decimal]


def at_once(order: Order, quote: Quote, slipped: Slips) -> Decimal | None:
    """Return the price at which an order fills at a quote; None if it rests."""
    touch = quote.ask if order.side is Side.BUY else quote.bid
    if order.order_type is OrderType.STOP:
        assert order.stop_price is not None, "a stop has its price"
        return slipped(touch, order.side) if (touch - order.stop_price) * order.side.sign >= 0 else None
    if order.order_type is OrderType.MARKET or order.limit_price is None:
        return slipped(touch, order.side)
    if (touch - order.limit_price) * order.side.sign > 0:
        return None
    nearest = min if order.side is Side.BUY else max
    return nearest(slipped(touch, order.side), order.limit_price)


def reached(order: Order, minute: Minute, slipped: Slips) -> Decimal | None:
    """Return the price at which an order at rest filled in a minute; None if it didn't."""
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


def expired(
    account: SimulatedAccount, today: date, date_of: Callable[[datetime], date], now: datetime
) -> SimulatedAccount:
    """Return an account without the orders of earlier days that were for their day alone."""
    for order in account.working:
        if order.time_in_force is TimeInForce.DAY and date_of(order.submitted_at or now) < today:
            account = with_order(account, replace(order, status=OrderStatus.EXPIRED, updated_at=now))
    return account


def acted(account: SimulatedAccount, symbol: str, action: CorporateAction, at: datetime) -> SimulatedAccount:
    """Return an account after a split or dividend, as a broker books it: whole shares, and the rest in cash."""
    held, amount = account.holdings[symbol], Decimal(str(action.amount))
    name = f"{account.number}-{symbol}-{action.ex_date}-{action.kind}"
    if action.kind != SPLIT:
        paid = held.quantity * amount
        row = Activity(name, "DIV", "", symbol, held.quantity, amount, paid, at, ActivityKind.DIVIDEND)
        return replace(account, cash=account.cash + paid, activities=(*account.activities, row))
    exact, average = held.quantity * amount, held.average / amount
    after = exact.to_integral_value(ROUND_DOWN)
    rows = [Activity(name, "SPLIT", "", symbol, after - held.quantity, average, NONE, at, ActivityKind.SPLIT)]
    in_lieu = ((exact - after) * average).quantize(PLACES)
    if in_lieu:
        rows.append(Activity(f"{name}-cash", "SPLIT", "", symbol, None, None, in_lieu, at, ActivityKind.SPLIT))
    holdings = {**account.holdings, symbol: replace(held, quantity=after, average=average)}
    if not after:
        del holdings[symbol]
    account = replace(account, cash=account.cash + in_lieu, holdings=holdings, activities=(*account.activities, *rows))
    for order in account.working:
        # What rested was for other shares at other prices; the next pass of exits places it again.
        if order.symbol == symbol:
            account = with_order(account, replace(order, status=OrderStatus.CANCELED, updated_at=at))
    return account


def pruned(account: SimulatedAccount, now: datetime) -> SimulatedAccount:
    """Return an account without what ended long ago."""
    kept = {
        name: one for name, one in account.orders.items() if not one.status.terminal or _recent(one.updated_at, now)
    }
    return replace(
        account, orders=kept, reducing=tuple(name for name in account.reducing if name in kept),
        fills=tuple(fill for fill in account.fills if _recent(fill.at, now)),
        activities=tuple(one for one in account.activities if _recent(one.at, now)),
    )  # fmt: skip


def _recent(at: datetime | None, now: datetime) -> bool:
    return at is None or now - at < KEPT


def position_of(symbol: str, held: Holding, price: Decimal | None) -> BrokerPosition:
    value = None if price is None else notional(held.quantity, price, held.multiplier)
    return BrokerPosition(symbol, held.asset_class, held.quantity, held.average, value, price, held.multiplier)
