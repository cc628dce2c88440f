"""Laws of the engine under random commands, read from its log."""

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.tests.kit.app import SPEC, SYMBOLS, World, open_world
from papervenue.market.bars import Bar, half_spread, usd
from papervenue.times import parse_time

Step = tuple[str, dict[str, Any]]

NEAR = st.sampled_from(["0.9995", None, "0.999", "1", "1.0005", "1.01", "0.9"])
"""A limit price as a share of the last price; None for a market order."""
WHOLE = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["AAPL", "SPY", "ZAAC"]),
        "side": st.sampled_from(["buy", "sell"]),
        "time_in_force": st.sampled_from(["day", "gtc"]),
        "qty": st.sampled_from(["7", "1", "40", "120", "25000"]),
        "near": NEAR,
    }
)
FRACTIONAL = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["AAPL", "SPY"]),
        "side": st.just("buy"),
        "time_in_force": st.just("day"),
        "qty": st.sampled_from(["0.25", "1.234567891"]),
        "near": NEAR,
    }
)
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.tuples(st.just("order"), WHOLE),
        st.tuples(st.just("order"), FRACTIONAL),
        st.tuples(st.just("tick"), st.fixed_dictionaries({"seconds": st.sampled_from([60, 900, 45, 1, 9000])})),
        st.tuples(st.just("cancel"), st.just({})),
        st.tuples(st.just("close"), st.fixed_dictionaries({"symbol": st.sampled_from(SYMBOLS)})),
    ),
    min_size=8,
    max_size=25,
)


def play(world: World, steps: list[Step]) -> None:
    world.tick(to="open")
    world.tick(seconds=300)
    for kind, fields in [*steps, ("tick", {"seconds": 120})]:
        if kind == "tick":
            world.tick(**fields)
        elif kind == "order":
            submit_near(world, dict(fields))
        elif kind == "close":
            world.ask("DELETE", f"/v2/positions/{fields['symbol']}")
        else:
            for order in world.get("/v2/orders?limit=1"):
                assert world.ask("DELETE", f"/v2/orders/{order['id']}").status == 204


def submit_near(world: World, fields: dict[str, Any]) -> None:
    near = fields.pop("near")
    price = world.exchange.market.price(fields["symbol"], world.engine.now_us)
    assert price is not None
    if near is not None:
        fields["limit_price"] = f"{usd(price) * Decimal(near):.2f}"
    world.ask("POST", "/v2/orders", fields | {"type": "market" if near is None else "limit"})


def bar_of(world: World, event: dict[str, Any]) -> Bar:
    end_us = parse_time(event["at"])
    index = world.exchange.market.calendar.last_begun(end_us - 1)
    assert index is not None
    return next(b for b in world.exchange.market.day(event["symbol"], index).bars if b.end_us == end_us)


@given(steps=STEPS)
@settings(max_examples=settings().max_examples // 5)
def test_cash_positions_fills_and_a_restart_agree_with_the_log(
    new_folder: Callable[[], Path], steps: list[Step]
) -> None:
    folder = new_folder()
    world = open_world(folder)
    play(world, steps)
    events = world.events()
    assert_numbered_and_never_backwards(events)
    assert_account_is_the_fold(world, events)
    assert_fills_are_fair(world, events)
    seen = everything(world)
    log = (folder / "log.jsonl").read_bytes()
    assert everything(open_world(folder)) == seen
    assert (folder / "log.jsonl").read_bytes() == log


def everything(world: World) -> list[Any]:
    targets = ("account", "positions", "orders?status=all&limit=500", "account/activities", "clock")
    return [world.get(f"/v2/{target}") for target in targets]


def assert_numbered_and_never_backwards(events: list[dict[str, Any]]) -> None:
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    times = [parse_time(event["at"]) for event in events]
    assert times == sorted(times)


def assert_account_is_the_fold(world: World, events: list[dict[str, Any]]) -> None:
    cash, positions = SPEC.cash, dict.fromkeys(SYMBOLS, Decimal(0))
    for event in events:
        if event["event"] == "fill":
            signed = Decimal(event["fill_qty"]) * (1 if event["side"] == "buy" else -1)
            cash -= signed * Decimal(event["price"])
            positions[event["symbol"]] += signed
            assert (Decimal(event["cash"]), Decimal(event["position"])) == (cash, positions[event["symbol"]])
    assert Decimal(world.get("/v2/account")["cash"]) == cash
    shown = {row["symbol"]: Decimal(row["qty"]) for row in world.get("/v2/positions")}
    assert shown == {symbol: qty for symbol, qty in positions.items() if qty}


def assert_fills_are_fair(world: World, events: list[dict[str, Any]]) -> None:
    accepted = {e["order_id"]: e for e in events if e["event"] == "order_accepted"}
    filled: dict[str, Decimal] = defaultdict(Decimal)
    volume_used: dict[tuple[str, int], Decimal] = defaultdict(Decimal)
    for event in (e for e in events if e["event"] == "fill"):
        order, bar, qty = accepted[event["order_id"]], bar_of(world, event), Decimal(event["fill_qty"])
        assert bar.start_us >= parse_time(order["at"])
        filled[event["order_id"]] += qty
        volume_used[event["symbol"], bar.start_us] += qty
        assert qty > 0
        assert filled[event["order_id"]] <= Decimal(order["qty"])
        assert_price_is_fair(order, bar, Decimal(event["price"]))
        assert volume_used[event["symbol"], bar.start_us] <= max(1, bar.volume // 10)


def assert_price_is_fair(order: dict[str, Any], bar: Bar, price: Decimal) -> None:
    sign = 1 if order["side"] == "buy" else -1
    market = usd(bar.open) + sign * usd(half_spread(bar.open))
    if order["limit_price"] is None:
        assert price == market
    else:
        assert sign * price <= sign * Decimal(order["limit_price"])
        assert sign * price <= sign * market
        assert usd(bar.low) - usd(half_spread(bar.low)) <= price
        assert price <= usd(bar.high) + usd(half_spread(bar.high))
