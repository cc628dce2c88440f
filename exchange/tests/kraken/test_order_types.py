"""Orders that take a profit or trail the price, all orders canceled by a timer, and markets that know neither."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.kraken import XBT, KrakenExchange
from papervenue.state import read_market, write_market

LONG_S = 6 * 3600


def holding(desk: KrakenExchange) -> Decimal:
    """Buy, and return the price."""
    assert desk.send(size="0.5")["status"] == "placed"
    return desk.price()


def extremes(desk: KrakenExchange, seconds: int) -> tuple[Decimal, Decimal]:
    """Return the highest and the lowest price of the minutes that come."""
    now_us, grid = desk.engine.now_us, desk.engine.market.grids[XBT]
    bars = [bar for bar in desk.engine.market.day(XBT, 0).bars if now_us <= bar.start_us < now_us + seconds * 1_000_000]
    return grid.usd(max(bar.high for bar in bars)), grid.usd(min(bar.low for bar in bars))


@pytest.mark.parametrize(("beyond", "left"), [(0, 0), (1, 1)])
def test_a_profit_is_taken_once_the_price_has_risen_to_it_and_not_before(
    desk: KrakenExchange, beyond: int, left: int
) -> None:
    holding(desk)
    high, _ = extremes(desk, LONG_S)
    sent = desk.send("take_profit", "sell", "0.5", stopPrice=high + beyond, reduceOnly="true", triggerSignal="last")
    (placed,) = sent["orderEvents"]
    assert placed["orderTrigger"]["triggerSide"] == "trigger_above"
    assert placed["orderTrigger"]["type"] == "take_profit"
    assert [row["orderType"] for row in desk.v3("openorders")["openOrders"]] == ["take_profit"]
    desk.world.tick(seconds=LONG_S)
    assert len(desk.v3("openpositions")["openPositions"]) == left
    if not left:
        sold = [fill["size"] for fill in desk.v3("fills")["fills"] if fill["side"] == "sell"]
        assert sum(sold) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "distance",
    [
        {"trailingStopMaxDeviation": "0.3", "trailingStopDeviationUnit": "PERCENT"},
        {"trailingStopMaxDeviation": "250", "trailingStopDeviationUnit": "QUOTE_CURRENCY"},
    ],
)
def test_a_trailing_stop_follows_the_price_up_and_never_down(desk: KrakenExchange, distance: dict[str, Any]) -> None:
    holding(desk)
    assert desk.send("trailing_stop", "sell", "0.5", reduceOnly="true", **distance)["status"] == "placed"
    stops = []
    for _ in range(120):
        rows = desk.v3("openorders")["openOrders"]
        if not rows:
            break
        stops.append(rows[0]["stopPrice"])
        assert stops[-1] % 1 == 0
        desk.world.tick(seconds=60)
    assert stops == sorted(stops)
    assert len(set(stops)) > 1


def test_a_trailing_stop_says_how_far_it_trails(desk: KrakenExchange) -> None:
    holding(desk)
    for more in ({}, {"trailingStopMaxDeviation": "90", "trailingStopDeviationUnit": "PERCENT"}):
        answer = desk.post("sendorder", orderType="trailing_stop", symbol=XBT, side="sell", size="0.5", **more)
        assert answer["result"] == "error"


def test_all_orders_end_unless_the_timer_is_set_again(desk: KrakenExchange) -> None:
    far = round(desk.price() * Decimal("0.9"))
    desk.send("lmt", limitPrice=far)
    desk.send("lmt", limitPrice=far - 1)
    for timeout, seconds, left in ((60, 50, 2), (60, 50, 2), (0, 120, 2), (60, 60, 0)):
        status = desk.post("cancelallordersafter", timeout=timeout)["status"]
        assert (status["triggerTime"] == "0") is (timeout == 0)
        desk.world.tick(seconds=seconds)
        assert len(desk.v3("openorders")["openOrders"]) == left
    assert desk.post("cancelallordersafter", timeout="soon")["result"] == "error"


def test_a_market_of_an_earlier_edition_refuses_what_it_refused(fresh: Callable[[], Path]) -> None:
    folder = fresh()
    write_market(folder, read_market(folder)._replace(edition=1))
    desk = KrakenExchange(folder)
    desk.world.tick(seconds=3600)
    for kind in ("fok", "take_profit", "trailing_stop"):
        assert desk.send(kind, limitPrice=90_000)["status"] == "invalidOrderType"
