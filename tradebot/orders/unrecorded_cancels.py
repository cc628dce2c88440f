"""End our working entries where no pass can do it: the one request that goes out without a promise.

Everything else we send is durable before its socket is opened, so that it is never lost and never repeated by mistake.
A cancel may go out without that: it only reduces risk, it may arrive twice, and if nobody remembers it the next pass
reads the order's state from the venue anyway. Exits, protection and other people's orders are left alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tradebot.errors import TradebotError
from tradebot.model.candidate import Purpose
from tradebot.model.intent import mark_of
from tradebot.model.order import Order, Outcome, chain
from tradebot.orders.sending import cancel_unpromised
from tradebot.ports.broker import BrokerReader, OrderPort
from tradebot.ports.stores import Ledger


@dataclass(frozen=True, slots=True)
class Ended:
    """How many of our entries the venue has ended or is ending, and what went wrong with others."""

    cancelled: int
    problems: tuple[str, ...]


def end_entries(reader: BrokerReader, orders: OrderPort, ledger: Ledger | None, account: str, at: datetime) -> Ended:
    """Cancel each working entry of ours by its id, whether our books know it, the venue lists it, or both.

    `ledger` is None if it can't be read; then our mark in the venue's list is all there is to go by.
    """
    entries, problems = dict[str, Order](), list[str]()
    for source in (_listed(reader, ledger, account), _known(reader, ledger)):
        try:
            entries |= {order.venue_id: order for order in source}
        except TradebotError as error:
            problems.append(error.message)
    cancelled = 0
    for order in entries.values():
        reply = cancel_unpromised(orders, order, account, at)
        if reply.outcome is Outcome.ACCEPTED:
            cancelled += 1
        else:
            problems.append(f"{order.symbol} {order.client_order_id}: {reply.message or reply.code}")
    return Ended(cancelled, tuple(problems))


def _listed(reader: BrokerReader, ledger: Ledger | None, account: str) -> Iterator[Order]:
    """Yield our entries among the venue's open orders, with those that somebody put in the place of one."""
    view = reader.view()
    if view.account.number != account:
        raise TradebotError(f"the keys are those of another account, …{view.account.tail}: nothing was cancelled there")
    known = ledger.orders() if ledger else ()
    following = {order.venue_id: order.replaced_by for order in known if order.replaced_by}
    followers = {follower for order in known if _is_entry(order) for follower in chain(order.venue_id, following)}
    yield from (order for order in view.orders if _is_entry(order) or order.venue_id in followers)


def _known(reader: BrokerReader, ledger: Ledger | None) -> Iterator[Order]:
    """Yield the entries that our books hold as working, and what the venue made of those without an answer."""
    if ledger is None:
        return
    yield from filter(_is_entry, ledger.orders(working=True))
    for record in ledger.intents(unresolved=True):
        if record.intent.purpose is Purpose.OPEN and record.intent.makes_order:
            found = reader.order(record.intent.client_order_id)
            if found is not None and not found.status.terminal:
                yield found


def _is_entry(order: Order) -> bool:
    mark = mark_of(order.client_order_id)
    return mark is not None and mark.purpose is Purpose.OPEN
