"""Cancel our working entries when no pass can do it; this is the only request that isn't recorded before it is sent.

A cancel needs no such record: it only reduces risk, sending it twice does no harm, and the next pass reads the order's
state from the venue anyway. Exits, protection and other people's orders are left alone.
"""

from collections.abc import Iterator

from msgspec import Struct

from tradebot.errors import TradebotError
from tradebot.model.candidate import Purpose
from tradebot.model.intent import mark_of
from tradebot.model.order import Order, WriteOutcome
from tradebot.orders.order_sender import cancel_unrecorded
from tradebot.ports.broker import BrokerReader, OrderPort
from tradebot.ports.stores import Ledger


class CancelCounts(Struct, frozen=True):
    """How many of our entries the venue has canceled or is canceling, and the problems with the others."""

    cancelled: int
    problems: tuple[str, ...]


def end_entries(reader: BrokerReader, orders: OrderPort, ledger: Ledger | None, account: str) -> CancelCounts:
    """Cancel each of our working entries by its id, even if only our books or only the venue's list has it.

    If the ledger can't be read, `ledger` is None, and only the client order ids in the venue's list show which entries
    are ours.
    """
    entries, problems = dict[str, Order](), list[str]()
    for source in (_listed_entries(reader, ledger, account), _booked_entries(reader, ledger)):
        try:
            entries |= {order.venue_id: order for order in source}
        except TradebotError as error:
            problems.append(error.message)
    cancelled = 0
    for order in entries.values():
        reply = cancel_unrecorded(orders, order)
        if reply.outcome is WriteOutcome.ACCEPTED:
            cancelled += 1
        else:
            problems.append(f"{order.symbol} {order.client_order_id}: {reply.message or reply.code}")
    return CancelCounts(cancelled, tuple(problems))


def _listed_entries(reader: BrokerReader, ledger: Ledger | None, account: str) -> Iterator[Order]:
    """Yield our entries among the venue's open orders, including those that someone has replaced."""
    view = reader.view()
    if view.account.number != account:
        raise TradebotError(f"these keys belong to another account, …{view.account.tail}; nothing was canceled there")
    chains = ledger.order_chains([order.venue_id for order in view.orders]) if ledger else {}
    yield from (o for o in view.orders if any(map(_is_entry, (o, *chains.get(o.venue_id, ())))))


def _booked_entries(reader: BrokerReader, ledger: Ledger | None) -> Iterator[Order]:
    """Yield the entries that our books list as working, and any unresolved entries that reached the venue."""
    if ledger is None:
        return
    yield from filter(_is_entry, ledger.orders(working=True))
    for record in ledger.intents(unresolved=True):
        if record.intent.purpose is Purpose.OPEN and record.intent.makes_order:
            order = reader.order(record.intent.client_order_id)
            if order is not None and not order.status.terminal:
                yield order


def _is_entry(order: Order) -> bool:
    mark = mark_of(order.client_order_id)
    return mark is not None and mark.purpose is Purpose.OPEN
