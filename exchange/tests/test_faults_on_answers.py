"""Faults that change what happens to a request or what an answer shows: each, and what it leaves alone."""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from exchange.tests.kit.app import World

QUOTE, QUOTES = "/v2/stocks/AAPL/quotes/latest", "/v2/stocks/quotes/latest?symbols=AAPL,SPY"
SNAPSHOT = "/v2/stocks/AAPL/snapshot"


def buy(world: World, name: str, symbol: str = "AAPL", qty: object = 2, **others: Any) -> Any:
    return world.order(symbol, "buy", qty, client_order_id=name, **others).json


def status(world: World, *names: str) -> list[str]:
    return [world.order_by_client_id(name)["status"] for name in names]


def by_symbol(world: World) -> dict[str, Any]:
    return {row["symbol"]: row for row in world.get("/v2/positions")}


@pytest.fixture
def holding(venue: World) -> World:
    """Return a venue with two shares of AAPL and of SPY, bought by the orders `held` and `other`."""
    buy(venue, "held")
    buy(venue, "other", "SPY")
    venue.tick(seconds=120)
    return venue


def test_expired_keys_are_answered_401_like_wrong_ones(venue: World) -> None:
    venue.arm("expired_keys", **{"request": "any trading", "from": 2})
    assert venue.get("/v2/account")
    answer = venue.order("AAPL", "buy", 1)
    assert (answer.status, answer.json) == (401, {"message": "unauthorized."})
    assert venue.logged("order_accepted") == []


def test_late_order_is_nowhere_until_its_time_and_then_trades_or_is_refused(venue: World) -> None:
    venue.arm({"late_arrival": "90s"}, request="submit", at_most=2)
    assert venue.order("AAPL", "buy", 2, client_order_id="late").status == 504
    venue.order("NONE", "buy", 1)
    venue.tick(seconds=89)
    assert venue.order_by_client_id("late") is None
    venue.tick(seconds=1)
    assert status(venue, "late") == ["new"]
    (accepted,), (refused,) = venue.logged("order_accepted"), venue.logged("order_rejected")
    request = next(event for event in venue.logged("request") if event["path"] == "/v2/orders")
    moments = [datetime.fromisoformat(event["at"]) for event in (request, accepted, refused)]
    assert [moment - moments[0] for moment in moments[1:]] == [timedelta(seconds=90)] * 2
    assert refused["status"] == 422
    venue.tick(seconds=120)
    assert status(venue, "late") == ["filled"]


@pytest.mark.parametrize(("which", "code"), [("second", 422), ("first", 200)])
def test_order_delivered_twice_is_accepted_once_by_name_and_twice_without(venue: World, which: str, code: int) -> None:
    venue.arm({"delivered_twice": None, "answer": which}, request="submit")
    assert venue.order("AAPL", "buy", 1, client_order_id="named").status == code
    assert venue.order("AAPL", "buy", 1).status == 200
    assert len(venue.logged("order_accepted")) == 3


def test_order_of_a_named_symbol_is_accepted_and_then_rejected(venue: World) -> None:
    venue.arm("reject_after_acceptance", request="submit", symbol="AAPL")
    assert buy(venue, "rejected")["status"] in ("pending_new", "new", "accepted")
    buy(venue, "other", "SPY")
    assert status(venue, "rejected", "other") == ["rejected", "new"]


def test_partial_then_cancel_fills_half_an_order_and_cancels_the_rest(venue: World) -> None:
    venue.arm("partial_then_cancel", request="submit")
    buy(venue, "part", qty=10)
    venue.tick(seconds=120)
    order = venue.order_by_client_id("part")
    assert (order["status"], order["filled_qty"], by_symbol(venue)["AAPL"]["qty"]) == ("canceled", "5", "5")


def test_order_fills_while_its_cancel_is_in_transit(venue: World) -> None:
    venue.arm("fill_during_cancel", request="cancel", client_order_id="low*")
    placed = buy(venue, "low-1", limit_price=f"{venue.get(QUOTE)['quote']['bp'] * 0.9:.2f}")
    assert venue.ask("DELETE", f"/v2/orders/{placed['id']}").status == 204
    assert status(venue, "low-1") == ["filled"]
    assert [event["client_order_id"] for event in venue.logged("order_cancel_rejected")] == ["low-1"]


