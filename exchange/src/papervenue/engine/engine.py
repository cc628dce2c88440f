"""Run one deterministic matching engine: orders in, time forward, fills out.

Engine time moves only on request. Every change is emitted as an event; nothing here knows about HTTP.

Time advances from one stop to the next: a session's marks and the agenda's actions. Between two stops, only the orders
in the book can change the book, so the bars of all its symbols are processed together. If several things happen at the
same moment, bars come first, then actions, then the calendar's marks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from papervenue.chance import number_of
from papervenue.engine import order_lifecycle
from papervenue.engine.account import Account
from papervenue.engine.engine_state import EngineState
from papervenue.engine.matching import Priority, priority
from papervenue.engine.orders import USUAL, Order, OrderRequest, Policy, Replacement
from papervenue.engine.venue_rules import Dialect, Mark, Marks
from papervenue.events import Emit, Event
from papervenue.market.bars import Bar, Market
from papervenue.market.rates import NO_RATES, Rates
from papervenue.market.sessions import Calendar
from papervenue.market.spec import NEXT_BAR, NO_COSTS, Costs, FillSpec
from papervenue.refusal import unprocessable
from papervenue.times import rfc3339

_IMMEDIATE = frozenset({"ioc", "fok"})
_UNACKNOWLEDGED = frozenset({"pending_new", "accepted"})
_LIVE = frozenset({"new", "partially_filled"})


class Engine(EngineState):
    """The engine's state plus the requests it accepts; `identity` determines numbers of accounts, orders and fills."""

    def __init__(
        self,
        market: Market,
        start_us: int,
        emit: Emit,
        spec: FillSpec = NEXT_BAR,
        identity: str = "",
        costs: Costs = NO_COSTS,
        rates: Rates = NO_RATES,
        *,
        dialect: Dialect,
    ) -> None:
        super().__init__(market, start_us, emit, spec, costs, rates, dialect=dialect)
        self._identity = identity
        self._opened = 0
        self._arrives_us = 0
        self.agenda.learn(
            acknowledge=Engine._acknowledge,
            cancel=order_lifecycle.cancel,
            cancel_arrives=Engine._cancel_arrives,
            fill_stopped=order_lifecycle.fill_stopped,
            free_shares=order_lifecycle.free_shares,
            hear=order_lifecycle.hear,
            replacement_arrives=Engine._replacement_arrives,
            **dialect.deeds,
        )
        dialect.begin(self)

    def open_account(self, name: str, key_id: str, secret: str, cash: Decimal) -> Account:
        """Open an account; the first one of an exchange has the exchange's own number."""
        parts = ("account", name, self._opened) if self._opened else ()
        self._opened += 1
        number = "SBX" + number_of(9, self._identity, *parts)
        self.accounts[number] = Account(number, name, key_id, secret, self.now_us, cash)
        return self.accounts[number]

    def reset_account(self, account: Account, cash: Decimal) -> Account:
        """Replace an account with a fresh one that has a new number, but the old one's name and keys."""
        for order in account.open.values():
            order.status = "canceled"
            self.book.drop(order)
        del self.accounts[account.number]
        return self.open_account(account.name, account.key_id, account.secret, cash)

    @property
    def main(self) -> Account:
        """Return the account that was opened first, or the account that replaced it at a reset."""
        return next(account for account in self.accounts.values() if account.name == "main")

    def submit(self, account: Account, request: OrderRequest, fate: str | None = None, policy: Policy = USUAL) -> Order:
        """Accept an order and return it, or raise the Refusal of the first rule that it breaks.

        Nothing fills until `settle` is called, after the reply. A fault script may decide in advance what will
        happen to the order (`fate`, such as "reject"), and how the venue treats this request (`policy`).
        """
        admission = self.dialect.admit(self, account, request, replaced=None, policy=policy)
        order = order_lifecycle.create_order(self, account, request, admission.intent, admission.reserve)
        order.fate, order.tells_after_us = fate, policy.tells_after_us
        self.tell("order_accepted", order, order.status)
        for leg in order.legs:
            leg.tells_after_us = policy.tells_after_us
            leg.shown_held = policy.holds_legs and request.order_class == "oco"
            self.tell("order_held", leg, "held")
        if request.reduce_only:
            self.dialect.after_acceptance(self, order)
        return order

    def settle(self, order: Order) -> None:
        """Let an accepted order take effect after the reply: it reaches the market and may fill at once."""
        if not order.is_open:
            return
        if order.replaces is not None:
            self.agenda.note(self._arrival_us(), "replacement_arrives", order)
            self.agenda.do_until(self.now_us, self)
        elif order.fate == "reject":
            order_lifecycle.reject(self, order)
        elif order.status == "pending_new":
            order_lifecycle.send_to_market(self, order)
            self._fill_now(order)

    def settle_late(self, order: Order, late_us: int, status: str) -> None:
        """Let an accepted order reach the market `late_us` from now, and show it with `status` until then.

        An order that has to wait for the session's open doesn't arrive before the open.
        """
        if order.status == "pending_new" and status == "accepted":
            order.status = "accepted"
            self.tell("order_received", order, "accepted")
        self.agenda.note(self.now_us + late_us, "acknowledge", order)

    def _acknowledge(self, order: Order) -> None:
        """Bring a delayed order to the market, unless it was canceled or already arrived at a session's open."""
        if order.status in _UNACKNOWLEDGED:
            order.status = "pending_new" if order_lifecycle.is_tradable(self, order.request) else "accepted"
            self.settle(order)

    def _fill_now(self, order: Order) -> None:
        request = order.request
        waits = self.model.auctions and request.time_in_force in self.dialect.auctions
        if not self.model.at_once or order.stop is not None or waits:
            return
        last, cap = self.last_price(order.symbol), self._depth(order.symbol)
        price = None if last is None or order.symbol in self.halted else self.model.quote_fill_price(order, last)
        if price is not None and cap > 0 and (request.time_in_force != "fok" or order.remaining <= cap):
            order_lifecycle.fill(self, order, price, cap)
        if request.time_in_force in _IMMEDIATE:
            order_lifecycle.cancel(self, order)

    def _depth(self, symbol: str) -> Decimal:
        bounded = self.model.spec.depth_share is not None
        return self.model.depth(self.market.last_bar(symbol, self.now_us) if bounded else None, symbol)

    def cancel(self, account: Account, order_id: str) -> None:
        """Cancel an open order; raise a 422 Refusal if it has ended, or is being canceled or replaced.

        Requests reach the market in order, so a cancel of a replacement that is still in transit arrives after the
        replacement.
        """
        order = account.order(order_id)
        _check_cancelable(order)
        live, overtaken, refused = order.status in _LIVE, order.fate == "fill_on_cancel", order.fate == "reject"
        if not (account.to_be_replaced(order) or refused or (live and (self.latency_us or overtaken))):
            order_lifecycle.cancel(self, order)
            return
        before = order.status
        if before != "held":
            self._pend(order, "pending_cancel")
        if live and overtaken:
            order_lifecycle.fill_whole(self, order)
        self.agenda.note(self._arrival_us(), "cancel_arrives", order, before)
        self.agenda.do_until(self.now_us, self)

    def _arrival_us(self) -> int:
        """Return when a request sent now arrives: never before an earlier one."""
        self._arrives_us = max(self._arrives_us, self.now_us + self.latency_us)
        return self._arrives_us

    def _pend(self, order: Order, status: str) -> None:
        order.status, order.updated_us = status, self.now_us
        self.tell(f"order_{status}", order, status)

    def _cancel_arrives(self, order: Order, before: str) -> None:
        if order.is_open and order.fate == "reject":
            order.fate, order.updated_us = None, self.now_us
            # A replacement in transit may have taken effect since then.
            arrived = before == "pending_new" and order.live_us > 0
            order.status = order_lifecycle.at_the_market(order) if order.filled_qty or arrived else before
            self.tell("order_cancel_rejected", order, "order_cancel_rejected")
        elif order.is_open:
            order_lifecycle.cancel(self, order)
        elif order.status != "canceled":
            self.tell("order_cancel_rejected", order, "order_cancel_rejected")

    def replace(self, account: Account, order_id: str, replacement: Replacement, policy: Policy = USUAL) -> Order:
        """Accept a replacement of an order or raise the Refusal that explains why not; call `settle` to send it."""
        old = account.order(order_id)
        request = self.dialect.replaced_request(old, replacement, account.to_be_replaced(old) is not None)
        intent, reserve = self.dialect.admit(self, account, request, old, policy)
        new = order_lifecycle.create_replacement(self, account, request, intent, reserve, old)
        new.starts_over = policy.starts_over
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
        if new.fate != "reject" and old.is_open and old.left_for(new.request):
            order_lifecycle.replace(self, old, new)
            if new.status != "held" and order_lifecycle.is_tradable(self, new.request):
                self._fill_now(new)
        else:
            order_lifecycle.reject(self, new)

    def advance(self, to_us: int) -> None:
        advance(self, to_us)

    def tick(self, to_us: int) -> None:
        from_us = self.now_us
        self.advance(to_us)
        self.emit(Event(to_us, "ticked", {"from": rfc3339(from_us), "to": rfc3339(to_us)}))


