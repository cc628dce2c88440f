"""Laws of margined accounts under random commands: money is conserved to the last digit, and margins hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from operator import itemgetter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from exchange.tests.kit.ring import AT_ONCE, START, D, Ring, instrument
from papervenue.chance import random_stream
from papervenue.engine.account import Activity
from papervenue.engine.orders import Fill, Order, Policy
from papervenue.margined import accounts
from papervenue.margined.accounts import net_position
from papervenue.margined.admission import reduces, set_leverage
from papervenue.market.spec import NEXT_BAR, PAPER, FillSpec
from papervenue.market.venue import MarginLevel, Rules
from papervenue.refusal import Refusal
from papervenue.times import HOUR, MINUTE, SECOND

LEVELS = (MarginLevel(D(0), D("0.05"), D("0.03")), MarginLevel(D(20), D("0.1"), D("0.06")))
PERPETUAL = instrument("PF_XBTUSD", "0.5", lot=D("0.0001"), funding=D("0.37"), margin_levels=LEVELS)
FUTURE = instrument("ESZ6", "0.25", "0.06", "0.05", multiplier=D(50), last_trading="2026-01-05T15:00:00Z")
SYMBOLS = st.sampled_from([PERPETUAL.symbol, FUTURE.symbol])
SIDES = st.sampled_from(["buy", "sell"])
RULES = st.sampled_from(
    [
        Rules(maker_fee=D("0.0002"), taker_fee=D("0.0005"), liquidation_fee=D("0.01")),
        Rules(taker_fee=D("0.0007"), contract_fee=D("0.85"), fees_after_us=40 * SECOND, liquidation_part=D("0.4")),
        Rules(liquidation_fee=D("0.01"), assigns=True),
    ]
)
FILLS = st.sampled_from(
    [NEXT_BAR, PAPER, AT_ONCE._replace(slippage_bps=D(3)), PAPER._replace(depth_share=D("0.000002"))]
)
CASH = st.sampled_from(["2000", "30000"])
LITTLE = "3000"


@lru_cache(maxsize=4)
def walk(seed: int, symbol: str, tick: str, level: int, minutes: int) -> dict[int, tuple[str, str, str, str] | None]:
    """Return bars by minute that walk about a level, often far enough to take an account's margin away."""
    rng, price, rows, step = random_stream(seed, symbol), level / float(tick), dict[int, Any](), D(tick)
    for minute in range(minutes):
        first = price
        price = max(20.0, price * (1 + rng.choice((0, 0.0005, -0.0005, 0.004, -0.004, 0.03, -0.03)) * rng.random()))
        low, high = min(first, price) * 0.9995, max(first, price) * 1.0005
        quad = tuple(str(max(1, round(one)) * step) for one in (first, high, low, price))
        rows[minute] = None if minute and rng.random() < 0.1 else quad
    return rows