def test_symbol_halted_by_time_fills_nothing_until_the_halt_ends(venue: World) -> None:
    venue.arm("halt_symbol", symbol="AAPL", after="open+31m", until="open+45m")
    venue.tick(seconds=60)
    buy(venue, "halted")
    buy(venue, "free", "SPY")
    venue.tick(seconds=600)
    assert status(venue, "halted", "free") == ["new", "filled"]
    venue.tick(seconds=600)
    assert status(venue, "halted") == ["filled"]


def test_symbol_halted_by_an_order_trades_again_after_its_time_or_when_the_rule_is_cleared(venue: World) -> None:
    venue.arm({"halt_symbol": "10m"}, request="submit", nth=1)
    venue.arm("halt_symbol", request="submit", nth=2)
    buy(venue, "short")
    buy(venue, "long", "SPY")
    venue.tick(seconds=300)
    assert status(venue, "short", "long") == ["new", "new"]
    venue.tick(seconds=600)
    assert status(venue, "short", "long") == ["filled", "new"]
    assert venue.ask("DELETE", "/exchange/v1/faults/rule-1").json == {"cleared": ["rule-1"]}
    venue.tick(seconds=120)
    assert status(venue, "long") == ["filled"]


def test_stale_quotes_of_a_symbol_keep_their_true_times_and_are_missing_before_the_first(venue: World) -> None:
    before = venue.get(QUOTES)["quotes"]
    venue.arm("stale_quotes", request="any data", symbol="AAPL")
    assert venue.get(QUOTES)["quotes"] == before
    venue.tick(seconds=600)
    after = venue.get(QUOTES)["quotes"]
    assert (after["AAPL"], after["SPY"]["t"] > before["SPY"]["t"]) == (before["AAPL"], True)
    assert venue.get(QUOTE)["quote"] == venue.get(SNAPSHOT)["latestQuote"] == before["AAPL"]
    venue.clear_rules()
    venue.arm({"stale_quotes": "10m"}, request="quotes")
    assert venue.get(QUOTES)["quotes"] == before
    venue.clear_rules()
    venue.arm({"stale_quotes": "100h"}, request="any data", symbol="AAPL")
    missing = venue.ask("GET", QUOTE)
    assert (missing.status, "message" in missing.json) == (404, True)
    assert list(venue.get(QUOTES)["quotes"]) == ["SPY"]


def test_crossed_and_wrong_quotes_are_those_of_the_named_symbol_and_the_last_trade_stays_true(venue: World) -> None:
    true = venue.get(SNAPSHOT)
    bid, ask = (true["latestQuote"][field] for field in ("bp", "ap"))
    venue.arm({"crossed_quotes": 0.25}, request="any data", symbol="AAPL")
    quotes = venue.get(QUOTES)["quotes"]
    for quote in (quotes["AAPL"], venue.get(SNAPSHOT)["latestQuote"]):
        assert (quote["bp"], quote["ap"]) == (round(ask + 0.25, 4), ask)
    assert quotes["SPY"]["bp"] <= quotes["SPY"]["ap"]
    venue.clear_rules()
    venue.arm({"wrong_quotes": 0.985}, request="snapshots", at_most=1)
    lied, again = venue.get(SNAPSHOT), venue.get(SNAPSHOT)
    assert [lied["latestQuote"][field] for field in ("bp", "ap")] == [round(price * 0.985, 4) for price in (bid, ask)]
    assert (lied["latestTrade"], again) == (true["latestTrade"], true)


def test_unknown_word_and_missing_field_are_sent_only_where_the_rules_say(venue: World) -> None:
    venue.arm({"unknown_enum": "status", "word": "pondered"}, request="submit")
    venue.arm({"missing_field": "filled_qty"}, request=["submit", "orders"])
    answer, (listed,) = buy(venue, "odd"), venue.get("/v2/orders")
    assert [(row["status"], "filled_qty" in row) for row in (answer, listed)] == [("pondered", False), ("new", False)]
    assert venue.order_by_client_id("odd")["filled_qty"] == "0"