def _check_cancelable(order: Order) -> None:
    if not order.is_open:
        raise unprocessable(f'order is already in "{order.status}" state')
    if order.status == "pending_cancel":
        raise unprocessable("order pending cancel")
    # An exit that waits for its entry stays held for all of that time.
    if order.replacement is not None:
        raise unprocessable("order pending replace")


_OTHERS = {"close": "ends"}


class Candidate(NamedTuple):
    """An order that a bar fills at a price, with its rank among the bar's other candidates."""

    priority: Priority
    sequence: int
    order: Order
    price: int


def advance(floor: EngineState, to_us: int) -> None:
    """Advance time up to and including a moment."""
    while (at_us := _next_stop(floor, to_us)) is not None:
        from_us = floor.now_us
        floor.now_us = at_us = _play_bars(floor, from_us, at_us)
        floor.agenda.do_until(at_us, floor)
        times, marks = _marks_of(floor)
        low = bisect_right(times, from_us)
        for mark in marks[low : bisect_right(times, at_us, low)]:
            floor.dialect.reach(floor, mark)


def _next_stop(floor: EngineState, to_us: int) -> int | None:
    """Return the next moment to stop at, or None if nothing is due up to the target."""
    deed_us = floor.agenda.next_us
    if deed_us is not None and deed_us <= floor.now_us:
        return floor.now_us
    if floor.now_us >= to_us:
        return None
    times, _ = _marks_of(floor)
    index = bisect_right(times, floor.now_us)
    stop_us = min(to_us, times[index]) if index < len(times) else to_us
    return stop_us if deed_us is None else min(stop_us, deed_us)