class Margined(RuleBasedStateMachine):
    """What can be done to a margined account, and the laws that hold whatever is done."""

    @initialize(seed=st.integers(0, 10**6), rules=RULES, spec=FILLS, cash=CASH)
    def begin(self, seed: int, rules: Rules, spec: FillSpec, cash: str) -> None:
        written: Mapping[str, Any] = {
            PERPETUAL.symbol: walk(seed, "p", "0.5", 3_000, 1500),
            FUTURE.symbol: walk(seed, "f", "0.25", 20, 1500),
        }
        self.ring, self.cash = Ring(written, (PERPETUAL, FUTURE), rules, cash, spec), D(cash)
        self.rates: dict[str, list[tuple[int, Decimal]]] = {
            one.symbol: [(START, one.funding)] for one in (PERPETUAL, FUTURE)
        }

    @rule(
        symbol=SYMBOLS,
        side=SIDES,
        lots=st.sampled_from([1, 2, 3, 4, 7]),
        kind=st.sampled_from(["limit", "stop", "stop_limit"]),
        ticks=st.integers(-30, 30),
        tif=st.sampled_from(["gtc", "gtc", "day", "ioc", "fok"]),
        reduce_only=st.booleans(),
        late=st.sampled_from([0, 0, 90 * SECOND]),
    )
    def send(
        self, symbol: str, side: str, lots: int, kind: str, ticks: int, tif: str, reduce_only: bool, late: int
    ) -> None:
        grid, last = self.ring.grids[symbol], self.ring.engine.last_price(symbol)
        assert last is not None
        price = grid.usd(max(grid.tick(last), last + ticks * grid.tick(last)))
        prices = dict.fromkeys(("limit", "stop") if kind == "stop_limit" else (kind,), price)
        policy = Policy(tells_after_us=late if reduce_only else 0)
        lasts = "gtc" if "stop" in kind else tif
        self._send(symbol, side, lots, tif=lasts, reduce_only=reduce_only, policy=policy, **prices)

    @rule(symbol=SYMBOLS, side=SIDES, lots=st.integers(1, 9), seconds=st.sampled_from([0, 61, 200]))
    def trade(self, symbol: str, side: str, lots: int, seconds: int) -> None:
        self._send(symbol, side, lots)
        self.wait(seconds, None)

    def _send(self, symbol: str, side: str, lots: int, **more: Any) -> None:
        ring, before = self.ring, self.ring.now
        qty = lots * (D("1.3331") if symbol == PERPETUAL.symbol else D(1))
        try:
            order = ring.submit(side, qty, symbol, **more)
        except Refusal:
            return
        if not reduces(ring.account, symbol, order.side, qty) and not order.request.reduce_only:
            assert ring.now.free >= min(before.free, Decimal(0))
        ring.engine.settle(order)

    @rule(symbol=SYMBOLS, leverage=st.none() | st.sampled_from([D(1), D(3), D("8.5"), D(20)]))
    def isolate(self, symbol: str, leverage: Decimal | None) -> None:
        """Set a leverage or take it back; a refusal leaves everything as it was."""
        ring, before = self.ring, (self.ring.account.leverages, self.ring.now)
        try:
            set_leverage(ring.engine, ring.account, symbol, leverage)
        except Refusal:
            assert (ring.account.leverages, ring.now) == before
            return
        assert ring.account.leverages.get(symbol) == leverage
        assert ring.now.free >= min(before[1].free, Decimal(0))
        assert (ring.now.cash, ring.now.equity) == (before[1].cash, before[1].equity)

    @rule(chosen=st.integers(0, 50))
    def cancel(self, chosen: int) -> None:
        orders = [*self.ring.account.open.values()]
        if orders:
            self.ring.engine.cancel(self.ring.account, orders[chosen % len(orders)].id)

    @rule(
        seconds=st.sampled_from([1, 20, 60, 61, 300, 1800, 7200]),
        rate=st.none() | st.sampled_from(["0.5", "-1.25", "0", "0.0001"]),
    )
    def wait(self, seconds: int, rate: str | None) -> None:
        """Let time pass, after a change of the funding rate if there is one."""
        if rate is not None:
            accounts.set_rate(self.ring.engine, PERPETUAL.symbol, D(rate))
            self.rates[PERPETUAL.symbol].append((self.ring.engine.now_us, D(rate)))
        self.ring.engine.advance(self.ring.engine.now_us + seconds * SECOND)

    @invariant()
    def account_has_what_came_and_went(self) -> None:
        ring = self.ring
        activities = [*ring.account.activities]
        fills = [one for one in activities if isinstance(one, Fill)]
        booked = sum((one.net_amount for one in activities if isinstance(one, Activity)), Decimal(0))
        realized = sum((one.settled.realized for one in fills if one.settled), Decimal(0))
        fees = sum((one.settled.fee or Decimal(0) for one in fills if one.settled), Decimal(0))
        now = ring.now
        assert now.cash == self.cash + realized - fees + booked
        assert now.equity - self.cash == realized + now.unrealized - fees + booked
        flows = {symbol: Decimal(0) for symbol in ring.grids}
        for one in fills:
            flows[one.order.symbol] -= ring.grids[one.order.symbol].notional(one.shares, one.price)
            before, after = one.before[0], one.before[0] + one.shares
            if one.order.request.reduce_only and not one.order.tells_after_us:
                assert abs(after) < abs(before)
                assert after * before >= 0
        values = {s: ring.grids[s].notional(ring.qty(s), ring.engine.price(s)) for s in ring.grids if ring.qty(s)}
        # What the trades gained is what they took in, and what is left is worth.
        assert realized + now.unrealized == sum(flows.values()) + sum(values.values())

    @invariant()
    def funding_is_that_of_the_positions_at_every_moment(self) -> None:
        for symbol, rates in self.rates.items():
            exact = self._funding(symbol, rates)
            entries = (one for one in self.ring.account.activities if isinstance(one, Activity))
            booked = [one.net_amount for one in entries if (one.kind, one.symbol) == ("FUNDING", symbol)]
            paid = -sum(booked, Decimal(0))
            position = net_position(self.ring.account, symbol)
            owed = Decimal(0) if position is None else accounts.funding_due(self.ring.engine, position)
            # Each position that was closed left less than the smallest amount behind.
            assert abs(exact - Fraction(paid) - Fraction(owed)) < Fraction(1, 10**12) * (len(booked) + 2)

    def _funding(self, symbol: str, rates: list[tuple[int, Decimal]]) -> Fraction:
        """Return what the positions have had to pay up to now, computed from the fills and the rates alone."""
        now_us = self.ring.engine.now_us
        fills = [one for one in self.ring.fills if one.order.symbol == symbol]
        moments = sorted({START, now_us, *(us for us, _ in rates), *(one.at_us for one in fills)})
        total = Fraction(0)
        for begin_us, end_us in pairwise(moments):
            qty = sum((one.shares for one in fills if one.at_us <= begin_us), Decimal(0))
            rate = [rate for us, rate in rates if us <= begin_us][-1]
            total += Fraction(qty * self.ring.grids[symbol].multiplier * rate) * (end_us - begin_us) / HOUR
        return total

    @invariant()
    def only_an_isolated_position_has_margin_set_apart(self) -> None:
        account = self.ring.account
        for each in accounts.net_positions(account):
            assert bool(each.margin) <= (each.symbol in account.leverages)
        parts = [accounts.margins(self.ring.engine, account, alone) for alone in ("", *account.leverages)]
        assert sum(part.equity for part in parts) == self.ring.now.equity

    @invariant()
    def position_is_what_the_fills_made_it(self) -> None:
        for symbol in self.ring.grids:
            fills = [one for one in self.ring.fills if one.order.symbol == symbol]
            assert self.ring.qty(symbol) == sum((one.shares for one in fills), Decimal(0))
            assert (self.ring.qty(symbol) == 0) == (symbol not in self.ring.account.positions)

    @invariant()
    def margins_held_at_the_end_of_the_last_minute_in_which_something_held_traded(self) -> None:
        ring, account = self.ring, self.ring.account
        bars = (ring.market.last_bar(symbol, ring.engine.now_us) for symbol in account.positions)
        looked_us = max((bar.end_us for bar in bars if bar is not None), default=0)
        if not account.positions or any(one.at_us >= looked_us for one in account.activities):
            return
        # Since then neither marks nor cash have changed.
        for alone in ("", *account.leverages):
            own = accounts.margins(ring.engine, account, alone)
            assert own.equity > own.maintenance or not accounts.sharing(account, alone)
        shared = accounts.margins(ring.engine, account)
        if shared.equity < shared.initial:
            older = (one for one in account.open.values() if one.submitted_us < looked_us)
            assert not [one for one in older if self._adds_risk(one)]

    def _adds_risk(self, order: Order) -> bool:
        return order.opens and not reduces(self.ring.account, order.symbol, order.side, order.remaining)

    @invariant()
    def reduce_only_orders_fit_the_position(self) -> None:
        account = self.ring.account
        for order in account.open.values():
            if order.request.reduce_only:
                assert order.remaining <= max(-account.qty(order.symbol) * order.side, Decimal(0)) + order.unheard


