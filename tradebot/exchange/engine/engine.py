"""One deterministic matching engine: orders in, time forward, fills out.

Engine time stands still until it is told to move. Every change is emitted as an event; nothing here knows
HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from tradebot.exchange.chance import uuid_of
from tradebot.exchange.engine import matching
from tradebot.exchange.engine.account import Account, Balances
from tradebot.exchange.engine.admission import Desk, admit
from tradebot.exchange.engine.orders import TERMINAL, Order, OrderRequest
from tradebot.exchange.jsontext import plain
from tradebot.exchange.market.bars import Bar, Market, usd
from tradebot.exchange.market.sessions import Session
from tradebot.exchange.refusal import not_found, unprocessable
from tradebot.exchange.times import at_new_york, new_york, rfc3339, to_datetime

_UNBOUNDED = Decimal("Infinity")
_LONGEST_GTC = timedelta(days=90)
_AGED_AT = (16, 15)
"""The New York time at which gtc orders that have become too old are canceled."""

Emit = Callable[[int, str, dict[str, Any]], None]
"""(engine time, event name, fields) -> None."""


class Fill(NamedTuple):
    """One execution, with the state of its order after it."""

    id: str
    at_us: int
    order: Order
    qty: Decimal
    price: int
    cum_qty: Decimal
    leaves_qty: Decimal
    complete: bool


class Engine:
    """The book and the account of one exchange."""

    def __init__(self, market: Market, account_number: str, cash: Decimal, start_us: int, emit: Emit) -> None:
        self.market = market
        self.account_number = account_number
        self.account = Account(cash)
        self.start_us = self.now_us = start_us
        self.orders: dict[str, Order] = {}
        self.by_client_id: dict[str, Order] = {}
        self.open: dict[str, Order] = {}
        self.fills: list[Fill] = []
        self.closing = Balances(cash, Decimal(0), Decimal(0))
        """What the account was worth at the last session's close."""
        self._emit = emit

    def price(self, symbol: str) -> int:
        """Return the last price of a symbol that is held; one that was never priced cannot be held."""
        price = self.market.price(symbol, self.now_us)
        assert price is not None
        return price

    def balances(self) -> Balances:
        """Return what the account is worth now."""
        return self.account.balances(self.price)

    def reserved(self) -> Decimal:
        """Return the buying power that open orders hold."""
        return sum((order.reserved_usd for order in self.open.values()), Decimal(0))

    def held(self, symbol: str) -> Decimal:
        """Return the shares of a position that open orders to close it have claimed."""
        return self._desk().held(symbol)

    def submit(self, request: OrderRequest) -> Order:
        """Accept an order or raise the Refusal that says why not."""
        admission = admit(request, self._desk())
        order = self._book(request, admission.intent, admission.reserve)
        self._emit(self.now_us, "order_accepted", _described(order))
        return order

    def _desk(self) -> Desk:
        return Desk(self.market, self.account, self.open, self.by_client_id, self.now_us)

    def _book(self, request: OrderRequest, intent: str, reserve: int) -> Order:
        sequence = len(self.orders) + 1
        calendar = self.market.calendar
        order = Order(
            id=uuid_of(self.account_number, "order", sequence),
            client_order_id=request.client_order_id or uuid_of(self.account_number, "client id", sequence),
            request=request,
            intent=intent,
            sequence=sequence,
            status="new" if calendar.is_open(self.now_us) else "accepted",
            submitted_us=self.now_us,
            updated_us=self.now_us,
            reserve=reserve,
            expires_us=self._expiry(request),
        )
        self.orders[order.id] = self.open[order.id] = order
        self.by_client_id[order.client_order_id] = order
        return order

    def _expiry(self, request: OrderRequest) -> int:
        if request.time_in_force == "day":
            return self.market.calendar.trading(self.now_us).close_us
        last_day = new_york(self.now_us).date() + _LONGEST_GTC
        return at_new_york(last_day.isoformat(), *_AGED_AT)

    def order(self, order_id: str) -> Order:
        """Return an order by its id; raises a 404 Refusal."""
        found = self.orders.get(order_id)
        if found is None:
            raise not_found(f"order not found for {order_id}")
        return found

    def cancel(self, order_id: str) -> None:
        """Cancel a working order; one already canceled stays so, any other end is refused."""
        order = self.order(order_id)
        if order.status == "canceled":
            return
        if order.status in TERMINAL:
            raise unprocessable(f'order is already in "{order.status}" state')
        order.canceled_us = self.now_us
        self._finish(order, "canceled", self.now_us)
        self._emit(self.now_us, "order_canceled", _described(order))

    def tick(self, to_us: int) -> None:
        """Move time forward, session by session: queued orders wake, bars fill, day orders expire."""
        from_us = self.now_us
        for index, session in self._sessions_touched(from_us, to_us):
            if from_us < session.open_us <= to_us:
                self._wake(session.open_us)
            self._play_bars(index, from_us, min(to_us, session.close_us))
            if from_us < session.close_us <= to_us:
                self._close(session.close_us)
        self.now_us = to_us
        self._emit(to_us, "ticked", {"from": rfc3339(from_us), "to": rfc3339(to_us)})

    def _sessions_touched(self, from_us: int, to_us: int) -> Iterator[tuple[int, Session]]:
        for index, session in enumerate(self.market.calendar.market):
            if session.open_us <= to_us and from_us < session.close_us:
                yield index, session

    def _wake(self, open_us: int) -> None:
        self.now_us = open_us
        for order in self.open.values():
            if order.status == "accepted":
                order.status, order.updated_us = "new", open_us

    def _play_bars(self, index: int, from_us: int, to_us: int) -> None:
        working = {order.symbol for order in self.open.values()}
        bars = [
            (bar.end_us, symbol, bar)
            for symbol in sorted(working)
            for bar in self._bars_between(symbol, index, from_us, to_us)
        ]
        for end_us, symbol, bar in sorted(bars):
            self.now_us = end_us
            self._match(symbol, bar)

    def _bars_between(self, symbol: str, index: int, from_us: int, to_us: int) -> tuple[Bar, ...]:
        day = self.market.day(symbol, index)
        return tuple(day.bars[day.complete(from_us) : day.complete(to_us)])

    def _match(self, symbol: str, bar: Bar) -> None:
        left = matching.volume_cap(bar)
        waiting = [o for o in self.open.values() if o.symbol == symbol and o.submitted_us <= bar.start_us]
        for order in waiting:
            price = matching.fill_price(order, bar)
            if price is not None and left > 0:
                left -= self._fill(order, price, min(left, self._closable(order)))

    def _closable(self, order: Order) -> Decimal:
        """A notional order to close may ask for more shares than are held once the price has moved."""
        return _UNBOUNDED if order.opens else abs(self.account.qty(order.symbol))

    def _fill(self, order: Order, price: int, cap: Decimal) -> Decimal:
        qty = matching.fill_qty(order, price, cap)
        if not qty:
            self.cancel(order.id)
            return qty
        order.filled_qty += qty
        order.filled_usd += qty * usd(price)
        order.updated_us = self.now_us
        order.status = "partially_filled"
        self.account.apply(order.symbol, qty * order.request.side, price)
        complete = matching.is_complete(order, price) or not self._closable(order)
        if complete:
            order.filled_us = self.now_us
            self._finish(order, "filled", self.now_us)
        self._record(order, qty, price, complete)
        return qty

    def _record(self, order: Order, qty: Decimal, price: int, complete: bool) -> None:
        stamp = to_datetime(self.now_us).strftime("%Y%m%d%H%M%S%f")[:17]
        identity = uuid_of(self.account_number, "fill", len(self.fills) + 1)
        leaves = Decimal(0) if complete else order.remaining.quantize(Decimal("1e-9"))
        fill = Fill(f"{stamp}::{identity}", self.now_us, order, qty, price, order.filled_qty, leaves, complete)
        self.fills.append(fill)
        self._emit(self.now_us, "fill", self._fill_fields(fill))

    def _fill_fields(self, fill: Fill) -> dict[str, Any]:
        return _described(fill.order) | {
            "activity_id": fill.id,
            "fill_qty": plain(fill.qty),
            "price": plain(usd(fill.price)),
            "cash": plain(self.account.cash),
            "position": plain(self.account.qty(fill.order.symbol)),
        }

    def _close(self, close_us: int) -> None:
        """End what would be over before the next session: day orders expire, aged gtc orders are canceled."""
        self.now_us = close_us
        next_open_us = self.market.calendar.next_open(close_us)
        for order in list(self.open.values()):
            if order.expires_us >= next_open_us:
                continue
            if order.request.time_in_force == "gtc":
                self.cancel(order.id)
            else:
                self._expire(order, close_us)
        self.closing = self.balances()

    def _expire(self, order: Order, close_us: int) -> None:
        order.expired_us = close_us
        self._finish(order, "expired", close_us)
        self._emit(close_us, "order_expired", _described(order))

    def _finish(self, order: Order, status: str, at_us: int) -> None:
        order.status, order.updated_us = status, at_us
        del self.open[order.id]


def _described(order: Order) -> dict[str, Any]:
    request = order.request
    return {
        "order_id": order.id,
        "client_order_id": order.client_order_id,
        "symbol": request.symbol,
        "side": "buy" if request.side > 0 else "sell",
        "type": request.type,
        "time_in_force": request.time_in_force,
        "qty": None if request.qty is None else plain(request.qty),
        "notional": None if request.notional is None else plain(request.notional),
        "limit_price": None if request.limit is None else plain(usd(request.limit)),
        "filled_qty": plain(order.filled_qty),
        "status": order.status,
    }
