"""An order that a person put in the place of one of ours: an entry ends like any of ours, an exit keeps its price.

What a person or another program does at the broker beside the bot, judged by the exchange's own log.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests

from tests.kit.bot.ending import shows
from tests.kit.bot.folder import KEYS, Bot, log, order_by_hand
from tests.kit.core.scene import Scene, call
from tests.kit.core.venue import FakeReader
from tests.kit.values import LIMITS
from tests.orders.test_working_orders import entered, exits, leaving, sent, why, working
from tradebot.cycle import flatten
from tradebot.model.order import Order, OrderStatus
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.reconciliation.reconcile import reconcile


def repriced(scene: Scene, times: int = 1, price: str = "99") -> Order:
    """Let a person replace our working order at the venue, again and again, each under their own id."""
    for number in range(times):
        change = replace(
            scene.venue.submitted[-1],
            client_order_id=f"by hand {number}",
            target_venue_id=working(scene).venue_id,
            limit_price=Decimal(price),
        )
        scene.venue.replacement(change)
    return working(scene)


def halted(scene: Scene) -> None:
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "lunch", scene.venue.now))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("times", [1, 3])
def test_a_halt_ends_the_entry_that_stands_in_the_place_of_ours(times: int, known: bool) -> None:
    scene = Scene()
    entered(scene)
    order = repriced(scene, times)
    if known:
        reconcile(FakeReader(scene.venue), scene.ledger)
    halted(scene)
    record = exits(scene, "open+31m")
    assert (sent(record), why(record.candidates[-1])) == ([("cancel", Reason.SENT)], Reason.HALTED)
    assert [intent.target_venue_id for intent in scene.venue.cancelled] == [order.venue_id]
    assert scene.venue.view().orders == ()


def test_an_entry_that_a_person_repriced_lives_no_longer_than_ours() -> None:
    scene = Scene()
    entered(scene)
    repriced(scene)
    scene.later(LIMITS.entry_life_s - 1)
    assert sent(exits(scene, "open+39m")) == []
    scene.later(1)
    assert sent(exits(scene, "open+40m")) == [("cancel", Reason.SENT)]


def test_an_exit_keeps_the_price_that_a_person_gave_it_until_flatten_closes_all() -> None:
    scene, _ = leaving()
    order = repriced(scene)
    scene.later(3600)
    assert sent(exits(scene, "open+95m")) == []
    assert working(scene) == order
    assert sent(flatten(scene.world(), call(Job.EVALUATE_EXITS, "flatten"), None)) == [("replace", Reason.SENT)]
    assert working(scene).open_quantity == scene.venue.held["AAPL"]


def test_an_order_of_others_that_took_the_place_of_others_is_left_alone() -> None:
    scene = Scene()
    promised = entered(scene)
    exits(scene, "open+31m")
    stranger = scene.venue.rest("typed by hand", "MSFT", promised)
    followed = replace(stranger, venue_id="before", client_order_id="typed before", replaced_by=stranger.venue_id)
    scene.ledger.apply_orders([replace(followed, status=OrderStatus.REPLACED)], scene.venue.now)
    halted(scene)
    assert [found.candidate.symbol for found in exits(scene, "open+32m").candidates] == ["AAPL"]


def test_a_venue_that_closes_a_chain_to_a_ring_is_not_followed_for_ever() -> None:
    scene = Scene()
    promised = entered(scene)
    ring = [scene.venue.rest(f"by hand {number}", "MSFT", promised) for number in range(3)]
    told = [replace(one, replaced_by=ring[(n + 1) % 3].venue_id) for n, one in enumerate(ring)]
    scene.ledger.apply_orders([replace(one, status=OrderStatus.REPLACED) for one in told[:2]], scene.venue.now)
    scene.venue.book["by hand 2"] = told[2]
    scene.venue.now += timedelta(seconds=1)
    halted(scene)
    assert sent(exits(scene, "open+31m")) == [("cancel", Reason.SENT)]


def fails(bot: Bot, rule: str) -> None:
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
    (row,) = [row for row in bot.json("trade-once")["rows"] if row["reason"] in (None, "VENUE_UNKNOWN")]
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
        shows(trader.says(*words), 5, problem)
    assert [line for line in since(trader, 0, "order_canceled") if line["order_id"] == stop] == []
    heals(trader)
    assert trader.says(*words).code == 0
    ticks(trader, "2m")
    assert [Decimal(fill["position"]) for fill in since(trader, 0, "fill")][-1] == 0
