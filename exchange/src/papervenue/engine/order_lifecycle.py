"""Implement the life of an order: booked, at the market, filled, ended. Every step is logged.

Orders may be in groups. An order brings its legs along, and what happens to one order affects the others of its group.

- bracket: an entry with a take-profit and a stop-loss; oto: an entry with one of them; oco: a take-profit that is
  itself the first order, with a stop-loss as its leg. Legs are held until the entry is completely filled; the legs of
  an oco reach the market with it.
- An attached order is held until its parent's first fill, and then works for the quantity that the parent has filled.
- A fill of one exit reduces the other to the shares that the first has left; if none are left, it is canceled.
- If one member is canceled or rejected, all open members are canceled. All of them expire at the end of their day.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from operator import attrgetter

from papervenue.chance import uuid_of
from papervenue.engine import matching
from papervenue.engine.account import Account
from papervenue.engine.engine_state import EngineState, id_stamp
from papervenue.engine.matching import first_stop
from papervenue.engine.orders import ATTACHED, Fill, FillEffect, Holding, Order, OrderRequest, StopLoss
from papervenue.events import Event
from papervenue.jsontext import plain
from papervenue.times import MINUTE


def leg_requests(request: OrderRequest) -> Iterator[OrderRequest]:
    """Yield the requests for an order's legs, the take-profit first."""
    side = request.side if request.order_class == "oco" else -request.side
    bare = OrderRequest(
        symbol=request.symbol,
        side=side,
        type="limit",
        time_in_force=request.time_in_force,
        qty=request.qty,
        notional=None,
        limit=None,
        order_class=request.order_class,
    )
    if request.take_profit is not None and request.order_class != "oco":
        yield bare._replace(limit=request.take_profit)
    if request.stop_loss is not None:
        stop, limit = request.stop_loss
        yield bare._replace(type="stop" if limit is None else "stop_limit", stop=stop, limit=limit)


def to_release(order: Order) -> list[Order]:
    """Return the held legs that may go to the market now.

    The legs of an OCO may go at once, attached orders after their parent's first fill, and others once the entry is
    filled.
    """
    oco, filled = order.request.order_class == "oco", order.status == "filled"
    waiting = (leg for leg in order.legs if leg.status == "held")
    return [leg for leg in waiting if oco or filled or (order.filled_qty and leg.request.order_class == ATTACHED)]


def other_exits(order: Order) -> list[Order]:
    group = _group(order)
    if order.request.order_class in ("oto", ATTACHED) or (order is group[0] and order.request.order_class != "oco"):
        return []
    exits = group if order.request.order_class == "oco" else group[1:]
    return [other for other in exits if other is not order and other.is_open]


def group_members(order: Order) -> list[Order]:
    """Return the other open members of an order's group; a replacement joins the group when it takes effect.

    An attached order has none, because what happens to it doesn't affect the others.
    """
    if order.request.order_class == ATTACHED:
        return []
    group = _group(order)
    return [other for other in group if other is not order and other.is_open] if order in group else []


def _group(order: Order) -> list[Order]:
    first = order.parent or order
    return [first, *first.legs]


def current_request(order: Order, request: OrderRequest) -> OrderRequest:
    """Return the request that would create an order's group as it is now, but with `request` for the order itself.

    The exits have the prices that they have now, not the original ones.
    """
    first = order.parent or order
    first_request = request if order is first else first.request
    exits = [request if leg is order else leg.request for leg in first.legs if leg.is_open]
    if first_request.order_class == "oco" and first.is_open:
        exits.append(first_request)
    return first_request._replace(
        take_profit=next((each.limit for each in exits if each.type == "limit"), None),
        stop_loss=next((StopLoss(each.stop, each.limit) for each in exits if each.stop is not None), None),
    )


def succeed(old: Order, new: Order) -> None:
    new.parent, new.legs = old.parent, old.legs
    for leg in new.legs:
        leg.parent = new
    if new.parent is not None:
        new.parent.legs = tuple(new if leg is old else leg for leg in new.parent.legs)


_HALF = Decimal("0.5")

_NINE_PLACES = Decimal("1e-9")

_ONE = Decimal(1)

_ZERO = Decimal(0)

_PENDING = frozenset({"pending_cancel", "pending_replace"})


def create_order(
    floor: EngineState, account: Account, request: OrderRequest, intent: str, reserve: int, parent: Order | None = None
) -> Order:
    """Create an order with its legs, and book it in its account; a leg is inactive until its parent fills."""
    order = _make_order(floor, account, request, intent, reserve)
    if parent is not None:
        order.status, order.parent = "held", parent
    account.add(order)
    if parent is None and request.order_class != "simple":
        for leg in leg_requests(request):
            closes = "buy_to_close" if leg.side > 0 else "sell_to_close"
            leg_request = leg._replace(reduce_only=floor.dialect.legs_reduce)
            order.legs = (*order.legs, create_order(floor, account, leg_request, closes, order.reserve, order))
    return order


