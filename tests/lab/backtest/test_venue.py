"""The engine as a broker: whatever is read or answered is what arrives over the exchange's API."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.app import World
from exchange.tests.kit.random_commands import Commands
from papervenue.chance import random_stream
from papervenue.events import Event
from papervenue.market.spec import CLOSE, NEXT_BAR, NEXT_OPEN, NO_COSTS, PAPER, Costs, MarketSpec
from papervenue.times import from_datetime, rfc3339, to_datetime
from tests.kit.adapters.alpaca import intent
from tests.kit.values import instrument
from tests.lab.backtest.roads import Road, lines_of, road_to, seen
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.lab.backtest.setup import engine_of
from tradebot.lab.backtest.venue import EngineVenue
from tradebot.model.candidate import Side
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import OrderClass, OrderType, Reply, TimeInForce
from tradebot.model.struct_tools import replace
from tradebot.ports.broker import BrokerReader, Market

SYMBOLS = ("AAPL", "NFLX", "SPY", "THIN")
ASKED = (*SYMBOLS, "NFLXX", "NOPE", "no symbol", "A B")
SPEC = MarketSpec(symbols=SYMBOLS, sessions=8, start=date(2026, 11, 17), seed=22, corporate_actions=True)
"""With this seed, AAPL pays and NFLX splits on the second day, and NFLX gets another name on the half day."""
COSTS = Costs(
    commission_bps=Decimal(10), commission_min_usd=Decimal("0.35"), margin_rate=Decimal("0.06"), posted="session"
)
SPECS = (
    replace(SPEC, fill=NEXT_BAR._replace(latency_s=45)),
    replace(SPEC, fill=NEXT_OPEN._replace(slippage_bps=Decimal(5)), costs=COSTS),
    replace(SPEC, fill=CLOSE, costs=COSTS._replace(cash_rate=Decimal("0.01"), borrow_fee_rate=Decimal("0.03"))),
    replace(SPEC, fill=PAPER._replace(latency_s=90)),
)
NewWorld = Callable[[MarketSpec], World]


@cache
def opened() -> OpenedMarket:
    return open_market_in_memory(SPEC)


class Straight:
    """An engine of a specification in this process, and the bot's ports on it."""

    def __init__(self, spec: MarketSpec) -> None:
        self.events: list[Event] = []
        self.engine = engine_of(opened()._replace(spec=spec), spec, self.events.append)
        self.venue = EngineVenue(self.engine, self.engine.main)

    def lines(self) -> list[dict[str, Any]]:
        return [_line(event) for event in self.events]


def _line(event: Event) -> dict[str, Any]:
    whose = {} if event.account is None else {"account": event.account}
    return {"at": rfc3339(event.at_us), "event": event.name, **event.fields, **whose}


class Sender:
    """Sends random intents of the kinds that the bot sends to both roads, mostly sensible ones."""

    def __init__(self, seed: int, straight: Straight, road: Road) -> None:
        self.chance = random_stream("intents", seed)
        self.straight, self.road = straight, road
        self.sent: list[Intent] = []
        self.outcomes: set[str] = set()

    def step(self) -> tuple[Reply, Reply]:
        made = self.chance.choice((self._submit, self._submit, self._pair, self._replace, self._cancel))()
        if self.chance.random() < 0.08 and self.sent:
            # A client id that is taken.
            made = replace(made, client_order_id=self.chance.choice(self.sent).client_order_id)
        self.sent.append(made)
        ways = (getattr(port, made.operation.value) for port in (self.straight.venue, self.road.orders))
        straight, over = (way(made) for way in ways)
        self.outcomes.add(
            f"{straight.outcome}{' with an order' * bool(straight.order)}{' with legs' * bool(straight.legs)}"
        )
        return straight, over

    def _intent(self, operation: Operation = Operation.SUBMIT, **changes: Any) -> Intent:
        symbol = self.chance.choice((*SYMBOLS, "NOPE") if self.chance.random() < 0.1 else SYMBOLS[:3])
        given: dict[str, Any] = {
            "client_order_id": f"tb1.{len(self.sent)}",
            "instrument": instrument(symbol),
            "side": self.chance.choice((Side.BUY, Side.BUY, Side.SELL)),
            "quantity": Decimal(self.chance.choice(("1", "7", "40", "0.5", "900", "100000"))),
            "limit_price": self._price(symbol),
            "time_in_force": self.chance.choice((TimeInForce.DAY, TimeInForce.GTC)),
        }
        return intent(operation, **given | changes)

    def _price(self, symbol: str, away: float = 0.01) -> Decimal:
        quote = self.straight.venue.quotes((symbol,)).get(symbol)
        around = self.chance.uniform(1 - away, 1 + away)
        places = Decimal("0.001") if self.chance.random() < 0.05 else Decimal("0.01")
        return ((quote.last if quote else Decimal(50)) * Decimal(around)).quantize(places)

    def _submit(self) -> Intent:
        kind = self.chance.choice((OrderType.MARKET, OrderType.LIMIT, OrderType.LIMIT, OrderType.STOP))
        made = self._intent(order_type=kind)
        if kind is OrderType.LIMIT:
            return made
        stop = made.limit_price if kind is OrderType.STOP else None
        return replace(made, limit_price=None, stop_price=stop)

    def _pair(self) -> Intent:
        held = self.straight.venue.view().positions
        if not held:
            return self._intent()
        one = self.chance.choice(held)
        last = one.current_price or Decimal(1)
        target, stop = (
            (Decimal("1.003"), Decimal("0.997")) if one.quantity > 0 else (Decimal("0.997"), Decimal("1.003"))
        )
        cent = Decimal("0.01")
        return self._intent(
            instrument=instrument(one.symbol),
            side=Side.SELL if one.quantity > 0 else Side.BUY,
            quantity=max(abs(one.quantity) // self.chance.choice((1, 2)), Decimal(1)),
            limit_price=(last * target).quantize(cent),
            stop_price=(last * stop).quantize(cent),
            order_class=OrderClass.OCO,
        )

    def _about(self, operation: Operation) -> Intent:
        orders = self.straight.venue.view().orders
        if self.chance.random() < 0.15 or not orders:
            orders = self.straight.venue.orders_of(SYMBOLS).orders
        if not orders or self.chance.random() < 0.05:
            return self._intent(operation)
        order = self.chance.choice(orders)
        given: dict[str, Any] = {
            "instrument": instrument(order.symbol),
            "side": order.side,
            "quantity": order.quantity,
            "order_type": order.order_type,
            "limit_price": None if order.limit_price is None else self._price(order.symbol),
            "stop_price": None if order.stop_price is None else self._price(order.symbol),
        }
        return self._intent(operation, target_venue_id=order.venue_id, **given)

    def _replace(self) -> Intent:
        made = self._about(Operation.REPLACE)
        return made if made.limit_price or made.stop_price else self._about(Operation.CANCEL)

    def _cancel(self) -> Intent:
        return self._about(Operation.CANCEL)


def pass_time(straight: Straight, world: World, seconds: int) -> None:
    straight.engine.advance(straight.engine.now_us + seconds * 1_000_000)
    world.tick(to=rfc3339(straight.engine.now_us))


def equal(straight: BrokerReader, quotes: Market, road: Road, which: int | None) -> None:
    assert seen(straight, quotes, ASKED, which) == seen(road.reader, road.reader, ASKED, which)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.fill.model} {spec.fill.latency_s}s")
