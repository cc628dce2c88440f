"""Convert the engine's values to the bot's, exactly as they would arrive over the exchange's API.

Numbers have the digits of the API's text, so that stored and displayed values are the same too.
"""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

from papervenue.engine import account as engine_account
from papervenue.engine import orders as engine_orders
from papervenue.jsontext import plain
from papervenue.market import sessions
from papervenue.market.bars import UNITS, usd
from papervenue.shares.options import contract_of, shares_of
from papervenue.times import to_datetime
from tradebot.adapters.text.activity_types import meaning_of
from tradebot.model.account import Activity, BrokerPosition
from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.instrument import AssetClass, notional
from tradebot.model.order import Fill, Order, OrderClass, OrderType, TimeInForce
from tradebot.venues.alpaca.parsers import STATUSES

AVERAGE = Decimal("1e-6")
"""How many digits an average price has."""
_AMOUNT = Decimal("1e-9")

moment = lru_cache(maxsize=4_096)(to_datetime)
"""Return engine time as an aware time in UTC."""


def exact(value: Decimal) -> Decimal:
    """Return a decimal with the digits that the API would send: no trailing zeros after the point, and no exponent."""
    return Decimal(plain(value))


@lru_cache(maxsize=65_536)
def price_of(units: int) -> Decimal:
    """Convert price units to USD with the trading API's digits."""
    return exact(usd(units))


@lru_cache(maxsize=65_536)
def shown_price(units: int) -> Decimal:
    """Convert price units to USD as the data API delivers prices: as a float."""
    return Decimal(repr(units / UNITS))


@lru_cache(maxsize=1_024)
def shown_size(shares: int) -> Decimal:
    return Decimal(shares)


def order_of(order: engine_orders.Order, parent: str | None = None) -> Order:
    """Convert an order; `parent` is the order under which the API would nest it as a leg, if any."""
    request = order.request
    filled = order.filled_qty
    order_class = (order.parent or order).request.order_class
    return Order(
        venue_id=order.id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        asset_class=asset_class(order.symbol),
        side=Side.BUY if request.side > 0 else Side.SELL,
        quantity=None if order.qty is None else exact(order.qty),
        filled_quantity=exact(filled),
        filled_average_price=exact(_round_to_step(order.filled_usd / filled, AVERAGE)) if filled else None,
        order_type=OrderType(request.type),
        limit_price=None if request.limit is None else price_of(request.limit),
        time_in_force=TimeInForce(request.time_in_force),
        status=STATUSES["held" if order.shown_held and order.status == "new" else order.status],
        submitted_at=moment(order.submitted_us),
        updated_at=moment(order.updated_us),
        replaced_by=order.replaced_by,
        stop_price=None if order.stop is None else price_of(order.stop),
        parent=parent,
        order_class=OrderClass("" if order_class == "simple" else order_class),
    )


def asset_class(symbol: str) -> AssetClass:
    """Return a symbol's asset class; options can be positions here, but can't be traded."""
    return AssetClass.US_EQUITY if contract_of(symbol) is None else AssetClass.US_OPTION


def position_of(position: engine_account.Position, units: int, claimed: Decimal) -> BrokerPosition:
    """Convert a position, valued at a price in `units`; working orders reserve `claimed` of its shares."""
    price, multiplier = usd(units), Decimal(shares_of(position.symbol))
    return BrokerPosition(
        symbol=position.symbol,
        asset_class=asset_class(position.symbol),
        quantity=exact(position.qty),
        average_price=exact(_round_to_step(position.average, AVERAGE)),
        market_value=exact(notional(position.qty, price, multiplier)),
        current_price=price_of(units),
        multiplier=multiplier,
        free=exact(max(abs(position.qty) - claimed, Decimal(0))),
    )


def fill_of(fill: engine_orders.Fill) -> Fill:
    return Fill(
        activity_id=fill.id,
        venue_order_id=fill.order.id,
        symbol=fill.order.symbol,
        side=Side.BUY if fill.order.side > 0 else Side.SELL,
        quantity=exact(fill.qty),
        price=price_of(fill.price),
        at=moment(fill.at_us),
        multiplier=Decimal(shares_of(fill.order.symbol)),
    )


def activity_of(activity: engine_account.Activity) -> Activity:
    """Convert an account change that is not an execution, such as a dividend or a fee."""
    return Activity(
        id=activity.id,
        kind=activity.kind,
        sub_kind=activity.sub_type or "",
        symbol=activity.symbol or None,
        quantity=None if activity.qty is None else exact(activity.qty),
        price=None if activity.price is None else exact(activity.price),
        net_amount=exact(_round_to_step(activity.net_amount, _AMOUNT)),
        at=moment(activity.at_us),
        meaning=meaning_of(activity.kind, activity.sub_type or ""),
    )


@lru_cache(maxsize=16_384)
def session_of(session: sessions.Session) -> Session:
    return Session(date.fromisoformat(session.date), to_datetime(session.open_us), to_datetime(session.close_us))


def _round_to_step(value: Decimal, step: Decimal) -> Decimal:
    return value.quantize(step, ROUND_HALF_EVEN)
