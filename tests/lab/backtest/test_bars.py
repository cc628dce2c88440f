"""Bars straight from the engine: what the bot's own store gets over the exchange's API, and nothing from later.

The engine as a broker: whatever is read or answered is what arrives over the exchange's API.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal

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
from tradebot.lab.backtest.bars import EngineBars
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.lab.backtest.setup import engine_of
from tradebot.lab.backtest.venue import EngineVenue
from tradebot.model.candidate import Side
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import OrderClass, OrderType, Reply, TimeInForce
from tradebot.model.series import Series, width_of
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed
from tradebot.ports.broker import BrokerReader, Market

SYMBOLS = ("AAPL", "NFLX", "SPY", "THIN")
ASKED = ("AAPL", "NFLX", "THIN", "NOPE")
SPEC = MarketSpec(symbols=SYMBOLS, sessions=8, start=date(2026, 11, 17), seed=22, corporate_actions=True)
"""On November 25th AAPL pays and NFLX splits three for one; on the 27th, a half day, NFLX gets another name."""
NEEDS = tuple(
    BarNeed(timeframe, depth, adjusted)
    for timeframe, depth in (("1Min", 30), ("1Min", 500), ("5Min", 500), ("7Min", 90), ("1Hour", 12), ("1Day", 600))
    for adjusted in (True, False)
)
MOMENTS = tuple(
    datetime.fromisoformat(f"2026-11-{at}Z")
    for at in (
        *("17T14:05", "17T15:07:20", "17T21:10", "24T20:59", "25T14:20"),
        *("25T15:03", "25T22:30", "27T17:44", "27T19:30", "28T15:00"),
    )
)
"""Before the first session, within sessions, after hours, at night, and around what happens to the companies."""
NewWorld = Callable[[MarketSpec], World]


@cache
def opened() -> OpenedMarket:
    return open_market_in_memory(SPEC)


def told(found: Mapping[str, Series]) -> dict[str, str]:
    return {symbol: repr(series) for symbol, series in found.items()}


def test_bars_are_those_of_the_bot_s_own_store(new_world: NewWorld, tmp_path: Path) -> None:
    world, compared = new_world(SPEC), 0
    bars = EngineBars(world.engine)
    with road_to(world, tmp_path) as road:
        for place, now in enumerate(MOMENTS):
            world.tick(to=rfc3339(int(now.timestamp()) * 1_000_000))
            for need in NEEDS[place % 3 :: 3]:
                # The store wouldn't ask again about the time before a name was in use, and it gives the actions of an
                # earlier name to the later one only if it isn't asked about both at once.
                for asked in (ASKED, ("NFLXX",)) if now.day >= 27 else (ASKED,):
                    straight = bars.closed(need, asked, now)
                    assert told(straight) == told(road.bars.closed(need, asked, now)), (now, need)
                    assert all(len(of.starts) == need.depth for name, of in straight.items() if name != "THIN")
                    compared += len(straight)
    assert compared > 60


def test_thin_symbol_gets_no_more_bars_than_the_store_looks_for(new_world: NewWorld, tmp_path: Path) -> None:
    days = [f"2025-03-{day:02}" for day in range(3, 29) if date(2025, 3, day).weekday() < 5]
    lines = [f"{day} 10:0{minute},RARE,10,11,9,10,5" for day in days for minute in (1, 7)]
    (tmp_path / "bars.csv").write_text("\n".join(("ts,symbol,open,high,low,close,volume", *lines)))
    spec = MarketSpec(
        source="csv", path=str(tmp_path / "bars.csv"), bar_stamp="start", start=date(2025, 3, 3), sessions=len(days)
    )
    world = new_world(spec)
    now = datetime.fromisoformat("2025-03-28T19:00Z")
    world.tick(to=rfc3339(int(now.timestamp()) * 1_000_000))
    bars = EngineBars(world.engine)
    with road_to(world, tmp_path) as road:
        for need in (BarNeed("1Min", 30), BarNeed("5Min", 9), BarNeed("1Hour", 40), BarNeed("1Day", 12)):
            straight = bars.closed(need, ["RARE"], now)
            assert told(straight) == told(road.bars.closed(need, ["RARE"], now)), need
        assert [len(bars.closed(BarNeed("1Min", depth), ["RARE"], now)["RARE"]) for depth in (3, 30)] == [3, 4]


DAILY = """date,symbol,open,high,low,close,volume,dividends,stock_splits
2025-02-27,ETF,40,42,39,41,1000,0,0
2025-02-28,ETF,41,42.5,40.5,42,1100,0.5,0
2025-03-03,ETF,42,43,41,42.5,900,0,0
2025-03-04,ETF,43,44,42,43.5,950,0.25,0
2025-03-05,ETF,21.5,22,21,21.5,1200,0,2
2025-03-06,ETF,21.5,23,21,22.5,1300,0,0
2025-03-03,OTHER,10,10.5,9.5,10.25,500,0,0
2025-03-05,OTHER,10.25,11,10,10.75,700,0,0
"""


@pytest.mark.filterwarnings("ignore:The 'float_precision'")
@pytest.mark.parametrize("prices", ["raw", "adjusted"])
def test_daily_bars_of_engine_and_api_are_one(
    prices: Literal["raw", "adjusted"], new_world: NewWorld, tmp_path: Path
) -> None:
    file = tmp_path / "days.csv"
    file.write_text(DAILY)
    spec = MarketSpec(source="daily", path=str(file), start=date(2025, 3, 3), sessions=4, prices=prices)
    market, world = open_market_in_memory(spec), new_world(spec)
    engine = engine_of(market, spec)
    bars, venue = EngineBars(engine, market.days), EngineVenue(engine, engine.main)
    moments = (
        "03T13:40",
        "03T14:35",
        "03T20:59",
        "03T21:30",
        "04T14:35",
        "05T02:00",
        "05T14:36",
        "05T22:10",
        "06T20:59",
    )
    with road_to(world, tmp_path) as road:
        for now in (datetime.fromisoformat(f"2025-03-{at}Z") for at in moments):
            engine.advance(int(now.timestamp()) * 1_000_000)
            world.tick(to=rfc3339(engine.now_us))
            for need in NEEDS[-2:]:
                straight = bars.closed(need, ["ETF", "OTHER"], now)
                assert told(straight) == told(road.bars.closed(need, ["ETF", "OTHER"], now)), (now, need)
            symbols = ("ETF", "OTHER")
            assert seen(venue, venue, symbols) == seen(road.reader, road.reader, symbols), now
    assert (len(straight["ETF"]), len(straight["OTHER"])) == (5, 2)


def test_bars_are_adjusted_for_what_has_happened_and_nothing_else() -> None:
    bars, (before, after) = EngineBars(engine_of(opened(), SPEC)), (MOMENTS[3], MOMENTS[5])
    adjusted, raw = BarNeed("1Day", 3), BarNeed("1Day", 3, adjusted=False)
    assert bars.closed(adjusted, ["NFLX"], before)["NFLX"].close == bars.closed(raw, ["NFLX"], before)["NFLX"].close
    once, then = (bars.closed(need, ["NFLX"], after)["NFLX"] for need in (raw, adjusted))
    assert [round(one / other, 1) for one, other in zip(once.close, then.close, strict=True)] == [3.0, 3.0, 3.0]


def test_bar_is_shown_only_when_complete_and_never_changes_later() -> None:
    engine = engine_of(opened(), SPEC)
    early, late = EngineBars(engine), EngineBars(engine)
    for need in NEEDS:
        late.closed(need, SYMBOLS, MOMENTS[-1])
    for place, now in enumerate(MOMENTS):
        for need in NEEDS[place % 2 :: 2]:
            found = early.closed(need, SYMBOLS, now)
            width = width_of(need.timeframe)
            if width is not None:
                assert all(series.start_of(-1) < now for series in found.values())
                assert told(found) == told(late.closed(need, SYMBOLS, now))
            else:
                closed = [series.start_of(-1).date() for series in found.values()]
                assert all(day < now.date() or now.hour >= 18 for day in closed)


def test_returned_bars_are_a_copy() -> None:
    bars, need = EngineBars(engine_of(opened(), SPEC)), BarNeed("1Day", 3)
    first = bars.closed(need, ["SPY"], MOMENTS[1])["SPY"]
    kept = first.close[0]
    first.close[0] = 1.0
    assert bars.closed(BarNeed("1Day", 4), ["SPY"], MOMENTS[1])["SPY"].close[1] == kept


def test_earlier_moment_gets_its_own_bars_after_more_of_the_past_was_read() -> None:
    need, session = BarNeed("5Min", 500), opened().calendar.market[2]
    close, minute = (datetime.fromtimestamp(at_us / 1_000_000, UTC) for at_us in (session.close_us, session.open_us))
    backward, alone = (EngineBars(engine_of(opened(), SPEC)) for _ in "ab")
    for symbol in ("AAPL", "SPY"):
        backward.closed(need, [symbol], close)
        assert told(backward.closed(need, [symbol], minute)) == told(alone.closed(need, [symbol], minute))


ASKED_AT = (*SYMBOLS, "NFLXX", "NOPE", "no symbol", "A B")
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
    assert seen(straight, quotes, ASKED_AT, which) == seen(road.reader, road.reader, ASKED_AT, which)


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
