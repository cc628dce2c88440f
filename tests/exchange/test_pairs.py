"""A target and a stop that rest together over a position: what becomes of them, whatever happens to either."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exchange.pit import DAYS, OPEN, Pit
from tests.exchange.worlds import World
from tradebot.exchange.engine.actions import schedule
from tradebot.exchange.engine.orders import Order
from tradebot.exchange.events import Update
from tradebot.exchange.market.actions import DIVIDEND, FORWARD_SPLIT, REVERSE_SPLIT, Action, before_trading
from tradebot.exchange.market.fill import NEXT_BAR, PAPER
from tradebot.exchange.refusal import Refusal
from tradebot.exchange.times import MINUTE, SECOND, at_new_york

WHOLE = PAPER._replace(partial_rate=Decimal(0))
LONG: dict[str, Any] = {
    "side": "sell",
    "order_class": "oco",
    "limit": 105,
    "take_profit": 105,
    "stop_loss": 95,
    "tif": "gtc",
}
SHORT: dict[str, Any] = {
    "side": "buy",
    "order_class": "oco",
    "limit": 95,
    "take_profit": 95,
    "stop_loss": 105,
    "tif": "gtc",
}


def protect(pit: Pit, held: int = 10, **more: Any) -> dict[str, Order]:
    """Hold shares and let a gtc pair rest over ten of them."""
    pit.hold(held)
    order = pit.order(**{"qty": 10, **(LONG if held > 0 else SHORT), **more})
    return {"target": order, "stop": order.legs[0]}


def take_effect_tomorrow(pit: Pit, kind: str, **more: Any) -> None:
    session = pit.engine.market.calendar.market[1]
    action = Action(kind, "AAA", session.date, before_trading(session), pit.engine.now_us, session.date)
    pit.engine.market.announce(action._replace(**more))
    schedule(pit.engine, action._replace(**more))


def updates(pit: Pit) -> list[Update]:
    return [event.update for event in pit.events if event.update]


def test_a_pair_rests_for_ninety_days_and_ends_together() -> None:
    pit = Pit()
    pair = protect(pit)
    assert {order.expires_us for order in pair.values()} == {at_new_york("2025-06-01", 16, 15)}
    for order in pair.values():
        order.expires_us = at_new_york(DAYS[1], 16, 15)
    pit.heard()
    pit.to_minute(0, session=1)
    assert pit.heard(pair) == ["405 target canceled", "405 stop canceled"]
    assert pit.account.held("AAA") == 0


def test_a_pair_acts_days_after_anybody_looked() -> None:
    pit = Pit({1100: ((94, 94, 94, 94), 10_000)})
    pair = protect(pit)
    pit.to_minute(0, session=1)
    pit.heard()
    pit.to_minute(389, session=1)
    assert pit.heard(pair) == ["1541 stop fill 10@93.99", "1541 target canceled"]


@pytest.mark.parametrize(("held", "quad"), [(10, (98, 98, 94, 94)), (-10, (102, 106, 102, 106))])
def test_lowering_the_target_to_the_market_is_an_exit_while_the_stop_works(held: int, quad: Any) -> None:
    pit = Pit({20: (100, 40), 21: (quad, 10_000)})
    pair = protect(pit, held)
    pit.to_minute(20)
    pit.heard()
    pair["exit"] = pit.replace(pair["target"], limit=99.9 if held > 0 else 100.1)
    pit.to_minute(25)
    heard = pit.heard(pair)
    price, stopped = ("99.99", "94.99") if held > 0 else ("100.01", "105.01")
    assert heard == [
        *("20 target pending_replace", "20 exit pending_new", "20 target replaced", "20 exit new"),
        *(f"21 exit partial_fill 4@{price}", "21 stop restated", f"22 stop fill 6@{stopped}", "22 exit canceled"),
    ]
    assert not pit.account.positions


@pytest.mark.parametrize("change", [{"qty": 5}, {"time_in_force": "day"}])
def test_only_the_prices_of_a_pair_can_be_replaced(change: dict[str, Any]) -> None:
    pit = Pit()
    pair = protect(pit)
    for order in pair.values():
        with pytest.raises(Refusal, match="only limit_price and stop_price of oco orders"):
            pit.replace(order, **change)
    with pytest.raises(Refusal, match="must not have stop_price"):
        pit.replace(pair["target"], stop=96)


def test_a_stop_by_itself_leaves_no_shares_and_no_purchase_and_a_pair_leaves_the_purchase() -> None:
    pit = Pit()
    pit.hold(10)
    stop = pit.order("sell", 10, stop=95, tif="gtc")
    with pytest.raises(Refusal) as refused:
        pit.order("sell", 10)
    assert (refused.value.status, refused.value.body["available"]) == (403, "0")
    with pytest.raises(Refusal, match="potential wash trade"):
        pit.order("buy", 5)
    pit.cancel(stop)
    pit.order(qty=10, **LONG)
    with pytest.raises(Refusal, match="available: 0"):
        pit.order("sell", 10)
    assert pit.order("buy", 5).status == "new"


def test_pairs_of_two_lots_are_filled_one_by_one() -> None:
    pit = Pit({20: ((106, 106, 106, 106), 100), 21: ((94, 94, 94, 94), 10_000)})
    first = protect(pit, 20)
    second = pit.order(qty=10, **LONG | {"stop_loss": 93})
    named = {**first, "other target": second, "other stop": second.legs[0]}
    pit.to_minute(20)
    pit.heard()
    pit.pass_minutes(2)
    assert pit.heard(named) == ["21 target fill 10@105.99", "21 stop canceled"]
    assert pit.account.qty("AAA") == pit.account.held("AAA") == 10


@pytest.mark.parametrize(("held", "restated"), [(10, ("105", "94.75")), (-10, ("94.75", "105"))])
def test_a_dividend_reduces_stops_to_sell_and_limits_to_buy(held: int, restated: tuple[str, str]) -> None:
    pit = Pit()
    pair = protect(pit, held)
    take_effect_tomorrow(pit, DIVIDEND, rate=Decimal("0.25"))
    pit.to_minute(5, session=1)
    limit, stop = pair["target"].request.limit, pair["stop"].stop
    assert limit is not None
    assert stop is not None
    assert (limit, stop) == tuple(int(Decimal(price) * 10_000) for price in restated)
    told = [event.fields["order_id"] for event in pit.events if event.name == "order_restated"]
    assert told == [pair["stop" if held > 0 else "target"].id]


@pytest.mark.parametrize("held", [10, -10])
def test_a_split_multiplies_a_pair_and_divides_its_prices(held: int) -> None:
    pit = Pit()
    pair = protect(pit, held)
    take_effect_tomorrow(pit, FORWARD_SPLIT, new_rate=Decimal(2), old_rate=Decimal(1))
    pit.to_minute(-300, session=1)
    assert [order.qty for order in pair.values()] == [20, 20]
    target, stop = (52.5, 47.5) if held > 0 else (47.5, 52.5)
    assert (pair["target"].request.limit, pair["stop"].stop) == (target * 10_000, stop * 10_000)
    assert pit.account.held("AAA") == abs(pit.account.qty("AAA")) == 20


def test_a_split_cancels_a_pair_that_has_filled_in_part_and_a_reverse_split_every_pair() -> None:
    pit = Pit({20: (106, 40)})
    pair = protect(pit)
    pit.to_minute(30)
    assert [order.qty for order in pair.values()] == [10, 6]
    take_effect_tomorrow(pit, FORWARD_SPLIT, new_rate=Decimal(2), old_rate=Decimal(1))
    pit.to_minute(-300, session=1)
    assert [order.status for order in pair.values()] == ["canceled", "canceled"]
    pit = Pit()
    pair = protect(pit)
    take_effect_tomorrow(pit, REVERSE_SPLIT, new_rate=Decimal(1), old_rate=Decimal(2))
    pit.to_minute(-300, session=1)
    assert [order.status for order in pair.values()] == ["canceled", "canceled"]


def test_on_paper_a_stop_that_covers_a_short_pays_at_most_its_collar_and_then_rests_there() -> None:
    pit = Pit({20: ((120, 120, 120, 120), 10_000), 21: ((120, 120, 120, 120), 10_000), 22: (107, 10_000)}, WHOLE)
    pair = protect(pit, -10)
    pit.to_minute(22)
    assert (pair["stop"].request.type, pair["stop"].request.limit) == ("stop_limit", 1_076_200)
    assert pit.account.qty("AAA") == -10
    pit.heard()
    pit.to_minute(23)
    assert pit.heard(pair) == ["23 stop fill 10@107.01", "23 target canceled"]


def test_legs_are_nested_or_rows_of_their_own(world: World) -> None:
    world.tick(to="open")
    world.ask("POST", "/exchange/v1/journal", {"symbol": "AAPL", "qty": 10})
    last = world.get("/v2/stocks/AAPL/trades/latest")["trade"]["p"]
    limit, stop = f"{last * 1.05:.2f}", f"{last * 0.95:.2f}"
    body: dict[str, Any] = {
        "order_class": "oco",
        "take_profit": {"limit_price": limit},
        "stop_loss": {"stop_price": stop},
    }
    placed = world.order("AAPL", "sell", 10, limit_price=limit, **body | {"time_in_force": "gtc"}).json
    (leg,) = placed["legs"]
    assert (leg["status"], leg["stop_price"], leg["order_class"]) == ("held", stop, "oco")
    (nested,) = world.get("/v2/orders?nested=true")
    assert [row["id"] for row in nested["legs"]] == [leg["id"]]
    assert {row["id"]: row["legs"] for row in world.get("/v2/orders")} == {placed["id"]: None, leg["id"]: None}
    assert world.get(f"/v2/orders/{placed['id']}?nested=true")["legs"][0]["status"] == "new"


@given(
    steps=st.lists(
        st.tuples(st.integers(90, 110), st.sampled_from([10, 40, 10_000]), st.none() | st.integers(96, 104)),
        min_size=1,
        max_size=12,
    ),
    side=st.sampled_from([1, -1]),
)
@settings(max_examples=40)
def test_a_pair_never_closes_more_than_its_shares_and_its_mirror_does_the_same(
    steps: list[tuple[int, int, int | None]], side: int
) -> None:
    """The second lot's shares stay whatever the market does and however the first lot's target is moved."""

    def close(side: int) -> list[Decimal]:
        bars = {20 + at: (100.0 + side * (price - 100), volume) for at, (price, volume, _) in enumerate(steps)}
        pit = Pit(bars)
        pair = protect(pit, 20 * side)
        target, left = pair["target"], []
        for at, (_, _, limit) in enumerate(steps):
            pit.to_minute(20 + at)
            if limit is not None and target.status == "new":
                try:
                    target = pit.replace(target, limit=100.0 + side * (limit - 100))
                except Refusal:
                    assert target.is_open
            left.append(pit.account.qty("AAA") * side)
            assert target.is_open == target.legs[0].is_open
            assert not target.is_open or target.remaining == target.legs[0].remaining == left[-1] - 10
        return left

    left = close(side)
    assert left == close(-side)
    assert all(20 >= before >= after >= 10 for before, after in pairwise(left))


@given(
    bars=st.lists(st.tuples(st.integers(93, 107), st.sampled_from([10, 40, 10_000])), min_size=4, max_size=10),
    asked=st.lists(
        st.tuples(st.integers(0, 300), st.sampled_from(["target", "stop", "cancel"]), st.integers(94, 106)), max_size=6
    ),
    latency_s=st.sampled_from([0, 20, 90]),
)
@settings(max_examples=60)
def test_whatever_is_in_transit_a_pair_sells_its_shares_once_and_ends_whole(
    bars: list[tuple[int, int]], asked: list[tuple[int, str, int]], latency_s: int
) -> None:
    written = {11 + at: (price, volume) for at, (price, volume) in enumerate(bars)}
    pit = Pit(written, NEXT_BAR._replace(latency_s=latency_s))
    newest = protect(pit, 20)
    for second, what, price in sorted(asked):
        pit.engine.advance(max(pit.engine.now_us, OPEN + 10 * MINUTE + second * SECOND))
        try:
            if what == "cancel":
                pit.cancel(newest["target"])
            else:
                change: dict[str, Any] = {"limit" if what == "target" else "stop": price}
                newest[what] = pit.replace(newest[what], **change)
        except Refusal:
            continue
    pit.to_minute(60)
    orders = [*pit.account.orders.values()]
    sold = sum((event.execution.qty for event in updates(pit) if event.execution), Decimal(0))
    assert pit.account.qty("AAA") == 20 - sold >= 10
    # Nothing is left of the pair, or both of its orders are, for the same shares.
    working = [order for order in orders if order.is_open]
    assert [order.remaining for order in working] in ([], [10 - sold] * 2)
    assert pit.account.held("AAA") == (10 - sold if working else 0)
    assert not any(order.status.startswith("pending") for order in orders)