TestMargined = Margined.TestCase


def script(seed: int) -> list[tuple[int, str, str, str, dict[str, Any]]]:
    """Return orders by the minute at which they are sent."""
    rng = random_stream(seed, "script")
    rows = []
    for _ in range(12):
        symbol = rng.choice((PERPETUAL.symbol, FUTURE.symbol))
        qty = str(rng.choice((1, 4, 9)) * (D("1.3331") if symbol == PERPETUAL.symbol else D(1)))
        more: dict[str, Any] = {"reduce_only": rng.random() < 0.3}
        if rng.random() < 0.6:
            more["limit"] = rng.choice(("3000", "2800")) if symbol == PERPETUAL.symbol else rng.choice(("20", "18"))
        rows.append((rng.randint(0, 600), rng.choice(("buy", "sell")), qty, symbol, more))
    return sorted(rows, key=lambda row: row[0])


def played(seed: int, rules: Rules, spec: FillSpec, cuts: list[int]) -> tuple[list[Any], Decimal]:
    """Return what is told of a script if time also stops at these seconds."""
    written: Any = {
        PERPETUAL.symbol: walk(seed, "p", "0.5", 3_000, 1500),
        FUTURE.symbol: walk(seed, "f", "0.25", 20, 1500),
    }
    ring = Ring(written, (PERPETUAL, FUTURE), rules, LITTLE, spec)
    stops = [(START + second * SECOND, None) for second in cuts]
    rows = [(START + row[0] * MINUTE, row) for row in script(seed)]
    for at_us, row in sorted([*stops, *rows], key=itemgetter(0)):
        ring.engine.advance(at_us)
        if row is not None:
            _, side, qty, symbol, more = row
            try:
                ring.order(side, qty, symbol, **more)
            except Refusal as refusal:
                ring.events.append(refusal.body["code"])
    ring.engine.advance(START + 23 * HOUR)
    events = [one if isinstance(one, str) else (one.at_us, one.name, one.fields) for one in ring.events]
    return events, ring.now.equity


