"""One deterministic matching engine: orders in, time forward, fills out.

Engine time stands still until it is told to move. Every change is emitted as an event; nothing here knows
HTTP.
"""

from __future__ import annotations

from decimal import Decimal
from functools import partial

from tradebot.exchange.chance import number_of
from tradebot.exchange.engine import life
from tradebot.exchange.engine.account import Account
from tradebot.exchange.engine.admission import Desk, admit
from tradebot.exchange.engine.floor import Floor
from tradebot.exchange.engine.matching import UNBOUNDED
from tradebot.exchange.engine.orders import Order, OrderRequest, Replacement
from tradebot.exchange.engine.playing import advance
from tradebot.exchange.engine.replacing import replaced_request
from tradebot.exchange.events import Emit, Event
from tradebot.exchange.market.bars import Market
from tradebot.exchange.market.fill import NEXT_BAR, FillSpec
from tradebot.exchange.refusal import unprocessable
from tradebot.exchange.times import rfc3339

_IMMEDIATE = frozenset({"ioc", "fok"})
_LIVE = frozenset({"new", "partially_filled"})
_AT_THE_MARKET = _LIVE | {"pending_replace"}


class Engine(Floor):
    """The floor with what can be asked of it; `identity` decides the numbers of accounts, orders and fills."""

    def __init__(
        self, market: Market, start_us: int, emit: Emit, spec: FillSpec = NEXT_BAR, identity: str = ""
    ) -> None:
        super().__init__(market, start_us, emit, spec)
        self._identity = identity
        self._opened = 0

    def open_account(self, name: str, key_id: str, secret: str, cash: Decimal) -> Account:
        """Open an account; the first one of an exchange has the exchange's own number."""
        parts = ("account", name, self._opened) if self._opened else ()
        self._opened += 1
        number = "SBX" + number_of(9, self._identity, *parts)
        self.accounts[number] = Account(number, name, key_id, secret, self.now_us, cash)
        return self.accounts[number]

    def reset_account(self, account: Account, cash: Decimal) -> Account:
        """Put a fresh account under a new number and the same keys in the place of one, which is gone entirely."""
        for order in account.open.values():
            order.status = "canceled"
            self.book.drop(order)
        del self.accounts[account.number]
        return self.open_account(account.name, account.key_id, account.secret, cash)

    @property
    def main(self) -> Account:
        """Return the account that was opened first, or what a reset put in its place."""
        return next(account for account in self.accounts.values() if account.name == "main")

    def submit(self, account: Account, request: OrderRequest, fate: str | None = None) -> Order:
        """Accept an order or raise the Refusal that says why not; `settle` is what then becomes of it."""
        admission = admit(request, self._desk(account))
        order = life.book(self, account, request, admission.intent, admission.reserve)
        order.fate = fate
        self.tell("order_accepted", order, order.status)
        for leg in order.legs:
            self.tell("order_held", leg, "held")
        return order

    def _desk(self, account: Account, replaced: Order | None = None) -> Desk:
        worth = partial(self.balances, account)
        return Desk(self.market, account, worth, self.last_price, self.model.ask, self.now_us, replaced)

    def settle(self, order: Order) -> None:
        """Do what follows the answer to an order: it comes to the market, and fills at once where it can."""
        if not order.is_open:
            return
        if order.fate == "reject":
            life.reject(self, order)
        elif order.replaces is not None:
            self.agenda.note(self.now_us + self.latency_us, lambda: self._replacement_arrives(order))
            self.agenda.do_until(self.now_us)
        elif order.status == "pending_new":
            life.bring(self, order)
            self._fill_now(order)

    def _fill_now(self, order: Order) -> None:
        request = order.request
        if not self.model.at_once or order.stop is not None:
            return
        last, cap = self.last_price(order.symbol), self._depth(order.symbol)
        price = None if last is None or order.symbol in self.halted else self.model.quoted(order, last)
        if price is not None and cap > 0 and (request.time_in_force != "fok" or order.remaining <= cap):
            life.fill(self, order, price, cap)
        if request.time_in_force in _IMMEDIATE:
            life.cancel(self, order)

    def _depth(self, symbol: str) -> Decimal:
        bounded = self.model.spec.depth_share is not None
        return self.model.depth(self.market.last_bar(symbol, self.now_us) if bounded else None)

    def cancel(self, account: Account, order_id: str) -> None:
        """Cancel an open order; one already canceled stays so, any other end is refused."""
        order = account.order(order_id)
        if order.status == "canceled":
            return
        if not order.is_open:
            raise unprocessable(f'order is already in "{order.status}" state')
        if order.status == "pending_cancel":
            raise unprocessable("order pending cancel")
        late = order.status in _AT_THE_MARKET and (self.latency_us or order.fate == "fill_on_cancel")
        if not late:
            life.cancel(self, order)
            return
        self._pend(order, "pending_cancel")
        if order.fate == "fill_on_cancel":
            self._fill_whole(order)
        self.agenda.note(self.now_us + self.latency_us, lambda: self._cancel_arrives(order))
        self.agenda.do_until(self.now_us)

    def _pend(self, order: Order, status: str) -> None:
        order.status, order.updated_us = status, self.now_us
        self.tell(f"order_{status}", order, status)

    def _fill_whole(self, order: Order) -> None:
        """Fill what a script wants filled while its cancel is on its way, never worse than its limit."""
        last = self.last_price(order.symbol)
        quoted = None if last is None else self.model.quoted(order, last)
        price = order.request.limit if quoted is None else quoted
        if price is not None:
            life.fill(self, order, price, UNBOUNDED)

    def _cancel_arrives(self, order: Order) -> None:
        if order.is_open:
            life.cancel(self, order)
        elif order.status != "canceled":
            self.tell("order_cancel_rejected", order, "order_cancel_rejected")

    def replace(self, account: Account, order_id: str, replacement: Replacement) -> Order:
        """Accept a replacement of an order or raise the Refusal that says why not; `settle` lets it arrive."""
        old = account.order(order_id)
        request = replaced_request(old, replacement)
        intent, reserve = admit(request, self._desk(account, old))
        new = life.book_replacement(self, account, request, intent, reserve, old)
        if old.status in _LIVE:
            self._pend(old, "pending_replace")
        self.tell("order_accepted", new, new.status)
        return new

    def _replacement_arrives(self, new: Order) -> None:
        assert new.replaces is not None
        account = self.accounts.get(new.account)
        if account is None or not new.is_open:
            return
        old = account.order(new.replaces)
        if old.is_open and (new.qty is None or new.qty > old.filled_qty):
            life.replace(self, old, new)
            if new.status != "held" and life.tradable(self, new.request):
                self._fill_now(new)
        else:
            life.reject(self, new)

    def advance(self, to_us: int) -> None:
        """Let time pass up to a moment, and happen what happens until then."""
        advance(self, to_us)

    def tick(self, to_us: int) -> None:
        """Let time pass up to a moment, and log that it was asked for."""
        from_us = self.now_us
        self.advance(to_us)
        self.emit(Event(to_us, "ticked", {"from": rfc3339(from_us), "to": rfc3339(to_us)}))
