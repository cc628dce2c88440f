"""What figures about fills need to know of the orders that filled, and of the intents behind these."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.candidate import Side
from tradebot.model.intent import Intent
from tradebot.model.order import Order
from tradebot.model.position import Kept


class RestedStop(Struct, frozen=True):
    """A stop that the broker accepted to protect a position: when it was sent, and its price in USD per share.

    `side` is the stop's own: a long position is protected by a sell.
    """

    strategy: str
    symbol: str
    side: Side
    at: datetime
    price: Decimal


class FilledOrder(NamedTuple):
    """An order as far as figures about fills need it: there are too many to read whole ones."""

    client_order_id: str
    stop_price: Decimal | None
    arrival_mid: Decimal | None


class Asked(NamedTuple):
    """An intent as far as figures about fills need it. `entry` is what an entry was decided on; None for others."""

    client_order_id: str
    at: datetime
    why: str
    protects: bool
    decision_mid: Decimal | None
    send_mid: Decimal | None
    send_mid_at: datetime | None
    entry: Kept | None = None


OrderFacts = Order | FilledOrder
IntentFacts = Intent | Asked
"""What tells about a fill: what was read of its order and of the intents behind that, whole or in part."""


class Sent(NamedTuple):
    """An order that filled, and the intents behind it, the nearest first; none if the bot didn't send it."""

    order: OrderFacts
    intents: tuple[IntentFacts, ...] = ()

    @property
    def traded_by(self) -> IntentFacts | None:
        """Return the intent that made the order, unless it made it rest to protect: its price was waited for."""
        own = self.intents[0] if self.intents else None
        if own is None or own.protects or own.client_order_id != self.order.client_order_id:
            return None
        return own
