"""Two owners of ours in one symbol close no more between them than the broker holds, in one pass or in several.

A position with a fraction of a share is closed to its end; a broker that takes no fractions keeps only the rest.
"""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.bot.folder import KEYS, Bot, log, order_by_hand
from tests.kit.core.scene import Scene, call, evaluate_exits
from tests.kit.core.venue import LOST, REJECTED
from tests.kit.values import NOW, fill
from tradebot.cycle import flatten
from tradebot.model.candidate import Side
from tradebot.model.order import Reply
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.trading import TradingState, TradingStateRecord

AT = NOW - timedelta(minutes=5)


def owned(*lots: int, there: int) -> Scene:
    """Let each lot have an owner of its own in one symbol, of which the broker holds as many as are there."""
    scene = Scene()
    for number, lot in enumerate(lots, start=1):
        side = Side.BUY if lot > 0 else Side.SELL
        bought = fill(number, strategy=f"owner{number}", side=side, quantity=str(abs(lot)), at=AT)
        scene.ledger.apply_fills([bought], AT)
    scene.venue.held["AAPL"] = Decimal(there)
    return scene


def by_hand(scene: Scene) -> CycleRecord:
    return flatten(scene.world(), call(Job.EVALUATE_EXITS, "flatten"), None)


def by_rule(scene: Scene) -> CycleRecord:
    """Close whatever the price: the trading state says so."""
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.FLATTEN, "ada", "out", NOW))
    return exits(scene, "open+31m")


def exits(scene: Scene, slot: str) -> CycleRecord:
    return evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, slot))


def ends(record: CycleRecord) -> list[Reason | None]:
    return [found.terminal.reason if found.terminal else None for found in record.candidates]


def sent(scene: Scene) -> list[int]:
    return [int(intent.quantity * intent.side.sign) for intent in scene.venue.submitted]


CLOSES = pytest.mark.parametrize("closes", [by_hand, by_rule])
Closing = Callable[[Scene], CycleRecord]


@CLOSES
@pytest.mark.parametrize(
    ("lots", "there", "orders", "reasons"),
    [
        ((-33, -33), -33, [33], [None, Reason.POSITION_GONE]),
        ((-33, -33), -40, [33, 7], [None, None]),
        ((33, 33), 66, [-33, -33], [None, None]),
        ((50, -20), 30, [-30], [None, Reason.POSITION_GONE]),
    ],
)
def test_what_one_owner_closes_is_not_there_for_the_next(
    closes: Closing, lots: tuple[int, ...], there: int, orders: list[int], reasons: list[Reason | None]
) -> None:
    scene = owned(*lots, there=there)
    assert ends(closes(scene)) == reasons
    assert sent(scene) == orders


@CLOSES
@given(lots=st.lists(st.integers(-9, 9).filter(bool), max_size=4), there=st.integers(-30, 30))
def test_a_pass_never_turns_what_the_broker_holds(closes: Closing, lots: list[int], there: int) -> None:
    scene = owned(*lots, there=there)
    closes(scene)
    orders = sent(scene)
    assert all(order * there < 0 for order in orders)
    assert abs(sum(orders)) <= abs(there)


@CLOSES
@pytest.mark.parametrize(("reply", "second"), [(REJECTED, None), (LOST, Reason.POSITION_GONE)])
def test_only_an_order_that_never_fills_leaves_its_shares_to_the_next(
    closes: Closing, reply: Reply, second: Reason | None
) -> None:
    scene = owned(33, 33, there=33)
    scene.venue.script["AAPL"] = reply
    scene.venue.before_submit = lambda intent: scene.venue.script.clear() if scene.venue.submitted else None
    assert ends(closes(scene))[1] is second


def test_a_dry_run_shows_what_would_be() -> None:
    record = flatten(owned(33, 33, there=33).world(dry_run=True), call(Job.EVALUATE_EXITS, "flatten"), None)
    assert ends(record) == [Reason.DRY_RUN, Reason.POSITION_GONE]


@pytest.mark.parametrize("price", ["95", "97"])
def test_of_two_old_exits_only_what_is_still_held_keeps_working(price: str) -> None:
    scene = owned(33, 33, there=66)
    scene.price("AAPL", "97")
    exits(scene, "open+31m")
    scene.venue.held["AAPL"] = Decimal(33)
    scene.later(180)
    scene.price("AAPL", price)
    exits(scene, "open+35m")
    assert [order.open_quantity for order in scene.venue.view().orders] == [Decimal(33)]


def test_two_old_exits_of_what_is_all_there_are_both_priced_anew() -> None:
    scene = owned(33, 33, there=66)
    scene.price("AAPL", "97")
    exits(scene, "open+31m")
    scene.later(180)
    scene.price("AAPL", "95")
    exits(scene, "open+35m")
    assert [intent.limit_price for intent in scene.venue.replaced] == [Decimal("94.52")] * 2


@pytest.fixture
def holder(trader: Bot) -> Bot:
    order_by_hand(trader.url, "AAPL", "10.5", "by hand")
    trader.does("exchange tick 5m", "adopt AAPL --manage --confirm AAPL")
    return trader


def close_whole(bot: Bot) -> dict[str, Any]:
    """Let a person close the position, give the order a minute, and return what the pass made of it."""
    pass_of = dict(bot.json("flatten", "AAPL", "--confirm", "AAPL"))
    bot.does("exchange tick 1m", "evaluate-exits")
    return pass_of


def left(bot: Bot) -> list[Decimal]:
    """Return the shares that the broker holds; the bot's books must say the same."""
    rows = requests.get(f"{bot.url}/v2/positions", headers=KEYS, timeout=60).json()
    assert [row["quantity"] for row in bot.json("positions")["positions"]] == [row["qty"] for row in rows]
    return [Decimal(row["qty"]) for row in rows]


def sold(bot: Bot) -> list[str]:
    return [row["qty"] for row in log(bot.url) if row["event"] == "order_accepted" and row["side"] == "sell"]


def refused(bot: Bot) -> int:
    return sum(row["event"] == "order_rejected" for row in log(bot.url))


def test_a_fraction_is_closed_with_the_whole_shares(holder: Bot) -> None:
    close_whole(holder)
    assert (left(holder), sold(holder), refused(holder)) == ([], ["10.5"], 0)


def test_where_fractions_are_refused_whole_shares_are_closed_and_the_rest_tried_once_a_session(holder: Bot) -> None:
    settings = {"fractional_trading": False}
    requests.patch(f"{holder.url}/v2/account/configurations", headers=KEYS, json=settings, timeout=60)
    close_whole(holder)
    assert (left(holder), sold(holder), refused(holder)) == ([Decimal("0.5")], ["10"], 1)
    assert close_whole(holder)["refused"] == {"FRACTION_REFUSED": 1}
    assert (left(holder), sold(holder), refused(holder)) == ([Decimal("0.5")], ["10"], 1)
