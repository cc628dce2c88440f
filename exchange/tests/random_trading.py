"""Random trading on a small, rough market: the commands, and the laws that hold whatever they are."""

from __future__ import annotations

from collections import defaultdict
from decimal import ROUND_DOWN, Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exchange.tests.kit.random_commands import CENT, SYMBOLS, Walk, small_calendar
from papervenue.engine.account import Activity
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Order, OrderRequest, Replacement, StopLoss
from papervenue.events import Event
from papervenue.market.bars import Bar, Market, usd
from papervenue.market.spec import NEXT_BAR, NO_COSTS, Costs, FillSpec
from papervenue.refusal import Refusal
from papervenue.shares.dialect import ALPACA
from papervenue.shares.options import move
from papervenue.times import MINUTE, SECOND

CASH = {"poor": Decimal(200), "rich": Decimal(100_000)}

OWNERS = st.sampled_from(sorted(CASH))
TIMES = st.sampled_from(["day", "day", "gtc", "ioc", "fok", "opg", "cls"])
LASTING = st.sampled_from(["day", "gtc"])
BEGINNINGS = st.sampled_from([-400, -10, 0, 1, 2, 5])
SIDES = st.sampled_from([1, -1])
CENTS = st.integers(-40, 40)
WISH: Any = {"owner": OWNERS, "symbol": st.sampled_from(SYMBOLS), "side": SIDES}
QUANTITIES = st.sampled_from(["1", "3", "5", "12", "40", "0.5", "2.123456789"])


