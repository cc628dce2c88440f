"""Targets follow the average price of an entry that fills in parts: once, when it is over, and by more than a tick.

A target that is gone is placed again, but not at once and not in every pass.
"""

from collections import Counter
from decimal import Decimal

import pytest

from tests.kit.core.apart import LOST_ON_THE_WAY, REFUSED, BotApart, capabilities
from tests.orders.test_separate_protection import asked, each
from tradebot.model.candidate import Purpose, Side
from tradebot.model.order import Order, OrderStatus
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Capabilities, Edit

D = Decimal


def filled(bot: BotApart, entry: Order, shares: int, price: str) -> None:
    """Fill so many shares more of an entry, and let a pass look at it."""
    bot.scene.later(1)
    bot.venue.fill(entry.client_order_id, price, D(shares))
    bot.exits()


def resting(bot: BotApart) -> list[tuple[str, int]]:
    """Return for how many shares targets rest at each price."""
    shares = Counter[str]()
    for order in bot.venue.targets():
        shares[f"{order.limit_price:.2f}"] += int(order.open_quantity)
    return sorted(shares.items())


def in_parts(
    can: Capabilities, *parts: tuple[int, str], side: Side = Side.BUY, quantity: int = 10
) -> tuple[BotApart, Order]:
    """Return a bot whose entry has filled in parts, and the entry; its targets are at 1 % and 3 %."""
    bot = BotApart(can)
    bot.venue.has_history = True
    entry = bot.enter(side, quantity=quantity)
    assert entry is not None, "the entry was refused"
    for shares, price in parts:
        filled(bot, entry, shares, price)
    return bot, entry


@each
@pytest.mark.parametrize(
    ("side", "second", "targets"),
    [
        (Side.BUY, "99.40", [("100.69", 4), ("102.69", 4)]),
        (Side.SELL, "100.60", [("97.30", 4), ("99.30", 4)]),
    ],
)
def test_targets_are_at_the_average_price_once_the_entry_is_over(
    can: Capabilities, side: Side, second: str, targets: list[tuple[str, int]]
) -> None:
    bot, entry = in_parts(can, (5, "100"), side=side)
    first = resting(bot)
    filled(bot, entry, 5, second)
    for _ in range(3):
        bot.exits()
    assert resting(bot) == targets != first
    done = len(bot.venue.asked)
    bot.exits()
    assert asked(bot, done) == [], "it moves once"


@each
def test_targets_that_do_not_grow_stay_while_the_entry_works(can: Capabilities) -> None:
    bot, entry = in_parts(can, (5, "100"))
    before = resting(bot)
    filled(bot, entry, 1, "99.40")
    bot.exits()
    assert resting(bot) == before == [("101.00", 2), ("103.00", 2)]
    assert bot.venue.working(Purpose.OPEN)
    bot.venue.book[entry.client_order_id] = replace(entry, status=OrderStatus.CANCELED, filled_quantity=D(6))
    for _ in range(3):
        bot.exits()
    assert resting(bot) == [("100.89", 2), ("102.89", 2)], "no more of it can fill"


@each
def test_a_difference_of_a_tick_moves_nothing(can: Capabilities) -> None:
    bot, entry = in_parts(can, (8, "100"), quantity=9)
    before = [order.venue_id for order in bot.venue.targets()]
    filled(bot, entry, 1, "99.95")
    bot.exits()
    assert resting(bot) == [("101.00", 3), ("103.00", 3)]
    assert [order.venue_id for order in bot.venue.targets()] == before


@pytest.mark.parametrize("fate", [REFUSED, LOST_ON_THE_WAY])
@each
def test_a_move_that_fails_leaves_no_target_too_many_and_is_made_later(can: Capabilities, fate: str) -> None:
    bot, entry = in_parts(can, (5, "100"))
    bot.scene.later(1)
    bot.venue.fill(entry.client_order_id, "99.40", D(5))
    # The stops come first.
    bot.exits()
    bot.venue.fates = [fate]
    for _ in range(4):
        bot.exits(1_000)
        bot.venue.catch_up()
        assert sum(order.open_quantity for order in bot.venue.targets()) <= 10
    assert resting(bot) == [("100.69", 4), ("102.69", 4)]


