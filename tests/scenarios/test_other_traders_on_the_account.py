"""What a person or another program does at the broker beside the bot, judged by the exchange's own log."""

from decimal import Decimal
from typing import Any

import requests

from tests.bot import KEYS, Bot, log, order_by_hand


def fails(bot: Bot, rule: str) -> None:
    """Let the exchange fail by one rule."""
    answer = requests.post(f"{bot.url}/exchange/v1/faults", data=f"- {{name: rule, {rule}}}", timeout=60)
    assert answer.status_code == 200, answer.text


def heals(bot: Bot) -> None:
    requests.delete(f"{bot.url}/exchange/v1/faults", timeout=60)


def ticks(bot: Bot, step: str) -> None:
    assert bot.says("exchange", "tick", step).code == 0


def since(bot: Bot, seen: int, event: str) -> list[dict[str, Any]]:
    return [line for line in log(bot.url)[seen:] if line["event"] == event]


def entry(bot: Bot) -> dict[str, Any]:
    """Let the bot trade once and return the row of the one order that it sent, whatever became of it."""
    rows = bot.json("trade-once")["rows"]
    (row,) = [row for row in rows if row["reason"] in (None, "VENUE_UNKNOWN")]
    return dict(row)


def test_two_owners_close_no_more_than_the_broker_holds(trader: Bot) -> None:
    row = entry(trader)
    symbol, there = row["symbol"], row["side"]
    quantity = since(trader, 0, "order_accepted")[0]["qty"]
    back = "buy" if there == "sell" else "sell"
    ticks(trader, "1m")
    order_by_hand(trader.url, symbol, quantity, "another's", there)
    ticks(trader, "1m")
    assert trader.says("adopt", symbol, "--manage", "--confirm", symbol).code == 0
    order_by_hand(trader.url, symbol, quantity, "covered by hand", back)
    ticks(trader, "1m")
    seen = len(log(trader.url))
    said = trader.json("flatten", symbol, "--confirm", symbol)
    assert (said["orders"], said["refused"]) == (1, {"POSITION_GONE": 1})
    ticks(trader, "1m")
    accepted = since(trader, seen, "order_accepted")
    assert [(order["side"], Decimal(order["qty"])) for order in accepted] == [(back, Decimal(quantity))]
    assert [Decimal(fill["position"]) for fill in since(trader, seen, "fill")][-1] == 0


def test_a_halt_ends_an_entry_that_its_owner_repriced_at_the_broker(trader: Bot) -> None:
    fails(trader, "when: {request: any}, what: halt_symbol")
    entry(trader)
    (order,) = requests.get(f"{trader.url}/v2/orders", headers=KEYS, timeout=60).json()
    price = {"limit_price": str(Decimal(order["limit_price"]) + (1 if order["side"] == "buy" else -1))}
    done = requests.patch(f"{trader.url}/v2/orders/{order['id']}", headers=KEYS, json=price, timeout=60)
    assert done.status_code == 200, done.text
    ticks(trader, "1s")
    trader.says("reconcile")
    seen = len(log(trader.url))
    assert trader.says("halt").code == 0
    heals(trader)
    ticks(trader, "2m")
    assert [one["client_order_id"] for one in since(trader, seen, "order_canceled")] == [done.json()["client_order_id"]]
    assert since(trader, seen, "fill") == []


def test_another_order_under_the_id_of_a_lost_one_shuts_entries(trader: Bot) -> None:
    fails(trader, "when: {request: submit}, what: {reset: before}")
    row = entry(trader)
    heals(trader)
    (lost,) = trader.json("orders")["orders"]
    order_by_hand(trader.url, row["symbol"], lost["quantity"], row["client_order_id"], row["side"])
    ticks(trader, "1m")
    assert trader.says("reconcile").code == 0
    seen = len(log(trader.url))
    assert trader.says("trade-once", "--force-slot").code == 3
    assert since(trader, seen, "order_accepted") == []
    assert f"SECOND_WRITER: {row['client_order_id']}" in trader.says("status").out


def test_orders_that_the_venue_refuses_after_it_took_them_are_a_storm(trader: Bot) -> None:
    with (trader.folder / "tradebot.yaml").open("a") as file:
        file.write("halts: {rejects: 2}\n")
    fails(trader, "when: {request: submit}, what: reject_after_acceptance")
    for _ in range(4):
        trader.says("trade-once", "--force-slot")
        ticks(trader, "1m")
    assert len(since(trader, 0, "order_accepted")) == len(since(trader, 0, "order_rejected")) == 2


def test_a_comparison_dated_in_the_future_opens_nothing_until_the_next(trader: Bot) -> None:
    fails(trader, "when: {request: clock}, what: {clock_skew: 30s}")
    assert trader.says("reconcile").code == 0
    heals(trader)
    assert trader.json("trade-once")["refused"] == {"RECONCILE_FROM_FUTURE": 4}
    assert since(trader, 0, "order_accepted") == []
    assert trader.says("reconcile").code == 0
    assert trader.json("trade-once", "--force-slot")["orders"] == 1


def test_closing_everything_ends_with_5_while_no_exit_is_at_work_and_with_0_once_one_is(trader: Bot) -> None:
    entry(trader)
    ticks(trader, "2m")
    assert trader.says("evaluate-exits").code == 0
    stop = next(line["order_id"] for line in since(trader, 0, "order_held"))
    fails(trader, "when: {request: [replace, cancel]}, what: reject_after_acceptance")
    words = ("halt", "--flatten", "--confirm", "FLATTEN")
    for problem in ("1 could not be sent: SHARES_HELD", "1 could not be sent: VENUE_REJECTED"):
        said = trader.says(*words)
        assert (said.code, problem in said.out) == (5, True), said.out
    assert [line for line in since(trader, 0, "order_canceled") if line["order_id"] == stop] == []
    heals(trader)
    assert trader.says(*words).code == 0
    ticks(trader, "2m")
    assert [Decimal(fill["position"]) for fill in since(trader, 0, "fill")][-1] == 0
