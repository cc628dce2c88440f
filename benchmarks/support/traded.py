"""Create orders as a bot's books contain them: the intent, the venue's order, and its one fill."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from tests.kit.values import instrument
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Gate
from tradebot.model.instrument import AssetClass
from tradebot.model.intent import Intent, IntentKey, Operation
from tradebot.model.order import Fill, Order, OrderStatus, OrderType, TimeInForce
from tradebot.model.position import OwnedFill

GATES = [gate for gate in Gate if gate not in (Gate.JOB, Gate.STRATEGY, Gate.EXIT, Gate.SEND)]
TOOK = timedelta(seconds=1)
"""From an order's intent to its last change."""


class Traded(NamedTuple):
    """One filled order."""

    intent: Intent
    order: Order
    fill: OwnedFill


def filled(intent: Intent, venue_id: str, fill_id: str, price: Decimal) -> Traded:
    """Return an order that filled completely at one price."""
    order = order_of(intent, venue_id, OrderStatus.FILLED, price)
    fill = Fill(fill_id, venue_id, order.symbol, intent.side, intent.quantity, price, intent.at + TOOK)
    return Traded(intent, order, OwnedFill(intent.key.strategy, fill))


def intent_of(account: str, day: date, at: datetime, slot: str, symbol: str, side: Side) -> Intent:
    """Return an intent to buy or sell ten shares; a sale closes a position."""
    purpose = Purpose.OPEN if side is Side.BUY else Purpose.CLOSE
    key = IntentKey(account, "flow", day, slot, symbol, side, purpose)
    return Intent(
        key=key,
        client_order_id=key.client_order_id(),
        operation=Operation.SUBMIT,
        purpose=purpose,
        instrument=instrument(symbol),
        side=side,
        quantity=Decimal(10),
        order_type=OrderType.LIMIT,
        limit_price=Decimal("101.25"),
        time_in_force=TimeInForce.DAY,
        cycle_id=f"trade-once.{day}.{slot}",
        at=at,
    )


def order_of(intent: Intent, venue_id: str, status: OrderStatus, price: Decimal | None) -> Order:
    """Return the venue's order of an intent, filled at `price` if there is one."""
    return Order(
        venue_id=venue_id,
        client_order_id=intent.client_order_id,
        symbol=intent.instrument.symbol,
        asset_class=AssetClass.US_EQUITY,
        side=intent.side,
        quantity=intent.quantity,
        filled_quantity=intent.quantity if price else Decimal(0),
        filled_average_price=price,
        order_type=intent.order_type,
        limit_price=intent.limit_price,
        time_in_force=intent.time_in_force,
        status=status,
        submitted_at=intent.at,
        updated_at=intent.at + TOOK,
    )