def _marks_of(floor: EngineState) -> tuple[list[int], list[Mark]]:
    """Return the marks at which something may happen now, and their times."""
    kinds = floor.dialect.kinds(floor, waiting=any(account.open for account in floor.accounts.values()))
    return _all_marks(floor.market.all_calendars, floor.dialect.marks, kinds)


@lru_cache(maxsize=8)
def _all_marks(calendars: tuple[Calendar, ...], marks_of: Marks, kinds: frozenset[str]) -> tuple[list[int], list[Mark]]:
    """Return the times of all marks of these kinds in a market's sessions, and the marks.

    The first calendar is the market's own. Only its sessions have a close; sessions of other calendars just end.
    """
    own, *others = calendars
    marks = [mark for session in own.market for mark in marks_of(session)]
    for session in chain.from_iterable(calendar.market for calendar in others):
        marks += [mark._replace(kind=_OTHERS.get(mark.kind, mark.kind)) for mark in marks_of(session)]
    wanted_marks = sorted(mark for mark in marks if mark.kind in kinds)
    return [mark.at_us for mark in wanted_marks], wanted_marks


def _play_bars(floor: EngineState, from_us: int, to_us: int) -> int:
    """Match the bars that end in a span without marks, in the order of their ends and then of their symbols.

    Return the end of the span, or the time of an action that a fill has scheduled within it.
    """
    bars = [(bar.end_us, symbol, bar) for symbol, bar in _bars_between(floor, from_us, to_us)]
    watches, unseen = floor.dialect.watches, False
    for end_us, symbol, bar in sorted(bars):
        if unseen and end_us > floor.now_us:
            floor.dialect.review(floor)
            unseen = False
        if (deed_us := floor.agenda.next_us) is not None and deed_us < end_us:
            return deed_us
        # A minute is over just before the moment it ends. So a halt that ends then still covers it, and one that begins
        # then doesn't.
        floor.now_us = end_us - 1
        halted = symbol in floor.halted
        floor.now_us = end_us
        if not halted:
            _match(floor, symbol, bar)
        if watches:
            unseen = unseen or symbol in floor.dialect.watched_symbols(floor)
    if unseen:
        floor.dialect.review(floor)
    deed_us = floor.agenda.next_us
    return to_us if deed_us is None else max(from_us, min(to_us, deed_us))


def _bars_between(floor: EngineState, from_us: int, to_us: int) -> Iterator[tuple[str, Bar]]:
    market, calendar, index, regular = floor.market, None, -1, False
    symbols = floor.book.symbols()
    if floor.dialect.watches:
        symbols = sorted(floor.dialect.watched_symbols(floor).union(symbols))
    for symbol in symbols:
        if market.calendars[symbol] is not calendar:
            calendar = market.calendars[symbol]
            # A session may end at the very moment that the next one begins.
            index = calendar.last_reached(to_us - 1)
            session = calendar.market[index]
            regular = session.open_us < to_us <= session.close_us
        if index < 0:
            continue
        if regular or any(order.request.extended_hours for order in floor.book.orders(symbol)):
            day = market.day(symbol, index) if regular else market.extended(symbol, index)
            for bar in day.bars[day.complete(from_us) : day.complete(to_us)]:
                yield symbol, bar


def _match(floor: EngineState, symbol: str, bar: Bar) -> None:
    candidates = _candidates(floor, symbol, bar)
    if not candidates:
        return
    remaining = floor.model.volume_cap(bar, symbol)
    for candidate in candidates:
        order = candidate.order
        room = floor.model.room(order, bar, remaining)
        # An order that filled earlier in this bar may have canceled this one.
        whole = order.request.time_in_force == "fok"
        if room > 0 and order.is_open and (not whole or order.remaining <= room):
            remaining -= order_lifecycle.fill(floor, order, candidate.price, room)


def _candidates(floor: EngineState, symbol: str, bar: Bar) -> list[Candidate]:
    candidates = []
    session = floor.market.calendars[symbol].trading(bar.start_us)
    for order in floor.book.orders(symbol):
        price = floor.dialect.bar_price(floor, order, bar, session) if order.live_us <= bar.start_us else None
        if price is not None:
            candidates.append(Candidate(priority(order, bar), order.sequence, order, price))
    return sorted(candidates)
