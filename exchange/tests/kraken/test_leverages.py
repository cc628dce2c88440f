"""A symbol's leverage preference: set, listed and taken back, what it shows, and that a restart and a reset know it."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.kraken import PEPE, V3, XBT, KrakenExchange
from exchange.tests.kit.ring import keep, replayed, state_of
from papervenue.exchange import open_exchange
from papervenue.faces.kraken.wire_format import encoded
from papervenue.state import read_market, write_market


def prefer(desk: KrakenExchange, **params: object) -> Any:
    answer = desk.ask("PUT", f"{V3}/leveragepreferences", **params)
    assert answer.status == (400 if "errors" in answer.json else 200)
    return answer.json


def preferences(desk: KrakenExchange) -> list[Any]:
    rows: list[Any] = desk.v3("leveragepreferences")["leveragePreferences"]
    return rows


def told_by(desk: KrakenExchange, feed: str) -> Any:
    """Return what a feed of the websocket tells of the account."""
    account = desk.engine.main
    feeds = next(each for each in desk.world.exchange.listeners if hasattr(each, "of_account"))
    (told,) = feeds.of_account(feed, account)()
    return json.loads(encoded(told))


def test_preference_is_listed_until_it_is_taken_back(desk: KrakenExchange) -> None:
    assert preferences(desk) == []
    assert prefer(desk, symbol=XBT.lower(), maxLeverage="5")["result"] == "success"
    prefer(desk, symbol=PEPE, maxLeverage="2.50")
    prefer(desk, symbol=XBT, maxLeverage=10)
    assert preferences(desk) == [{"symbol": XBT, "maxLeverage": 10}, {"symbol": PEPE, "maxLeverage": 2.5}]
    assert prefer(desk, symbol=XBT)["result"] == "success"
    assert preferences(desk) == [{"symbol": PEPE, "maxLeverage": 2.5}]


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({}, "requiredArgumentMissing: symbol"),
        ({"symbol": XBT, "maxLeverage": "much"}, "invalidArgument: maxLeverage"),
        ({"symbol": XBT, "maxLeverage": "0.5"}, "invalidArgument: maxLeverage"),
        ({"symbol": XBT, "maxLeverage": "51"}, "invalidArgument: maxLeverage"),
    ],
)
def test_what_is_no_leverage_of_a_symbol_is_refused(desk: KrakenExchange, params: dict[str, Any], word: str) -> None:
    assert prefer(desk, **params)["error"] == word
    assert preferences(desk) == []


def test_documented_errors_have_their_numbers(desk: KrakenExchange) -> None:
    assert prefer(desk, symbol="PF_NONEUSD", maxLeverage=5)["errors"] == [
        {"code": 87, "message": "Contract does not exist"}
    ]
    desk.send(size="1")
    desk.send(size="20000000000", symbol=PEPE)
    assert prefer(desk, symbol=XBT, maxLeverage=1)["errors"] == [{"code": 41, "message": "Would cause liquidation"}]


def test_change_without_enough_margin_is_refused(desk: KrakenExchange) -> None:
    prefer(desk, symbol=XBT, maxLeverage=10)
    desk.send("lmt", limitPrice=round(desk.price() / 2), size="5")
    assert prefer(desk, symbol=XBT, maxLeverage=2)["error"] == "insufficientAvailableFunds"
    assert preferences(desk) == [{"symbol": XBT, "maxLeverage": 10}]


def test_positions_tell_their_leverage_and_accounts_follow(desk: KrakenExchange) -> None:
    desk.send(size="100000", symbol=PEPE)
    before = desk.flex()
    prefer(desk, symbol=XBT, maxLeverage=5)
    desk.send(size="1")
    coin, isolated = desk.v3("openpositions")["openPositions"]
    assert ("maxFixedLeverage" not in coin, isolated["maxFixedLeverage"]) == (True, 5)
    shown = [row.get("max_fixed_leverage") for row in told_by(desk, "open_positions")["positions"]]
    assert shown == [None, 5]
    flex, told = desk.flex(), told_by(desk, "balances")["flex_futures"]
    mark = desk.v3(f"tickers/{XBT}")["ticker"]["markPrice"]
    assert flex["initialMargin"] == pytest.approx(before["initialMargin"] + mark / 5)
    assert flex["portfolioValue"] == pytest.approx(flex["balanceValue"] + flex["pnl"])
    paid = isolated["price"] / 5
    fee = isolated["price"] * 0.0005
    assert flex["availableMargin"] == pytest.approx(before["availableMargin"] - paid - fee)
    assert (told["margin_equity"], told["initial_margin"]) == pytest.approx(
        (flex["marginEquity"], flex["initialMarginWithOrders"])
    )
    cross, own = told["cross"], told["isolated"][XBT]
    assert cross["balance_value"] == pytest.approx(flex["balanceValue"] - paid)
    assert own["initial_margin"] == pytest.approx(mark / 5)
    for name in ("pnl", "initial_margin", "maintenance_margin"):
        assert cross[name] + own[name] == pytest.approx(told[name])
    assert cross["margin_equity"] - cross["initial_margin"] == pytest.approx(cross["available_margin"])
    assert cross["available_margin"] == told["available_margin"] == flex["availableMargin"]


def test_order_beyond_what_the_leverage_allows_is_refused(desk: KrakenExchange) -> None:
    assert desk.send(size="2")["status"] == "placed"
    assert desk.send("mkt", "sell", "2", reduceOnly="true")["status"] == "placed"
    prefer(desk, symbol=XBT, maxLeverage=1)
    assert desk.send(size="2")["status"] == "insufficientAvailableFunds"


def test_restart_by_log_and_by_snapshot_knows_what_is_isolated_and_a_reset_forgets_it(desk: KrakenExchange) -> None:
    prefer(desk, symbol=XBT, maxLeverage=20)
    desk.send(size="3")
    prefer(desk, symbol=PEPE, maxLeverage=3)
    prefer(desk, symbol=XBT, maxLeverage=1)
    desk.world.tick(seconds=3 * 3600)
    exchange, folder = desk.world.exchange, desk.folder
    exchange.commit()
    state = state_of(exchange)
    keep(exchange, folder)
    again = open_exchange(folder)
    assert state_of(again) == state
    assert again.engine.main.leverages == {XBT: 20, PEPE: 3}
    assert replayed(folder) == state
    desk = KrakenExchange(folder)
    desk.nonce = 100
    assert desk.world.ask("POST", "/exchange/v1/reset", {}).status == 200
    assert preferences(desk) == []
    assert desk.engine.main.cash == Decimal(100_000)


@pytest.mark.parametrize("edition", [1, 2])
def test_markets_of_earlier_editions_isolate_margin_too(fresh: Callable[[], Path], edition: int) -> None:
    folder = fresh()
    write_market(folder, read_market(folder)._replace(edition=edition))
    desk = KrakenExchange(folder)
    desk.world.tick(seconds=3600)
    prefer(desk, symbol=XBT, maxLeverage=5)
    desk.send(size="1")
    assert desk.v3("openpositions")["openPositions"][0]["maxFixedLeverage"] == 5