CAN = [capabilities(edit, reduce_only=True) for edit in Edit]


def lose_targets(bot: BotApart) -> None:
    """Let a person cancel every target at the venue."""
    for order in bot.venue.targets():
        bot.venue._put(replace(order, status=OrderStatus.CANCELED), "order_canceled")


def prices(bot: BotApart) -> list[str]:
    return [str(order.limit_price) for order in bot.venue.targets()]


def placed(bot: BotApart) -> list[str]:
    """Return when targets were accepted by the venue's own log."""
    stops = {line["order_id"] for line in bot.venue.log if line.get("stop_price")}
    new = [line for line in bot.venue.log if line["event"] == "order_accepted" and line["order_id"] not in stops]
    return [line["at"] for line in new if ".PROTE." in line["client_order_id"]]


@pytest.mark.parametrize("can", CAN, ids=lambda can: can.edit)
def test_targets_canceled_by_hand_are_back_once_the_position_is_old_enough_and_then_rarely(can: Capabilities) -> None:
    bot = BotApart(can).filled()
    bot.exits(5)
    first, filled = len(placed(bot)), bot.venue.now
    lose_targets(bot)
    bot.exits(20)
    assert prices(bot) == [], "it has been held for 25 seconds"
    bot.exits(6)
    assert prices(bot) == ["101.00", "103.00"]
    lose_targets(bot)
    for _ in range(9):
        bot.exits(60)
        assert prices(bot) == []
    bot.exits(60)
    assert prices(bot) == ["101.00", "103.00"]
    waits = sorted(set(placed(bot)[first:]))
    assert len(waits) == 2
    assert (bot.venue.now - filled).total_seconds() > 600


def test_a_refused_target_is_not_sent_again_in_every_pass() -> None:
    bot = BotApart(CAN[0]).filled()
    bot.venue.fates = ["", REFUSED]
    bot.exits(5)
    assert prices(bot) == ["103.00"]
    asked = len(bot.venue.asked)
    bot.exits(10)
    assert len(bot.venue.asked) == asked
    bot.exits(20)
    assert sorted(prices(bot)) == ["101.00", "103.00"]


def test_a_target_waits_for_the_stop_before_it_is_placed_again() -> None:
    bot = BotApart(CAN[0]).held()
    lose_targets(bot)
    (stop,) = bot.venue.stops()
    bot.venue.suspend(stop)
    bot.venue.fates = ["", REFUSED]
    bot.exits(60)
    assert (bot.venue.stops()[1:], prices(bot)) == ([], []), "the stop in its place was refused"
    bot.exits(60)
    bot.exits(60)
    assert prices(bot) == ["101.00", "103.00"]


def test_what_is_left_of_a_target_that_the_bot_cancels_itself_is_back_at_once() -> None:
    bot = BotApart(capabilities(Edit.NONE, reduce_only=True)).filled()
    bot.exits(5)
    # The stop closes a part, so the targets are for too much, and the venue can't make them smaller.
    (stop,) = bot.venue.stops()
    bot.venue.fill(stop.client_order_id, "98", Decimal(5))
    bot.exits(5)
    bot.exits(5)
    assert [(str(one.limit_price), int(one.open_quantity)) for one in bot.venue.targets()] == [
        ("101.00", 4),
        ("103.00", 1),
    ]


def test_a_larger_target_takes_the_place_of_a_smaller_one_at_once() -> None:
    bot = BotApart(CAN[0])
    order = bot.enter()
    assert order is not None
    for shares in (5, 5):
        bot.venue.fill(order.client_order_id, "100", Decimal(shares))
        bot.exits(5)
        assert prices(bot) == ["101.00", "103.00"], "a larger one takes the place of a smaller one"