@settings(max_examples=settings().max_examples // 5)
@given(
    seed=st.integers(0, 10**6),
    rules=RULES,
    spec=FILLS,
    cuts=st.lists(st.integers(0, 23 * 3600), min_size=1, max_size=30),
)
def test_what_happens_does_not_depend_on_the_steps_in_which_time_passes(
    seed: int, rules: Rules, spec: FillSpec, cuts: list[int]
) -> None:
    assert played(seed, rules, spec, cuts) == played(seed, rules, spec, [])


@settings(max_examples=settings().max_examples // 4)
@given(seed=st.integers(0, 10**6), part=st.sampled_from(["0.1", "0.25", "1"]), assigns=st.booleans())
def test_no_minute_ends_without_maintenance_margin_and_a_position(seed: int, part: str, assigns: bool) -> None:
    """Hold as much as the margin carries while prices walk far, and look at every minute but those of funding."""
    written: Any = {PERPETUAL.symbol: walk(seed, "p", "0.5", 3_000, 400), FUTURE.symbol: {0: "20"}}
    rules = Rules(taker_fee=D("0.0005"), liquidation_fee=D("0.01"), liquidation_part=D(part), assigns=assigns)
    ring = Ring(written, (PERPETUAL, FUTURE), rules, LITTLE, AT_ONCE, to=1)
    ring.order("buy" if seed % 2 else "sell", "10.5")
    for minute in range(2, 400):
        ring.to(minute)
        if ring.account.positions and minute % 60:
            assert ring.now.equity > ring.now.maintenance
        assert not assigns or ring.account.positions or ring.account.cash >= 0
    forced = Counter(one.at_us for one in ring.fills if one.settled and one.settled.role == "liquidation")
    assert all(steps * D(part) <= 1 for steps in forced.values())


def test_scripts_reach_liquidations_funding_settlement_and_late_fees() -> None:
    booked, refused = {"FUNDING", "FEE"}, {"insufficient_margin", "would_not_reduce"}
    reached = booked | refused | {"liquidation", "settlement", "margin_call", "order_restated"}
    names, seeds = set[str](), iter(range(8))
    while not names >= reached:
        events, _ = played(next(seeds), Rules(taker_fee=D("0.0007"), fees_after_us=40 * SECOND), AT_ONCE, [])
        names |= {one if isinstance(one, str) else one[1] for one in events}
        names |= {str(one[2].get("activity_type")) for one in events if not isinstance(one, str)}
