"""Slippage of fills against the midpoint of bid and ask: at the decision, at sending, and at the order's arrival.

No extra request is made for a midpoint: if a pass had no quote, the midpoint at arrival is missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.instrument import notional
from tradebot.model.intent import IntentRecord
from tradebot.model.order import Fill, Order
from tradebot.model.position import OwnedFill
from tradebot.model.trade import IntentFacts, OrderFacts

IN_FULL = 10_000
"""How many basis points make up the whole."""
AT_DECISION = "decision"
"""The default midpoint for slippage: every order of the bot has one at its decision."""


class Slippage(Struct, frozen=True):
    """The slippage of one fill, or of several together, against one midpoint.

    A cost is positive, for buys and sells alike. `usd` is for all shares, `value_usd` is their value at the midpoint,
    and `bps` is the ratio of the two in basis points, to two decimals.
    """

    usd: Decimal
    value_usd: Decimal
    bps: Decimal


class FillSlippage(Struct, frozen=True):
    """The slippage of one fill against each midpoint; None if that midpoint isn't known.

    `send_quote_age_s` is the age of the quote at which the order was sent.
    """

    decision: Slippage | None = None
    send: Slippage | None = None
    arrival: Slippage | None = None
    send_quote_age_s: float | None = None


class TotalSlippage(Struct, frozen=True):
    """The slippage of all fills with a known midpoint `against` (decision, send or arrival); None if there are none.

    `of` counts the fills of our orders, `known` the fills with that midpoint. For the midpoint at sending,
    `oldest_quote_s` is the age of the oldest quote at which an order was sent.
    """

    against: str
    total: Slippage | None
    known: int
    of: int
    oldest_quote_s: float | None = None


def slippage(fill: Fill, middle: Decimal | None) -> Slippage | None:
    """Return the slippage of a fill against a midpoint; None if the midpoint isn't known.

    The slippage in USD is computed by `cost_usd`.
    """
    return (
        None
        if middle is None
        else _slippage_of(cost_usd(fill, middle), notional(fill.quantity, middle, fill.multiplier))
    )


def cost_usd(fill: Fill, middle: Decimal) -> Decimal:
    """Return a fill's cost in USD against a midpoint: side x (price - midpoint) x quantity x multiplier."""
    return notional(fill.signed_quantity, fill.price - middle, fill.multiplier)


class FillWithOrder(NamedTuple):
    """A fill, our order that made it, and the intent behind that order."""

    fill: Fill
    order: OrderFacts
    intent: IntentFacts

    @property
    def quote_age_s(self) -> float | None:
        """Return the age of the quote at which the order was sent; None if unknown."""
        quoted_at = self.intent.send_mid_at
        return (self.intent.at - quoted_at).total_seconds() if quoted_at else None


def by_fill(
    fills: Iterable[OwnedFill], orders: Iterable[Order], recorded: Mapping[str, IntentRecord]
) -> Mapping[str, FillWithOrder]:
    """Return each fill of our orders, by activity id.

    Fills of stops or targets that rested at the venue are left out, because such an order waits for its price.
    """
    behind = {order.venue_id: order for order in orders}
    by_id = dict[str, FillWithOrder]()
    for fill in (owned.fill for owned in fills):
        order = behind.get(fill.venue_order_id)
        record = recorded.get(order.client_order_id) if order else None
        if order is not None and record is not None and not record.intent.protects:
            by_id[fill.activity_id] = FillWithOrder(fill, order, record.intent)
    return by_id


def slippage_of(fill_with_order: FillWithOrder) -> FillSlippage:
    fill, order, intent = fill_with_order
    return FillSlippage(
        slippage(fill, intent.decision_mid),
        slippage(fill, intent.send_mid),
        slippage(fill, order.arrival_mid),
        fill_with_order.quote_age_s,
    )


def totals(fills_with_orders: Sequence[FillWithOrder]) -> tuple[TotalSlippage, ...]:
    """Return the slippage of all these fills together, against each midpoint; basis points are weighted by value."""
    ages = [age for order in fills_with_orders if (age := order.quote_age_s) is not None]
    return (
        _total("decision", [(order.fill, order.intent.decision_mid) for order in fills_with_orders]),
        _total("send", [(order.fill, order.intent.send_mid) for order in fills_with_orders], max(ages, default=None)),
        _total("arrival", [(order.fill, order.order.arrival_mid) for order in fills_with_orders]),
    )


def total_slippage(parts: Sequence[TotalSlippage]) -> TotalSlippage:
    """Add up totals against the same midpoint; there must be at least one."""
    total = _of((part.total.usd, part.total.value_usd) for part in parts if part.total is not None)
    ages = [part.oldest_quote_s for part in parts if part.oldest_quote_s is not None]
    priced, of = sum(part.known for part in parts), sum(part.of for part in parts)
    return TotalSlippage(parts[0].against, total, priced, of, max(ages, default=None))


def _total(
    against: str, fills: Sequence[tuple[Fill, Decimal | None]], oldest_quote_s: float | None = None
) -> TotalSlippage:
    priced = [(fill, middle) for fill, middle in fills if middle is not None]
    total = _of((cost_usd(fill, middle), notional(fill.quantity, middle, fill.multiplier)) for fill, middle in priced)
    return TotalSlippage(against, total, len(priced), len(fills), oldest_quote_s)


def _of(parts: Iterable[tuple[Decimal, Decimal]]) -> Slippage | None:
    parts_of = [*parts]
    usd, value = (sum((each[index] for each in parts_of), Decimal(0)) for index in (0, 1))
    return _slippage_of(usd, value) if parts_of else None


def _slippage_of(usd: Decimal, value: Decimal) -> Slippage:
    return Slippage(usd, value, round(usd / value * IN_FULL, 2))