def test_same_intents_get_the_same_replies_and_log(spec: MarketSpec, new_world: NewWorld, tmp_path: Path) -> None:
    world, straight = new_world(spec), Straight(spec)
    with road_to(world, tmp_path) as road:
        sender = Sender(3, straight, road)
        pass_time(straight, world, 31 * 60)
        for step in range(36):
            replies = sender.step()
            assert repr(replies[0]) == repr(replies[1])
            if sender.chance.random() < 0.7:
                pass_time(straight, world, sender.chance.choice((15, 60, 60, 300, 3_600)))
            if step % 3 == 2:
                equal(straight.venue, straight.venue, road, step // 3)
        equal(straight.venue, straight.venue, road, None)
    assert straight.lines() == lines_of(world)
    assert sender.outcomes >= {"accepted with an order", "accepted", "rejected", "accepted with an order with legs"}
    assert len(straight.venue.fills(None)) > 5
    assert bool(straight.venue.activities(to_datetime(0))) == (spec.costs != NO_COSTS)
    assert road.tally.counts == {}


@pytest.mark.parametrize("seed", [1, 2])
def test_engine_and_api_show_the_same_after_random_commands(seed: int, new_world: NewWorld, tmp_path: Path) -> None:
    world = new_world(SPECS[seed % 2 * 3])
    straight = EngineVenue(world.engine, world.engine.main)
    commands = Commands(world, seed)
    barred = (commands.arm, commands.reset, commands.open_account, commands.read, commands.clear)
    commands.ways = [way for way in commands.ways if way[1] not in barred]
    with road_to(world, tmp_path) as road:
        world.tick(to="open")
        for step in range(90):
            commands.step()
            if step % 9 == 8:
                equal(straight, straight, road, step // 9)
        equal(straight, straight, road, None)
    assert {order.order_class for order in straight.orders_of(SYMBOLS).orders} >= {"unknown", "simple"}
    assert straight.activities(to_datetime(0))


def test_engine_and_api_agree_before_the_first_and_after_the_last_session(new_world: NewWorld, tmp_path: Path) -> None:
    world, straight = new_world(SPEC), Straight(SPEC)
    with road_to(world, tmp_path) as road:
        equal(straight.venue, straight.venue, road, None)
        end_us = world.engine.market.calendar.last_close_us
        for at_us in (from_datetime(straight.venue.clock().next_open), end_us, end_us + 3_600_000_000):
            straight.engine.advance(at_us)
            world.tick(to=rfc3339(at_us))
            equal(straight.venue, straight.venue, road, None)


def test_equity_at_the_last_fill_changes_only_with_fills() -> None:
    straight = Straight(SPEC)
    stale = EngineVenue(straight.engine, straight.engine.main, equity_at="last_fill")
    straight.engine.advance(straight.engine.now_us + 31 * 60_000_000)
    stale.submit(intent(limit_price=None, order_type=OrderType.MARKET, quantity=Decimal(100)))
    straight.engine.advance(straight.engine.now_us + 120_000_000)
    (fill,) = stale.fills(None)
    account = stale.account()
    assert account.equity == account.cash + 100 * fill.price == SPEC.cash
    straight.engine.advance(straight.engine.now_us + 3_600_000_000)
    assert stale.account().equity == SPEC.cash != straight.venue.account().equity


def test_idle_account_is_read_once() -> None:
    straight = Straight(SPEC)
    before = straight.venue.view()
    straight.engine.advance(straight.engine.now_us + 60_000_000)
    assert straight.venue.view() is before