class Trading(RuleBasedStateMachine):
    """What can be done to an engine, and the laws that hold under any fill model."""

    spec: FillSpec = NEXT_BAR
    costs: Costs = NO_COSTS

    @initialize(seed=st.integers(0, 10**6), minute=BEGINNINGS)
    def begin(self, seed: int, minute: int) -> None:
        self.calendar = small_calendar()
        self.source = Walk(seed, self.calendar)
        self.events: list[Event] = []
        start_us = self.calendar.market[0].open_us + minute * MINUTE
        market = Market(self.source, self.calendar, SYMBOLS)
        self.engine = Engine(market, start_us, self.events.append, self.spec, "model", self.costs, dialect=ALPACA)
        self.accounts = {name: self.engine.open_account(name, name, name, cash) for name, cash in CASH.items()}
        self.end_us = self.calendar.last_close_us + 30 * MINUTE
        self.asked: list[Order] = []
        self.counted: tuple[int, int] = 0, start_us
        self.over: dict[str, tuple[object, ...]] = {}

    def last(self, symbol: str) -> int:
        return self.engine.price(symbol)

    def submit(self, owner: str, wish: OrderRequest) -> Order | Refusal:
        try:
            order = self.engine.submit(self.accounts[owner], wish)
        except Refusal as refusal:
            return refusal
        self.engine.settle(order)
        self.asked += [order, *order.legs]
        return order

    def cancel(self, order: Order) -> Refusal | None:
        try:
            self.engine.cancel(self.accounts[self.owner(order)], order.id)
        except Refusal as refusal:
            return refusal
        return None

    def owner(self, order: Order) -> str:
        return next(name for name, account in self.accounts.items() if account.number == order.account)

    def replace(self, order: Order, wanted: Replacement) -> Order | Refusal:
        try:
            new = self.engine.replace(self.accounts[self.owner(order)], order.id, wanted)
        except Refusal as refusal:
            return refusal
        self.engine.settle(new)
        self.asked.append(new)
        return new

    def tick(self, to_us: int) -> None:
        self.engine.tick(to_us)

    @rule(**WISH, qty=QUANTITIES, lasts=TIMES, near=st.none() | CENTS)
    def send(self, owner: str, symbol: str, side: int, qty: str, lasts: str, near: int | None) -> None:
        size = Decimal(qty)
        if size % 1:
            lasts, side = "day", 1 if self.accounts[owner].qty(symbol) <= 0 else side
        limit = None if near is None else self.last(symbol) + near * CENT
        self.submit(owner, OrderRequest(symbol, side, "market" if limit is None else "limit", lasts, size, None, limit))

    @rule(**WISH, qty=st.integers(1, 30), lasts=LASTING, near=CENTS)
    def send_extended(self, owner: str, symbol: str, side: int, qty: int, lasts: str, near: int) -> None:
        limit = self.last(symbol) + near * CENT
        wish = OrderRequest(symbol, side, "limit", lasts, Decimal(qty), None, limit, extended_hours=True)
        self.submit(owner, wish)

    @rule(**WISH, qty=QUANTITIES, lasts=LASTING, away=st.integers(-1, 25), beyond=st.none() | st.integers(-5, 20))
    def send_stop(
        self, owner: str, symbol: str, side: int, qty: str, lasts: str, away: int, beyond: int | None
    ) -> None:
        stop, size = self.last(symbol) + side * away * CENT, Decimal(qty)
        if size % 1:
            lasts = "day"
        limit = None if beyond is None else stop + side * beyond * CENT
        kind = "stop" if limit is None else "stop_limit"
        self.submit(owner, OrderRequest(symbol, side, kind, lasts, size, None, limit, stop=stop))

    @rule(
        **WISH,
        qty=st.integers(1, 12),
        lasts=LASTING,
        cents=st.none() | st.integers(1, 30),
        per_mille=st.integers(1, 30),
    )
    def send_trailing(
        self, owner: str, symbol: str, side: int, qty: int, lasts: str, cents: int | None, per_mille: int
    ) -> None:
        wish = OrderRequest(symbol, side, "trailing_stop", lasts, Decimal(qty), None, None)
        if cents is None:
            wish = wish._replace(trail_percent=Decimal(per_mille) / 10)
        else:
            wish = wish._replace(trail_price=cents * CENT)
        self.submit(owner, wish)

    @rule(**WISH, usd_wanted=st.sampled_from(["0.5", "25", "99.99"]), near=st.none() | CENTS)
    def send_dollars(self, owner: str, symbol: str, side: int, usd_wanted: str, near: int | None) -> None:
        limit = None if near is None else self.last(symbol) + near * CENT
        kind = "market" if limit is None else "limit"
        self.submit(owner, OrderRequest(symbol, side, kind, "day", None, Decimal(usd_wanted), limit))

    @precondition(lambda self: any(account.positions for account in self.accounts.values()))
    @rule(which=st.integers(0, 3), near=st.none() | CENTS)
    def sell_out_in_dollars(self, which: int, near: int | None) -> None:
        positions = [(name, p) for name, account in self.accounts.items() for p in account.positions.values()]
        owner, position = positions[which % len(positions)]
        worth = abs(position.qty) * usd(self.last(position.symbol))
        limit = None if near is None else self.last(position.symbol) + near * CENT
        kind, side = "market" if limit is None else "limit", -1 if position.qty > 0 else 1
        worth = max(Decimal("0.01"), worth.quantize(Decimal("0.01"), ROUND_DOWN))
        self.submit(owner, OrderRequest(position.symbol, side, kind, "day", None, worth, limit))

    @rule(
        **WISH,
        qty=st.sampled_from(["1", "4", "9", "30"]),
        order_class=st.sampled_from(["bracket", "bracket", "oto profit", "oto loss"]),
        lasts=LASTING,
        entry=st.none() | st.integers(-10, 10),
        profit=st.integers(-1, 25),
        loss=st.integers(-1, 25),
        stop_limit=st.none() | st.integers(0, 20),
    )
    def send_group(
        self, owner: str, symbol: str, side: int, qty: str, order_class: str, lasts: str,
        entry: int | None, profit: int, loss: int, stop_limit: int | None,
    ) -> None:  # fmt: skip
        last = self.last(symbol)
        limit = None if entry is None else last + entry * CENT
        base = last if limit is None else limit
        stop = base - side * loss * CENT
        wish = OrderRequest(
            symbol, side, "market" if limit is None else "limit", lasts, Decimal(qty), None, limit,
            order_class=order_class.split(maxsplit=1)[0],
            take_profit=None if order_class == "oto loss" else base + side * profit * CENT,
            stop_loss=None
            if order_class == "oto profit"
            else StopLoss(stop, None if stop_limit is None else stop - side * stop_limit * CENT),
        )  # fmt: skip
        self.submit(owner, wish)

    @precondition(lambda self: any(account.positions for account in self.accounts.values()))
    @rule(
        owner=OWNERS,
        symbol=st.sampled_from(SYMBOLS),
        share=st.sampled_from([1, 1, 2, 3]),
        profit=st.integers(-2, 20),
        loss=st.integers(1, 20),
        lasts=LASTING,
    )
    def send_exits(self, owner: str, symbol: str, share: int, profit: int, loss: int, lasts: str) -> None:
        quantity = self.accounts[owner].qty(symbol)
        if not quantity:
            owner, symbol = next((n, s) for n, account in self.accounts.items() for s in account.positions)
            quantity = self.accounts[owner].qty(symbol)
        side, last = (-1 if quantity > 0 else 1), self.last(symbol)
        limit = last - side * profit * CENT
        qty = max(Decimal(1), abs(quantity) // share)
        stop = StopLoss(last + side * loss * CENT, None)
        self.submit(owner, OrderRequest(
            symbol, side, "limit", lasts, qty, None, limit, order_class="oco", take_profit=limit, stop_loss=stop
        ))  # fmt: skip

    @precondition(lambda self: self.live())
    @rule(which=st.integers(0, 1000))
    def call_back(self, which: int) -> None:
        live = self.live()
        self.cancel(live[which % len(live)])

    @precondition(lambda self: self.replaceable())
    @rule(which=st.integers(0, 1000), qty=st.none() | st.integers(1, 15), near=CENTS)
    def change(self, which: int, qty: int | None, near: int) -> None:
        choice = self.replaceable()
        order = choice[which % len(choice)]
        price = self.last(order.symbol) + near * CENT
        resizable = order.request.order_class == "simple" and order.qty is not None and not order.qty % 1
        size = Decimal(qty) if qty is not None and resizable else None
        limit = price if order.request.limit is not None else None
        stop = price if order.request.stop is not None else None
        self.replace(order, Replacement(size, limit, stop, None, None, None))

    def live(self) -> list[Order]:
        return [order for order in self.asked if order.is_open]

    def replaceable(self) -> list[Order]:
        return [order for order in self.live() if order.request.notional is None]

    @rule(owner=OWNERS, symbol=st.sampled_from(SYMBOLS), qty=st.integers(-20, 20).filter(bool))
    def bring_shares(self, owner: str, symbol: str, qty: int) -> None:
        self.journal(owner, symbol, Decimal(qty))

    def journal(self, owner: str, symbol: str, qty: Decimal) -> None:
        move(self.engine, self.accounts[owner], Activity("JNLS", None, symbol, "stock journal", qty, Decimal(10)))

    @rule(minutes=st.sampled_from([1, 1, 1, 2, 3]))
    def wait_minutes(self, minutes: int) -> None:
        self.tick(min(self.engine.now_us + minutes * MINUTE, self.end_us))

    @rule(seconds=st.sampled_from([15, 30, 45, 60, 300]))
    def wait(self, seconds: int) -> None:
        self.tick(min(self.engine.now_us + seconds * SECOND, self.end_us))

    @precondition(lambda self: len(self.asked) % 4 == 3)
    @rule()
    def wait_for_the_bell(self) -> None:
        now_us = self.engine.now_us
        self.tick(min(self.calendar.next_open(now_us), self.calendar.next_close(now_us), self.end_us))

    # -- laws

    @invariant()
    def cash_and_shares_are_the_sum_of_the_log(self) -> None:
        cash, shares = {a.number: CASH[name] for name, a in self.accounts.items()}, defaultdict[Any, Decimal](Decimal)
        for event in self.events:
            if event.name not in ("fill", "activity"):
                continue
            moved, paid = _booked(event)
            before = shares[event.account, event.fields["symbol"]]
            if event.update is not None:
                opens = event.update.order.opens
                assert before * (moved if opens else before + moved) >= 0, "an order has turned a position round"
            cash[event.account or ""] += paid
            shares[event.account, event.fields["symbol"]] += moved
            assert Decimal(event.fields["cash"]) == cash[event.account or ""]
            position = event.fields["position"]
            assert position is None or Decimal(position) == shares[event.account, event.fields["symbol"]]
        for account in self.accounts.values():
            assert account.cash == cash[account.number]
            assert all(account.qty(symbol) == shares[account.number, symbol] for symbol in SYMBOLS)

    def fills(self) -> list[Event]:
        return [event for event in self.events if event.name == "fill"]

    @invariant()
    def time_never_runs_backwards(self) -> None:
        times = [event.at_us for event in self.events[self.counted[0] :]]
        assert times == sorted(times)
        assert not times or times[0] >= self.counted[1]
        self.counted = len(self.events), self.engine.now_us

    @invariant()
    def no_order_gets_more_or_worse_than_it_asked_for(self) -> None:
        for event in self.fills():
            limit, side = event.fields["limit_price"], 1 if event.fields["side"] == "buy" else -1
            assert limit is None or (Decimal(limit) - Decimal(event.fields["price"])) * side >= 0
        for order in self.asked:
            assert order.qty is None or order.filled_qty <= order.qty <= (order.request.qty or 0)
            assert order.request.notional is None or order.filled_usd <= order.request.notional

    @invariant()
    def no_bar_gives_more_than_its_share(self) -> None:
        if self.spec.volume_share is None:
            return
        used = defaultdict[tuple[str, int], Decimal](Decimal)
        for event in self.fills():
            used[event.fields["symbol"], event.at_us - MINUTE] += Decimal(event.fields["fill_qty"])
        for (symbol, start_us), shares in used.items():
            bars = {bar.start_us: bar for bar in self._bars(symbol)}
            assert shares <= max(1, int(bars[start_us].volume * self.spec.volume_share))

    def _bars(self, symbol: str) -> list[Bar]:
        market = self.engine.market
        return [bar for day in (0, 1) for bars_of in (market.day, market.extended) for bar in bars_of(symbol, day).bars]

    @invariant()
    def what_accounts_hold_for_orders_is_what_their_open_orders_need(self) -> None:
        for account in self.accounts.values():
            assert account.reserved == sum(order.held_usd for order in account.open.values())
            assert all(order.is_open and not order.replaced_by for order in account.open.values())
            for symbol in SYMBOLS:
                assert account.claimed_shares(symbol) == sum(
                    o.claimed for o in account.open.values() if o.symbol == symbol
                )
                # Dollars claim shares at the price of their coming; a lower one later takes more of them than that.
                if not any(o.request.notional and not o.opens for o in account.orders.values() if o.symbol == symbol):
                    assert 0 <= account.claimed_shares(symbol) <= abs(account.qty(symbol))

    @invariant()
    def the_fills_of_an_order_are_its_executions_and_what_it_took_over(self) -> None:
        executed = defaultdict[str, Decimal](Decimal)
        for event in self.fills():
            executed[event.fields["order_id"]] += Decimal(event.fields["fill_qty"])
        for old in self.asked:
            if old.replaced_by is not None:
                executed[old.replaced_by] += old.filled_qty
        assert {order.id: order.filled_qty for order in self.asked} == {o.id: executed[o.id] for o in self.asked}

    @invariant()
    def an_order_that_is_over_never_changes(self) -> None:
        for order in self.asked:
            if not order.is_open:
                now = order.status, order.qty, order.filled_qty, order.filled_usd, order.updated_us, order.replaced_by
                assert self.over.setdefault(order.id, now) == now

    @invariant()
    def nothing_waits_for_what_does_not_come(self) -> None:
        for order in self.asked:
            new = order.replacement
            assert new is not None or order.status != "pending_replace"
            if new is not None:
                assert new.is_open
                assert new.created_us + self.engine.latency_us >= self.engine.now_us

    @invariant()
    def legs_wait_for_their_entry_and_end_with_it(self) -> None:
        for order in self.asked:
            entry = order.request.order_class in ("bracket", "oto") and order.parent is None
            if entry and order.is_open:
                assert all(leg.status == "held" for leg in order.legs)
            if entry and order.status in ("canceled", "expired"):
                assert all(leg.status == order.status for leg in order.legs)
            if entry and order.status == "filled":
                assert all(leg.status != "held" for leg in order.legs)


def _booked(event: Event) -> tuple[Decimal, Decimal]:
    """Return the shares and the cash that an execution or another entry says it moved."""
    fields = event.fields
    if event.name == "fill":
        signed = Decimal(fields["fill_qty"]) * (1 if fields["side"] == "buy" else -1)
        return signed, -signed * Decimal(fields["price"])
    moved = Decimal(fields["qty"] or 0) if fields["activity_type"] in ("SPLIT", "JNLS") else Decimal(0)
    return moved, Decimal(fields["net_amount"])
