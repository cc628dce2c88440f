"""Intents: operations that are recorded first and sent at most once. The id of an intent is derived from its content.

Client order ids have the form `tb1.YYMMDD.STRAT.SYMBOL.ROLE.HASH`, with at most 48 characters. The prefix marks our
orders at the broker.
"""

import hashlib
from base64 import b32encode
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import astuple

from tradebot.model.candidate import Component, Purpose, ScaleOutLevel, Side
from tradebot.model.instrument import Instrument
from tradebot.model.order import Approach, Order, OrderClass, OrderStatus, OrderType, Reply, TimeInForce, WriteOutcome
from tradebot.model.struct_tools import replace

ID_PREFIX = "tb1."
LEG = "stop of "
"""The prefix of the id of an entry's stop, at a venue that accepts one; the entry's own id follows."""
ID_CONFLICT = "id_conflict"
"""The bot's own refusal code: the venue has a different order under this order's id."""
NEVER_SENT = "halted"
"""The bot's own refusal code: something blocked the order between recording and sending it, such as a halt."""
TARGET_DONE = "target_done"
"""Our own refusal code: the order to be replaced has already ended, so it can't have been replaced."""
REFUSED_LATE = "refused_late"
"""Our own refusal code: the venue accepted the order at first, and then rejected it."""
_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


class ClientIdParts(NamedTuple):
    """The readable parts of our client order id: the first five letters of the strategy's name, in capitals, and the
    purpose.

    `purpose` is None if this version doesn't know it.
    """

    strategy: str
    purpose: Purpose | None

    def is_of(self, strategy: str) -> bool:
        """Return True if the strategy with this name may have sent the order."""
        return strategy[:5].upper() == self.strategy


def is_our_order_id(client_order_id: str) -> bool:
    """Return True if a client order id carries our mark. Nothing else at the venue shows that an order is ours."""
    return mark_of(client_order_id) is not None


def stop_of(client_order_id: str) -> str:
    """Return the client order id of an entry's stop."""
    return f"{LEG}{client_order_id}"


@lru_cache(maxsize=5_000)
def mark_of(client_order_id: str) -> ClientIdParts | None:
    """Parse the mark in a client order id of ours; return None if the order isn't ours."""
    if not client_order_id.startswith(ID_PREFIX):
        return None
    parts = client_order_id.split(".")
    if len(parts) < 6:
        return ClientIdParts("", None)
    # A symbol may contain dots, so count the parts after it from the end.
    return ClientIdParts(parts[2], next((purpose for purpose in Purpose if purpose[:5].upper() == parts[-2]), None))


class Operation(StrEnum):
    """What a request asks the venue to do with an order."""

    SUBMIT = "submit"
    REPLACE = "replace"
    CANCEL = "cancel"


class IntentState(StrEnum):
    """The states of an intent. SENT is on disk before the request is sent; UNKNOWN has to be looked up at the venue."""

    SENT = "sent"
    ACKED = "acked"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    ABANDONED = "abandoned"

    @property
    def is_unresolved(self) -> bool:
        return self in (IntentState.SENT, IntentState.UNKNOWN)


def own_slot(name: str) -> str:
    """Return the text that identifies a strategy's own slot in order keys.

    It never equals the text of a pass's slot.
    """
    return f"own {name}"


JOINS = 3
"""The leg number of an exit that joins a stop's group; the key's target is that stop."""


class IntentKey(Struct, frozen=True):
    """The fields that identify an intent, in the order in which they are hashed.

    A cancel or a replace names its `target` order. A replace inherits that order's key, and `generation` counts the
    earlier failed attempts on the same target.
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

    @property
    def joins(self) -> str:
        """Return the venue's id of the stop whose group an exit joins; empty for any other order."""
        return self.target if self.leg == JOINS else ""

    def client_order_id(self) -> str:
        """Return a readable id of at most 48 characters; equal content always gives the same id."""
        content = "\x1f".join(map(str, astuple(self)))
        digest = b32encode(hashlib.sha256(content.encode()).digest()).decode()[:16]
        readable = (self.strategy[:5].upper(), self.symbol[:8].upper(), self.role[:5].upper())
        return f"{ID_PREFIX}{self.session:%y%m%d}.{'.'.join(readable)}.{digest}"


