"""Take over positions that the bot didn't open, on a person's request. Nothing here can send an order."""

from contextlib import nullcontext
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from tradebot.errors import ExitCode, OperatorError, word
from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.finding import FindingKind
from tradebot.model.instrument import UNTRADED, notional
from tradebot.model.position import ADOPTED, FOREIGN, Origin, OwnedFill, unreported_fill
from tradebot.model.venue import Settlement
from tradebot.ports.broker import BrokerReader, Undisturbed
from tradebot.ports.stores import Ledger, Money
from tradebot.reconciliation.listing_updates import require_listing
from tradebot.reconciliation.read_books import require_account
from tradebot.reconciliation.reconcile import Reconciled, reconcile


class ForeignPart(Struct, frozen=True):
    """A broker position beyond the bot's own: signed quantity and the broker's average price in USD.

    `unexplained` is the part that no known fill explains because it is older than the books.
    """

    symbol: str
    quantity: Decimal
    average_price: Decimal
    unexplained: Decimal
    multiplier: Decimal

    @property
    def explained_part(self) -> Decimal:
        """Return the part that came from foreign fills since the books began."""
        return self.quantity - self.unexplained


def acknowledge(
    reader: BrokerReader, ledger: Ledger, symbol: str, who: str, undisturbed: Undisturbed = nullcontext
) -> tuple[ForeignPart, Reconciled]:
    """Record a foreign position as known and left alone, then compare again without yielding to exit passes.

    Shares from foreign fills leave the books at the broker's average price, with the cash that was paid for them.
    """
    current = reconcile(reader, ledger)
    require_account(ledger, current.view.account)
    part = foreign_part(current, ledger, symbol)
    if part.explained_part:
        ledger.apply_fills([_adoption(FOREIGN, "from", part, -part.explained_part, current.at)], current.at)
        _put_back(ledger, part, -part.explained_part, f"{symbol} was acknowledged by {who}", current.at)
    if ledger.acknowledged().get(symbol) != part.quantity:
        why = f"acknowledged by {who}"
        ledger.acknowledge(symbol, part.quantity, why, current.at, origin=Origin.ADOPTION, about=symbol)
    with undisturbed():
        return part, reconcile(reader, ledger)


def manage(
    reader: BrokerReader, ledger: Ledger, symbol: str, who: str, shown: Decimal, undisturbed: Undisturbed = nullcontext
) -> tuple[ForeignPart, Reconciled]:
    """Make a foreign position the bot's own at the broker's average price, then compare again.

    `shown` is the broker's signed quantity that the person confirmed. Raise OperatorError if the broker's quantity has
    changed since, or if someone else's order is working on the symbol. Shares that no fill explains were paid for
    before the books began, so their cost is added back as cash: there is no profit or loss. If this is interrupted, the
    next reconcile finds the difference.
    """
    current = reconcile(reader, ledger)
    require_account(ledger, current.view.account)
    part = foreign_part(current, ledger, symbol)
    _require_manageable(reader, ledger, current, symbol, shown)
    _require_no_foreign_order(current, symbol)
    if symbol in ledger.acknowledged():
        why = f"taken over by {who}"
        ledger.acknowledge(symbol, Decimal(0), why, current.at, origin=Origin.ADOPTION, about=symbol)
    out = [_adoption(FOREIGN, "from", part, -part.explained_part, current.at)] if part.explained_part else []
    ledger.apply_fills([*out, _adoption(ADOPTED, "to", part, part.quantity, current.at)], current.at)
    if part.unexplained:
        _put_back(ledger, part, part.unexplained, f"{symbol} was bought before it was taken over by {who}", current.at)
    with undisturbed():
        return part, reconcile(reader, ledger)


def _put_back(ledger: Money, foreign_part: ForeignPart, quantity: Decimal, why: str, at: datetime) -> None:
    """Add back the cash that these shares seem to have cost, at the broker's average price.

    In a margin account, nothing is added back, because opening a position costs no cash.
    """
    if ledger.account_state().settlement is Settlement.PAID:
        amount = notional(quantity, foreign_part.average_price, foreign_part.multiplier)
        ledger.adjust_cash(amount, why, at, origin=Origin.ADOPTION, about=foreign_part.symbol)


