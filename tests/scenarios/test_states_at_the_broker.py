"""A long and a short that are protected at the broker: what `positions` shows is what rests at the exchange.

The tests run in their order on one bot.
"""

import json
from contextlib import closing
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import requests

from tests.kit.bot.folder import KEYS, Bot
from tests.kit.core.position import Known
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.lifecycle import State, may_follow

SIDES = {"AAPL": "buy", "NVDA": "sell"}


def resting(bot: Bot, symbol: str) -> list[tuple[str, Decimal, Decimal]]:
    """Return what the exchange has resting in a symbol: stop or target, price, and shares."""
    asked = {"status": "open", "symbols": symbol, "nested": "true"}
    orders = requests.get(f"{bot.url}/v2/orders", params=asked, headers=KEYS, timeout=60).json()
    every = [order for one in orders for order in (one, *(one["legs"] or ()))]
    return sorted(
        ("stop", Decimal(order["stop_price"]), Decimal(order["qty"]))
        if order["stop_price"]
        else ("target", Decimal(order["limit_price"]), Decimal(order["qty"]))
        for order in every
    )


def cancel_all(bot: Bot) -> None:
    """Cancel everything that rests at the exchange."""
    for order in requests.get(f"{bot.url}/v2/orders", params={"status": "open"}, headers=KEYS, timeout=60).json():
        requests.delete(f"{bot.url}/v2/orders/{order['id']}", headers=KEYS, timeout=60)


def states(bot: Bot) -> dict[str, State]:
    with closing(SqliteLedger.open(bot.folder, read_only=True)) as ledger:
        known = Known().after((*ledger.intents(), *ledger.orders(), *ledger.fills()))
    return {symbol: known.state("own", symbol) for symbol in SIDES}


def shown(bot: Bot) -> dict[str, Any]:
    return {row["symbol"]: row for row in bot.json("positions")["positions"]}


def test_a_position_is_protected_from_the_next_pass_of_exits_on(shared_trader: Bot, tmp_path: Path) -> None:
    bot = shared_trader
    lines = [json.dumps({"symbol": symbol, "side": side, "score": 0.6}) for symbol, side in SIDES.items()]
    (tmp_path / "lines").write_text("\n".join(lines))
    assert bot.json("trade-once", "--candidates", str(tmp_path / "lines"))["orders"] == 2
    seen = [states(bot)]
    for verb in (("exchange", "tick", "1m"), ("reconcile",), ("evaluate-exits",)):
        bot.says(*verb)
        seen.append(states(bot))
    assert seen[-1] == dict.fromkeys(SIDES, State.PROTECTED)
    assert all(may_follow(now[symbol], was[symbol]) for was, now in pairwise(seen) for symbol in SIDES)


def test_what_is_shown_to_rest_is_what_the_exchange_holds(shared_trader: Bot) -> None:
    screen = " ".join(shared_trader.shown("positions").split())
    for symbol, row in shown(shared_trader).items():
        found = row["protection"]
        levels = [
            ("stop" if one["is_stop"] else "target", Decimal(one["price"]), Decimal(one["quantity"]))
            for one in found["resting"]
        ]
        assert sorted(levels) == resting(shared_trader, symbol) != []
        assert (row["state"], found["why"], found["covered"]) == ("protected", None, row["quantity"].lstrip("-"))
        (stop,) = [price for kind, price, _ in levels if kind == "stop"]
        assert f"stop {stop:,.2f}, target " in screen


def test_a_stop_is_shown_as_an_order_of_its_strategy_at_its_price(shared_trader: Bot) -> None:
    rows = shared_trader.json("orders")["orders"]
    assert {(row["strategy"], row["purpose"]) for row in rows} == {("own", "protect")}
    stops = [price for symbol in SIDES for kind, price, _ in resting(shared_trader, symbol) if kind == "stop"]
    assert sorted(Decimal(row["stop_price"]) for row in rows if row["stop_price"]) == sorted(stops)
    for words in (["orders"], ["status", "--explain"]):
        screen = shared_trader.shown(*words)
        assert all(f"stop {price:,.2f}" in screen for price in stops)
        assert "market" not in screen.partition("working orders")[2]


def test_a_position_that_a_person_closes_is_closing_and_then_gone(shared_trader: Bot) -> None:
    bot = shared_trader
    seen = [states(bot)]
    assert bot.says("flatten", "AAPL", "--confirm", "AAPL").code == 0
    seen.append(states(bot))
    bot.does("exchange tick 1m", "reconcile")
    seen.append(states(bot))
    assert [now["AAPL"] for now in seen][::2] == [State.PROTECTED, State.CLOSED]
    assert seen[1]["AAPL"] in (State.CLOSING, State.CLOSED)
    assert {now["NVDA"] for now in seen} == {State.PROTECTED}
    assert (resting(bot, "AAPL"), list(shown(bot))) == ([], ["NVDA"])


def test_a_stop_that_was_canceled_since_the_last_exit_pass_is_missed_on_every_screen(shared_trader: Bot) -> None:
    bot = shared_trader
    assert bot.says("evaluate-exits", "--force-slot").code == 0
    cancel_all(bot)
    bot.says("reconcile")
    told = {row["subject"]: row for row in bot.json("health")["judgments"]}["orders"]
    assert (told["state"], told["found"].startswith("no stop rests at the broker for NVDA")) == ("DEGRADED", True)
    assert "1 of them without a stop at the broker" in bot.shown("status").splitlines()[0]
    assert "orders" in {row["subject"] for row in bot.json("audit", "--offline")["findings"]}
    bot.says("evaluate-exits", "--force-slot")
    assert {row["subject"]: row for row in bot.json("health")["judgments"]}["orders"]["state"] == "OK"


def test_a_stop_whose_pair_was_answered_without_it_is_on_its_way_and_not_missing(shared_trader: Bot) -> None:
    bot = shared_trader
    cancel_all(bot)
    rule = [{"name": "legless", "when": {"request": "submit"}, "what": "legs_left_out"}]
    requests.post(f"{bot.url}/exchange/v1/faults", json=rule, timeout=60).raise_for_status()
    bot.does("exchange tick 1m", "evaluate-exits --force-slot")
    found = shown(bot)["NVDA"]["protection"]
    assert (found["why"], [one["is_stop"] for one in found["resting"]]) == ("arriving", [False])
    assert "without a stop" not in bot.shown("status").splitlines()[0]
    bot.does("exchange faults clear", "exchange tick 1m", "evaluate-exits --force-slot")
    assert shown(bot)["NVDA"]["state"] == "protected"
