"""`tradebot orders`: show orders that may still fill, or all orders with --all. Doesn't contact the broker."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.declaration import VerbPurpose
from commands.shared.light_helpers import clean
from commands.shared.number_format import acts_at, units, usd
from commands.shared.times import DAY_SECOND, stamp, zone
from commands.shared.verb_options import Report, on_bot
from tradebot.model.sentences import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.intent import Intent, IntentRecord
    from tradebot.model.order import Order

STYLE = {"filled": "green", "rejected": "red", "unknown": "yellow", "sent": "yellow"}


class OrderRow(Struct, frozen=True):
    """One order in shares and USD; `strategy` is foreign if the bot didn't send it.

    `status` is what the broker last reported or, without a report, the state in the bot's own record. `note` is the
    broker's message about the order. `stop_price` is set for a stop; the stop of a pair has its own row.
    """

    at: datetime | None
    symbol: str
    side: str
    purpose: str
    strategy: str
    quantity: Decimal | None
    filled: Decimal
    average_price: Decimal | None
    limit_price: Decimal | None
    status: str
    note: str
    client_order_id: str
    stop_price: Decimal | None


class OrdersShown(Struct, frozen=True):
    """The selected orders, oldest first; `known` counts all orders in the books, `left_out` those that --last omits."""

    orders: tuple[OrderRow, ...]
    known: int
    left_out: int


def run(app: "App", *, every: bool, last: int) -> Report:
    """Join each recorded intent with the broker's last report on its order."""
    rows, may_fill = join_orders(app.ledger_view.intents(), app.ledger_view.orders())
    open_rows = [row for row, open_ in zip(rows, may_fill, strict=True) if every or open_]
    # Orders of the same time keep the order in which they were recorded.
    chosen = sorted(open_rows, key=lambda row: row.at.timestamp() if row.at else 0.0)
    order_rows = tuple(chosen[-last:])
    data = OrdersShown(order_rows, len(rows), len(chosen) - len(order_rows))
    return Report("orders", data, lambda console, shown: _render(console, shown, every))


def join_orders(intents: "Sequence[IntentRecord]", orders: "Iterable[Order]") -> tuple[list[OrderRow], Iterable[bool]]:
    """Return a row for each order, and for each row whether the order may still fill."""
    from tradebot.model.intent import IntentState, Operation

    recorded = {r.intent.client_order_id: r for r in intents if r.intent.makes_order}
    reported = {order.client_order_id: order for order in orders}
    ending = {
        record.intent.target_venue_id
        for record in intents
        if record.state is IntentState.ACKED and record.intent.operation is Operation.CANCEL
    }
    rows = [_ours(record, reported.get(name), ending) for name, record in recorded.items()]
    sent = {order.venue_id: recorded[name].intent for name, order in reported.items() if name in recorded}
    rows += [_not_sent(order, sent.get(order.parent or "")) for name, order in reported.items() if name not in recorded]
    return rows, _may_fill(recorded, reported)


def _may_fill(recorded: "dict[str, IntentRecord]", reported: "dict[str, Order]") -> Iterable[bool]:
    """Yield for each row whether it may still fill, by the broker's report or else by the state of the intent."""
    for name, record in recorded.items():
        order = reported.get(name)
        yield not order.status.terminal if order else record.state.is_unresolved
    for name, order in reported.items():
        if name not in recorded:
            yield not order.status.terminal


def _ours(record: "IntentRecord", order: "Order | None", ending: "set[str | None]") -> OrderRow:
    intent = record.intent
    ends = order is not None and order.venue_id in ending and not order.status.terminal
    words = " ".join(part for part in (record.code, record.message) if part)
    # A venue may change a resting order by itself: it makes it smaller, or a split or a dividend moves its prices.
    limit = _as_reported(order.limit_price if order else None, intent.limit_price)
    return OrderRow(
        at=intent.at,
        symbol=intent.instrument.symbol,
        side=intent.side.value,
        purpose=intent.purpose.value,
        strategy=intent.key.strategy,
        quantity=_as_reported(order.quantity if order else None, intent.quantity),
        filled=order.filled_quantity if order else Decimal(0),
        average_price=order.filled_average_price if order else None,
        limit_price=limit,
        status="cancel sent" if ends else order.status.value if order else record.state.value,
        note=clean(words),
        client_order_id=intent.client_order_id,
        stop_price=None if limit else _as_reported(order.stop_price if order else None, intent.stop_price),
    )


def _as_reported(quantity: Decimal | None, sent: Decimal | None) -> Decimal | None:
    """Return a quantity or price of an order as the venue reports it, or as sent if the venue reports none."""
    return sent if quantity in (None, sent) else quantity


def _not_sent(order: "Order", pair: "Intent | None") -> OrderRow:
    """Return the row of an order that the broker created for a `pair` of ours, or that someone else sent."""
    from tradebot.model.candidate import Purpose
    from tradebot.views.holdings import FOREIGN_OWNER

    return OrderRow(
        at=order.submitted_at,
        symbol=clean(order.symbol),
        side=order.side.value,
        purpose=Purpose.PROTECT.value if pair else "",
        strategy=pair.key.strategy if pair else FOREIGN_OWNER,
        quantity=order.quantity,
        filled=order.filled_quantity,
        average_price=order.filled_average_price,
        limit_price=order.limit_price,
        status=order.status.value,
        note="",
        client_order_id=clean(order.client_order_id),
        stop_price=order.stop_price,
    )


def _render(console: "Console", data: OrdersShown, every: bool) -> None:
    count = pluralize(len(data.orders), "order")
    what = count if every else f"{count} that may still fill"
    console.print(f"{what}; {data.known:,} in the books; the broker was not queried")
    if data.left_out:
        console.print(f"  {pluralize(data.left_out, 'older order')} not shown; --last shows more")
    if data.orders:
        _table(console, data.orders)
    elif data.known:
        console.print("Next: tradebot orders --all")


def _table(console: "Console", rows: Sequence[OrderRow]) -> None:
    from rich.markup import escape

    from commands.shared.tables import Table, last_folded_column, number, sentence

    numbers = (number(name) for name in (units(), "filled", "price", "paid"))
    words = "status", sentence("strategy and note", "strategy")
    table = Table(f"sent {zone()}", last_folded_column("symbol"), last_folded_column("side"), "for", *numbers, *words)
    for row in rows:
        style = STYLE.get(row.status, "default")
        table.row(
            stamp(row.at, DAY_SECOND) if row.at else "",
            escape(row.symbol),
            row.side,
            row.purpose,
            "" if row.quantity is None else f"{row.quantity:,f}",
            f"{row.filled:,f}",
            acts_at(row.limit_price, row.stop_price, row.symbol),
            usd(row.average_price, row.symbol),
            f"[{style}]{row.status}[/{style}]",
            escape(f"{row.strategy} {row.note}".strip()),
        )
    console.print(table)


@on_bot(
    "orders",
    VerbPurpose.LOOK,
    100,
    {"orders/1": (OrdersShown,)},
    epilog="tradebot orders\ntradebot orders --all --last 20",
)
def orders(
    bot: "App",
    every: Annotated[bool, typer.Option("--all", help="Include orders that are done.")] = False,
    last: Annotated[int, typer.Option("--last", "-n", min=1, max=100_000, help="Show at most this many.")] = 100,
) -> Report:
    """Show working orders, or all orders with --all.

    Reads the bot's own books, without contacting the broker.
    """
    return run(bot, every=every, last=last)