def foreign_part(current: Reconciled, ledger: Money, symbol: str) -> ForeignPart:
    """Return the foreign part of a position.

    Raise OperatorError if there is none, if books and broker differ on it, or if it is on the opposite side of the
    bot's own position.
    """
    there = broker_position(current.view, symbol)
    differs = next((f for f in current.findings if f.subject == symbol and f.kind not in _STRANGERS), None)
    if differs is not None:
        raise OperatorError(
            f"{symbol}: {differs.meaning}",
            "tradebot reconcile, read the findings, then tradebot reconcile --apply PLAN, then adopt it",
            code=ExitCode.REFUSED,
        )
    lots = {key: p.quantity for key, p in ledger.totals().positions.items() if key[1] == symbol}
    foreign_fills = lots.pop((FOREIGN, symbol), Decimal(0))
    own = sum(lots.values(), Decimal(0))
    foreign = there.quantity - own
    if not foreign:
        raise OperatorError(f"{symbol} already belongs to the bot, so there is nothing to adopt", "tradebot positions")
    if foreign * own < 0:
        raise OperatorError(
            f"{symbol}: the foreign shares are on the opposite side of the bot's own position",
            f"tradebot flatten {symbol}, or close the foreign part at the broker",
            code=ExitCode.REFUSED,
        )
    return ForeignPart(symbol, foreign, there.average_price, foreign - foreign_fills, there.multiplier)


_STRANGERS = frozenset(
    {
        FindingKind.FOREIGN_POSITION,
        FindingKind.BY_HAND,
        FindingKind.ANOTHER_COPY,
        FindingKind.EXPIRY,
        FindingKind.MISSING_STOP,
        FindingKind.INSTRUMENT_CHANGED,
        FindingKind.INSTRUMENT_UNKNOWN,
    }
)
_OTHERS_ORDERS = frozenset({FindingKind.FOREIGN_ORDER, FindingKind.ORDER_TWICE, FindingKind.UNKNOWN_ORDER})


def broker_position(view: BrokerView, symbol: str) -> BrokerPosition:
    """Return the broker's position in a symbol; raise OperatorError naming the existing positions if there is none."""
    position_by_symbol = {position.symbol: position for position in view.positions if position.quantity}
    if symbol not in position_by_symbol:
        raise OperatorError(
            f"the broker has no position in {word(symbol)}",
            f"it has {', '.join(sorted(position_by_symbol)) or 'none at all'}; see tradebot positions",
        )
    return position_by_symbol[symbol]


def _require_manageable(reader: BrokerReader, ledger: Ledger, current: Reconciled, symbol: str, shown: Decimal) -> None:
    there = broker_position(current.view, symbol)
    kind, quantity = there.asset_class, there.quantity
    if kind in UNTRADED:
        raise OperatorError(
            f"{symbol} is a position of type {kind}, which the bot doesn't trade",
            f"tradebot adopt {symbol} without --manage marks it as known and leaves it alone",
            code=ExitCode.REFUSED,
        )
    require_listing(reader, ledger, symbol, current.at)
    if quantity != shown:
        raise OperatorError(
            f"{symbol}: you confirmed {shown:f}, but the broker now holds {quantity:f}; look again",
            f"tradebot positions, then tradebot adopt {symbol} --manage",
            code=ExitCode.REFUSED,
        )


def _require_no_foreign_order(current: Reconciled, symbol: str) -> None:
    """Raise OperatorError if someone else's order is open on the symbol.

    It could fill later and trade against shares that the bot relies on.
    """
    others = {finding.subject for finding in current.findings if finding.kind in _OTHERS_ORDERS}
    named = {**{order.venue_id: order.client_order_id for order in current.view.orders}, **current.view.repeated}
    order = next((o for o in current.view.orders if o.symbol == symbol and named[o.venue_id] in others), None)
    if order is not None:
        raise OperatorError(
            f"{symbol}: someone else's order {named[order.venue_id]} is working there: "
            f"{order.side} {order.open_quantity:f}",
            f"cancel it at the broker or wait until it ends, then tradebot adopt {symbol} --manage",
            code=ExitCode.REFUSED,
        )


def _adoption(owner: str, way: str, foreign_part: ForeignPart, change: Decimal, at: datetime) -> OwnedFill:
    name = f"adoption:{foreign_part.symbol}:{at:%Y%m%dT%H%M%S%fZ}:{way}"
    source = Origin.ADOPTION, foreign_part.symbol
    return unreported_fill(
        owner, name, foreign_part.symbol, change, foreign_part.average_price, foreign_part.multiplier, at, *source
    )