def create_replacement(
    floor: EngineState, account: Account, request: OrderRequest, intent: str, reserve: int, old: Order
) -> Order:
    """Create the replacement of an order; until it takes effect, the old order fills instead."""
    new = _make_order(floor, account, request, intent, reserve)
    new.replaces, new.parent, new.status = old.id, old.parent, "held" if old.status == "held" else "pending_new"
    old.replacement = new
    _go_on_from(old, new)
    account.add(new)
    return new


def _go_on_from(old: Order, new: Order) -> None:
    """Take over the stop's progress, and the remaining shares if another exit of the group has filled."""
    if new.request.qty == old.request.qty:
        new.qty = old.qty
    if old.hwm is not None:
        new.stop, new.hwm = first_stop(new.request, old.hwm)
    new.elected = old.elected and new.request.stop == old.request.stop
    if new.elected:
        # A triggered buy stop may have received a limit.
        new.request = new.request._replace(type=old.request.type, limit=new.request.limit or old.request.limit)


def _make_order(floor: EngineState, account: Account, request: OrderRequest, intent: str, reserve: int) -> Order:
    floor.sequence += 1
    number, now_us = len(account.orders) + 1, floor.now_us
    stop, mark = request.stop, None
    if request.type == "trailing_stop":
        last = floor.last_price(request.symbol)
        step = None if last is None else floor.model.step(last, request.symbol)
        stop, mark = first_stop(request, last, step)
    return Order(
        id=uuid_of(account.number, "order", number),
        client_order_id=request.client_order_id or uuid_of(account.number, "client id", number),
        request=request,
        intent=intent,
        sequence=floor.sequence,
        status="pending_new" if is_tradable(floor, request) else "accepted",
        submitted_us=now_us,
        updated_us=now_us,
        reserve=reserve,
        expires_us=floor.dialect.expires_us(floor, request),
        account=account.number,
        created_us=now_us,
        qty=request.qty,
        stop=stop,
        hwm=mark,
    )


def is_tradable(floor: EngineState, request: OrderRequest) -> bool:
    """Return True if an order could reach the market now; outside the session, only if it allows extended hours."""
    calendar, now_us = floor.market.calendars[request.symbol], floor.now_us
    return calendar.is_open(now_us) or (request.extended_hours and calendar.is_extended(now_us))


