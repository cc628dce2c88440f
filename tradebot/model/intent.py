"""An intent: one operation that we promise to send once, named by its content."""

import hashlib
from base64 import b32encode
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from tradebot.model.candidate import Purpose, Side
from tradebot.model.instrument import Instrument
from tradebot.model.order import Order, OrderType, TimeInForce

ID_PREFIX = "tb1."
ID_CONFLICT = "id_conflict"
"""The code of a refusal that is ours: the venue holds another order under the id of this one."""
NEVER_SENT = "halted"
"""The code of a refusal that is ours: a halt came between the promise and the request."""
TARGET_DONE = "target_done"
"""The code of a refusal that is proven by the order that was to be replaced: it has ended, so nothing can follow it."""


class Mark(NamedTuple):
    """What a client order id of ours says in clear text; `strategy` is cut to five letters, in capitals.

    `purpose` is None for one that this version doesn't know; an id that was cut short names no strategy either.
    """

    strategy: str
    purpose: Purpose | None

    def is_of(self, strategy: str) -> bool:
        """Return True if a strategy of this name may have sent the order."""
        return strategy[:5].upper() == self.strategy


def is_marked(client_order_id: str) -> bool:
    """Return True if a client order id carries our mark, which is all that a venue keeps to tell our orders."""
    return mark_of(client_order_id) is not None


def mark_of(client_order_id: str) -> Mark | None:
    """Read our mark in a client order id; None for an order that isn't ours."""
    if not client_order_id.startswith(ID_PREFIX):
        return None
    parts = client_order_id.split(".")
    if len(parts) < 6:
        return Mark("", None)
    # A symbol may hold dots of its own, so what follows it is counted from the end.
    return Mark(parts[2], next((purpose for purpose in Purpose if purpose[:5].upper() == parts[-2]), None))


class Operation(StrEnum):
    """What is sent."""

    SUBMIT = "submit"
    REPLACE = "replace"
    CANCEL = "cancel"


class IntentState(StrEnum):
    """The life of an intent. SENT is durable before the socket is opened; UNKNOWN waits for a look-up."""

    SENT = "sent"
    ACKED = "acked"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    ABANDONED = "abandoned"

    @property
    def unresolved(self) -> bool:
        """Tell whether nobody knows yet what became of it."""
        return self in (IntentState.SENT, IntentState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class IntentKey:
    """What makes an intent itself: never time, host, price or quantity.

    A cancel or a replace names its `target` order; a replace carries on the key of that order, and `generation` counts
    those of the same target that have come to nothing.
    """

    account: str
    strategy: str
    session: date
    slot: str
    symbol: str
    side: Side
    role: Purpose
    leg: int = 0
    generation: int = 0
    target: str = ""

    def client_order_id(self) -> str:
        """Return the readable id, at most 48 characters of A-Z, 0-9, dot and dash, the same for the same content."""
        content = "\x1f".join(
            (
                self.account,
                self.strategy,
                self.session.isoformat(),
                self.slot,
                self.symbol,
                self.side,
                self.role,
                str(self.leg),
                str(self.generation),
                self.target,
            )
        )
        digest = b32encode(hashlib.sha256(content.encode()).digest()).decode()[:16]
        readable = (self.strategy[:5].upper(), self.symbol[:8].upper(), self.role[:5].upper())
        return f"{ID_PREFIX}{self.session:%y%m%d}.{'.'.join(readable)}.{digest}"


@dataclass(frozen=True, slots=True)
class Intent:
    """One submit, replace or cancel; quantity unsigned, prices in the instrument's currency on its tick.

    A cancel repeats the order that it ends, a replace the one whose price it changes and nothing else; both carry the
    venue's id of it in `target_venue_id`.
    """

    key: IntentKey
    client_order_id: str
    operation: Operation
    purpose: Purpose
    instrument: Instrument
    side: Side
    quantity: Decimal
    order_type: OrderType
    limit_price: Decimal | None
    time_in_force: TimeInForce
    cycle_id: str
    at: datetime
    target_venue_id: str | None = None

    def asked_for(self, order: Order) -> bool:
        """Tell whether the venue's order is the one that this asked for: id, symbol, side, quantity, type and price.

        A replace asks for no quantity: the venue may count what was filled before in or out. A type that we do not
        know and a limit that the venue leaves out are no other ones.
        """
        ours = (self.client_order_id, self.instrument.symbol, self.side)
        if ours != (order.client_order_id, order.symbol, order.side) or order.quantity is None:
            return False
        if order.order_type not in (self.order_type, OrderType.UNKNOWN):
            return False
        untold = order.limit_price is None and order.order_type is OrderType.LIMIT
        if order.limit_price != self.limit_price and not untold:
            return False
        return order.quantity == self.quantity or (
            self.operation is Operation.REPLACE and order.quantity < self.quantity
        )

    @property
    def makes_order(self) -> bool:
        """Tell whether the venue makes an order of it, under its client order id."""
        return self.operation is not Operation.CANCEL


@dataclass(frozen=True, slots=True)
class IntentRecord:
    """An intent as the ledger holds it, with how far it has come."""

    intent: Intent
    state: IntentState
    code: str | None
    message: str | None
    updated_at: datetime
