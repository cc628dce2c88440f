"""Export the books as three tables that other programs can join: orders, executions, and an audit line per order.

The tables are only views of the books: they are computed on request, and the books remain the only source.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from tradebot.model.instrument import ONE, notional
from tradebot.model.intent import IntentRecord, IntentState
from tradebot.model.order import Order, OrderStatus, fee_id
from tradebot.model.position import OwnedFill
from tradebot.views.trades.history import NOT_OURS, History

FAILED = "FAILED"
"""The status of an order that was refused, whoever refused it."""
NOTHING = Decimal(0)


class OrderLine(Struct, frozen=True):
    """One order of the bot. `id` is the bot's own id. `perm_id` is the venue's id, empty until the venue has given one.

    `intent` is its purpose, and `status` the venue's word in capitals, or FAILED if it was refused.
    """

    id: str
    perm_id: str
    strategy: str
    intent: str
    symbol: str
    side: str
    quantity: Decimal
    order_type: str
    status: str
    timestamp: datetime


class ExecutionLine(Struct, frozen=True):
    """One fill of the bot, in USD. `order_id` is the bot's own id of the order; empty if the fill has no order.

    `commission` is None until the venue reports it; it stays None at a venue that charges by the day. `pnl` is the
    profit realized by the fill, first in, first out, minus its known commission. `source` says what wrote the fill: the
    venue, or for example a plan or an adoption.
    """

    order_id: str
    exec_id: str
    exec_time: datetime
    strategy: str
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    multiplier: Decimal
    commission: Decimal | None
    pnl: Decimal
    source: str


class AuditLine(Struct, frozen=True):
    """The result of one order: its average `price` and `pnl` are None until it has filled."""

    at: datetime
    order_id: str
    symbol: str
    action: str
    quantity: Decimal
    price: Decimal | None
    pnl: Decimal | None
    reason: str


class Exported(Struct, frozen=True):
    """The three tables, each oldest first."""

    orders: tuple[OrderLine, ...]
    executions: tuple[ExecutionLine, ...]
    audit: tuple[AuditLine, ...]


def export_account(history: History, intents: Sequence[IntentRecord], orders: Iterable[Order]) -> Exported:
    """Return the tables of one account, all from the same state of the books."""
    makes = {intent.intent.client_order_id: intent for intent in intents if intent.intent.makes_order}
    reported = {order.client_order_id: order for order in orders}
    names = {order.venue_id: name for name, order in reported.items() if name in makes}
    # The stop of an entry has its own id at the venue, but belongs to the entry's order.
    names |= {
        order.venue_id: names[order.parent]
        for order in reported.values()
        if order.parent in names and order.venue_id not in names
    }
    executions = tuple(_executions(history, names))
    of_order = defaultdict[str, list[ExecutionLine]](list)
    for line in executions:
        of_order[line.order_id].append(line)
    records = sorted(makes.values(), key=lambda record: record.intent.at)
    ids = {name: reported[name].venue_id for name in makes if name in reported}
    own = {name: [line for line in of_order[name] if line.side == makes[name].intent.side.value] for name in makes}
    return Exported(
        tuple(_order(record, reported.get(record.intent.client_order_id), ids) for record in records),
        executions,
        tuple(_audit(record, own[record.intent.client_order_id]) for record in records),
    )


def _order(record: IntentRecord, order: Order | None, ids: Mapping[str, str]) -> OrderLine:
    intent = record.intent
    refused = record.state is IntentState.REJECTED or (order is not None and order.status is OrderStatus.REJECTED)
    return OrderLine(
        id=intent.client_order_id,
        perm_id=ids.get(intent.client_order_id, ""),
        strategy=intent.key.strategy,
        intent=intent.purpose.value,
        symbol=intent.instrument.symbol,
        side=intent.side.value,
        quantity=intent.quantity,
        order_type=intent.order_type.value,
        status=FAILED if refused else (order.status if order else record.state).value.upper(),
        timestamp=intent.at,
    )


def _executions(history: History, names: Mapping[str, str]) -> Iterator[ExecutionLine]:
    realized = defaultdict[str, Decimal](Decimal)
    for lot in history.lots.closed:
        realized[lot.exit_fill] += lot.gross_usd
    awaited = {owned.fill.activity_id for owned in history.fills_awaiting_fee}
    later = {movement.about: -movement.amount_usd for movement in history.cash if movement.about}
    for owned in history.owned_fills:
        if owned.strategy != NOT_OURS:
            yield _execution(owned, names, realized, None if owned.fill.activity_id in awaited else _fee(owned, later))


def _fee(owned: OwnedFill, later: Mapping[str, Decimal]) -> Decimal:
    """Return the venue's fee for a fill in USD: charged with the fill, or booked since."""
    fee = owned.fill.fee
    if fee is None or fee.amount is not None:
        return fee.usd if fee else NOTHING
    return later.get(fee_id(owned.fill.activity_id), NOTHING)


def _execution(
    owned: OwnedFill, names: Mapping[str, str], realized: Mapping[str, Decimal], fee: Decimal | None
) -> ExecutionLine:
    fill = owned.fill
    return ExecutionLine(
        order_id=names.get(fill.venue_order_id, ""),
        exec_id=fill.activity_id,
        exec_time=fill.at,
        strategy=owned.strategy,
        symbol=fill.symbol,
        side=fill.side.value,
        price=fill.price,
        quantity=fill.quantity,
        multiplier=fill.multiplier,
        commission=fee if fill.fee else None,
        pnl=realized.get(fill.activity_id, NOTHING) - (fee or NOTHING),
        source=owned.origin.value,
    )


def _audit(record: IntentRecord, lines: Sequence[ExecutionLine]) -> AuditLine:
    intent, filled = record.intent, sum((line.quantity for line in lines), NOTHING)
    paid = sum((notional(line.quantity, line.price, ONE) for line in lines), NOTHING)
    return AuditLine(
        at=intent.at,
        order_id=intent.client_order_id,
        symbol=intent.instrument.symbol,
        action=f"{intent.purpose.value} {intent.side.value}",
        quantity=intent.quantity,
        price=paid / filled if filled else None,
        pnl=sum((line.pnl for line in lines), NOTHING) if lines else None,
        reason=" ".join(part for part in (record.code, record.message) if part) or intent.why,
    )