def send_to_market(floor: EngineState, order: Order) -> None:
    """Send an order to the market, together with its legs."""
    if order.status != "pending_cancel":
        order.status = at_the_market(order)
    order.updated_us = order.live_us = floor.now_us
    floor.book.add(order)
    if order.parent is not None:
        floor.accounts[order.account].hold(order)
    floor.tell("order_new", order, "new")
    if order.request.time_in_force in ("ioc", "fok"):
        # The first whole minute is the last one in which such an order may fill.
        end_us = -(-floor.now_us // MINUTE) * MINUTE + MINUTE
        floor.agenda.note(end_us, "cancel", order)
    _release(floor, order)


def at_the_market(order: Order) -> str:
    """Return the status of an order that rests at the venue and isn't being canceled.

    The status is new, partially_filled, or pending_replace.
    """
    if order.replacement is not None:
        return "pending_replace"
    return "partially_filled" if order.filled_qty else "new"


def _release(floor: EngineState, order: Order) -> None:
    for leg in to_release(order) if order.legs else ():
        send_to_market(floor, leg)


def fill(floor: EngineState, order: Order, price: int, cap: Decimal) -> Decimal:
    """Fill an order at a price, up to a cap, and return how many shares were filled.

    Cancel the order if nothing can be filled.
    """
    account = floor.accounts[order.account]
    # An order in dollars may have sold more shares than it claimed, so the position may have reversed. An exit that
    # doesn't know yet what the other one has filled sells those shares again.
    to_close = max(-account.qty(order.symbol) * order.side, _ZERO) + order.unheard
    held_quantity = matching.UNBOUNDED if order.opens else to_close
    identity = uuid_of(account.number, "fill", len(account.activities) + 1)
    qty = _allowed_quantity(floor, order, matching.fill_qty(order, price, min(cap, held_quantity)), identity)
    if not qty:
        cancel(floor, order)
        return qty
    filled = order.filled_qty, order.filled_usd
    order.filled_qty += qty
    order.filled_usd += qty * floor.market.grids[order.request.symbol].usd(price)
    before = account.holding(order.symbol)
    settled = floor.dialect.settle(floor, account, order, qty, price)
    # A closing order in dollars may need more shares than are held, once the price has moved.
    complete = matching.is_complete(order, price) or (order.qty is None and qty == held_quantity)
    _mark_filled(floor, order, complete)
    recorded_fill = _record(floor, order, qty, price, identity, before, settled)
    floor.dialect.after_fill(floor, recorded_fill, filled)
    _after_fill(floor, order, qty)
    return qty


def fill_whole(floor: EngineState, order: Order) -> None:
    """Fill the remainder of an order whatever the market's volume, at the quote but never worse than its limit."""
    last = floor.last_price(order.symbol)
    quoted = None if last is None else floor.model.quote_fill_price(order, last)
    price = order.request.limit if quoted is None else quoted
    if price is not None:
        fill(floor, order, price, matching.UNBOUNDED)


def fill_stopped(floor: EngineState, order: Order, since_us: int) -> None:
    """Fill a stopped order as guaranteed, unless it was resumed after `since_us`, even if it was stopped again."""
    if order.status == "stopped" and order.live_us == since_us:
        # A partial fill leaves the rest at the market.
        floor.book.add(order)
        fill_whole(floor, order)


def _allowed_quantity(floor: EngineState, order: Order, qty: Decimal, identity: str) -> Decimal:
    if order.fate == "partial_then_cancel":
        lot = floor.model.lot(order.symbol)
        step = _NINE_PLACES if qty % lot else lot
        return qty * _HALF // step * step
    return qty if order.request.time_in_force == "fok" else floor.model.part(qty, identity, order.request.symbol)


def _mark_filled(floor: EngineState, order: Order, complete: bool) -> None:
    if complete:
        order.filled_us = floor.now_us
        _end(floor, order, "filled")
        return
    order.updated_us = floor.now_us
    if order.status not in _PENDING:
        order.status = "partially_filled"
    floor.accounts[order.account].hold(order)


def _record(
    floor: EngineState,
    order: Order,
    qty: Decimal,
    price: int,
    identity: str,
    before: Holding,
    settled: FillEffect | None,
) -> Fill:
    account = floor.accounts[order.account]
    complete = order.status == "filled"
    recorded_fill = Fill(
        id=f"{id_stamp(floor.now_us)}::{identity}",
        at_us=floor.now_us,
        order=order,
        qty=qty,
        price=price,
        cum_qty=order.filled_qty,
        leaves_qty=_ZERO if complete else order.remaining.quantize(_NINE_PLACES),
        position_qty=account.qty(order.symbol),
        complete=complete,
        before=before,
        settled=settled,
    )
    account.activities.append(recorded_fill)
    floor.tell_execution(recorded_fill, account)
    return recorded_fill


def _after_fill(floor: EngineState, order: Order, qty: Decimal) -> None:
    for other in other_exits(order) if order.is_grouped else ():
        if order.tells_after_us:
            other.unheard += qty
            floor.agenda.note(floor.now_us + order.tells_after_us, "hear", other, qty)
        elif order.is_open:
            reduce(floor, other, other.filled_qty + order.remaining)
        else:
            cancel(floor, other)
    for leg in order.legs:
        if leg.status == "held":
            floor.accounts[order.account].hold(leg)
    _fit_attached(floor, order, qty)
    _release(floor, order)
    if order.fate == "partial_then_cancel":
        cancel(floor, order)


def _fit_attached(floor: EngineState, order: Order, qty: Decimal) -> None:
    """Limit attached orders to the quantity that their parent has filled."""
    for leg in (leg for leg in order.legs if leg.request.order_class == ATTACHED and leg.is_open):
        assert leg.qty is not None
        assert leg.request.qty is not None
        if leg.status == "held":
            leg.qty = min(leg.qty, order.filled_qty)
        else:
            reduce(floor, leg, min(leg.qty + qty, leg.request.qty))


def hear(floor: EngineState, order: Order, qty: Decimal) -> None:
    """Reduce an exit by the shares that the other exit of its group has filled; cancel it if nothing is left.

    If the exit was replaced, this applies to its replacement.
    """
    account = floor.accounts.get(order.account)
    while account is not None and order.replaced_by is not None:
        order = account.order(order.replaced_by)
    order.unheard -= qty
    if not order.is_open:
        return
    assert order.qty is not None
    if order.qty - qty > order.filled_qty:
        reduce(floor, order, order.qty - qty)
    else:
        cancel(floor, order)


def reduce(floor: EngineState, order: Order, qty: Decimal) -> None:
    """Change the total quantity that an open order may fill."""
    order.qty, order.updated_us = qty, floor.now_us
    floor.accounts[order.account].hold(order)
    floor.tell("order_restated", order, "restated")


def cancel(floor: EngineState, order: Order) -> None:
    """Cancel an order that is still open, and the other orders of its group."""
    if order.is_open:
        order.canceled_us = floor.now_us
        _finish(floor, order, "canceled")
        _end_fellows(floor, order)


def reject(floor: EngineState, order: Order) -> None:
    """Reject an order after it was accepted, and cancel the other orders of its group."""
    order.failed_us = floor.now_us
    _finish(floor, order, "rejected")
    _end_fellows(floor, order)


def _end_fellows(floor: EngineState, order: Order) -> None:
    for other in group_members(order) if order.is_grouped else ():
        other.frees_after_us = max(other.frees_after_us, order.frees_after_us)
        cancel(floor, other)


def expire(floor: EngineState, order: Order) -> None:
    """End an order whose time is up: a day order expires, any other is canceled."""
    if order.request.time_in_force != "day":
        cancel(floor, order)
        return
    order.expired_us = floor.now_us
    _finish(floor, order, "expired")
    if any(leg.request.order_class == ATTACHED for leg in order.legs):
        _end_fellows(floor, order)


def send_due_orders(floor: EngineState) -> None:
    """Send the orders that have waited for this moment to the market, oldest first."""
    waiting = [o for account in floor.accounts.values() for o in account.open.values() if o.status == "accepted"]
    for order in sorted(waiting, key=attrgetter("sequence")):
        if order.status == "accepted" and is_tradable(floor, order.request):
            send_to_market(floor, order)


def end_due(floor: EngineState, until_us: int, only: str = "") -> None:
    """End orders whose time is up: day orders expire, others are canceled."""
    for account in floor.accounts.values():
        for order in list(account.open.values()):
            due = order.expires_us <= until_us and only in ("", order.request.time_in_force)
            if due and order.is_open:
                expire(floor, order)


def replace(floor: EngineState, old: Order, new: Order) -> None:
    """Replace an open order with a new one, which takes over its fills."""
    waits = old.status == "held"
    old.replaced_us, old.replaced_by, old.replacement = floor.now_us, new.id, None
    _end(floor, old, "replaced")
    floor.tell("order_replaced", old, "replaced")
    if not new.starts_over:
        new.filled_qty, new.filled_usd = old.filled_qty, old.filled_usd
    new.tells_after_us, new.unheard, new.shown_held = old.tells_after_us, old.unheard, old.shown_held
    _go_on_from(old, new)
    succeed(old, new)
    if not waits:
        send_to_market(floor, new)
    floor.accounts[old.account].hold(new)


def withdraw_misfits(floor: EngineState, account: Account, symbol: str) -> None:
    """Cancel orders that no longer fit a position, because it has changed without them; the newest order goes first.

    Closing orders fit as long as they don't claim more than the position. An opening order fits unless it would reverse
    the position.
    """
    orders = [order for order in account.open.values() if order.symbol == symbol]
    for order in sorted(orders, key=attrgetter("sequence"), reverse=True):
        if not _fits(account, order):
            cancel(floor, order)


def _fits(account: Account, order: Order) -> bool:
    to_close = -account.qty(order.symbol) * order.side
    if order.opens:
        return to_close <= 0
    return not order.claimed or account.claimed_shares(order.symbol) <= max(to_close, _ZERO)


def _finish(floor: EngineState, order: Order, status: str) -> None:
    """End an order other than by a fill; if it was to replace another order, that one continues unchanged."""
    _end(floor, order, status)
    floor.tell(f"order_{status}", order, status)
    old = floor.accounts[order.account].to_be_replaced(order)
    if old is not None:
        _stay(floor, old)


def _stay(floor: EngineState, old: Order) -> None:
    old.replacement = None
    if old.status == "pending_replace":
        old.status, old.updated_us = at_the_market(old), floor.now_us
    floor.tell("order_replace_rejected", old, "order_replace_rejected")


def _end(floor: EngineState, order: Order, status: str) -> None:
    order.status, order.updated_us = status, floor.now_us
    account = floor.accounts[order.account]
    if status == "canceled" and order.frees_after_us and order.claimed:
        account.keep_back(order.symbol, order.claimed)
        at_us = floor.now_us + order.frees_after_us
        floor.agenda.note(at_us, "free_shares", account.number, order.symbol, order.claimed)
    account.close(order)
    floor.book.drop(order)


def free_shares(floor: EngineState, number: str, symbol: str, qty: Decimal) -> None:
    """Make the shares of a canceled exit available again, some time after the exit ended."""
    account = floor.accounts.get(number)
    if account is not None:
        account.keep_back(symbol, -qty)
        floor.emit(Event(floor.now_us, "shares_freed", {"symbol": symbol, "qty": plain(qty)}, number))