def test_missing_rows_are_left_out_of_lists_and_still_found_alone(holding: World) -> None:
    buy(holding, "one", limit_price="1.00")
    buy(holding, "two", limit_price="1.00")
    holding.arm({"missing_rows": None, "client_order_id": "t*"}, request="orders", nth=1)
    holding.arm("missing_rows", **{"request": "GET /v2/orders", "from": 2})
    holding.arm({"missing_rows": None, "symbol": "AAPL"}, request="GET /v2/positions")
    assert [row["client_order_id"] for row in holding.get("/v2/orders")] == ["one"]
    assert holding.get("/v2/orders") == []
    assert status(holding, "two") == ["new"]
    assert list(by_symbol(holding)) == ["SPY"]
    assert holding.get("/v2/positions/AAPL")["qty"] == "2"


def test_not_found_hides_an_order_and_a_position_from_single_reads(holding: World) -> None:
    holding.arm("not_found", request="order")
    holding.arm("not_found", symbol="AAPL")
    for path in ("/v2/orders:by_client_order_id?client_order_id=held", "/v2/positions/AAPL"):
        answer = holding.ask("GET", path)
        assert (answer.status, answer.json["code"]) == (404, 40410000)
    assert list(by_symbol(holding)) == ["AAPL", "SPY"]


def test_restless_order_changes_one_field_at_each_read_and_others_do_not(venue: World) -> None:
    for name in ("hand", "tb1.x"):
        buy(venue, name, limit_price="1.00")
    for field in ("limit_price", "qty", "status", "updated_at"):
        venue.arm({"restless_orders": field, "client_order_id": "hand"}, request="any")
        lists = [{row["client_order_id"]: row for row in venue.get("/v2/orders")} for _ in range(3)]
        for one, other in pairwise(lists):
            assert {name for name in one["hand"] if one["hand"][name] != other["hand"][name]} == {field}
            assert one["tb1.x"] == other["tb1.x"]
        venue.clear_rules()


def test_position_is_shown_on_the_other_side_or_at_another_value_and_others_are_not(holding: World) -> None:
    before = by_symbol(holding)
    for setting, value in ((None, "0"), (-4900, "-4900"), (0.01, "0.01")):
        holding.arm({"position_value": setting, "symbol": "AAPL"}, request="positions")
        assert by_symbol(holding) == before | {"AAPL": before["AAPL"] | {"market_value": value}}
        holding.clear_rules()
    holding.arm({"opposite_side": None, "symbol": "AAPL"}, request="positions")
    shown = by_symbol(holding)
    assert [(shown[name]["qty"], shown[name]["side"]) for name in shown] == [("-2", "short"), ("2", "long")]
    assert float(shown["AAPL"]["market_value"]) < 0 < float(shown["SPY"]["market_value"])


def test_stale_account_is_shown_as_it_was_and_is_as_it_is(venue: World) -> None:
    buy(venue, "held", qty=10)
    venue.tick(seconds=120)
    paths = ("/v2/orders?status=all", "/v2/positions", "/v2/account/activities", "/v2/account")
    cash = venue.get("/v2/account")["cash"]
    resting = buy(venue, "resting", "SPY", limit_price="1.00")
    venue.order("AAPL", "sell", 4, client_order_id="sold")
    before = [venue.get(path) for path in paths]
    venue.tick(seconds=300)
    assert venue.ask("DELETE", f"/v2/orders/{resting['id']}").status == 204
    buy(venue, "new")
    now = [venue.get(path) for path in paths]
    venue.arm({"stale_account": "5m"}, request="any trading")
    orders, (position,), activities, account = (venue.get(path) for path in paths)
    assert [(row["client_order_id"], row["status"]) for row in orders] == [
        *(("sold", "new"), ("resting", "new"), ("held", "filled"))
    ]
    assert orders == before[0]
    assert (position["qty"], activities, account["cash"]) == ("10", before[2], cash)
    assert venue.order_by_client_id("new") is None
    assert venue.order_by_client_id("sold")["filled_qty"] == "0"
    venue.clear_rules()
    assert [venue.get(path) for path in paths] == now


def test_frozen_account_stays_at_the_moment_of_its_first_reading(venue: World) -> None:
    venue.arm("stale_account", request="positions")
    assert venue.get("/v2/positions") == []
    buy(venue, "unseen")
    venue.tick(seconds=120)
    assert venue.get("/v2/positions") == []
    assert venue.ask("GET", "/v2/positions/AAPL").status == 404