class Intent(Struct, frozen=True):
    """One submit, replace or cancel; the quantity is unsigned, prices are in the instrument's currency and on its tick.

    A cancel repeats the order it ends. A replace repeats the order it changes, with only the price different. Both have
    the venue's id of that order in `target_venue_id`. `stop_loss_fraction` and `profit_target_fraction` are distances
    from the entry price at which to close the position that this opens, in addition to its strategy's exits;
    `atr_fraction` and `invalid_fraction` are copied from the candidate for exit rules and the strategy. `sent_in` is
    the session in which the request is sent, if that isn't the key's session: a strategy's own slot may last for
    several sessions. `limit_price` and `stop_price` are the target and the stop of a pair (`order_class` OCO), or the
    entry's limit and its attached stop (BRACKET). `score` and `components` are copied from an entry's candidate.
    `targets` are the scale-out levels of the position that this opens. `why` is the reason of a closing order: the
    strategy's own words, or the exit rules' in the grammar of `exits.exit_reasons`; for a BRACKET entry, its stop's
    reason. A passive entry has an `approach`, which its replaces keep. A close with `displaced_by` makes room for that
    symbol. If a person approved an entry, `approval` is the id of that request. `cluster` is copied from an entry's
    candidate. `worst_price` is the price in USD at which the gates computed the entry's cost and risk.

    `decision_mid` is the midpoint of bid and ask when the order was decided on, and `send_mid` the midpoint when this
    request was sent, from a quote stamped `send_mid_at`; None if there was no quote. Replaces keep the order's first
    `decision_mid`.
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
    stop_loss_fraction: Decimal | None = None
    profit_target_fraction: Decimal | None = None
    sent_in: date | None = None
    stop_price: Decimal | None = None
    order_class: OrderClass = OrderClass.SIMPLE
    score: float | None = None
    components: tuple[Component, ...] = ()
    decision_mid: Decimal | None = None
    send_mid: Decimal | None = None
    send_mid_at: datetime | None = None
    approach: Approach | None = None
    targets: tuple[ScaleOutLevel, ...] = ()
    why: str = ""
    displaced_by: str = ""
    approval: str = ""
    atr_fraction: Decimal | None = None
    invalid_fraction: Decimal | None = None
    cluster: str = ""
    worst_price: Decimal | None = None

    @property
    def holding(self) -> tuple[str, str]:
        """Return the strategy and the symbol of the intent."""
        return self.key.strategy, self.key.symbol

    @property
    def session(self) -> date:
        """Return the session in which the request is sent; a DAY order ends with that session."""
        return self.sent_in or self.key.session

    def matches_order(self, order: Order) -> bool:
        """Return True if the venue's order is the one we requested: same id, symbol, side, quantity, type and price.

        After a replace, the order may be smaller, since some venues don't count earlier fills. A closing order may be
        smaller too, because a venue may fit it to the remaining position. An unknown order type, a missing limit price
        and the size of an order that has ended are ignored. So is the limit of an exit, which may have been sent
        several times at different prices.
        """
        ours = (self.client_order_id, self.instrument.symbol, self.side)
        if ours != (order.client_order_id, order.symbol, order.side):
            return False
        if order.quantity is None and not order.status.terminal:
            return False
        both_stop = {self.order_type, order.order_type} <= _STOPS
        if order.order_type not in (self.order_type, OrderType.UNKNOWN) and not both_stop:
            return False
        exits = self.operation is Operation.SUBMIT and self.purpose in (Purpose.CLOSE, Purpose.REDUCE)
        if not (exits or self.has_prices_of(order)):
            return False
        smaller = self.operation is Operation.REPLACE or self.purpose is not Purpose.OPEN
        quantity = order.filled_quantity if order.quantity is None else order.quantity
        return quantity == self.quantity or (quantity < self.quantity and (smaller or order.quantity is None))

    def has_prices_of(self, order: Order) -> bool:
        """Return True if the order has our prices; the venue may have added a limit to a stop."""
        if self.order_type in _STOPS:
            return order.stop_price in (None, self.stop_price)
        price_omitted = order.limit_price is None and order.order_type is OrderType.LIMIT
        return order.limit_price == self.limit_price or price_omitted

    @property
    def rests(self) -> bool:
        """Return True for an order that was placed to protect a position, even if it has become an exit."""
        return self.key.role is Purpose.PROTECT

    @property
    def protects(self) -> bool:
        """Return True for an order that rests at the venue to protect a position."""
        return self.purpose is Purpose.PROTECT

    @property
    def is_target(self) -> bool:
        """Return True for a limit order that rests apart from the stop: it takes a profit, but protects nothing."""
        return self.rests and self.order_type is OrderType.LIMIT and self.order_class is OrderClass.SIMPLE

    def is_shown_by(self, order: Order) -> bool:
        """Return True if an order already has the price and quantity that this replace requested."""
        stops = self.order_type in _STOPS
        price, requested = (order.stop_price, self.stop_price) if stops else (order.limit_price, self.limit_price)
        return (price, order.quantity) == (requested, self.quantity) and not order.status.terminal

    @property
    def makes_order(self) -> bool:
        """Return True if the request creates an order at the venue under its client order id."""
        return self.operation is not Operation.CANCEL


class IntentRecord(Struct, frozen=True):
    """An intent with its current state in the ledger, and the `code` and `message` of the last reply to it, if any."""

    intent: Intent
    state: IntentState
    code: str | None
    message: str | None
    updated_at: datetime


def behind_leg(record: IntentRecord, order: Order) -> IntentRecord:
    """Return the record that explains an order, given the `record` of its nearest intent.

    For the stop leg of an entry, build an intent that protects the position; for any other order, return `record`
    unchanged. The order must have a venue id.
    """
    entry = record.intent
    if order.parent is None or entry.purpose is not Purpose.OPEN:
        return record
    stop = replace(
        entry,
        key=replace(entry.key, side=order.side, role=Purpose.PROTECT),
        purpose=Purpose.PROTECT,
        side=order.side,
        quantity=order.quantity or entry.quantity,
        order_type=OrderType.STOP,
        order_class=OrderClass.BRACKET,
        limit_price=None,
        time_in_force=order.time_in_force,
        approach=None,
    )
    return replace(record, intent=stop)


def outcome_of(order: Order) -> Reply:
    """Return the outcome of the request that created this order.

    An order that the venue accepted first may have been rejected since.
    """
    if order.status is OrderStatus.REJECTED and not order.filled_quantity:
        return Reply(WriteOutcome.REJECTED, order, REFUSED_LATE, "the broker accepted the order, then rejected it")
    return Reply(WriteOutcome.ACCEPTED, order)
